import { isWebhook, secretPart } from "../net/endpoint";
import { isAnswer, isBusy, retry, wasNotSent } from "../net/retry";
import { redact } from "../core/redact";
import type { Clock, HttpRequest, Send } from "../net/http";

/** Tells people of a run: what happened in one line, and a line for each account. Never rejects. */
export type Tell = (title: string, lines: readonly string[]) => Promise<void>;

/** What a message is sent with; `warn` takes a line and its code. */
export interface Messenger {
  send: Send;
  clock: Clock;
  warn: (line: string, code: string) => void;
}

const timeoutMs = 10_000;
const withinMs = 30_000;
const mostLines = 20;
const longestLine = 500;
/** Slack shows no more of a text in one piece. */
const longestText = 3_000;

/**
 * The way to the webhook of APISEC_WEBHOOK; without one, and with one that cannot be used, `Tell` does
 * nothing. Whatever becomes of a message is no more than a warning, and the address, which is a secret, is
 * in none.
 */
export function teller(env: Record<string, string | undefined>, messenger: Messenger): Tell {
  const address = env["APISEC_WEBHOOK"] ?? "";
  if (!isUsable("APISEC_WEBHOOK", address, "nobody is told of failures", messenger)) {
    return () => Promise.resolve();
  }
  return async (title, lines) => {
    const head = [`${env["CI_ENVIRONMENT_NAME"] || "APIsec rotation"}: ${title}`];
    if (env["CI_PIPELINE_URL"]) head.push(env["CI_PIPELINE_URL"]);
    const clean = (text: string) => redact(text, [secretPart(address)]);
    try {
      const text = messageText(head.map(clean), lines.map(clean));
      const headers = { "content-type": "application/json; charset=utf-8" };
      const message = { url: address, headers, body: messageBody(address, text) };
      await deliver("the webhook", { method: "POST", ...message }, messenger);
    } catch (error) {
      messenger.warn(`warning  nobody was told: ${clean((error as Error).message)}`, "not-told");
    }
  };
}

const teams = /^https:\/\/[^/]+\.(webhook\.office|logic\.azure|power(automate|platform))\.com[:/]/i;

/** Teams takes a card, others Slack's text. */
export function messageBody(address: string, text: string): string {
  if (!teams.test(address)) return JSON.stringify({ text });
  const plain = text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
  const body = plain.split("\n").map((line) => ({ type: "RichTextBlock", inlines: [line] }));
  const content = { type: "AdaptiveCard", version: "1.2", body };
  const card = { contentType: "application/vnd.microsoft.card.adaptive", content };
  return JSON.stringify({ type: "message", attachments: [card] });
}

/** Whether a variable names an address to send to; one that cannot be used is a warning with what follows from it. */
export function isUsable(
  variable: string,
  address: string,
  without: string,
  { warn }: Pick<Messenger, "warn">,
): boolean {
  if (address === "" || isWebhook(address)) return address !== "";
  warn(
    `warning  ${variable} is no https:// address without user or blanks: ${without}`,
    "bad-address",
  );
  return false;
}

/** The text of a message: its head, then as many lines as there is room for, and how many are left. */
export function messageText(head: readonly string[], lines: readonly string[]): string {
  let text = head.map((line) => mrkdwn(line)).join("\n");
  let shown = 0;
  for (const line of lines.slice(0, mostLines)) {
    const next = `\n• ${mrkdwn(line)}`;
    if (text.length + next.length > longestText - "\nand 10000 more".length) break;
    text += next;
    shown += 1;
  }
  return shown === lines.length ? text : `${text}\nand ${lines.length - shown} more`;
}

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

/** One line in which Slack sees no link and no mention, at most 500 characters long. */
function mrkdwn(line: string): string {
  const text = line
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ")
    .replace(/[&<>]/g, (character) => entities[character] ?? "");
  if (text.length <= longestLine) return text;
  // Neither half an entity nor half a character is left.
  return `${text.slice(0, longestLine - 1).replace(/(&[a-z]*|[\uD800-\uDBFF])$/, "")}…`;
}

/**
 * Sends one message to `whom`, once more where the server is busy or was not reached. Throws where it was not taken;
 * nothing of the address is in the message.
 */
export async function deliver(
  whom: string,
  request: Pick<HttpRequest, "method" | "url" | "headers" | "body">,
  { send, clock }: Messenger,
): Promise<void> {
  const whole = { ...request, timeoutMs, maxBytes: 1024 * 1024 };
  const { status } = await retry(send, whole, clock, {
    again: (outcome, tries) =>
      tries < 2 && (isAnswer(outcome) ? isBusy(outcome) : wasNotSent(outcome)),
    withinMs,
  }).catch((error: Error) => {
    throw new Error(error.message.replaceAll(new URL(request.url).origin, whom));
  });
  if (status < 200 || status >= 300) throw new Error(`${whom} answers with ${status}`);
}
