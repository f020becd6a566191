/**
 * Who may do what in Vault, as the policies of this project mean it: stack `dev` of the lab, whose account
 * `scanner` is published and whose account `admin` is not, and another stack. `own`: each has a mount of its
 * own, the other's is `apisec-qa`. `shared`: the other one has its account `other` in `dev`'s. docs/security.md shows the
 * first table, test/e2e/accessMatrix.e2e.test.ts tries both.
 */
export type Capability = "create" | "read" | "update" | "patch" | "delete" | "list" | "sudo";

export const personas = [
  "admin",
  "developer",
  "consumer",
  "rotator",
  "deployer",
  "preview",
  "monitor",
  "verifier",
  "handover",
  "other rotator",
  "other deployer",
] as const;

export type Persona = (typeof personas)[number];

export interface Row {
  /** API paths; `{a,b}` stands for either. */
  place: string;
  /** Who is not named may do nothing. */
  may: Partial<Record<Persona, Capability[]>>;
  /** Whether there is nothing at that path: then a write creates. */
  absent?: boolean;
  /** Whose writes Vault takes with certain parameters only, which the trial does not have. */
  bound?: readonly Persona[];
}

const read: Capability[] = ["read"];
const list: Capability[] = ["list"];
const update: Capability[] = ["update"];
const create: Capability[] = ["create"];
const first: Capability[] = ["create", "update"];
const write: Capability[] = ["create", "read", "update"];
const change: Capability[] = ["read", "update"];
const own: Capability[] = ["create", "read", "update", "delete"];
const ownPolicy: Capability[] = ["read", "update", "delete"];

const secrets: Row[] = [
  {
    place: "apisec/data/scanner/password",
    may: { admin: read, rotator: read, deployer: write, verifier: read },
  },
  {
    place: "apisec/data/scanner/token",
    may: { admin: read, developer: read, consumer: read, rotator: write, deployer: write },
  },
  {
    place: "apisec/data/admin/password",
    may: { admin: read, deployer: write, verifier: read },
  },
  { place: "apisec/data/admin/token", may: { admin: read, deployer: write } },
  {
    place: "apisec/{delete,undelete,destroy,subkeys}/{scanner,admin}/{password,token}",
    may: {},
  },
  {
    place: "apisec/metadata/{scanner,admin}/password",
    may: { admin: read, deployer: write, monitor: read, verifier: change },
  },
  {
    place: "apisec/metadata/{scanner,admin}/token",
    may: { admin: read, deployer: write, monitor: read },
  },
];

/** What the two kinds of mount differ in. */
const mounts: Record<"own" | "shared", Row[]> = {
  own: [
    // An account that config does not know, or not yet; its first password is handed over.
    {
      place: "apisec/data/new/password",
      absent: true,
      may: { admin: read, deployer: write, handover: first },
      bound: ["handover"],
    },
    { place: "apisec/data/new/token", absent: true, may: { admin: read, deployer: write } },
    {
      place: "apisec/metadata/new/password",
      absent: true,
      may: { admin: read, deployer: write, monitor: read, handover: create },
    },
    {
      place: "apisec/metadata/new/token",
      absent: true,
      may: { admin: read, deployer: write, monitor: read },
    },
    { place: "apisec/{delete,undelete,destroy,subkeys}/new/{password,token}", may: {} },
    { place: "apisec/metadata/", may: { admin: list, monitor: list } },
    { place: "apisec/metadata/{scanner,admin,new}/", may: { admin: list } },
    { place: "apisec/config", may: { deployer: read, preview: read, monitor: read } },
    {
      place: "apisec-qa/data/other/password",
      may: { "other rotator": read, "other deployer": write },
    },
    {
      place: "apisec-qa/data/other/token",
      may: { "other rotator": write, "other deployer": write },
    },
    { place: "apisec-qa/metadata/other/{password,token}", may: { "other deployer": write } },
    { place: "apisec-qa/{delete,undelete,destroy,subkeys}/other/{password,token}", may: {} },
    { place: "sys/mounts/apisec", may: { deployer: change, preview: read, monitor: read } },
    { place: "sys/mounts/apisec/tune", may: { deployer: update } },
    { place: "sys/mounts/apisec-qa", may: { "other deployer": change } },
  ],
  shared: [
    {
      place: "apisec/data/new/password",
      absent: true,
      may: { handover: first },
      bound: ["handover"],
    },
    { place: "apisec/data/new/token", absent: true, may: {} },
    { place: "apisec/metadata/new/password", absent: true, may: { handover: create } },
    { place: "apisec/metadata/new/token", absent: true, may: {} },
    { place: "apisec/metadata/{,scanner/,admin/}", may: { admin: list } },
    {
      place: "apisec/config",
      may: { deployer: read, preview: read, monitor: read, "other deployer": read },
    },
    {
      place: "apisec/data/other/password",
      may: { "other rotator": read, "other deployer": write },
    },
    {
      place: "apisec/data/other/token",
      may: { "other rotator": write, "other deployer": write },
    },
    { place: "apisec/metadata/other/{password,token}", may: { "other deployer": write } },
    { place: "apisec/{delete,undelete,destroy,subkeys}/other/{password,token}", may: {} },
    {
      place: "sys/mounts/apisec",
      may: { deployer: change, preview: read, monitor: read, "other deployer": read },
    },
    { place: "sys/mounts/apisec/tune", may: { deployer: update } },
  ],
};

