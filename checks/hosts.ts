import type { TransportCode } from "../net/http";
import { proxyFor, proxyProblem, proxyTo } from "../net/proxy";
import { nodeSend } from "../net/transport";
import { about } from "./finding";
import type { Finding } from "./finding";
import type { World } from "./world";

/** Whether each APIsec host answers, with a certificate that is trusted. One GET of its first page; no login. */
export function checkHosts({ settings }: World): Promise<Finding[]> {
  const hosts = [...new Set(settings.accounts.map(({ host }) => host))];
  return Promise.all(hosts.map(checkHost));
}

async function checkHost(host: string): Promise<Finding> {
  const it = about("apisec", "APIsec");
  try {
    const send = nodeSend({ proxyFor: proxyTo });
    const { status } = await send({
      method: "GET",
      url: `${host}/`,
      headers: {},
      timeoutMs: 15_000,
      maxBytes: 1024 * 1024,
    });
    return it.ok(`${host} answers (${status})`);
  } catch (error) {
    const { code, message } = error as { code: TransportCode; message: string };
    // A big page is an answer, too.
    return code === "too-large"
      ? it.ok(`${host} answers`)
      : it.problem(message, unreachableFix(code));
  }
}

/** What to look at where no answer came. */
export function unreachableFix(code: TransportCode): string {
  if (code === "tls") return "export NODE_EXTRA_CA_CERTS=<PEM file of your certificate authority>";
  if (code === "dns") return "correct the host name, or this machine's name server";
  return "see that it runs; correct the address, or let this machine through (firewall, HTTPS_PROXY, NO_PROXY)";
}

/** Through which proxy the hosts are reached. Its address may hold a password: only its host is named. */
export function checkProxies(
  { settings }: Pick<World, "settings">,
  env: Record<string, string | undefined> = process.env,
): Finding[] {
  const it = about("proxy", "proxy");
  const { vaultAddress, gitlabUrl, accounts } = settings;
  const addresses = new Set([vaultAddress, gitlabUrl, ...accounts.map(({ host }) => host)]);
  return [...addresses].flatMap((address): Finding[] => {
    const proxy = proxyFor(address, env);
    if (proxy === undefined) return [];
    const expected = proxyProblem(proxy);
    return expected === undefined
      ? [it.ok(`${address} by ${new URL(proxy.url).host}`)]
      : [
          it.problem(
            `${proxy.variable} is no proxy's address: expected ${expected}`,
            `export ${proxy.variable}=…, or name ${new URL(address).host} in NO_PROXY`,
          ),
        ];
  });
}
