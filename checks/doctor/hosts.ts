import type { Finding } from "../finding";
import type { Settings } from "../../config/settings";
import type { TransportCode } from "../../net/http";
import { proxyFor, proxyProblem, proxyTo } from "../../net/proxy";
import { nodeSend } from "../../net/transport";

/** Whether each APIsec host answers, with a certificate that is trusted. One GET of its first page; no login. */
export function examineHosts(settings: Settings): Promise<Finding[]> {
  const hosts = [...new Set(settings.accounts.map(({ host }) => host))];
  return Promise.all(hosts.map(examineHost));
}

async function examineHost(host: string): Promise<Finding> {
  const what = "APIsec";
  try {
    const send = nodeSend({ proxyFor: proxyTo });
    const { status } = await send({
      method: "GET",
      url: `${host}/`,
      headers: {},
      timeoutMs: 15_000,
      maxBytes: 1024 * 1024,
    });
    return { what, state: "ok", found: `${host} answers (${status})` };
  } catch (error) {
    const { code, message } = error as { code: TransportCode; message: string };
    // A big page is an answer, too.
    return code === "too-large"
      ? { what, state: "ok", found: `${host} answers` }
      : { what, state: "problem", found: message, fix: unreachableFix(code) };
  }
}

/** What to look at where no answer came. */
export function unreachableFix(code: TransportCode): string {
  if (code === "tls") return "export NODE_EXTRA_CA_CERTS=<PEM file of your certificate authority>";
  if (code === "dns") return "correct the host name, or this machine's name server";
  return "see that it runs; correct the address, or let this machine through (firewall, HTTPS_PROXY, NO_PROXY)";
}

/** Through which proxy the hosts are reached. Its address may hold a password: only its host is named. */
export function examineProxies(
  settings: Settings,
  env: Record<string, string | undefined>,
): Finding[] {
  const what = "proxy";
  const { vaultAddress, gitlabUrl, accounts } = settings;
  const addresses = new Set([vaultAddress, gitlabUrl, ...accounts.map(({ host }) => host)]);
  return [...addresses].flatMap((address): Finding[] => {
    const proxy = proxyFor(address, env);
    if (proxy === undefined) return [];
    const expected = proxyProblem(proxy);
    return expected === undefined
      ? [{ what, state: "ok", found: `${address} by ${new URL(proxy.url).host}` }]
      : [
          {
            what,
            state: "problem",
            found: `${proxy.variable} leads nowhere; expected ${expected}`,
            fix: `export ${proxy.variable}=…, or name ${new URL(address).host} in NO_PROXY`,
          },
        ];
  });
}
