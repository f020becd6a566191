import type { Exchange } from "./recorder";

/** Secrets by name; a name may stand for several values. */
export interface Secrets {
  add(name: string, value: unknown): void;
  /** Everything secret in what passed a recorder. */
  addFrom(exchanges: readonly Exchange[]): void;
  /** The names of the secrets that a text holds, in whatever form. */
  in(text: string, except?: readonly string[]): string[];
  valuesOf(name: string): string[];
}

const entities: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Written for this hunt alone: the program's own list of forms is not asked. */
function formsOf(value: string): string[] {
  const bytes = Buffer.from(value);
  return [
    value,
    unescaped(value),
    encodeURIComponent(value),
    new URLSearchParams({ v: value }).toString().slice(2),
    value.replace(/[&<>"']/g, (one) => entities[one] ?? one),
    bytes.toString("base64").replace(/=+$/, ""),
    bytes.toString("base64url"),
    bytes.toString("hex"),
  ];
}

/** A text without what JSON puts into strings, however deep one lies in another. */
function unescaped(text: string): string {
  return text
    .replace(/\\u([0-9a-fA-F]{4})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)))
    .replaceAll("\\", "");
}

/** Members of an exchange that are secrets, wherever they stand. */
const secretKeys: Record<string, string> = {
  password: "password",
  confirmPassword: "password",
  pending_password: "password",
  token: "access token",
  client_token: "Vault token of a login",
  jwt: "ID token",
};

export function secretHunt(): Secrets {
  const known = new Map<string, Map<string, string[]>>();
  const hunt: Secrets = {
    add(name, value) {
      if (typeof value !== "string" || value.length < 8) return;
      // The name that it was given first stays.
      if ([...known].some(([other, values]) => other !== name && values.has(value))) return;
      const values = known.get(name) ?? new Map<string, string[]>();
      if (!values.has(value)) values.set(value, [...new Set(formsOf(value))]);
      known.set(name, values);
    },
    addFrom(exchanges) {
      for (const { headers, body, answer } of exchanges) {
        hunt.add("access token", headers.authorization?.replace(/^Bearer /, ""));
        for (const text of [body, answer]) addMembers(parsed(text));
      }
    },
    in(text, except = []) {
      const texts = [text, unescaped(text)];
      return [...known]
        .filter(([name]) => !except.includes(name))
        .filter(([, values]) =>
          [...values.values()].flat().some((form) => texts.some((one) => one.includes(form))),
        )
        .map(([name]) => name);
    },
    valuesOf: (name) => [...(known.get(name)?.keys() ?? [])],
  };

  function addMembers(value: unknown): void {
    if (typeof value !== "object" || value === null) return;
    for (const [key, member] of Object.entries(value)) {
      const name = secretKeys[key];
      if (name !== undefined) hunt.add(name, member);
      addMembers(member);
    }
  }
  return hunt;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
