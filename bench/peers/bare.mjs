// The least that a node program can do: the five requests of each account over kept-alive connections,
// 16 accounts in flight, and no check of any answer.
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";

const { VAULT_ADDR, VAULT_TOKEN, APISEC_MOUNT, APISEC_ACCOUNTS_FILE } = process.env;
const agent = new Agent({ keepAlive: true });

function call(method, url, headers, body) {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, agent }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8").on("data", (part) => (text += part));
      incoming.on("end", () => resolve(JSON.parse(text)));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const vault = (method, key, body) =>
  call(
    method,
    `${VAULT_ADDR}/v1/${APISEC_MOUNT}/data/${key}`,
    { "x-vault-token": VAULT_TOKEN },
    body,
  );

async function rotate(name) {
  const [password, stored] = await Promise.all([
    vault("GET", `${name}/password`),
    vault("GET", `${name}/token`),
  ]);
  const { username, password: secret, host } = password.data.data;
  const json = { "content-type": "application/json" };
  const login = JSON.stringify({ username, password: secret });
  const { token } = await call("POST", `${host}/login`, json, login);
  const bearer = { authorization: `Bearer ${token}` };
  await call("GET", `${host}/api/v1/projects?page=0&pageSize=1`, bearer);
  const { exp, iat } = JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
  const time = (seconds) => new Date(seconds * 1000).toISOString();
  const data = { token, expires_at: time(exp), issued_at: time(iat), username, host };
  const cas = stored.data?.metadata.version ?? 0;
  await vault("POST", `${name}/token`, JSON.stringify({ options: { cas }, data }));
  console.log(`${name}  rotated`);
}

const names = readFileSync(APISEC_ACCOUNTS_FILE, "utf8").split("\n").filter(Boolean).values();
const worker = async () => {
  for (const name of names) await rotate(name);
};
await Promise.all(Array.from({ length: 16 }, worker));
