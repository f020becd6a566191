const maxForeignText = 200;
/** What is cut off before a text is looked through: it could not be shown anyway. */
const maxSearched = 4_000;
/** So many characters of a secret in a row are one. */
const run = 8;
/** A shorter secret is none, and would stand in every second word. */
const shortest = 6;

/**
 * A text as one party wrote it, with each of its bytes as one character, and where in the original text each
 * of them begins and ends.
 */
interface View {
  bytes: string;
  begins: number[];
  ends: number[];
}

/**
 * Replaces by `[secret]` every run of 8 characters of a secret (a secret of 6 or 7: the whole), plain or in any
 * form in which servers quote: as JSON and other escapes with a backslash, in a URL, as HTML, with doubled quotes,
 * in hexadecimal, as a list of numbers, in base64 at any offset; and one of these in another. `least`: how long
 * a run must be, where the text has words of our own that a password may have, too.
 */
export function redact(text: string, secrets: readonly string[], least = run): string {
  const runs = runsOf(secrets, least);
  if (runs.size === 0) return text;
  const hidden = new Uint8Array(text.length);
  const plain = plainView(text);
  const views = [plain, ...decodings(plain)];
  views.push(...views.slice(1).flatMap(decodings));
  for (const view of views) markRuns(view, runs, hidden);
  return replaceMarked(text, hidden);
}

/**
 * Makes a text of another party fit for a message: secrets out, control characters out,
 * at most 200 characters.
 */
export function foreignText(text: string, secrets: readonly string[]): string {
  // Redacted before it is cut to what is shown: half a secret would no longer be recognised.
  const clean = redact(text.slice(0, maxSearched), secrets)
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ")
    .trim();
  return clean.length > maxForeignText ? `${clean.slice(0, maxForeignText - 1)}…` : clean;
}

/** All runs of the secrets by their length, in UTF-8 and, where it can be, in one byte a character. */
function runsOf(secrets: readonly string[], least: number): Map<number, Set<string>> {
  const runs = new Map<number, Set<string>>();
  for (const secret of secrets) {
    if (secret.length < shortest) continue;
    for (const encoding of ["utf8", "latin1"] as const) {
      const bytes = folded(Buffer.from(secret, encoding).toString("latin1"));
      const length = Math.min(least, bytes.length);
      const known = runs.get(length) ?? new Set();
      for (let at = 0; at + length <= bytes.length; at += 1)
        known.add(bytes.slice(at, at + length));
      runs.set(length, known);
    }
  }
  return runs;
}

/** A form writes a blank as a plus. */
const folded = (bytes: string) => bytes.replaceAll("+", " ");

function markRuns(view: View, runs: Map<number, Set<string>>, hidden: Uint8Array): void {
  const bytes = folded(view.bytes);
  for (const [length, known] of runs) {
    for (let at = 0; at + length <= bytes.length; at += 1) {
      if (!known.has(bytes.slice(at, at + length))) continue;
      hidden.fill(1, view.begins[at], view.ends[at + length - 1]);
    }
  }
}

function replaceMarked(text: string, hidden: Uint8Array): string {
  let clean = "";
  let at = 0;
  for (let from = hidden.indexOf(1); from >= 0; from = hidden.indexOf(1, at)) {
    const end = hidden.indexOf(0, from);
    clean += `${text.slice(at, from)}[secret]`;
    at = end < 0 ? text.length : end;
  }
  return clean + text.slice(at);
}

function plainView(text: string): View {
  const view: View = { bytes: "", begins: [], ends: [] };
  let at = 0;
  for (const character of text) {
    append(view, Buffer.from(character).toString("latin1"), at, at + character.length);
    at += character.length;
  }
  return view;
}

/** Bytes that all stand for the same piece of the original. */
function append(view: View, bytes: string, begin: number, end: number): void {
  view.bytes += bytes;
  for (let i = 0; i < bytes.length; i += 1) {
    view.begins.push(begin);
    view.ends.push(end);
  }
}

/** What a text stands for, read in each way in which there is something to read. */
function decodings(view: View): View[] {
  const unescaped = escapes.map(([pattern, decode]) => unescape(view, pattern, decode));
  const fromDigits = codes.flatMap((code) => {
    const places = code.bits === 8 ? [0] : code.bits === 4 ? [0, 1] : [0, 1, 2, 3];
    return places.map((skipped) => decodeDigits(view, code, skipped));
  });
  return [...unescaped, ...fromDigits].filter((one) => one.bytes !== "");
}

const byte = (code: number) => String.fromCharCode(code & 255);
const utf8 = (code: number) =>
  code <= 0x10ffff ? Buffer.from(String.fromCodePoint(code)).toString("latin1") : "";
