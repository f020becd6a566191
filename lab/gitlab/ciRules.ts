/** The `if:` of `rules:`: `==`, `!=`, `=~`, `!~`, `&&`, `||`, parentheses, strings, regular expressions, null. */

type Value = string | RegExp | null;
export type Variables = Record<string, string>;

const lexeme =
  /\s*(?:(==|!=|=~|!~|&&|\|\||\(|\))|\$(\w+)|\$\{(\w+)\}|"([^"]*)"|'([^']*)'|\/((?:\\.|[^/\\])+)\/([ims]*)|(null)\b)/y;

interface Token {
  operator?: string;
  value?: Value;
}

function tokens(text: string, variables: Variables): Token[] {
  const found: Token[] = [];
  lexeme.lastIndex = 0;
  const end = text.trimEnd().length;
  while (lexeme.lastIndex < end) {
    const match = lexeme.exec(text);
    if (!match) throw new Error(`invalid expression syntax: ${text}`);
    const [, operator, name, braced, double, single, regexp, flags] = match;
    const variable = name ?? braced;
    if (operator) found.push({ operator });
    else if (variable) found.push({ value: variables[variable] ?? null });
    else if (regexp) found.push({ value: new RegExp(regexp, flags) });
    else found.push({ value: double ?? single ?? null });
  }
  return found;
}

/** @throws when the expression cannot be read. */
export function evaluate(text: string, variables: Variables): boolean {
  const queue = tokens(text, variables);
  const syntax = () => new Error(`invalid expression syntax: ${text}`);
  const taken = (operator: string) =>
    queue[0]?.operator === operator ? queue.shift() !== undefined : false;

  function either(): boolean {
    let result = both();
    while (taken("||")) result = both() || result;
    return result;
  }
  function both(): boolean {
    let result = comparison();
    while (taken("&&")) result = comparison() && result;
    return result;
  }
  function comparison(): boolean {
    if (taken("(")) {
      const result = either();
      if (!taken(")")) throw syntax();
      return result;
    }
    const left = operand();
    for (const operator of ["==", "!=", "=~", "!~"]) {
      if (taken(operator)) return compare(operator, left, operand());
    }
    return left !== null && left !== "";
  }
  function operand(): Value {
    const token = queue.shift();
    if (token?.value === undefined) throw syntax();
    return token.value;
  }

  const result = either();
  if (queue.length > 0) throw syntax();
  return result;
}

function compare(operator: string, left: Value, right: Value): boolean {
  if (operator === "==") return left === right;
  if (operator === "!=") return left !== right;
  const matched = left !== null && pattern(right).test(String(left));
  return operator === "=~" ? matched : !matched;
}

/** A variable may hold the expression, slashes and all. */
function pattern(value: Value): RegExp {
  if (value instanceof RegExp) return value;
  const match = /^\/(.*)\/([ims]*)$/s.exec(value ?? "");
  if (!match) throw new Error("invalid expression syntax: not a regular expression");
  return new RegExp(match[1] ?? "", match[2]);
}
