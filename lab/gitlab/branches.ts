/** Branches and tags. */
import { fullPath, isProtected, mayUpdate, projectOf, protectionOf, roles } from "./access";
import {
  check,
  checkUnmodified,
  created,
  fail,
  forbidden,
  list,
  noContent,
  notFound,
  ok,
  route,
  text,
  type Request,
} from "./http";
import { commitJson } from "./entities";
import { startPush } from "./pipelineCreation";
import { checkBranchName } from "./pushRules";
import {
  commitFor,
  deleteRef,
  isRefName,
  listRefs,
  log,
  repositoryOf,
  resolveRef,
  updateRef,
  type Ref,
} from "./repository";
import type { Project } from "./store";

async function refJson(request: Request, project: Project, ref: Ref) {
  const dir = repositoryOf(request.app, project);
  const [commit] = await log(dir, ["-1", ref.sha]);
  const common = {
    name: ref.name,
    commit: commit && commitJson(request, project, commit),
    protected: isProtected(project, ref),
  };
  if (ref.type === "tag") return { ...common, message: "", target: ref.sha, release: null };
  const rules = protectionOf(project, ref.name);
  const developers = (key: "push_access_levels" | "merge_access_levels") =>
    rules.some((rule) => rule[key].some(({ access_level: level }) => level === roles.developer));
  return {
    ...common,
    merged: false,
    default: ref.name === project.default_branch,
    developers_can_push: developers("push_access_levels"),
    developers_can_merge: developers("merge_access_levels"),
    can_push: request.user !== undefined && mayUpdate(project, request.user, ref, "push"),
    web_url: `${request.base}/${fullPath(request.app, project)}/-/tree/${ref.name}`,
  };
}

const refRoutes = (kind: "heads" | "tags", noun: "branch" | "tag", plural: string) => {
  const what = noun === "branch" ? "Branch" : "Tag";
  const base = `projects/:id/repository/${plural}`;
  const get = async (request: Request, project: Project) => {
    const name = request.params["name"] ?? "";
    const ref = await resolveRef(repositoryOf(request.app, project), `refs/${kind}/${name}`);
    if (!ref || ref === "ambiguous") throw notFound(what);
    return ref;
  };
  return [
    route(
      `GET ${base}`,
      async (request) => {
        const project = projectOf(request, "reporter");
        const refs = await listRefs(repositoryOf(request.app, project), kind);
        const search = text(request.query["search"]) ?? "";
        const reply = list(
          request,
          refs.filter(({ name }) => name.includes(search)),
          (ref) => ref,
        );
        const body = (reply.body as Ref[]).map((ref) => refJson(request, project, ref));
        return { ...reply, body: await Promise.all(body) };
      },
      { anonymous: true },
    ),
    route(
      `GET ${base}/:name`,
      async (request) => {
        const project = projectOf(request, "reporter");
        return ok(await refJson(request, project, await get(request, project)));
      },
      { anonymous: true },
    ),
    route(`POST ${base}`, async (request) => {
      const { app, user } = request;
      const project = projectOf(request, "developer");
      const input = check(request.input, {
        [noun === "branch" ? "branch" : "tag_name"]: { type: "string", required: true },
        ref: { type: "string", required: true },
      }) as Record<string, string>;
      const [name = "", from = ""] = [input["branch"] ?? input["tag_name"], input["ref"]];
      const dir = repositoryOf(app, project);
      const sha = await commitFor(dir, from);
      if (noun === "branch") checkBranchName(project, name);
      if (!(await isRefName(name))) throw fail(400, `${what} name is invalid`);
      if (!sha)
        throw fail(
          400,
          noun === "branch" ? `Invalid reference name: ${from}` : `Target ${from} is invalid`,
        );
      if (!user || !mayUpdate(project, user, { type: noun, name }, "push")) throw forbidden();
      await updateRef(dir, `refs/${kind}/${name}`, sha, undefined).catch(() => {
        throw fail(400, noun === "branch" ? "Branch already exists" : `Tag ${name} already exists`);
      });
      startPush(app, project, user, `refs/${kind}/${name}`);
      return created(await refJson(request, project, { type: noun, name, sha }));
    }),
    route(`DELETE ${base}/:name`, async (request) => {
      const project = projectOf(request, "developer");
      const ref = await get(request, project);
      if (ref.type === "branch" && ref.name === project.default_branch) {
        throw fail(405, "Cannot remove HEAD branch");
      }
      const [tip] = await log(repositoryOf(request.app, project), ["-1", ref.sha]);
      checkUnmodified(request, tip?.authored_date);
      if (isProtected(project, ref)) throw fail(403, "Deleting protected branches is not allowed.");
      await deleteRef(repositoryOf(request.app, project), `refs/${kind}/${ref.name}`);
      return noContent;
    }),
  ];
};

export const branchRoutes = [
  ...refRoutes("heads", "branch", "branches"),
  ...refRoutes("tags", "tag", "tags"),
];
