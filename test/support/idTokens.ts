import { rotationProject } from "../../lab/world";
import type { BaoAnswer } from "../../lab/openbao";
import { baoRequest } from "../../lab/openbao";
import type { TestLab } from "./lab";

/** What the lab's GitLab is asked to sign; see `/-/lab/id-token`. */
export interface TokenWish {
  project?: string;
  user?: string;
  aud?: string | string[];
  ref?: string;
  source?: string;
  environment?: string | undefined;
  /** Seconds. */
  timeout?: number;
  /** Moves iat, nbf and exp, in seconds. */
  shift?: number;
  /** Put over the claims; null takes one out. */
  claims?: Record<string, unknown>;
  signature?: "valid" | "unknown-key" | "wrong-key" | "none" | "hs256";
}

/** An ID token as the scheduled job of a stack gets it, but for what is wished otherwise. */
export async function idToken(lab: TestLab, stack: string, wish: TokenWish = {}): Promise<string> {
  const answer = await fetch(`${lab.world.gitlab.url}/-/lab/id-token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      project: rotationProject,
      user: "rotation-bot",
      aud: `${lab.env["VAULT_ADDR"]}/apisec/${stack}`,
      environment: `apisec/${stack}`,
      timeout: 900,
      ...wish,
    }),
  });
  const body = (await answer.json()) as { token?: string; message?: string };
  if (body.token === undefined) throw new Error(body.message);
  return body.token;
}

export interface VaultAuth {
  client_token: string;
  lease_duration: number;
  policies: string[];
  renewable: boolean;
}

/** The job's login at Vault. `problem`: why it was refused. */
export async function logIn(
  lab: TestLab,
  stack: string,
  jwt: string,
): Promise<{ status: number; auth?: VaultAuth; problem: string }> {
  const { address } = lab.world.vault;
  const role = `apisec-${stack}-rotator`;
  const answer: BaoAnswer = await baoRequest(address, undefined, "POST", "auth/gitlab/login", {
    role,
    jwt,
  });
  const body = answer.body as { auth?: VaultAuth; errors?: string[] };
  return {
    status: answer.status,
    ...(body.auth && { auth: body.auth }),
    problem: (body.errors ?? []).join("; "),
  };
}
