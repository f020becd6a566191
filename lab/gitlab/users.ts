/** Users, tokens and what the server says of itself. */
import { timestamp } from "./app";
import { list, notFound, ok, route, type Request } from "./http";
import { userJson } from "./entities";
import { namespaceFor } from "./groups";
import type { User } from "./store";

const currentUserJson = (request: Request, user: User) => ({
  ...userJson(request, user),
  created_at: user.created_at,
  bio: "",
  location: "",
  linkedin: "",
  twitter: "",
  website_url: "",
  organization: "",
  job_title: "",
  bot: false,
  last_sign_in_at: null,
  confirmed_at: user.created_at,
  last_activity_on: timestamp(request.app).slice(0, 10),
  email: user.email,
  theme_id: 1,
  color_scheme_id: 1,
  projects_limit: 100000,
  current_sign_in_at: null,
  identities: [],
  can_create_group: true,
  can_create_project: true,
  two_factor_enabled: false,
  external: false,
  private_profile: false,
  commit_email: user.email,
  is_admin: user.admin,
  namespace_id: namespaceFor(request.app, user.username, "user").id,
});

export const userRoutes = [
  route("GET user", (request) => ok(request.user && currentUserJson(request, request.user))),
  route("GET users", (request) => {
    const name = request.query["username"];
    const users = request.app.state.users.filter(({ username }) => !name || username === name);
    return list(request, users, (user) => userJson(request, user));
  }),
  route("GET users/:userId", (request) => {
    const user = request.app.state.users.find(({ id }) => String(id) === request.params["userId"]);
    if (!user) throw notFound("User");
    return ok({ ...userJson(request, user), created_at: user.created_at });
  }),
  route("GET version", () => ok({ version: "19.1.0-ee", revision: "0a1b2c3d4e5" })),
  route("GET metadata", () =>
    ok({
      version: "19.1.0-ee",
      revision: "0a1b2c3d4e5",
      kas: { enabled: false, externalUrl: null, externalK8sProxyUrl: null, version: null },
      enterprise: true,
    }),
  ),
  route("GET personal_access_tokens/self", ({ token, user }) =>
    ok({
      id: token?.id,
      name: token?.name,
      revoked: false,
      created_at: user?.created_at,
      scopes: token?.scopes,
      user_id: user?.id,
      last_used_at: null,
      active: true,
      expires_at: token?.expires_at?.slice(0, 10) ?? null,
    }),
  ),
];
