import { serve } from "./server";
import { authBackend } from "./vault/authBackend";
import { authBackendRole } from "./vault/authBackendRole";
import { configure } from "./vault/connection";
import { groupPolicies } from "./vault/groupPolicies";
import { mount } from "./vault/mount";
import { policy } from "./vault/policy";

serve({
  version: "7.8.0",
  config: [
    ...["address", "token", "namespace", "caCertFile"],
    ...["skipChildToken", "maxLeaseTtlSeconds", "maxRetries"],
  ],
  secretConfig: [],
  async configure(config) {
    configure(config);
  },
  types: {
    "vault:index/mount:Mount": mount,
    "vault:index/policy:Policy": policy,
    "vault:jwt/authBackend:AuthBackend": authBackend,
    "vault:jwt/authBackendRole:AuthBackendRole": authBackendRole,
    "vault:identity/groupPolicies:GroupPolicies": groupPolicies,
  },
});
