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
 * in hexadecimal, as a list of numbers, in base64 at any offset; and one of these in another.
 */
export function redact(text: string, secrets: readonly string[]): string {
  const runs = runsOf(secrets);
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
function runsOf(secrets: readonly string[]): Map<number, Set<string>> {
  const runs = new Map<number, Set<string>>();
  for (const secret of secrets) {
    if (secret.length < shortest) continue;
    for (const encoding of ["utf8", "latin1"] as const) {
      const bytes = folded(Buffer.from(secret, encoding).toString("latin1"));
      const length = Math.min(run, bytes.length);
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
  const found = [...unescaped, ...fromHex(view), fromNumbers(view), ...fromBase64(view)];
  return found.filter((one) => one !== undefined);
}

const utf8 = (code: number) =>
  code <= 0x10ffff ? Buffer.from(String.fromCodePoint(code)).toString("latin1") : "";
const letters: Record<string, string> = {
  ...{ n: "\n", r: "\r", t: "\t", b: "\b", f: "\f", v: "\v", a: "\x07", e: "\x1b" },
};
const entities: Record<string, string> = {
  ...{
    amp: "&",
    lt: "<",
    gt: ">",
    quot: '"',
    apos: "'",
    nbsp: " ",
    excl: "!",
    num: "#",
    dollar: "$",
  },
  ...{ percnt: "%", lpar: "(", rpar: ")", ast: "*", plus: "+", comma: ",", period: ".", sol: "/" },
  ...{
    colon: ":",
    semi: ";",
    equals: "=",
    quest: "?",
    commat: "@",
    lsqb: "[",
    bsol: "\\",
    rsqb: "]",
  },
  ...{
    Hat: "^",
    lowbar: "_",
    grave: "`",
    lcub: "{",
    verbar: "|",
    rcub: "}",
    lbrack: "[",
    rbrack: "]",
  },
  ...{
    lbrace: "{",
    rbrace: "}",
    vert: "|",
    dash: "-",
    hyphen: "-",
    tilde: "~",
    Tab: "\t",
    NewLine: "\n",
  },
};

/** Ways to write single characters otherwise, and what each piece stands for. */
const escapes: [RegExp, (piece: string, ...groups: (string | undefined)[]) => string][] = [
  [
    /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|[uxU]\{?([0-9a-f]{1,8})\}?|([0-7]{1,3})|(.))/gis,
    (piece, byte, unit, point, octal, other) => {
      if (byte !== undefined) return String.fromCharCode(parseInt(byte, 16));
      if (unit !== undefined || point !== undefined) return utf8(parseInt(unit ?? point ?? "", 16));
      if (octal !== undefined) return String.fromCharCode(parseInt(octal, 8) & 255);
      return letters[other ?? ""] ?? other ?? piece;
    },
  ],
  [
    /%(?:u([0-9a-f]{4})|([0-9a-f]{2}))/gi,
    (_, unit, byte) =>
      unit === undefined ? String.fromCharCode(parseInt(byte ?? "", 16)) : utf8(parseInt(unit, 16)),
  ],
  [
    /&(?:#x([0-9a-f]{1,6});?|#(\d{1,7});?|(\w{2,8});)/gi,
    (piece, hex, decimal, name) => {
      if (name !== undefined) return entities[name] ?? entities[name.toLowerCase()] ?? piece;
      return utf8(hex === undefined ? Number(decimal) : parseInt(hex, 16));
    },
  ],
  [/=([0-9A-F]{2})/g, (_, byte) => String.fromCharCode(parseInt(byte ?? "", 16))],
  [/''|""/g, (piece) => piece.slice(1)],
];

function unescape(
  view: View,
  pattern: RegExp,
  decode: (typeof escapes)[number][1],
): View | undefined {
  const decoded: View = { bytes: "", begins: [], ends: [] };
  let at = 0;
  const copy = (end: number) => {
    decoded.bytes += view.bytes.slice(at, end);
    for (; at < end; at += 1) {
      decoded.begins.push(view.begins[at] ?? 0);
      decoded.ends.push(view.ends[at] ?? 0);
    }
  };
  for (const match of view.bytes.matchAll(pattern)) {
    copy(match.index);
    at += match[0].length;
    const [piece, ...groups] = [...match];
    const begin = view.begins[match.index] ?? 0;
    append(decoded, decode(piece ?? "", ...groups), begin, view.ends[at - 1] ?? 0);
  }
  if (at === 0) return undefined;
  copy(view.bytes.length);
  return decoded;
}

/** Digits of two to the byte, side by side or with something between, from the first or the second one on. */
function fromHex(view: View): (View | undefined)[] {
  const pattern = /(?:(?:0x)?[0-9a-f][\s:,-]*){12,}/gi;
  return [0, 1].map((skipped) =>
    decodeRuns(view, pattern, (piece, note) => {
      const digits = [...piece.replaceAll(/0x/gi, "  ").matchAll(/[0-9a-f]/gi)].slice(skipped);
      for (let at = 0; at + 1 < digits.length; at += 2) {
        const [high, low] = [digits[at], digits[at + 1]];
        if (high === undefined || low === undefined) continue;
        note(parseInt(high[0] + low[0], 16), high.index, low.index + 1);
      }
    }),
  );
}

/** Bytes as a list of decimal numbers: `[104 117 110]`, `[104,117,110]`. */
function fromNumbers(view: View): View | undefined {
  return decodeRuns(view, /\d{1,3}(?:[\s,]+\d{1,3}){5,}/g, (piece, note) => {
    for (const { 0: number, index } of piece.matchAll(/\d+/g)) {
      note(Number(number) & 255, index, index + number.length);
    }
  });
}

/** Either alphabet, line breaks left out, from each of four places on. */
function fromBase64(view: View): (View | undefined)[] {
  return [0, 1, 2, 3].map((skipped) =>
    decodeRuns(view, /[A-Za-z0-9+/_-](?:[A-Za-z0-9+/_-]|\r?\n){7,}/g, (piece, note) => {
      const places = [...piece.matchAll(/[^\r\n]/g)].slice(skipped);
      const bytes = Buffer.from(places.map(({ 0: character }) => character).join(""), "base64");
      bytes.forEach((byte, at) => {
        const [first, last] = [Math.floor((at * 8) / 6), Math.floor((at * 8 + 7) / 6)];
        note(byte, places[first]?.index ?? 0, (places[last]?.index ?? 0) + 1);
      });
    }),
  );
}

/** What the pieces that fit hold. `note` takes a byte and where in the piece it stands. */
function decodeRuns(
  view: View,
  pattern: RegExp,
  decode: (piece: string, note: (byte: number, from: number, to: number) => void) => void,
): View | undefined {
  const decoded: View = { bytes: "", begins: [], ends: [] };
  for (const { 0: piece, index } of view.bytes.matchAll(pattern)) {
    decode(piece, (byte, from, to) =>
      append(
        decoded,
        String.fromCharCode(byte),
        view.begins[index + from] ?? 0,
        view.ends[index + to - 1] ?? 0,
      ),
    );
    // No run of a secret reaches from one piece into the next.
    append(decoded, "\0", 0, 0);
  }
  return decoded.bytes === "" ? undefined : decoded;
}
