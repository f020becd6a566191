/** One metric of contract: its name, what it says, and a value for each set of labels. */
export interface Metric {
  name: string;
  help: string;
  samples: readonly { labels: Readonly<Record<string, string>>; value: number }[];
}

/** Metrics as OpenMetrics text. All are gauges; a name that ends in a unit has it. */
export function openMetrics(metrics: readonly Metric[]): string {
  const lines = metrics.flatMap(({ name, help, samples }) => [
    `# TYPE ${name} gauge`,
    ...(name.endsWith("_seconds") ? [`# UNIT ${name} seconds`] : []),
    `# HELP ${name} ${escaped(help)}`,
    ...samples.map(({ labels, value }) => {
      const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
      return `${name}{${pairs.join(",")}} ${value}`;
    }),
  ]);
  return [...lines, "# EOF", ""].join("\n");
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

/** What is known of one account's token. Times are seconds since 1970; undefined = not known. */
export interface TokenTimes {
  account: string;
  /** 0 = readers have none. */
  readableUntil: number | undefined;
  issuedAt: number | undefined;
  lastSuccess: number | undefined;
}

/** The metrics of a stack's tokens. */
export function tokenMetrics(
  { project, stack }: { project: string; stack: string },
  tokens: readonly TokenTimes[],
): Metric[] {
  const metric = (name: string, help: string, of: (token: TokenTimes) => number | undefined) => ({
    name: `apisec_${name}_timestamp_seconds`,
    help,
    samples: tokens.flatMap((token) => {
      const value = of(token);
      return value === undefined
        ? []
        : [{ labels: { project, stack, account: token.account }, value }];
    }),
  });
  return [
    metric(
      "token_readable_until",
      "When the access token that readers have ends; 0 where they have none.",
      ({ readableUntil }) => readableUntil,
    ),
    metric(
      "token_issued",
      "When the access token that readers have was issued.",
      ({ issuedAt }) => issuedAt,
    ),
    metric(
      "rotation_last_success",
      "When the access token was last rotated, or found to be good.",
      ({ lastSuccess }) => lastSuccess,
    ),
  ];
}