const controls: Record<string, string> = { n: "\n", r: "\r", t: "\t", b: "\b", f: "\f", v: "\v" };
/** HTML's names of what stands on a keyboard. */
const entities = new Map(
  [
    "amp& lt< gt> quot\" apos' excl! num# dollar$ percnt% lpar( rpar) ast* plus+ comma, period. sol/",
    "colon: semi; equals= quest? commat@ lsqb[ bsol\\ rsqb] hat^ lowbar_ grave` lcub{ verbar| rcub}",
  ]
    .join(" ")
    .split(" ")
    .map((pair) => [pair.slice(0, -1), pair.slice(-1)]),
);

/** Ways to write single characters otherwise, and what each piece stands for. */
const escapes: [RegExp, (piece: string, ...groups: (string | undefined)[]) => string][] = [
  [
    /\\(?:x([0-9a-f]{2})|[uxU]([0-9a-f]{4})|[uxU]\{?([0-9a-f]{1,8})\}?|([0-7]{1,3})|(.))/gis,
    (_, two, four, point, octal, other = "") => {
      if (two !== undefined) return byte(parseInt(two, 16));
      if (octal !== undefined) return byte(parseInt(octal, 8));
      const code = four ?? point;
      return code === undefined ? (controls[other] ?? other) : utf8(parseInt(code, 16));
    },
  ],
  [
    /%(?:u([0-9a-f]{4})|([0-9a-f]{2}))/gi,
    (_, four, two = "") =>
      four === undefined ? byte(parseInt(two, 16)) : utf8(parseInt(four, 16)),
  ],
  [/=([0-9A-F]{2})/g, (_, two = "") => byte(parseInt(two, 16))],
  [
    /&(?:#x([0-9a-f]{1,6});?|#(\d{1,7});?|(\w{2,8});)/gi,
    (piece, hex, decimal, name) =>
      name === undefined
        ? utf8(hex === undefined ? Number(decimal) : parseInt(hex, 16))
        : (entities.get(name.toLowerCase()) ?? piece),
  ],
  [/''|""/g, (piece) => piece.slice(1)],
];

function unescape(view: View, pattern: RegExp, decode: (typeof escapes)[number][1]): View {
  const decoded: View = { bytes: "", begins: [], ends: [] };
  let at = 0;
  const copy = (end: number) => {
    for (; at < end; at += 1) take(decoded, view.bytes[at] ?? "", view, at, at);
  };
  for (const match of view.bytes.matchAll(pattern)) {
    const [piece = "", ...groups] = [...match];
    copy(match.index);
    at += piece.length;
    take(decoded, decode(piece, ...groups), view, match.index, at - 1);
  }
  // Where nothing was written otherwise there is nothing new.
  if (at > 0) copy(view.bytes.length);
  return decoded;
}

/** Appends bytes that stand for what lies from `first` to `last` in `view`. */
function take(decoded: View, bytes: string, view: View, first: number, last: number): void {
  append(decoded, bytes, view.begins[first] ?? 0, view.ends[last] ?? 0);
}

/** Ways to write bytes as digits of so many bits. */
interface Code {
  /** Where there may be enough of them. */
  pattern: RegExp;
  digit: RegExp;
  bits: 4 | 6 | 8;
  value: (digit: string) => number;
}

const codes: Code[] = [
  // Side by side or with something between.
  {
    pattern: /(?:(?:0x)?[0-9a-f][\s:,-]*){12,}/gi,
    digit: /0(?!x)|[1-9a-f]/gi,
    bits: 4,
    value: (digit) => parseInt(digit, 16),
  },
  // Base64 in either alphabet, in lines or in one.
  {
    pattern: /[A-Za-z0-9+/_-](?:[A-Za-z0-9+/_-]|\r?\n){7,}/g,
    digit: /[^\r\n]/g,
    bits: 6,
    value: (digit) => (Buffer.from(`${digit}A`, "base64")[0] ?? 0) >> 2,
  },
  // A list of numbers, as Go and JSON write bytes.
  { pattern: /\d{1,3}(?:[\s,]+\d{1,3}){5,}/g, digit: /\d+/g, bits: 8, value: Number },
];

/** What the digits say from the one after `skipped` on: a secret may begin at any. */
function decodeDigits(view: View, { pattern, digit, bits, value }: Code, skipped: number): View {
  const decoded: View = { bytes: "", begins: [], ends: [] };
  for (const { 0: piece, index } of view.bytes.matchAll(pattern)) {
    let [held, heldBits, first] = [0, 0, 0];
    for (const found of [...piece.matchAll(digit)].slice(skipped)) {
      const at = index + found.index;
      if (heldBits === 0) first = at;
      held = (held << bits) | value(found[0]);
      heldBits += bits;
      if (heldBits < 8) continue;
      heldBits -= 8;
      take(decoded, byte(held >> heldBits), view, first, at + found[0].length - 1);
      held &= (1 << heldBits) - 1;
      first = at;
    }
    // No run of a secret reaches from one piece into the next.
    append(decoded, "\0", 0, 0);
  }
  return decoded;
}
