import { isDeepStrictEqual } from "node:util";
import {
  changed,
  type Operation,
  type Props,
  type RecordedAnswer,
  type RecordedDiff,
  type RecordedFault,
  type RecordedRequest,
  type Recording,
} from "../../recordings/expand";
import { written } from "./placeholders";
import type { Diff } from "./plugin";
import type { SeenRequest } from "./recordingProxy";
import type { SeenProvider } from "./provider";
import type { Seen } from "./replay";

/** Where a stand-in is not like the recording. */
export interface Difference {
  field: string;
  expected: unknown;
  got: unknown;
}

/** All that the recordings' README says must be equal. */
export function differences(recording: Recording, one: Operation, seen: Seen): Difference[] {
  const found: Difference[] = [];
  const compare = (field: string, expected: unknown, got: unknown) => {
    if (!isDeepStrictEqual(json(expected), json(got))) found.push({ field, expected, got });
  };
  compare(
    "requests",
    one.requests.flatMap((request) => lines(request, one.tries)),
    seenLines(one, seen),
  );
  compareAnswer(recording, one, one.grpc, seen, compare);
  return found;
}

type Compare = (field: string, expected: unknown, got: unknown) => void;

function compareAnswer(
  recording: Recording,
  one: Operation,
  answer: RecordedAnswer,
  seen: Seen,
  compare: Compare,
): void {
  const first = recording.operations.find(({ operation }) => operation === "create")?.grpc;
  const { before } = seen;
  const isCreate =
    before === undefined || one.operation.startsWith("create") || answer !== one.grpc;
  const isImport = one.operation.startsWith("import");
  const recorded = (props: Props | undefined) => written(props ?? {}) as Props;

  compare("failures", answer.failures !== undefined, seen.failed === true);
  if (answer.failures !== undefined) return;
  if (answer.checked) compare("checked", recorded(answer.checked), seen.checked);
  if (answer.checkedChanged) {
    const base = isCreate ? first?.checked : isImport ? seen.inputs : before?.inputs;
    compare("checked", after(recorded(base), answer.checkedChanged), seen.checked);
  }
  if (answer.diff) compareDiff(answer.diff, seen.diff, compare);
  if (answer.previewBeyondChecked) {
    const beyond = beyondChecked(answer.previewBeyondChecked, first?.previewBeyondChecked);
    compare("preview", recorded({ ...beyond, ...seen.checked }), seen.preview);
  } else if (answer.previewChanged) {
    const change =
      answer.previewChanged === "as outputsChanged" ? answer.outputsChanged : answer.previewChanged;
    const base = isImport ? seen.outputs : before?.outputs;
    compare("preview", after(recorded(base), change ?? "none"), seen.preview);
  } else if (answer.error && isCreate && !answer.failures) {
    compare("preview", undefined, seen.preview);
  }

  if (answer.outputs) compare("outputs", recorded(answer.outputs), seen.outputs);
  if (answer.outputsChanged) {
    const name = answer.against?.replace(/^outputs of /, "");
    const base = name
      ? recording.operations.find(({ operation }) => operation === name)?.grpc.outputs
      : before?.outputs;
    compare("outputs", after(recorded(base), answer.outputsChanged), seen.outputs);
  }
  if (answer.inputs) compare("inputs", recorded(answer.inputs), seen.inputs);
  if (answer.inputsChanged) {
    compare("inputs", after(recorded(before?.inputs), answer.inputsChanged), seen.inputs);
  }
  if (answer.id) compare("id", answer.id, idOf(recording.type, seen.id));
  compare("gone", answer.gone === true, seen.gone === true);
  const isDeleted = answer.deleted ?? answer.deletedAfter?.deleted ?? answer.deleteFirst?.deleted;
  compare("deleted", isDeleted === true, seen.deleted === true);
  compareError(answer.error, seen, compare);
  if (answer.created) {
    compareAnswer(recording, one, answer.created, { ...seen.created, requests: [] }, compare);
  }
}

