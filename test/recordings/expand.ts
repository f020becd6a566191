import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export type Props = Record<string, unknown>;

export interface RecordedRequest {
  /** The call that made it, where that is not the operation's main one. */
  during?: string;
  method: string;
  path: string;
  query?: string;
  body?: unknown;
  status: number;
  times?: number | "until done";
  namespace?: string;
  token?: string;
  /** Answered by the recorder in the server's place. */
  injected?: true;
}

export interface RecordedAnswer {
  checked?: Props;
  checkedChanged?: "none" | Props;
  failures?: unknown[];
  diff?: "none" | RecordedDiff;
  previewBeyondChecked?: "as create" | Props;
  previewChanged?: "as outputsChanged" | Props;
  outputs?: Props;
  outputsChanged?: "none" | Props;
  against?: string;
  inputs?: Props;
  inputsChanged?: "none" | Props;
  id?: string;
  gone?: true;
  deleted?: true;
  error?: { message: string; halfMade?: string };
  failsAt?: string;
  firstUse?: string;
  created?: RecordedAnswer;
  deletedAfter?: RecordedAnswer;
  deleteFirst?: RecordedAnswer;
  checkConfig?: { inputs?: Props; failures?: unknown[] };
  configure?: Props;
  info?: string;
}

export interface RecordedDiff {
  changes: string;
  detailedDiff?: Record<string, string>;
  diffs?: string[];
  replaces?: string[];
  deleteBeforeReplace?: boolean;
}

export interface Operation {
  operation: string;
  inputs?: Props;
  from?: Props;
  /** Of an import. */
  id?: string;
  environment?: Record<string, string>;
  fault?: { status: number; how: "once" | "always" };
  tries?: number;
  requests: RecordedRequest[];
  grpc: RecordedAnswer;
}

export interface RecordedFault {
  operation: string;
  fault: {
    /** Number among the operation's requests; in a create, among those of the main call. */
    request: number;
    asked: string;
    during?: string;
    status: number;
    how: "once" | "always";
    headers?: Record<string, string>;
  };
  tries: number;
  ends: "error" | "gone" | "success";
  error?: { message: string; halfMade?: string } | string;
}

export interface Recording {
  type: string;
  provenance: string;
  operations: Operation[];
  faults?: RecordedFault[];
}

interface Abbreviated extends Omit<Operation, "requests"> {
  inputsBut?: Props;
  fromBut?: Props;
  requests?: string | (RecordedRequest & { bodyLike?: string; bodyChanged?: Props })[];
}

/** `base` with these changes; `"<gone>"` takes a key away. */
export function changed(base: Props, change: Props | undefined): Props {
  const all = Object.entries({ ...base, ...change });
  return Object.fromEntries(all.filter(([, value]) => value !== "<gone>"));
}

/** The recordings of all types, in the order of their names. */
export function recordings(): Recording[] {
  return ["command", "gitlab", "vault"].flatMap((plugin) =>
    readdirSync(join(__dirname, plugin))
      .sort()
      .map((file) => expand(join(__dirname, plugin, file))),
  );
}

/** A recording with every operation's own inputs, requests and bodies written out. */
export function expand(path: string): Recording {
  const file = JSON.parse(readFileSync(path, "utf8")) as Omit<Recording, "operations"> & {
    operations: Abbreviated[];
  };
  const find = (name: string): Abbreviated => {
    const found = file.operations.find(({ operation }) => operation === name);
    if (!found) throw new Error(`${path} refers to an operation that is not there: ${name}`);
    return found;
  };
  for (const one of file.operations) {
    const base = () => find("create").inputs ?? {};
    if (one.inputsBut !== undefined) one.inputs = changed(base(), one.inputsBut);
    if (one.fromBut !== undefined) one.from = changed(base(), one.fromBut);
    // Only earlier operations are referred to: these are complete by now.
    const requests =
      typeof one.requests === "string"
        ? structuredClone(find(one.requests.slice("as: ".length)).requests)
        : one.requests;
    for (const request of (requests ?? []) as Exclude<
      NonNullable<Abbreviated["requests"]>,
      string
    >) {
      if (request.bodyLike === undefined) continue;
      const others = find(request.bodyLike).requests as RecordedRequest[];
      const like = others.find(
        ({ method, path, body }) => method === request.method && path === request.path && body,
      );
      request.body = changed(like?.body as Props, request.bodyChanged);
      delete request.bodyLike;
      delete request.bodyChanged;
    }
    one.requests = requests ?? [];
  }
  return file as Recording;
}
