import type { ConfigSource } from "../../config/settings";

export const project = "apisec-credentials";

const least: Record<string, unknown> = {
  accounts: [{ name: "scanner", username: "scanner@acme.example" }],
  gitlabProject: "platform/apisec-rotation",
};

/**
 * What a stack `prod` with these keys gives to the program: its own keys without their namespace, as
 * the engine hands them over. A key that is undefined is not set.
 */
export function sourceOf(
  keys: Record<string, unknown> = {},
  rest: Partial<ConfigSource> & { secret?: string[] } = {},
): ConfigSource {
  const { secret = ["firstPasswords"], values = {}, ...others } = rest;
  const own = Object.entries({ ...least, ...keys })
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [
      `${project}:${key}`,
      typeof value === "string" ? value : JSON.stringify(value),
    ]);
  return {
    project,
    stack: "prod",
    values: { ...(Object.fromEntries(own) as Record<string, string>), ...values },
    secretKeys: secret.map((key) => (key.includes(":") ? key : `${project}:${key}`)),
    env: { VAULT_ADDR: "https://vault.example.com:8200", VAULT_TOKEN: "hvs.token" },
    hasTokenFile: false,
    readText: () => {
      throw new Error("no such file");
    },
    now: Date.UTC(2026, 0, 5, 9, 30),
    ...others,
  };
}

/** The problems that `readConfig` lists, one line each. */
export function problemLines(attempt: () => unknown): string[] {
  try {
    attempt();
  } catch (error) {
    const [head, ...lines] = (error as Error).message.split("\n");
    const problems = lines.slice(0, -1).map((line) => line.replace("  - ", ""));
    const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
    expect(head).toBe(`The configuration of stack prod has ${count}; nothing was touched.`);
    expect(lines.at(-1)).toBe("docs/configuration.md lists every key.");
    return problems;
  }
  return [];
}
