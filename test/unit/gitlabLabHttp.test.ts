import { check, match, nest, route, type ApiError } from "../../lab/gitlab/http";

const routes = [
  route("GET projects/:id", () => ({ status: 200 })),
  route("GET projects/:id/repository/files/:path", () => ({ status: 200 })),
  route("GET projects/:id/repository/files/:path/raw", () => ({ status: 200 })),
  route("GET projects/:id/jobs/:jid/artifacts/*path", () => ({ status: 200 })),
];
const find = (method: string, path: string) => match(routes, method, path.split("/"));

test("segments are split before they are decoded", () => {
  expect(find("GET", "projects/grp%2Fsub%2Fprj%2Ex")?.params).toEqual({ id: "grp/sub/prj.x" });
  expect(find("GET", "projects/1/repository/files/%2Egitlab-ci%2Eyml")?.params).toEqual({
    id: "1",
    path: ".gitlab-ci.yml",
  });
  expect(find("GET", "projects/1/repository/files/a%2Fraw")?.params["path"]).toBe("a/raw");
  expect(find("GET", "projects/1/jobs/2/artifacts/a/b.xml")?.params["path"]).toBe("a/b.xml");
  expect(find("HEAD", "projects/1")?.route).toBe(routes[0]);
  expect(find("GET", "projects/grp/prj")).toBeUndefined();
  expect(find("POST", "projects/1")).toBeUndefined();
});

test("brackets make objects and arrays", () => {
  const query =
    "filter[environment_scope]=*&scope[]=a&scope[]=b&v[][key]=A&v[][value]=1&v[][key]=B";
  expect(nest(new URLSearchParams(query))).toEqual({
    filter: { environment_scope: "*" },
    scope: ["a", "b"],
    v: [{ key: "A", value: "1" }, { key: "B" }],
  });
});

describe("the parameter check", () => {
  const spec = {
    key: { type: "string", required: true },
    ref: { type: "string", required: true, filled: true },
    active: { type: "boolean" },
    kind: { type: "string", values: ["env_var", "file"] },
  } as const;
  const problem = (input: Record<string, unknown>) => {
    try {
      return check(input, spec);
    } catch (error) {
      return (error as ApiError).reply;
    }
  };

  test("takes what is declared, in its type", () => {
    const input = { key: 1, ref: "main", active: "false", kind: null, other: 1 };
    expect(check(input, spec)).toEqual({ key: "1", ref: "main", active: false });
  });

  test("names every problem at once, as Grape words them", () => {
    expect(problem({ ref: " ", active: "maybe", kind: "x" })).toEqual({
      status: 400,
      body: {
        error: "key is missing, ref is empty, active is invalid, kind does not have a valid value",
      },
    });
  });
});
