import * as ts from "typescript";
import { filesOf, textsOf, visit } from "./messages";

/** How the commands of others begin, and ours, where a text names one. */
const command =
  /`(pulumi|vault|glab|npm|npx|git|export|unset) |print\.(own|pulumi)\(|firstPasswordCommand|handOverRecord/;

/**
 * Every finding that says what fixes it, as `id: what was found`, and every message of the password change, the clients
 * and the commands that names a command, as `file: message`. `…` stands for each value put in.
 */
export function printedFixes(): string[] {
  const found = new Set<string>();
  for (const file of ["checks", "cli"].flatMap(filesOf)) {
    visit(file, (node) => {
      for (const text of fixOf(node)) found.add(text);
    });
  }
  for (const file of ["core", "clients", "cli"].flatMap(filesOf)) {
    visit(file, (node) => {
      for (const text of messageOf(node)) found.add(`${file}: ${text}`);
    });
  }
  return [...found];
}

/** `it.problem(found, fix)`, or an object of `found` and `fix` that becomes one. */
function fixOf(node: ts.Node): string[] {
  if (ts.isObjectLiteralExpression(node)) {
    const [of, fix] = ["found", "fix"].map((name) => propertyOf(node, name));
    return of === undefined || fix === undefined
      ? []
      : texts(of).map((text) => `${fileOf(node)}: ${text}`);
  }
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return [];
  const { name, expression } = node.expression;
  const [of, fix] = node.arguments;
  if (!/^(problem|warning)$/.test(name.text) || of === undefined || fix === undefined) return [];
  if (fix.getText() === "undefined") return [];
  const id = idOf(expression) ?? fileOf(node);
  return texts(of).map((text) => `${id}: ${text}`);
}

/** `stop(run, code, what, next)`, `new Error(text)` and `coded(text, code)`, where a command is named. */
function messageOf(node: ts.Node): string[] {
  if (!ts.isCallExpression(node) && !ts.isNewExpression(node)) return [];
  const [first, , what, next] = node.arguments ?? [];
  const name = node.expression.getText();
  if (name === "stop" && what !== undefined && next !== undefined) {
    return command.test(sourceOf(next)) ? texts(what) : [];
  }
  if (!/^(\w*Error|coded)$/.test(name) || first === undefined) return [];
  return command.test(sourceOf(first)) ? texts(first) : [];
}

function propertyOf(node: ts.ObjectLiteralExpression, name: string): ts.Expression | undefined {
  for (const property of node.properties) {
    if (property.name?.getText() !== name) continue;
    if (ts.isPropertyAssignment(property)) return property.initializer;
    if (ts.isShorthandPropertyAssignment(property)) return property.name;
  }
  return undefined;
}

/** The id that `about` was given for what a finding is written with; undefined where another function has given it. */
function idOf(node: ts.Expression): string | undefined {
  const value = ts.isIdentifier(node) ? declarationOf(node) : node;
  if (value === undefined || !ts.isCallExpression(value)) return undefined;
  if (value.expression.getText() === "about") return textsOf(value.arguments[0])[0];
  return ts.isIdentifier(value.expression) ? idIn(declarationOf(value.expression)) : undefined;
}

function idIn(maker: ts.Expression | undefined): string | undefined {
  return maker !== undefined && ts.isArrowFunction(maker) && ts.isExpression(maker.body)
    ? idOf(maker.body)
    : undefined;
}

function fileOf(node: ts.Node): string {
  return node.getSourceFile().fileName;
}

function texts(node: ts.Expression): string[] {
  const value = ts.isIdentifier(node) ? (declarationOf(node) ?? node) : node;
  const all = textsOf(value).flatMap((text) => (/[a-z]{2}/i.test(text) ? [text] : []));
  return all.length > 0 ? all : [node.getText()];
}

function sourceOf(node: ts.Expression): string {
  const value = ts.isIdentifier(node) ? declarationOf(node) : undefined;
  return `${node.getText()} ${value?.getText() ?? ""}`;
}

/** What a name was declared as, in the nearest block around it. */
function declarationOf(name: ts.Identifier): ts.Expression | undefined {
  for (let scope: ts.Node = name; scope !== undefined; scope = scope.parent) {
    if (!ts.isBlock(scope) && !ts.isSourceFile(scope)) continue;
    for (const statement of scope.statements) {
      if (!ts.isVariableStatement(statement)) continue;
      for (const { name: declared, initializer } of statement.declarationList.declarations) {
        if (declared.getText() === name.text) return initializer;
      }
    }
  }
  return undefined;
}
