import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { page as pageOf } from "../../checks/page";
import { jsonOf } from "../../checks/report";
import type { JsonReport } from "../../checks/report";
import { isBrowserHere, startBrowser, takePicture } from "../support/browser";
import { pageReports } from "../support/pageReports";

/** Kept by CI; the picture in the README is one of them. */
const pictures = join(__dirname, "..", "..", ".lab", "test-results");
const picture = { width: 1_400, height: 1_400, scale: 0.75 };
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

let folder = "";
let browser: Browser;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "page-"));
  mkdirSync(pictures, { recursive: true });
  writeFileSync(join(folder, "page.html"), pageOf(pageReports));
  if (isBrowserHere) browser = await startBrowser(join(folder, "browser"));
});

afterAll(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

const schemes = ["light", "dark"] as const;

interface Look {
  scheme?: (typeof schemes)[number];
  width?: number;
  javaScriptEnabled?: boolean;
}

/** Opens the page from its file, as somebody who has downloaded it does. */
async function open({ scheme = "light", width = 1_400, javaScriptEnabled = true }: Look) {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    javaScriptEnabled,
    // What axe is injected with; the page's own policy has a test of its own.
    bypassCSP: true,
  });
  const view = await context.newPage();
  const asked: string[] = [];
  const said: string[] = [];
  view.on("request", (request) => asked.push(request.url()));
  view.on("console", (message) => said.push(message.text()));
  view.on("pageerror", (error) => said.push(error.message));
  await view.goto(pathToFileURL(join(folder, "page.html")).href);
  return { view, asked, said, close: () => context.close() };
}

const textsOf = (view: Page, selector: string) => view.locator(selector).allInnerTexts();

// Named, so that a run on another machine shows what it has not done and why.
const inBrowser = isBrowserHere ? describe : describe.skip;
const where = isBrowserHere ? "" : " (not run: @sparticuz/chromium is for Linux on x64 alone)";

