import type { TestLab } from "./lab";

type Data = Record<string, unknown>;

/** An account's record in Vault and its version. */
export async function recordOf(
  lab: TestLab,
  name: string,
): Promise<{ data: Data; version: number }> {
  const { body } = await lab.asRoot("GET", `apisec/data/${name}/password`);
  const { data, metadata } = (body as { data: { data: Data; metadata: { version: number } } }).data;
  return { data, version: metadata.version };
}

/** Whether APIsec takes this password of `<user>@acme.example`. */
export async function isLive(lab: TestLab, user: string, password: unknown): Promise<boolean> {
  const answer = await lab.apisec("POST", `accounts/${user}@acme.example/check`, { password });
  return (answer as { live: boolean }).live;
}

/** All that Pulumi manages for a stack, as Vault and GitLab have it: no ids, dates or commits. */
export async function managedBy(lab: TestLab, stack: string, accounts: string[]): Promise<unknown> {
  const role = `apisec-${stack}-rotator`;
  const inVault: [string, ...string[]][] = [
    ...["admin", "developer", "rotator"].map((name): [string, string] => {
      return [`sys/policies/acl/apisec-${stack}-${name}`, "policy"];
    }),
    ["sys/mounts/apisec", "type", "description", "options"],
    ["sys/auth/gitlab", "type", "description"],
    ["auth/gitlab/config", "oidc_discovery_url", "bound_issuer"],
    [`auth/gitlab/role/${role}`],
    ...accounts.flatMap((name) =>
      ["password", "token"].map((key): [string, ...string[]] => {
        const settings = ["cas_required", "max_versions", "delete_version_after"];
        return [`apisec/metadata/${name}/${key}`, ...settings];
      }),
    ),
  ];
  const lists = ["variables", "pipeline_schedules"];
  const files = ["rotate.mjs", ".gitlab-ci.yml"];
  return {
    vault: await Promise.all(
      inVault.map(async ([path, ...keys]) => {
        const { data } = (await lab.asRoot("GET", path)).body as { data?: Data };
        return { path, ...picked(data ?? {}, (key) => keys.length === 0 || keys.includes(key)) };
      }),
    ),
    gitlab: await Promise.all(
      lists.map(async (path) =>
        ((await (await lab.gitlab("GET", path)).json()) as Data[]).map((one) =>
          picked(one, (key) => key !== "id" && !key.endsWith("_at")),
        ),
      ),
    ),
    files: await Promise.all(
      files.map(async (file) =>
        (await lab.gitlab("GET", `repository/files/${file}/raw?ref=main`)).text(),
      ),
    ),
  };
}

function picked(data: Data, wanted: (key: string) => boolean): Data {
  return Object.fromEntries(Object.entries(data).filter(([key]) => wanted(key)));
}
