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

const VIEWS = [{ path: "/", width: 1000 }, { path: "/", width: 360 }];

let looked = 0;
for (const colorScheme of ["light", "dark"]) {
  for (const { path, width } of VIEWS) {
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
    expect(`${name} scripts`, (await page.locator("script").count()) === 1 &&
      (await page.locator("img, iframe, [onerror]").count()) === 0);

    const controls = await page.locator("a[href], button, [tabindex='0']").count(), reached = new Set();
    for (let i = 0; i < controls; i++) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => [...document.querySelectorAll("*")].indexOf(document.activeElement)));
    }
    expect(`${name} controls reached by Tab of ${controls}`, controls > 6 && reached.size === controls, reached.size);

    await page.evaluate(axe);
    const violations = async () => (await page.evaluate(() => axe.run())).violations
      .map(({ id, nodes }) => [id, nodes[0].html]);
    const found = await violations();
    expect(`${name} axe`, found.length === 0, found);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(`${name} wider than the screen, pixels`, overflow <= 0, overflow);
    expect(`${name} console`, errors.length === 0, errors);
    expect(`${name} requests elsewhere`, elsewhere.length === 0, elsewhere);
    await page.evaluate(() => document.documentElement.removeAttribute("lang"));
    expect(`${name} axe looks`, (await violations()).some(([id]) => id === "html-has-lang"));
    if (screenshot && path === "/" && width === 1000) {
      await page.screenshot({ path: screenshot.replace(".png", `-${colorScheme}.png`), fullPage: true });
    }
    await page.close();
    looked++;
  }
}

// The page changes until somebody pauses it, and again when it is resumed.
const page = await browser.newPage(), errors = [];
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
page.on("pageerror", (error) => errors.push(String(error)));
await page.clock.install();
await page.goto(url, { waitUntil: "load" });
const time = () => page.locator("#summary time").first().getAttribute("datetime");
const changes = async (before) => {
  await page.clock.fastForward(10000);
  return page.waitForFunction((old) => document.querySelector("#summary time").dateTime !== old, before,
    { timeout: 5000 }).then(() => true, () => false);
};
expect("it refreshes", await changes(await time()));
await page.locator("#content [tabindex='0']").first().focus();
expect("it refreshes again", await changes(await time()));
expect("the keyboard stays", await page.evaluate(() => document.activeElement.closest("#content") !== null));
await page.getByRole("button", { name: "Pause refreshing" }).click();
expect("it can be paused", !(await changes(await time())));
await page.getByRole("button", { name: "Refresh every 10 seconds" }).click();
expect("it can be resumed", await changes(await time()));
// Whatever gets into the page, no other script runs.
await page.evaluate(() => {
  const script = document.createElement("script");
  script.textContent = "window.planted = true";
  document.body.append(script);
});
expect("no other script runs", !(await page.evaluate(() => window.planted)));
expect("the browser says so", errors.length === 1 && errors[0].includes("script-src"), errors);
await page.close();

const context = await browser.newContext({ javaScriptEnabled: false });
const still = await context.newPage();
await still.goto(url, { waitUntil: "load" });
expect("without scripts it is complete", await still.getByText("Load the page again for newer figures.").isVisible() &&
  !(await still.locator("#refresh").isVisible()));
await browser.close();
console.log(faults.length ? faults.join("\n") : `${looked} views`);
process.exit(faults.length ? 1 : 0);
