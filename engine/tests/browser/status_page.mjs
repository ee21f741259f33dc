// Looks at the status page in a real browser: node status_page.mjs NODE_MODULES URL [SCREENSHOT.png]
// Prints one line for each fault and ends with 1 if there is any.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, url, screenshot] = process.argv.slice(2);
const require = createRequire(modules + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const executablePath = ["chromium", "chromium-browser", "google-chrome"]
  .map((name) => `/usr/bin/${name}`)
  .find((path) => existsSync(path));

const faults = [];
const expect = (what, holds, more = "") => holds || faults.push(`${what} ${JSON.stringify(more)}`);

// Containers and root have no sandbox. The rest keeps the browser from calling its maker.
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

// A page that loads itself again is a fault to axe, rightly: it has a link to one that does not. That axe finds exactly
// this fault shows that it looks.
const VIEWS = [
  { path: "/", width: 1000, violations: ["meta-refresh"] },
  { path: "/?refresh=off", width: 1000, violations: [] },
  { path: "/?refresh=off", width: 360, violations: [] },
];

let looked = 0;
for (const colorScheme of ["light", "dark"]) {
  for (const { path, width, violations } of VIEWS) {
    const name = `${colorScheme} ${path} ${width}:`;
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
    const errors = [], elsewhere = [];
    page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("dialog", (dialog) => { errors.push(`dialog ${dialog.message()}`); dialog.dismiss(); });
    page.on("request", (request) => request.url().startsWith(url) || request.url().startsWith("data:") ||
      elsewhere.push(request.url()));
    await page.goto(url + path, { waitUntil: "load" });
    expect(`${name} status is shown`, (await page.locator("h1").innerText()) === "Memory engine");
    expect(`${name} scripts`, (await page.locator("script, img, iframe, [onerror]").count()) === 0);

    const controls = await page.locator("a[href], [tabindex='0']").count(), reached = new Set();
    for (let i = 0; i < controls; i++) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => [...document.querySelectorAll("*")].indexOf(document.activeElement)));
    }
    expect(`${name} controls reached by Tab of ${controls}`, controls > 6 && reached.size === controls, reached.size);

    await page.evaluate(axe);
    const found = (await page.evaluate(() => axe.run())).violations;
    const ids = found.map(({ id }) => id);
    expect(`${name} axe`, ids.join() === violations.join(), found.map(({ id, nodes }) => [id, nodes[0].html]));
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(`${name} wider than the screen, pixels`, overflow <= 0, overflow);
    expect(`${name} console`, errors.length === 0, errors);
    expect(`${name} requests elsewhere`, elsewhere.length === 0, elsewhere);
    if (screenshot && path === "/" && width === 1000) {
      await page.screenshot({ path: screenshot.replace(".png", `-${colorScheme}.png`), fullPage: true });
    }
    await page.close();
    looked++;
  }
}
await browser.close();
console.log(faults.length ? faults.join("\n") : `${looked} views`);
process.exit(faults.length ? 1 : 0);
