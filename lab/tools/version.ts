export interface Range {
  atLeast: string;
  /** The first major version that is not accepted. */
  below: number;
}

/** The first version in the output of a `version` command: "OpenBao v2.7.2 (9e0a...)" is "2.7.2". */
export function parseVersion(output: string): string | undefined {
  return /(?<![\w.])v?(\d+\.\d+\.\d+)(?![\d.])/.exec(output)?.[1];
}

export function isAccepted(version: string, range: Range): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  const [leastMajor = 0, leastMinor = 0, leastPatch = 0] = range.atLeast.split(".").map(Number);
  const difference = major - leastMajor || minor - leastMinor || patch - leastPatch;
  return difference >= 0 && major < range.below;
}
