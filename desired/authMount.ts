import type { Settings } from "../config/settings";

/** Where Vault finds GitLab's keys: by discovery, at a URL, or as given. */
export function authKeys(settings: Pick<Settings, "gitlabUrl" | "jwksUrl" | "jwtPublicKeys">) {
  const keys =
    settings.jwksUrl !== undefined
      ? { jwksUrl: settings.jwksUrl }
      : settings.jwtPublicKeys !== undefined
        ? { jwtValidationPubkeys: settings.jwtPublicKeys }
        : { oidcDiscoveryUrl: settings.gitlabUrl };
  return { boundIssuer: settings.gitlabUrl, ...keys };
}
