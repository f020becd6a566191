import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import * as ts from "typescript";

const root = join(__dirname, "..", "..");

/** A text that the sources hold, and its code; `…` stands for each value put into it. */
export interface Message {
  file: string;
  text: string;
  code?: string;
}

/** Which argument of a call is what people read, and which its code. */
const calls: Record<string, [text: number, code: number]> = {
  Error: [0, -1],
  UserError: [0, 1],
  coded: [0, 1],
  withCode: [0, 1],
  stop: [2, 1],
  vaultError: [1, 2],
  warn: [0, 1],
  err: [0, 1],
  error: [0, -1],
  listed: [0, -1],
  bad: [0, 1],
};
/** Where a check's list of problems, or of warnings, is what it returns; they have one code. */
const listsOf = ["config/checks.ts"];
const codeOfLists = "configuration";

/** Where a warning is a `text`. */
const ofJob = ["core/tokenRotation.ts"];

/** Every error and warning of the program, of the job and of the scripts: what a message's first sentence is. */
export function messages(): Message[] {
  return messagesAndCodes().filter(({ text }) => /[a-z]{2}/i.test(text));
}

/** The codes of all messages, also of those whose text is put together elsewhere. */
export function messageCodes(): string[] {
  const codes = messagesAndCodes().flatMap(({ code = "…" }) => (code.includes("…") ? [] : code));
  return [...new Set(codes)];
}

function messagesAndCodes(): Message[] {
  const found: Message[] = [];
  const sources = ["index.ts", "checks", "config", "core", "clients", "net"];
  const others = ["components", "providers", "job", "cli", "scan", "build", "desired"];
  for (const file of [...sources, ...others].flatMap(filesOf)) {
    visit(file, (node) => {
      const code = codeOf(node, file);
      const texts = messageOf(node, file).map((text) => messageIn(file, text, code));
      found.push(...texts);
      if (code !== undefined && texts.length === 0) found.push({ file, text: "", code });
    });
  }
  return found;
}

/** The ids of all findings: what `about` and the list of checks are given first. */
export function findingIds(): string[] {
  const ids = new Set<string>();
  for (const file of [...filesOf("checks"), ...filesOf("cli")]) {
    visit(file, (node) => {
      const isNamed =
        ts.isCallExpression(node) &&
        /^(about|check)$/.test(node.expression.getText()) &&
        node.arguments[0] !== undefined;
      for (const id of isNamed ? textsOf(node.arguments[0]) : []) ids.add(id);
    });
  }
  return [...ids];
}

function messageOf(node: ts.Node, file: string): string[] {
  if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
    const name = /\w+$/.exec(node.expression.getText())?.[0] ?? "";
    const texts = textsOf(node.arguments?.[calls[name]?.[0] ?? -1]);
    return name === "stop" ? texts.map((what) => `Account … ${what}`) : texts;
  }
  if (ts.isArrayLiteralExpression(node) && listsOf.includes(file)) {
    const texts = node.elements.flatMap((element) => textsOf(element));
    return texts.filter((text) => text.includes(" "));
  }
  const isRead =
    (ts.isArrowFunction(node) && listsOf.includes(file)) ||
    (ts.isVariableDeclaration(node) && node.name.getText() === "text" && ofJob.includes(file)) ||
    (ts.isPropertyAssignment(node) && node.name.getText() === "text" && ofJob.includes(file));
  if (isRead) {
    const value = ts.isArrowFunction(node) ? node.body : node.initializer;
    const texts = value !== undefined && ts.isExpression(value) ? textsOf(value) : [];
    return texts.filter((text) => text.length > 20);
  }
  return isTransportText(node) ? textsOf(node.initializer) : [];
}

/** What a node of the source says of the code of its message. */
function codeOf(node: ts.Node, file: string): string | undefined {
  if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
    const name = /\w+$/.exec(node.expression.getText())?.[0] ?? "";
    const [code] = textsOf(node.arguments?.[calls[name]?.[1] ?? -1]);
    if (code !== undefined || name !== "vaultError") return code;
    const [problem] = textsOf(node.arguments?.[0]);
    return problem && `vault-${problem}`;
  }
  if (isTransportText(node)) return `net-${node.name.getText().replaceAll('"', "")}`;
  if (ts.isVariableDeclaration(node) && ofJob.includes(file) && node.name.getText() === "text") {
    // The statement after it makes the warning.
    const statement = node.parent.parent;
    const after = statement.parent.getText().split(statement.getText())[1] ?? "";
    return /code: "([a-z-]+)"/.exec(after)?.[1];
  }
  return undefined;
}

/** A text of JavaScript that runs before anything is built has its code in it. */
function messageIn(file: string, text: string, code: string | undefined): Message {
  const [, before, inText] = /^(.*) \[APC-([A-Z-]+)\]$/.exec(text) ?? [];
  if (inText !== undefined) return { file, text: before ?? "", code: inText.toLowerCase() };
  const known = code ?? (listsOf.includes(file) ? codeOfLists : undefined);
  return known === undefined ? { file, text } : { file, text, code: known };
}

/** Why no answer came, by the transport's own codes. */
function isTransportText(node: ts.Node): node is ts.PropertyAssignment {
  return (
    ts.isPropertyAssignment(node) &&
    ts.isVariableDeclaration(node.parent.parent) &&
    node.parent.parent.name.getText() === "transportTexts"
  );
}

/** The texts that an expression may have: both sides of `a ? b : c`. */
export function textsOf(node: ts.Expression | undefined): string[] {
  if (node === undefined) return [];
  if (ts.isParenthesizedExpression(node)) return textsOf(node.expression);
  if (ts.isConditionalExpression(node)) {
    return [...textsOf(node.whenTrue), ...textsOf(node.whenFalse)];
  }
  if (ts.isStringLiteralLike(node)) return [node.text];
  if (ts.isTemplateExpression(node)) {
    const rest = node.templateSpans.map(({ literal }) => `…${literal.text}`);
    return [node.head.text + rest.join("")];
  }
  const isSum = ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken;
  if (!isSum) return [];
  const [left = "…"] = textsOf(node.left);
  const [right = "…"] = textsOf(node.right);
  return [left + right];
}

export function filesOf(path: string): string[] {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  const names = readdirSync(join(root, path)).filter((name) => /\.(ts|mjs|js)$/.test(name));
  return names.map((name) => `${path}/${name}`);
}

export function visit(file: string, look: (node: ts.Node) => void): void {
  const text = readFileSync(join(root, file), "utf8");
  const walk = (node: ts.Node) => {
    look(node);
    ts.forEachChild(node, walk);
  };
  walk(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true));
}
