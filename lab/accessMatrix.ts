/**
 * Who may do what in Vault, as the policies of this project mean it: stack `dev` of the lab, whose
 * account `scanner` is published and whose account `admin` is not, and a stack `qa` beside it that
 * uses the same mounts. README shows this table, test/e2e/accessMatrix.e2e.test.ts tries it.
 */
export type Capability = "create" | "read" | "update" | "patch" | "delete" | "list" | "sudo";

export const personas = [
  "admin",
  "developer",
  "consumer",
  "rotator",
  "deployer",
  "preview",
  "monitor",
  "other rotator",
  "other deployer",
] as const;

export type Persona = (typeof personas)[number];

export interface Row {
  /** API paths; `{a,b}` stands for either. */
  place: string;
  /** Who is not named may do nothing. */
  may: Partial<Record<Persona, Capability[]>>;
}

const read: Capability[] = ["read"];
const list: Capability[] = ["list"];
const update: Capability[] = ["update"];
const write: Capability[] = ["create", "read", "update"];
const own: Capability[] = ["create", "read", "update", "delete"];

export const accessMatrix: Row[] = [
  {
    place: "apisec/data/scanner/password",
    may: { admin: read, rotator: read, deployer: write },
  },
  {
    place: "apisec/data/scanner/token",
    may: {
      admin: read,
      developer: read,
      consumer: read,
      rotator: write,
      deployer: write,
    },
  },
  { place: "apisec/data/admin/{password,token}", may: { admin: read, deployer: write } },
  {
    place: "apisec/{delete,undelete,destroy,subkeys}/{scanner,admin}/{password,token}",
    may: {},
  },
  {
    place: "apisec/metadata/{scanner,admin}/{password,token}",
    may: { admin: read, deployer: write, monitor: read },
  },
  { place: "apisec/metadata/{,scanner/,admin/}", may: { admin: list } },
  {
    place: "apisec/config",
    may: { deployer: read, preview: read, monitor: read, "other deployer": read },
  },
  {
    place: "apisec/data/other/password",
    may: { "other rotator": read, "other deployer": write },
  },
  {
    place: "apisec/data/other/token",
    may: { "other rotator": write, "other deployer": write },
  },
  {
    place: "apisec/metadata/other/{password,token}",
    may: { "other deployer": write },
  },
  {
    place: "apisec/{delete,undelete,destroy,subkeys}/other/{password,token}",
    may: {},
  },
  { place: "elsewhere/{data,metadata,destroy}/scanner/token", may: {} },
  {
    place: "sys/policies/acl/apisec-dev-{admin,developer,rotator}",
    may: { deployer: own, preview: read, monitor: read },
  },
  { place: "sys/policies/acl/apisec-dev-{deployer,preview,monitor}", may: {} },
  {
    place: "sys/policies/acl/apisec-qa-{admin,developer,rotator}",
    may: { "other deployer": own },
  },
  { place: "sys/policies/acl/{,default,root,apisec-qa-deployer}", may: {} },
  {
    place: "sys/mounts/apisec",
    may: { deployer: write, preview: read, monitor: read, "other deployer": read },
  },
  { place: "sys/mounts/apisec/tune", may: { deployer: ["read", "update"] } },
  { place: "sys/mounts", may: { deployer: read, "other deployer": read } },
  { place: "sys/mounts/elsewhere", may: {} },
  {
    place: "sys/auth/gitlab",
    may: {
      deployer: [...own, "sudo"],
      preview: ["read", "sudo"],
      monitor: ["read", "sudo"],
      "other deployer": ["read", "sudo"],
    },
  },
  { place: "sys/auth", may: { deployer: read, "other deployer": read } },
  { place: "sys/mounts/auth/gitlab", may: { deployer: read } },
  { place: "sys/mounts/auth/gitlab/tune", may: { deployer: ["read", "update"] } },
  { place: "auth/gitlab/config", may: { deployer: write, monitor: read } },
  { place: "auth/gitlab/role/apisec-dev-rotator", may: { deployer: own, monitor: read } },
  { place: "auth/gitlab/role/apisec-qa-rotator", may: { "other deployer": own } },
  { place: "auth/gitlab/role/{,of-somebody}", may: {} },
  {
    place: "auth/token/create",
    may: { deployer: update, preview: update, "other deployer": update },
  },
  {
    place:
      "auth/token/{create-orphan,accessors,lookup,lookup-accessor,revoke,renew-self,roles/any}",
    may: {},
  },
  {
    place: "{identity/entity,identity/group,sys/audit,sys/seal,sys/raw/any}",
    may: {},
  },
  { place: "sys/capabilities-self", may: { monitor: update } },
  {
    place: "auth/token/lookup-self",
    may: { deployer: read, preview: read, "other deployer": read },
  },
  {
    place: "auth/token/revoke-self",
    may: {
      rotator: update,
      deployer: update,
      preview: update,
      monitor: update,
      "other rotator": update,
      "other deployer": update,
    },
  },
];

/** The paths that a place stands for. */
export function pathsOf(place: string): string[] {
  const [, before = "", choices, after = ""] = /^(.*?)\{(.*?)\}(.*)$/.exec(place) ?? [];
  if (choices === undefined) return [place];
  return choices.split(",").flatMap((choice) => pathsOf(before + choice + after));
}

/** The table as Markdown, for README.md. */
export function accessMarkdown(): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(["path", ...personas]),
    line(["---", ...personas.map(() => "---")]),
    ...accessMatrix.map(({ place, may }) =>
      line([`\`${place}\``, ...personas.map((persona) => may[persona]?.join(", ") ?? "–")]),
    ),
  ].join("\n");
}
