import fc from "../support/fastCheck";
import { readConfig } from "../../config/readConfig";
import { commitMessage } from "../../desired/commitMessage";
import { sourceOf } from "../support/configSource";

const secret = (name: string) => ({ secretKeys: [`apisec-credentials:${name}`] });
const accounts = (count: number) =>
  JSON.stringify(
    Array.from({ length: count }, (_, n) => ({ name: `account-${n}`, username: `user-${n}` })),
  );

describe("what the stack says of its job", () => {
  test("runner tags, a commit message, and that readers look at expires_at alone", () => {
    const settings = readConfig(
      sourceOf({
        jobTags: '["docker","eu west"]',
        commitMessage: "  SEC-1 {path}\r\n\r\nSigned-off-by: x  ",
        tokenEndsInVault: "false",
      }),
    );
    expect(settings).toMatchObject({
      jobTags: ["docker", "eu west"],
      // As git would keep it: no preview sees a change in blanks.
      commitMessage: "SEC-1 {path}\n\nSigned-off-by: x",
      tokenEndsInVault: false,
    });
  });

  test.each([
    ["jobTags", "[]", "at least one tag"],
    ["jobTags", '["$HOME"]', "a runner's tag"],
    ["jobTags", "docker", "a list of runner tags"],
    ["commitMessage", "", "one to ten lines"],
    ["commitMessage", "Deliver {file}", "one to ten lines"],
    ["commitMessage", "a\u0007b", "one to ten lines"],
    ["tokenEndsInVault", "never", "true or false"],
    ["heartbeatUrl", "http://hc.example.com/x", "an https:// address"],
  ])("%s %s is refused", (key, value, expected) => {
    const attempt = () => readConfig(sourceOf({ [key]: value }, secret(key)));
    expect(attempt).toThrow(expected);
  });

  test("a commit message fills in what it names, and nothing twice", () => {
    const values = { path: "{stack}", project: "a", stack: "b" };
    expect(commitMessage("{path} {project} {stack} {x}", values)).toBe("{stack} a b {x}");
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!/\{(path|project|stack)\}/.test(text));
        expect(commitMessage(text, values)).toBe(text);
      }),
    );
  });
});

describe("the heartbeat's address", () => {
  const heartbeatUrl = "https://hc.example.com/ping/canary";

  test("is a secret", () => {
    expect(() => readConfig(sourceOf({ heartbeatUrl }))).toThrow(
      /heartbeatUrl: is not encrypted .* `pulumi config set --secret heartbeatUrl/,
    );
  });

  test("of one job needs no number", () => {
    const settings = readConfig(
      sourceOf({ heartbeatUrl, accounts: accounts(500) }, secret("heartbeatUrl")),
    );
    expect(settings.heartbeatUrl).toBe(heartbeatUrl);
  });

  test("of several jobs needs {shard}: one that is well must not hide another", () => {
    const read = (url: string) =>
      readConfig(sourceOf({ heartbeatUrl: url, accounts: accounts(501) }, secret("heartbeatUrl")));
    expect(() => read(heartbeatUrl)).toThrow(
      /heartbeatUrl: does not contain \{shard\}, and 2 jobs share the accounts/,
    );
    expect(() => read(heartbeatUrl)).not.toThrow("canary");
    expect(read(`${heartbeatUrl}-{shard}`).heartbeatUrl).toBe(`${heartbeatUrl}-{shard}`);
  });
});
