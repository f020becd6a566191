import type { Operation, RecordedFault, Recording } from "../../recordings/expand";
import type { Strike } from "./recordingProxy";

const vaultWords: Record<number, string> = {
  400: "batch tokens cannot create more tokens",
  403: "1 error occurred:\n\t* permission denied\n\n",
  500: "internal error",
  503: "Vault is sealed",
};

const gitlabWords: Record<number, string> = {
  400: "Could not update: Please refresh and try again",
  401: "401 Unauthorized",
  403: "403 Forbidden",
  500: "500 Internal Server Error",
};

function answer(line: string, status: number, crossing: boolean): Pick<Strike, "status" | "body"> {
  if (line.includes(" /v1/")) {
    return { status, body: { errors: [vaultWords[status] ?? `status ${status}`] } };
  }
  const words = status === 400 && !crossing ? "400 Bad Request" : gitlabWords[status];
  return { status, body: { message: words ?? `${status}` } };
}

/** The fault of an operation in which the recorder answered in the server's place. */
export function strikeIn(one: Operation): Strike | undefined {
  const struck = one.requests.find(({ injected }) => injected);
  if (!struck) return undefined;
  const once = one.fault?.how === "once" || / once\b/.test(one.operation);
  const wanted = `${struck.method} ${struck.path}`;
  let hits = 0;
  return {
    ...answer(wanted, struck.status, false),
    at: ({ line }) => line === wanted && (hits++ === 0 || !once),
  };
}

/** A recorded fault: the request of that number in its call, once or always from there. */
export function strikeOf(
  recording: Recording,
  { operation, fault }: RecordedFault,
  mask: (line: string) => string,
): Strike {
  const like = recording.operations.find(({ operation: name }) => name.startsWith(operation));
  const all = (like?.requests ?? []).filter(
    ({ path, during }) => path !== "/v1/sys/seal-status" && !(operation === "create" && during),
  );
  const wantedPhase = fault.during ?? "main";
  const earlier = all.slice(0, fault.request - 1);
  const nth = earlier.filter(({ during = "main" }) => during === wantedPhase).length + 1;
  const crossing = fault.how === "once";
  let hits = 0;
  return {
    ...answer(fault.asked, fault.status, crossing),
    ...(fault.headers && { headers: fault.headers }),
    at: ({ phase, n, line }) =>
      phase === wantedPhase &&
      n >= nth &&
      mask(line) === fault.asked &&
      (hits++ === 0 || fault.how === "always"),
  };
}
