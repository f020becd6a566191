import { spawnSync } from "node:child_process";
import * as pulumi from "@pulumi/pulumi";
import { loadConfig } from "../../config/load";
import { readConfig } from "../../config/readConfig";
import { sourceOf } from "../support/configSource";

const webhookUrl = "https://hooks.acme.example/services/canary-webhook";

test("the config that Pulumi leaves in the environment is read once, and no child process has it", () => {
  const { values, project, stack, env } = sourceOf({ webhookUrl });
  Object.assign(process.env, env, {
    PULUMI_NODEJS_PROJECT: project,
    PULUMI_NODEJS_STACK: stack,
    PULUMI_CONFIG: JSON.stringify(values),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify([`${project}:webhookUrl`]),
  });
  const environment = () => spawnSync("env", [], { encoding: "utf8", env: process.env }).stdout;
  expect(environment()).toContain(webhookUrl);
  expect(loadConfig().webhookUrl).toBe(webhookUrl);
  expect(environment()).not.toContain("canary-webhook");
  // What reads config later, such as the SDK of a provider, still finds it.
  expect(new pulumi.Config(project).get("webhookUrl")).toBe(webhookUrl);
  expect(loadConfig().webhookUrl).toBe(webhookUrl);
});

test("Node's own debug output is refused, whatever it is to show", () => {
  const source = sourceOf({});
  for (const value of ["http", "net,tls", "HTTP2"]) {
    const env = { ...source.env, NODE_DEBUG: value };
    expect(() => readConfig({ ...source, env })).toThrow(
      `NODE_DEBUG: is "${value}"; expected no output of Node's own, which shows tokens and passwords; \`unset NODE_DEBUG\``,
    );
  }
  expect(() => readConfig({ ...source, env: { ...source.env, NODE_DEBUG: "" } })).not.toThrow();
});
