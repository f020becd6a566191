import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expand } from "../recordings/expand";
import type { Operation, RecordedRequest } from "../recordings/expand";

/** Something asked of Vault: `capability path`, such as `read sys/mounts/apisec`. */
export type Asked = ReadonlySet<string>;

/** What a stack's things are named in Vault; the recordings have names of their own. */
export interface VaultNames {
  mount: string;
  authPath: string;
  policies: readonly string[];
  roles: readonly string[];
  groupIds: readonly string[];
}

const folder = join(__dirname, "..", "recordings", "vault");

/** Operations that this program never asks of the plugin, with the reason. */
const neverAsked: { file: string; operation: RegExp; because: string }[] = [
  { file: "mount", operation: /^delete/, because: "the mount is retained on delete" },
  {
    file: "mount",
    operation: /^replace/,
    because: "the mount is retained, its type never changes",
  },
  { file: "mount", operation: /\(moved\)/, because: "another mount is refused before anything" },
  {
    file: "authBackend",
    operation: /\(moved\)/,
    because: "another path is refused before anything",
  },
  { file: "authBackendRole", operation: /^replace: backend/, because: "likewise" },
  { file: "groupPolicies", operation: /exclusive/, because: "groups keep their own policies" },
];

const capabilities: Record<string, string> = { GET: "read", LIST: "list", DELETE: "delete" };

/** Of the plugin's types only roles and keys know `create`: everywhere else a first write is an update, too. */
function capabilityOf({ operation }: Operation, { method, path, during }: RecordedRequest): string {
  const isNew = /^create|of what is gone/.test(operation) || during === "create";
  if (path.includes("/role/") && method === "PUT" && isNew) return "create";
  return capabilities[method] ?? "update";
}

/** What the official Vault plugin asks for a stack's resources: create, update, refresh, import, delete. */
export function askedByPlugin(names: VaultNames): Asked {
  const asked = new Set<string>();
  const note = (file: string, places: (path: string) => readonly string[]) => {
    for (const operation of expand(join(folder, `${file}.json`)).operations) {
      const never = neverAsked.some(
        (one) => one.file === file && one.operation.test(operation.operation),
      );
      if (never) continue;
      for (const request of operation.requests) {
        for (const place of places(request.path.replace("/v1/", ""))) {
          asked.add(`${capabilityOf(operation, request)} ${place}`);
        }
      }
    }
  };
  const { mount, authPath, policies, roles, groupIds } = names;
  const instead = (pattern: RegExp, some: readonly string[]) => (path: string) => {
    // No right is needed for what belongs to the server itself.
    if (path === "sys/seal-status") return [];
    if (!pattern.test(path)) throw new Error(`The recordings have another path: ${path}`);
    return some.map((name) => path.replace(pattern, name));
  };
  note("mount", instead(/(?<=^sys\/mounts\/)traces(-moved|\/nested)?(?=\/tune$|$)/, [mount]));
  note("policy", instead(/(?<=^sys\/policies\/acl\/)[\w.-]+$/i, policies));
  note("authBackend", instead(/(?<=^(sys\/|sys\/mounts\/)?auth\/)traces-jwt(?=\/|$)/, [authPath]));
  note(
    "authBackendRole",
    instead(
      /(?<=^auth\/)traces-\w+\/role\/[\w.-]+$|(?<=^auth\/)traces-none\/role\/a$/,
      roles.map((role) => `${authPath}/role/${role}`),
    ),
  );
  note("groupPolicies", instead(/(?<=^identity\/group\/id\/)<[\w-]+>$/, groupIds));
  note("provider", (path) => (path.startsWith("auth/token/") ? [path] : []));
  return asked;
}

interface AuditEntry {
  type: string;
  error?: string;
  auth?: { display_name?: string; token_policies?: string[] };
  request?: { operation?: string; path?: string };
}

/**
 * What was asked with tokens of a policy, from OpenBao's audit log. The plugin's child tokens are named by it; what
 * the lab's stand-in asks is left out, since the recordings have the real one's. `denied`: of whichever of them.
 */
export function askedOfVault(auditLog: string, policy: string): { asked: Asked; denied: string[] } {
  const asked = new Set<string>();
  const denied = new Set<string>();
  for (const line of readFileSync(auditLog, "utf8").trim().split("\n")) {
    const { type, error, auth, request } = JSON.parse(line) as AuditEntry;
    if (!auth?.token_policies?.includes(policy)) continue;
    const what = `${request?.operation} ${request?.path}`;
    if (error?.includes("permission denied")) denied.add(what);
    if (type === "request" && !auth.display_name?.includes("terraform")) asked.add(what);
  }
  return { asked, denied: [...denied].sort() };
}