const others: Row[] = [
  { place: "elsewhere/{data,metadata,destroy}/scanner/token", may: {} },
  {
    place: "sys/policies/acl/apisec-dev-{admin,developer,rotator,consumer.any}",
    may: { deployer: ownPolicy, preview: read, monitor: read },
  },
  { place: "sys/policies/acl/apisec-dev-{deployer,verifier}", may: { monitor: read } },
  { place: "sys/policies/acl/apisec-dev-{preview,monitor,handover,consumer}", may: {} },
  {
    place: "sys/policies/acl/apisec-qa-{admin,developer,rotator,consumer.any}",
    may: { "other deployer": ownPolicy },
  },
  { place: "sys/policies/acl/", may: { monitor: list } },
  { place: "sys/policies/acl/{default,root,apisec-qa-deployer}", may: {} },
  { place: "sys/mounts{,/elsewhere}", may: {} },
  { place: "sys/auth/gitlab", may: { deployer: ["update", "delete", "sudo"] } },
  { place: "sys/{auth,remount}", may: {} },
  {
    place: "sys/mounts/auth/gitlab",
    may: { deployer: read, preview: read, monitor: read, "other deployer": read },
  },
  { place: "sys/mounts/auth/gitlab/tune", may: { deployer: read } },
  { place: "auth/gitlab/config", may: { deployer: change, monitor: read } },
  {
    place: "auth/gitlab/role/apisec-dev-{rotator,consumer.any}",
    may: { deployer: own, monitor: read },
  },
  {
    place: "auth/gitlab/role/apisec-qa-{rotator,consumer.any}",
    may: { "other deployer": own },
  },
  { place: "auth/gitlab/role/", may: { monitor: list } },
  { place: "auth/gitlab/role/of-somebody", may: {} },
  {
    place: "auth/token/create",
    may: { deployer: update, preview: update, "other deployer": update },
  },
  {
    place:
      "auth/token/{create-orphan,accessors,lookup,lookup-accessor,revoke,renew-self,roles/any}",
    may: {},
  },
  {
    place: "{identity/entity,identity/group,sys/audit,sys/seal,sys/raw/any}",
    may: {},
  },
  {
    place: "sys/capabilities-self",
    may: { deployer: update, preview: update, monitor: update, "other deployer": update },
  },
  {
    place: "auth/token/lookup-self",
    may: { deployer: read, preview: read, "other deployer": read },
  },
  {
    place: "auth/token/revoke-self",
    may: { rotator: update, verifier: update, handover: update, "other rotator": update },
  },
];

export function accessMatrix(mount: keyof typeof mounts): Row[] {
  return [...secrets, ...mounts[mount], ...others];
}

/** The paths that a place stands for. */
export function pathsOf(place: string): string[] {
  const [, before = "", choices, after = ""] = /^(.*?)\{(.*?)\}(.*)$/.exec(place) ?? [];
  if (choices === undefined) return [place];
  return choices.split(",").flatMap((choice) => pathsOf(before + choice + after));
}

/** The table as Markdown, for docs/security.md. */
export function accessMarkdown(): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(["path", ...personas]),
    line(["---", ...personas.map(() => "---")]),
    ...accessMatrix("own").map(({ place, may }) =>
      line([`\`${place}\``, ...personas.map((persona) => may[persona]?.join(", ") ?? "–")]),
    ),
  ].join("\n");
}
