import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import * as ts from "typescript";

const root = join(__dirname, "..", "..");

/** A text that the sources hold; `…` stands for each value put into it. */
export interface Message {
  file: string;
  text: string;
}

/** Which argument of a call is what people read. */
const calls: Record<string, number> = {
  Error: 0,
  UserError: 0,
  runError: 0,
  vaultError: 1,
  warn: 0,
  err: 0,
  error: 0,
  listed: 0,
  bad: 0,
};
/** Where a check's list of problems, or of warnings, is what it returns. */
const listsOf = ["config/checks.ts"];

/** Where a warning is a `text`. */
const ofJob = ["core/tokenRotation.ts"];

/** Every error and warning of the program, of the job and of the scripts: what a message's first sentence is. */
export function messages(): Message[] {
  const found: Message[] = [];
  const sources = ["index.ts", "checks", "config", "core", "clients", "net"];
  const others = ["components", "providers", "job", "cli", "build", "desired"];
  for (const file of [...sources, ...others].flatMap(filesOf)) {
    visit(file, (node) => {
      for (const text of messageOf(node, file)) {
        if (/[a-z]{2}/i.test(text)) found.push({ file, text });
      }
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
    if (name === "stop") return textsOf(node.arguments?.[2]).map((what) => `Account … ${what}`);
    return textsOf(node.arguments?.[calls[name] ?? -1]);
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
  const isTexts = ts.isVariableDeclaration(node) && node.name.getText() === "transportTexts";
  if (isTexts && node.initializer !== undefined && ts.isObjectLiteralExpression(node.initializer)) {
    return node.initializer.properties.flatMap((property) =>
      ts.isPropertyAssignment(property) ? textsOf(property.initializer) : [],
    );
  }
  return [];
}

/** The texts that an expression may have: both sides of `a ? b : c`. */
function textsOf(node: ts.Expression | undefined): string[] {
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

function filesOf(path: string): string[] {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  const names = readdirSync(join(root, path)).filter((name) => /\.(ts|mjs|js)$/.test(name));
  return names.map((name) => `${path}/${name}`);
}

function visit(file: string, look: (node: ts.Node) => void): void {
  const text = readFileSync(join(root, file), "utf8");
  const walk = (node: ts.Node) => {
    look(node);
    ts.forEachChild(node, walk);
  };
  walk(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true));
}
