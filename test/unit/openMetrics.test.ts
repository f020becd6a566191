import { openMetrics, tokenMetrics } from "../../core/openMetrics";

test("metrics are OpenMetrics text: type, unit, help, samples, an end", () => {
  const text = openMetrics(
    tokenMetrics({ project: "apisec", stack: 'a"b\\c\nd' }, [
      { account: "one", readableUntil: 1_795_500_000, issuedAt: 1_795_413_600, lastSuccess: 1.5 },
      { account: "two", readableUntil: 0, issuedAt: undefined, lastSuccess: undefined },
      { account: "three", readableUntil: undefined, issuedAt: undefined, lastSuccess: undefined },
    ]),
  );
  const labels = 'project="apisec",stack="a\\"b\\\\c\\nd"';
  expect(text).toBe(
    [
      "# TYPE apisec_token_readable_until_timestamp_seconds gauge",
      "# UNIT apisec_token_readable_until_timestamp_seconds seconds",
      "# HELP apisec_token_readable_until_timestamp_seconds When the access token that readers have ends; 0 where they have none.",
      `apisec_token_readable_until_timestamp_seconds{${labels},account="one"} 1795500000`,
      `apisec_token_readable_until_timestamp_seconds{${labels},account="two"} 0`,
      "# TYPE apisec_token_issued_timestamp_seconds gauge",
      "# UNIT apisec_token_issued_timestamp_seconds seconds",
      "# HELP apisec_token_issued_timestamp_seconds When the access token that readers have was issued.",
      `apisec_token_issued_timestamp_seconds{${labels},account="one"} 1795413600`,
      "# TYPE apisec_rotation_last_success_timestamp_seconds gauge",
      "# UNIT apisec_rotation_last_success_timestamp_seconds seconds",
      "# HELP apisec_rotation_last_success_timestamp_seconds When the access token was last rotated, or found to be good.",
      `apisec_rotation_last_success_timestamp_seconds{${labels},account="one"} 1.5`,
      "# EOF",
      "",
    ].join("\n"),
  );
});
