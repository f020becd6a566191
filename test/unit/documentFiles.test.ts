import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(__dirname, "..", "..");
const documents = [
  "README.md",
  ...["docs", "examples/own-program"].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((file) => file.endsWith(".md"))
      .map((file) => join(folder, file)),
  ),
];

/** Files that shell commands write: where output is redirected to, and what options name. */
function writtenBy(commands: string): string[] {
  const quoted = `"[^"]+"|'[^']+'|[^\\s;|&()<>"'\`]+`;
  const redirected = new RegExp(`(?<![-=<\\d&])(?:[12]|&)?>>?\\s*(${quoted})`, "g");
  const named = new RegExp(
    `(?:\\btee(?: -a)?|--(?:output|metrics|html|report|state|save-plan|import-file)|\\s-o)[ =](${quoted})`,
    "g",
  );
  return [redirected, named]
    .flatMap((pattern) => [...commands.matchAll(pattern)])
    .map(([, file = ""]) => file.replace(/^["']|["']$/g, ""))
    .filter((file) => !/^(&|\/dev\/|-$)/.test(file));
}

/** The commands of a document: its shell blocks, and code inside of its lines. */
function commandsOf(text: string): string[] {
  const blocks = [...text.matchAll(/^```(?:sh|shell|bash|console)\n([\s\S]*?)^```/gm)];
  const inline = [...text.replaceAll(/^```[\s\S]*?^```/gm, "").matchAll(/`([^`\n]+)`/g)];
  return [...blocks, ...inline].map(([, commands = ""]) =>
    commands.replaceAll(/<[\w ./-]+>/g, "X"),
  );
}

const isOutside = (file: string) => /^([~/]|\$HOME\b|\$\(mktemp|"?\$)/.test(file);

function isIgnored(file: string): boolean {
  return spawnSync("git", ["check-ignore", "-q", "--no-index", file], { cwd: root }).status === 0;
}

const written = documents.flatMap((document) =>
  commandsOf(readFileSync(join(root, document), "utf8"))
    .flatMap(writtenBy)
    .map((file): [string, string] => [document, file]),
);

test("the files that commands write are found", () => {
  const commands =
    '(umask 077; a -field=token > token) | tee -a log; b >> "c d" 2>&1; e --html f.html -o g 2> h 1>/dev/null';
  expect(writtenBy(commands).sort()).toEqual(["c d", "f.html", "g", "h", "log", "token"]);
  expect(writtenBy("a -> b; c => d; e <f; x=$(y)")).toEqual([]);
  expect(written.map(([, file]) => file)).toContain("~/apisec-prod-deployer");
});

test("git ignores what is ignored, and nothing else", () => {
  expect(isIgnored("node_modules/x")).toBe(true);
  expect(isIgnored("deployer-token")).toBe(false);
  expect(existsSync(join(root, ".gitignore"))).toBe(true);
});

test.each(written)("%s: %s lies outside the repository or is ignored by git", (_, file) => {
  expect({ file, isSafe: isOutside(file) || isIgnored(file) }).toEqual({ file, isSafe: true });
});
