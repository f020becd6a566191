/** Whether a version such as `v3.259.0` or `20.19.2-rc.1` is at least `wanted`, such as `3.139`. */
export function isAtLeast(version: string, wanted: string): boolean {
  const numbers = (text: string) => (/\d+(\.\d+)*/.exec(text)?.[0] ?? "0").split(".").map(Number);
  const [have, need] = [numbers(version), numbers(wanted)];
  for (const [index, least] of need.entries()) {
    const part = have[index] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}
