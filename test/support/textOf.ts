/** What was printed, without the messages' codes, which messageCodes.test.ts holds. */
export function textOf(said: { stdout: string; stderr: string; code?: unknown }): string {
  return withoutCodes(`${said.stdout}\n${said.stderr}`);
}

export function withoutCodes(text: string): string {
  return text.replaceAll(/ \[APC-[A-Z0-9-]+\]/g, "");
}