inBrowser(`the page in a browser${where}`, () => {
  test.each(schemes.flatMap((scheme) => [400, 1_400].map((width) => [scheme, width] as const)))(
    "%s, %i px: accessible, nothing asked of anybody, no error, no wider than the window",
    async (scheme, width) => {
      const { view, asked, said, close } = await open({ scheme, width });
      const path = join(pictures, `page-${scheme}-${width}.png`);
      await takePicture(view, { path, fullPage: true });
      await view
        .locator("details")
        .first()
        .evaluate((one) => one.setAttribute("open", ""));
      await view.evaluate(axe);
      const violations = await view.evaluate(async () => {
        const { axe: here } = globalThis as unknown as {
          axe: { run: () => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        };
        const found = await here.run();
        return found.violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)]);
      });
      expect(violations).toEqual([]);
      expect(asked).toEqual([pathToFileURL(join(folder, "page.html")).href]);
      expect(said).toEqual([]);
      const wide = await view.evaluate("document.documentElement.scrollWidth");
      expect(wide).toBeLessThanOrEqual(width);
      await close();
    },
  );

  test("the picture for the README is taken", async () => {
    const { width, height, scale: deviceScaleFactor } = picture;
    const viewport = { width, height };
    const view = await browser.newPage({ viewport, deviceScaleFactor, colorScheme: "light" });
    await view.goto(pathToFileURL(join(folder, "page.html")).href);
    await takePicture(view, { path: join(pictures, "page.png") });
    await view.close();
  });

  test("its numbers are those of --json", async () => {
    const { view, close } = await open({});
    const reports = JSON.parse(jsonOf(pageReports)) as JsonReport[];
    const states = ["problem", "warning", "skipped", "ok"];
    const counts = [reports, ...reports.map((one) => [one])].flatMap((some) =>
      states.map((state) =>
        String(
          some.flatMap(({ findings }) => findings).filter((one) => one.state === state).length,
        ),
      ),
    );
    expect(await textsOf(view, "[data-count]")).toEqual(counts);
    const wrong = reports.flatMap(({ findings }) => findings.filter(({ state }) => state !== "ok"));
    expect(await view.locator("ol.wrong > li").count()).toBe(wrong.length);
    const fixes = wrong.flatMap(({ fix }) => fix ?? []);
    const shown = await textsOf(view, "ol.wrong .fix");
    expect(shown.sort()).toEqual(fixes.map((fix) => fix.replaceAll("`", "")).sort());
    for (const { stack, findings } of reports) {
      const own = view.locator(`section[aria-labelledby="stack-${stack}"]`);
      const titles = await own.locator("svg rect > title, svg path > title").allTextContents();
      const count = (text: RegExp) => titles.filter((title) => text.test(title)).length;
      const values = findings.flatMap((one) => Object.keys(one.values));
      const has = (name: RegExp) => values.filter((key) => name.test(key)).length;
      expect(count(/^missed: /)).toBe(has(/^missed_\d+$/));
      expect(await own.locator("svg .bar").count()).toBe(has(/^version_\d+_issued$/));
      const access = findings.filter(({ id }) => id === "access");
      const rows = own.locator("h3:has-text('Who can') ~ .wide").first().locator("tbody tr");
      expect(await rows.allInnerTexts()).toEqual(
        access.map(({ subject, found }) => `${subject}\t${found}`),
      );
    }
    await close();
  });

  test("is read without script: all of it, and every part that is folded opens by keyboard", async () => {
    const { view, said, close } = await open({ javaScriptEnabled: false });
    for (const text of [
      "What is wrong",
      "APIsec refused it at 2026-11-28T09:05:00Z",
      "readers had none for",
    ]) {
      await view.getByText(text).first().waitFor({ state: "visible" });
    }
    const folded = view.locator("details").first();
    expect(await folded.getAttribute("open")).toBeNull();
    await folded.locator("summary").press("Enter");
    await folded.locator("table").waitFor({ state: "visible" });
    expect(said).toEqual([]);
    await close();
  });

  test("everything that scrolls or folds is reached by the Tab key, in the order of the page", async () => {
    const { view, close } = await open({ width: 400 });
    const reached: string[] = [];
    const stops = await view
      .locator("[tabindex='0'], summary")
      .evaluateAll((all) =>
        all
          .filter((one) => one.checkVisibility())
          .map((one) => `${one.tagName} ${one.textContent.slice(0, 30)}`),
      );
    for (let stop = 0; stop < stops.length; stop += 1) {
      await view.keyboard.press("Tab");
      const focused = await view.evaluate(() => {
        const one = document.activeElement;
        return `${one?.tagName} ${one?.textContent.slice(0, 30)}`;
      });
      reached.push(focused);
    }
    expect(reached).toEqual(stops);
    expect(stops.length).toBeGreaterThan(5);
    await close();
  });

  test("its own policy lets nothing in: neither a script nor an address", async () => {
    const context = await browser.newContext();
    const view = await context.newPage();
    const refused: string[] = [];
    view.on("console", (message) => refused.push(message.text()));
    const spoilt = pageOf(pageReports).replace(
      "</body>",
      `<script>document.title = "run"</script><img src="http://127.0.0.1:9/x.png"></body>`,
    );
    writeFileSync(join(folder, "spoilt.html"), spoilt);
    await view.goto(pathToFileURL(join(folder, "spoilt.html")).href);
    expect(await view.title()).toMatch(/^APIsec credentials: /);
    expect(refused.filter((text) => text.includes("Content Security Policy"))).toHaveLength(2);
    await context.close();
  });
});

test("the README shows that picture, and it is small", () => {
  const file = readFileSync(join(__dirname, "..", "..", "docs", "page.png"));
  expect(file.subarray(1, 4).toString()).toBe("PNG");
  const { width, height, scale } = picture;
  const size = [file.readUInt32BE(16), file.readUInt32BE(20)];
  expect(size).toEqual([width * scale, height * scale]);
  expect(file.length).toBeLessThan(150_000);
  const readme = readFileSync(join(__dirname, "..", "..", "README.md"), "utf8");
  expect(readme).toContain("](docs/page.png)");
});
