/** Merge requests, as far as their notes need them. */
import { projectOf } from "./access";
import { timestamp, type MergeRequest, type Note } from "./app";
import { check, created, forbidden, list, notFound, ok, route, type Request } from "./http";
import { userJson } from "./entities";

const noteJson = (request: Request, { author, ...note }: Note) => ({
  ...note,
  type: null,
  system: false,
  noteable_type: "MergeRequest",
  author: userJson(request, author),
});

function find(request: Request): MergeRequest {
  const project = projectOf(request, "reporter");
  const { iid } = check(request.params, { iid: { type: "integer", required: true } });
  const found = request.app.mergeRequests.find(
    (one) => one.project_id === project.id && one.iid === iid,
  );
  if (!found) throw notFound("Merge Request");
  return found;
}

function create(request: Request) {
  const { app } = request;
  const project = projectOf(request, "developer");
  const input = check(request.input, {
    title: { type: "string", required: true },
    source_branch: { type: "string", required: true },
    target_branch: { type: "string", required: true },
  });
  const iid = app.mergeRequests.filter(({ project_id: id }) => id === project.id).length + 1;
  const made = { iid, project_id: project.id, ...input };
  app.mergeRequests.push({ ...made, notes: [] });
  return created({ ...made, state: "opened" });
}

function addNote(request: Request) {
  const { app, user } = request;
  const { notes } = find(request);
  const { body } = check(request.input, { body: { type: "string", required: true } });
  if (!user) throw forbidden();
  const now = timestamp(app);
  const id = app.store.nextId("note");
  const note: Note = { id, body, created_at: now, updated_at: now, author: user };
  notes.push(note);
  return created(noteJson(request, note));
}

function changeNote(request: Request) {
  const { notes } = find(request);
  const { nid } = check(request.params, { nid: { type: "integer", required: true } });
  const note = notes.find(({ id }) => id === nid);
  if (!note) throw notFound("Note");
  const { body } = check(request.input, { body: { type: "string", required: true } });
  // Others' notes may be resolved, not rewritten.
  if (note.author.id !== request.user?.id) throw forbidden();
  Object.assign(note, { body, updated_at: timestamp(request.app) });
  return ok(noteJson(request, note));
}

const mergeRequests = "projects/:id/merge_requests";

export const mergeRequestRoutes = [
  route(`POST ${mergeRequests}`, create),
  route(`GET ${mergeRequests}/:iid/notes`, (request) => {
    // The newest first.
    return list(request, [...find(request).notes].reverse(), (note) => noteJson(request, note));
  }),
  route(`POST ${mergeRequests}/:iid/notes`, addNote),
  route(`PUT ${mergeRequests}/:iid/notes/:nid`, changeNote),
];
