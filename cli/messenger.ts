import { redact } from "../core/redact";
import { deliver, messageBody, messageText } from "../job/webhook";
import { isWebhook, secretPart } from "../net/endpoint";
import { systemClock } from "../net/http";
import { proxyTo } from "../net/proxy";
import { nodeSend } from "../net/transport";
import { coded } from "../core/messageCode";

/** Sends a message: a line, and a line for each thing below it. Throws where it was not taken; the address is in no error. */
export type SendMessage = (title: string, lines: readonly string[]) => Promise<void>;

/** The way to the webhook of APISEC_WEBHOOK. Throws where that is none, and says how `stack`'s is set. */
export function messenger(
  env: Record<string, string | undefined>,
  stack = env["PULUMI_STACK"] ?? "prod",
): SendMessage {
  const address = env["APISEC_WEBHOOK"] ?? "";
  if (!isWebhook(address)) {
    throw coded(
      `APISEC_WEBHOOK: found ${address === "" ? "nothing" : "something else"}, expected the https:// address of a webhook: \`export APISEC_WEBHOOK="$(pulumi config get webhookUrl --stack ${stack})"\``,
      "bad-address",
    );
  }
  const clean = (text: string) => redact(text, [secretPart(address)]);
  return async (title, lines) => {
    const text = messageText([clean(title)], lines.map(clean));
    const headers = { "content-type": "application/json; charset=utf-8" };
    const send = nodeSend({ proxyFor: proxyTo });
    await deliver(
      "the webhook",
      { method: "POST", url: address, headers, body: messageBody(address, text) },
      { send, clock: systemClock, warn: () => undefined },
    ).catch((error: Error) => {
      throw coded(`The message was not taken: ${clean(error.message)}`, "not-told");
    });
  };
}
