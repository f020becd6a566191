const entities: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A text as HTML shows it; also in an attribute between double quotes. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? "");
}

/** A page that loads nothing from elsewhere and needs no script; `header` and `main` are HTML. */
export function document(title: string, header: string, main: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>${escaped(title)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${escaped(title)}</h1>
${header}
</header>
<main>
${main}
</main>
</body>
</html>
`;
}

/** A table of texts; it scrolls where it is too wide. */
export function htmlTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map(
    ([first = "", ...others]) =>
      `<tr><th scope="row">${escaped(first)}</th>${others.map((text) => `<td>${escaped(text)}</td>`).join("")}</tr>`,
  );
  const titles = head.map((text) => `<th scope="col">${escaped(text)}</th>`).join("");
  return `<div class="wide" tabindex="0" role="group" aria-label="table"><table><thead><tr>${titles}</tr></thead><tbody>${cells.join("\n")}</tbody></table></div>`;
}

const style = `
:root { color-scheme: light dark; --ground: #fff; --text: #1b1f24; --soft: #57606a; --line: #d0d7de;
  --ok: #1a7f37; --warning: #8a5a00; --problem: #c5221f; --skipped: #57606a; }
@media (prefers-color-scheme: dark) { :root { --ground: #0d1117; --text: #e6edf3; --soft: #9da7b1; --line: #3d444d;
  --ok: #4ac26b; --warning: #e3b341; --problem: #ff7b72; --skipped: #9da7b1; } }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
.counts { display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; list-style: none; }
.ok { color: var(--ok); } .warning { color: var(--warning); } .problem { color: var(--problem); }
.skipped, .key { color: var(--soft); }
.wrong li { margin-bottom: .6rem; color: var(--text); } .state { font-weight: bold; }
.wrong .problem .state, .gap-key { color: var(--problem); } .wrong .warning .state { color: var(--warning); }
code { padding: .1rem .3rem; border: 1px solid var(--line); border-radius: .2rem; }
.wide { overflow-x: auto; overflow-wrap: normal; } table { border-collapse: collapse; }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); text-align: left; font-weight: normal; }
thead th { color: var(--soft); }
figure { margin: 0 0 1rem; } figcaption { font-weight: bold; } svg { display: block; width: 100%; height: 2.5rem; overflow: visible; }
svg .bar { fill: var(--ok); } svg .gap { fill: var(--problem); }
svg rect { stroke: var(--ground); stroke-width: 1; vector-effect: non-scaling-stroke; }
svg .missed { fill: none; stroke: var(--problem); stroke-width: 2; vector-effect: non-scaling-stroke; } svg .now { stroke: var(--text); } svg .next { stroke: var(--soft); }
svg .axis { stroke: var(--line); } svg line { vector-effect: non-scaling-stroke; stroke-width: 2; }
`;
