// Loaded by `renew` alone: this library keeps the places of a file's text, and is 70 modules; reading takes one.
import { isMap, isScalar, isSeq, parseDocument } from "yaml";
import type { YAMLMap } from "yaml";
import { coded } from "../core/messageCode";

/**
 * A stack's file with these accounts' `passwordGeneration`, by account name; every other character stays. Throws
 * where an account does not stand in the file.
 */
export function withGenerations(
  text: string,
  project: string,
  generations: ReadonlyMap<string, number>,
): string {
  const accounts = parseDocument(text).getIn(["config", `${project}:accounts`]);
  const items = isSeq(accounts) ? accounts.items.filter((item) => isMap(item)) : [];
  const edits = [...generations].map(([name, generation]) => {
    const account = items.find((item) => item.get("name") === name);
    if (account === undefined) {
      throw coded(
        `Account ${name} does not stand in the stack's file: raise its passwordGeneration to ${generation} where it stands.`,
        "not-in-stack-file",
      );
    }
    return editOf(text, account, generation);
  });
  // From the end on, so that the places before it stay.
  return edits
    .sort((one, other) => other.start - one.start)
    .reduce((all, { start, end, put }) => all.slice(0, start) + put + all.slice(end), text);
}

interface Edit {
  start: number;
  end: number;
  put: string;
}

function editOf(text: string, account: YAMLMap, generation: number): Edit {
  const rangeOf = (node: unknown) => (isScalar(node) ? node.range : undefined) ?? [0, 0];
  const pair = (name: string) =>
    account.items.find(({ key }) => isScalar(key) && key.value === name);
  const old = pair("passwordGeneration");
  if (old !== undefined) {
    const [start, end] = rangeOf(old.value);
    return { start, end, put: String(generation) };
  }
  // After the name, as that stands: between braces, or in a line of its own.
  const [, end] = rangeOf(pair("name")?.value);
  const put = `passwordGeneration: ${generation}`;
  if (account.flow === true) return { start: end, end, put: `, ${put}` };
  const [key] = rangeOf(pair("name")?.key);
  const indent = " ".repeat(key - (text.lastIndexOf("\n", key) + 1));
  const lineEnd = end + text.slice(end).search(/\r?\n|$/);
  const newLine = /\r?\n/.exec(text)?.[0] ?? "\n";
  return { start: lineEnd, end: lineEnd, put: `${newLine}${indent}${put}` };
}
