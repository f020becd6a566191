import { projectName } from "./stackSettings";
import { calledFor, parsed } from "./command";
import type { Command } from "./command";
import { messenger } from "./messenger";
import { coded } from "../core/messageCode";

const usage = `${calledFor.own("notify", { options: "--test" }).replace(" --stack prod", "")}
Sends one message to the webhook of APISEC_WEBHOOK, to see that it arrives:
  APISEC_WEBHOOK="$(pulumi config get webhookUrl --stack prod)" ${calledFor.own("notify", { options: "--test" }).replace(" --stack prod", "")}`;

export const notify: Command = {
  summary: "try the webhook: does a message arrive?",
  usage,
  async run(args) {
    const options = { test: { type: "boolean", default: false } } as const;
    const { test } = parsed(usage, args, { options }).values;
    if (!test) throw coded(`Without --test there is nothing to send.\nUsage: ${usage}`, "usage");
    await messenger(process.env)(`${projectName()}: a test message, nothing has happened`, []);
    console.log("The webhook took the message: see that it has arrived.");
    return 0;
  },
};
