/** Members of a project. */
import { projectOf } from "./access";
import { check, fail, list, noContent, notFound, ok, route, type Request } from "./http";
import { userJson } from "./entities";
import type { Project, User } from "./store";

const memberJson = (request: Request, user: User, level: number) => ({
  ...userJson(request, user),
  access_level: level,
  expires_at: null,
  membership_state: "active",
});

function memberOf(request: Request, project: Project): User {
  const id = Number(request.params["userId"]);
  const user = request.app.state.users.find((candidate) => candidate.id === id);
  if (!user || project.members[id] === undefined) throw notFound("Member");
  return user;
}

function listMembers(request: Request) {
  const project = projectOf(request, "guest");
  const members = request.app.state.users.filter(({ id }) => project.members[id] !== undefined);
  return list(request, members, (user) => memberJson(request, user, project.members[user.id] ?? 0));
}

function getMember(request: Request) {
  const project = projectOf(request, "guest");
  const user = memberOf(request, project);
  return ok(memberJson(request, user, project.members[user.id] ?? 0));
}

function putMember(request: Request, adding: boolean) {
  const project = projectOf(request, "maintainer");
  const { access_level: level, user_id: id } = check(
    { user_id: request.params["userId"], ...request.input },
    {
      access_level: { type: "integer", required: true },
      user_id: { type: "integer", required: true },
    },
  );
  const user = request.app.state.users.find((candidate) => candidate.id === id);
  if (!user) throw notFound("User");
  if (adding && project.members[id] !== undefined) throw fail(409, "Member already exists");
  if (!adding) memberOf(request, project);
  project.members[id] = level;
  return { status: adding ? 201 : 200, body: memberJson(request, user, level) };
}

export const memberRoutes = [
  route("GET projects/:id/members", listMembers),
  route("GET projects/:id/members/all", listMembers),
  route("GET projects/:id/members/:userId", getMember),
  route("GET projects/:id/members/all/:userId", getMember),
  route("POST projects/:id/members", (request) => putMember(request, true)),
  route("PUT projects/:id/members/:userId", (request) => putMember(request, false)),
  route("DELETE projects/:id/members/:userId", (request) => {
    const project = projectOf(request, "maintainer");
    delete project.members[memberOf(request, project).id];
    return noContent;
  }),
];