/** A fault compares how it ends, what the error holds and about how often it was tried. */
export function faultDifferences(
  fault: RecordedFault,
  like: RecordedFault | undefined,
  seen: Seen,
): Difference[] {
  const found: Difference[] = [];
  const compare = (field: string, expected: unknown, got: unknown) => {
    if (!isDeepStrictEqual(json(expected), json(got))) found.push({ field, expected, got });
  };
  const ends = seen.error ? "error" : seen.gone ? "gone" : "success";
  compare("ends", fault.ends, ends);
  const error = typeof fault.error === "string" ? like?.error : fault.error;
  if (typeof error === "object") {
    const { message, halfMade } = error;
    const text = typeof fault.error === "string" ? ownStatus(message, fault.fault.status) : message;
    compareError({ message: text, ...(halfMade && { halfMade }) }, seen, compare);
  }
  const tries = seen.requests.filter(({ injected }) => injected).length;
  if (Math.abs(tries - fault.tries) > 1 || tries === 0) compare("tries", fault.tries, tries);
  return found;
}

const ownStatus = (message: string, status: number): string =>
  message
    .replace(/Code: \d+/g, `Code: ${status}`)
    .replace(/: \d{3} \{message: [^}]*\}/g, `: ${status} {message: }`);

function compareError(
  expected: RecordedAnswer["error"],
  { error: got, checked }: Seen,
  compare: Compare,
): void {
  compare("error", expected !== undefined, got !== undefined);
  if (!expected || !got) return;
  compare("halfMade", expected.halfMade, got.halfMade);
  if (got.kept) {
    // What was wanted goes into the state, whether the server has it or not.
    const kept = Object.keys(checked ?? {}).map((key) => [key, got.kept?.[key]]);
    compare("kept", checked, Object.fromEntries(kept));
  }
  const status = /Code: (\d{3})|: (\d{3}) (?:\{message|Not Found)/.exec(expected.message);
  const code = status?.[1] ?? status?.[2];
  if (code && !new RegExp(`\\b${code}\\b`).test(got.message))
    compare("error", expected.message, got.message);
  const path = /https?:\/\/<[^>]+>(\/\S*?)(?=[:"]? |[:"]?\n|": |: |$)/.exec(expected.message)?.[1];
  const plain = decodeURIComponent(got.message);
  if (path && !plain.includes(decodeURIComponent(path)))
    compare("error", expected.message, got.message);
}

function compareDiff(
  expected: "none" | RecordedDiff,
  got: Diff | undefined,
  compare: Compare,
): void {
  if (expected === "none" || got === undefined) {
    compare("diff", expected, got?.changes ? got.detailed : "none");
    return;
  }
  compare("diff", expected.changes === "DIFF_SOME", got.changes);
  compare("replaces", [...(expected.replaces ?? [])].sort(), [...got.replaces].sort());
  compare("deleteBeforeReplace", expected.deleteBeforeReplace === true, got.deleteBeforeReplace);
  const wanted = expected.detailedDiff;
  const keys = expected.diffs ?? Object.keys(wanted ?? {});
  const gotKeys = Object.keys(got.detailed).length > 0 ? Object.keys(got.detailed) : got.diffs;
  compare("diff", topKeys(keys), topKeys(gotKeys));
  // A kind is compared where the path is a whole property in both.
  for (const [key, kind] of Object.entries(wanted ?? {})) {
    if (top(key) === key && got.detailed[key])
      compare("diff", { [key]: kind }, { [key]: got.detailed[key] });
  }
}

const top = (path: string): string => path.split(/[.[]/)[0] ?? path;
const topKeys = (paths: string[]): string[] => [...new Set(paths.map(top))].sort();

function beyondChecked(given: "as create" | Props, first: "as create" | Props | undefined): Props {
  const base = typeof first === "object" ? first : {};
  if (given === "as create") return base;
  const { like, ...own } = given;
  return like === undefined ? own : changed(base, own);
}

const after = (base: Props, change: "none" | Props): Props =>
  written(change === "none" ? base : changed(base, change)) as Props;

function lines(request: RecordedRequest, tries = 1): unknown[] {
  const { during, method, path, query, body, status, times, namespace, token, injected } = request;
  const line = written({
    during: during === "configure" ? "configure" : during,
    asked: `${method} ${path}`,
    query: pairs(query),
    body: unblank(body),
    status,
    namespace,
    token,
  });
  const count = typeof times === "number" ? times : injected ? tries : 1;
  return Array.from({ length: count }, () => line);
}

function seenLines(one: Operation, seen: Seen): unknown[] {
  const named = one.requests.some(({ namespace }) => namespace !== undefined);
  const tokens = one.requests.some(({ token }) => token !== undefined);
  const until = new Set(
    one.requests.filter(({ times }) => times === "until done").map(({ path }) => path),
  );
  const struck = seen.requests.findIndex(({ injected }) => injected);
  // The recordings of functions leave out the try that went well after one that did not.
  const requests = seen.requests.filter(
    ({ path }, at) =>
      !(one.fault?.how === "once" && at === struck + 1 && path === seen.requests[struck]?.path),
  );
  const all = requests.map((request) => duringOf(request, named, tokens));
  return all.filter((line, at) => {
    const { asked } = line as { asked: string };
    const path = asked.slice(asked.indexOf(" ") + 1);
    return !(until.has(path) && at > 0 && isDeepStrictEqual(json(all[at - 1]), json(line)));
  });
}

function duringOf(request: SeenRequest, named: boolean, tokens: boolean): unknown {
  const { phase, method, path, query, body, status, namespace, token } = request;
  return written({
    ...(phase !== "main" && { during: phase }),
    asked: `${method} ${path}`,
    query: pairs(query),
    body: unblank(body),
    status,
    ...(named && { namespace }),
    ...(tokens && { token }),
  });
}

/** A query as a set of pairs. */
function pairs(query: string | undefined): unknown {
  if (query === undefined) return undefined;
  const all = [...new URLSearchParams(query.replace(/\+/g, "%20"))].map((pair) => pair.join("="));
  return all.map((pair) => pair.replace(/[0-9a-f]{40}/, "<sha1>")).sort();
}

/** Without the fields that a server takes for unset. */
function unblank(body: unknown): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  const all = Object.entries(body)
    .map(([key, value]) => [key, key === "config" ? unblank(value) : value] as const)
    .filter(([, value]) => value !== "" && value !== false && value !== null && !isEmpty(value));
  return Object.fromEntries(all);
}

const isEmpty = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0;

/** An id that the plugin makes up, or that GitLab counts. */
function idOf(type: string, id: string | undefined): string | undefined {
  if (type.startsWith("command:")) return id && "<id>";
  if (type.endsWith(":PipelineSchedule")) return id?.replace(/:\d+$/, ":<schedule-id>");
  return id;
}

/** As JSON has it, with sorted keys: the order of keys means nothing. */
function json(value: unknown): unknown {
  return value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown);
}

/** A provider's configuration: what it asks, what it says to its configuration, and how its first use ends. */
export function providerDifferences(one: Operation, seen: SeenProvider): Difference[] {
  const found: Difference[] = [];
  const compare = (field: string, expected: unknown, got: unknown) => {
    if (!isDeepStrictEqual(json(expected), json(got))) found.push({ field, expected, got });
  };
  const { grpc, requests, tries } = one;
  compare(
    "requests",
    requests.flatMap((request) => lines(request, tries)),
    seenLines(one, seen),
  );
  compareError(grpc.error, seen, compare);
  if (grpc.error) compare("failsAt", grpc.failsAt, seen.failsAt);
  if (grpc.info) compare("version", grpc.info, seen.version);
  for (const [key, value] of Object.entries(grpc.configure ?? {})) {
    const { configure: answer = {} } = seen;
    compare("configure", { [key]: value }, { [key]: answer[key] ?? answer[key.toLowerCase()] });
  }
  if (grpc.checkConfig) {
    const { inputs, failures } = grpc.checkConfig;
    compare("checkConfig", failures !== undefined, (seen.checkConfig?.failures ?? 0) > 0);
    if (inputs && !failures) compare("checkConfig", inputs, seen.checkConfig?.inputs);
  }
  return found;
}
