// A real browser on the demo chat:
//
//   node browser.mjs --server "cargo run --release --" [--screenshot DIR]
//
// Two tabs chat, a picture goes from one to the other, and a tab whose server restarts
// comes back; each over polling alone and over WebSocket alone. Pages of another origin
// connect with the clients of Socket.IO 2 and 4 to a server that lets all of them. Pages on two
// servers of a cluster chat with each other.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { deflateSync, crc32 } from "node:zlib";
import { chromium } from "playwright-core";
import { parseArgs } from "./lib/args.mjs";
import { HOST, ServerUnderTest } from "./lib/server.mjs";
import { runTests } from "./lib/tests.mjs";
import { chatCluster } from "./suites/chat-cluster.mjs";
import { chatPage } from "./suites/chat-page.mjs";

const USAGE = `usage: node browser.mjs --server CMD [--filter TEXT] [--chromium PATH] [--screenshot DIR]

  --server CMD      the sockeye command; "serve --listen http://HOST:PORT" is added to it. If CMD holds
                    {}, HOST:PORT takes its place instead. Also read from the variable SERVER.
  --filter TEXT     only tests whose name holds TEXT
  --chromium PATH   the browser (default /usr/bin/chromium, or the variable CHROMIUM)
  --first CMD       the first program of the README; a URL to listen on is added to it
  --screenshot DIR  keeps pictures of the page, light and dark, wide and narrow`;

const options = parseArgs(USAGE, {
  server: String,
  filter: String,
  chromium: String,
  first: String,
  screenshot: String,
});
const command = options.server ?? process.env.SERVER;
const executablePath = options.chromium ?? process.env.CHROMIUM ?? "/usr/bin/chromium";
if (!command) {
  console.error(USAGE);
  process.exit(2);
}
if (!existsSync(executablePath)) {
  console.error(`no browser at ${executablePath}: install Debian's package "chromium", or name one with --chromium`);
  process.exit(2);
}

const server = await new ServerUnderTest(command.includes("{}") ? command : `${command} serve --listen http://{}`).start();
const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

/** A tab of its own browser context, with what its page complained about. */
async function openTab(transport, name, room, { origin = server.origin, ...settings } = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 700 }, ...settings });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(error.message));
  await page.goto(`${origin}/?transport=${transport}&name=${name}#${room}`);
  await online(page);
  return page;
}

const online = (page) => page.locator('#status[data-state="online"]').waitFor({ timeout: 15_000 });
const message = (page, text) => page.locator("#messages li", { hasText: text });

async function say(page, text) {
  await page.locator("#text").fill(text);
  await page.locator("#text").press("Enter");
}

async function twoTabs(transport, room, use) {
  const tabs = [await openTab(transport, "Ann", room), await openTab(transport, "Bob", room)];
  try {
    await use(...tabs);
    for (const { complaints } of tabs) assert.deepEqual(complaints, [], "errors in the page");
  } finally {
    await Promise.all(tabs.map((page) => page.context().close()));
  }
}

async function chats(transport) {
  await twoTabs(transport, `chat-${transport}`, async (ann, bob) => {
    await bob.locator("#people li").nth(1).waitFor();
    assert.deepEqual(await bob.locator("#people li").allTextContents(), ["Ann", "Bob (you)"]);
    await bob.locator("#text").pressSequentially("hm");
    await ann.getByText("Bob is typing…").waitFor();
    await say(bob, "hello <b>Ann</b> & 👋🏽 𝒳");
    await message(ann, "hello <b>Ann</b> & 👋🏽 𝒳").waitFor();
    await say(ann, "hello Bob");
    await message(bob, "hello Bob").waitFor();
    assert.equal(await ann.locator("#messages li.mine").count(), 1);
    assert.equal(await ann.locator("#messages b").count(), 2, "markup in a text must stay text");
    assert.equal(await ann.locator("#typing").textContent(), "");

    // Another room hears nothing of it; the history is there on return.
    await bob.locator("#room-name").fill(`other-${transport}`);
    await bob.locator("#room-name").press("Enter");
    await bob.locator("#title", { hasText: "other" }).waitFor();
    await say(ann, "are you there?");
    await message(ann, "are you there?").waitFor();
    assert.equal(await bob.locator("#messages li").count(), 0);
    await bob.goBack();
    await message(bob, "are you there?").waitFor();
    assert.equal(await bob.locator("#messages li").count(), 3);
    const used = await ann.evaluate(() =>
      performance.getEntriesByType("resource").some(({ name }) => name.includes("transport=polling")),
    );
    assert.equal(used, transport === "polling", `${transport} alone`);
  });
}

async function sendsPicture(transport) {
  await twoTabs(transport, `picture-${transport}`, async (ann, bob) => {
    // So large that it goes in some thirty pieces: with long-polling, the answers to those in flight may come all at once.
    const [width, height] = [1400, 1000];
    const picture = png(width, height);
    const values = await ann.evaluateHandle(() => {
      const seen = [];
      new MutationObserver(() => seen.push(Number.parseInt(document.getElementById("percent").textContent))).observe(
        document.getElementById("percent"),
        { childList: true, characterData: true, subtree: true },
      );
      return seen;
    });
    await ann.locator("#picture").setInputFiles({ name: "fish.png", mimeType: "image/png", buffer: picture });
    for (const page of [ann, bob]) {
      const image = page.locator('#messages img[alt="fish.png"]');
      await image.waitFor();
      const size = await image.evaluate((img) => [img.naturalWidth, img.naturalHeight]);
      assert.deepEqual(size, [width, height]);
    }
    await ann.locator("#upload").waitFor({ state: "hidden" });
    const percents = await values.jsonValue();
    assert.ok(new Set(percents).size > 3, `the bar moved in steps: ${percents}`);
    assert.deepEqual(percents, [...percents].sort((a, b) => a - b));
    assert.equal(percents.at(-1), 100);

    await ann.locator("#picture").setInputFiles({ name: "big.png", mimeType: "image/png", buffer: Buffer.alloc(5 * 1024 * 1024 + 1) });
    await ann.locator("#error", { hasText: "5 MB" }).waitFor();
  });
}

async function comesBack(transport) {
  await twoTabs(transport, `back-${transport}`, async (ann, bob) => {
    await say(ann, "before");
    await message(bob, "before").waitFor();
    await server.stop();
    for (const page of [ann, bob]) await page.locator('#status[data-state="offline"]').waitFor();
    assert.equal(await ann.locator("#send").isDisabled(), true);
    await server.start();
    for (const page of [ann, bob]) await online(page);
    await say(ann, "after");
    for (const page of [ann, bob]) {
      await message(page, "after").waitFor();
      assert.equal(await message(page, "before").count(), 1, "what was on the screen stays");
    }
  });
}

/** A page that is served from elsewhere, over long-polling, where browsers look at CORS. */
async function connectsFromElsewhere(bundle, settings) {
  const open = await new ServerUnderTest(`${command} serve --no-demo --cors '*' --listen http://{}`).start();
  const script = readFileSync(new URL(`./node_modules/${bundle}`, import.meta.url));
  const elsewhere = createServer((request, response) => {
    const isScript = request.url === "/client.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : "<!doctype html><title>elsewhere</title><script src=/client.js></script>");
  });
  await new Promise((resolve) => elsewhere.listen(0, HOST, resolve));
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.goto(`http://${HOST}:${elsewhere.address().port}/`);
    const outcome = await page.evaluate(
      ([url, settings]) =>
        new Promise((resolve) => {
          const socket = io(url, { transports: ["polling"], reconnection: false, timeout: 5000, ...settings });
          socket.on("connect", () => resolve("connected"));
          for (const event of ["connect_error", "error"]) socket.on(event, (error) => resolve(String(error)));
        }),
      [open.origin, settings],
    );
    assert.equal(outcome, "connected");
  } finally {
    await context.close();
    elsewhere.close();
    await open.stop();
  }
}

/** Two browsers on the first program; what it says to them is on their pages. */
async function worksAsWritten(first) {
  const program = await new ServerUnderTest(`${first} http://{}`).start();
  const contexts = [await browser.newContext(), await browser.newContext()];
  try {
    const pages = [];
    for (const context of contexts) {
      const page = await context.newPage();
      page.setDefaultTimeout(10_000);
      await page.goto(program.origin);
      await page.getByText("1 + 2 + 3 = 6").waitFor();
      pages.push(page);
    }
    const [ann, bob] = pages;
    await ann.keyboard.type("hello");
    await ann.keyboard.press("Enter");
    await bob.getByText("hello").waitFor();
    assert.equal(await bob.getByText("hello").count(), 1);
  } finally {
    await Promise.all(contexts.map((context) => context.close()));
    await program.stop();
  }
}

async function screenshots(directory) {
  mkdirSync(directory, { recursive: true });
  for (const colorScheme of ["light", "dark"]) {
    for (const [shape, viewport] of [["wide", { width: 1100, height: 720 }], ["phone", { width: 390, height: 760 }]]) {
      const settings = { colorScheme, viewport };
      const room = `salmon-${colorScheme}-${shape}`;
      const ann = await openTab("websocket", "Ann", room, settings);
      const bob = await openTab("websocket", "Bob", room, settings);
      await say(ann, "Has anybody seen the river today?");
      await message(bob, "river").waitFor();
      await bob.locator("#picture").setInputFiles({ name: "river.png", mimeType: "image/png", buffer: png(480, 270) });
      await ann.locator("#messages img").waitFor();
      await say(bob, "Very blue, very cold 🐟\nand full of fish");
      await message(ann, "cold").waitFor();
      await bob.locator("#text").pressSequentially("Bring");
      await ann.getByText("Bob is typing…").waitFor();
      await ann.screenshot({ path: join(directory, `${colorScheme}-${shape}.png`) });
      if (shape === "phone") {
        await ann.locator("#menu").click();
        await ann.waitForFunction(() => getComputedStyle(document.getElementById("side")).transform === "none");
        await ann.screenshot({ path: join(directory, `${colorScheme}-phone-rooms.png`) });
      }
      await Promise.all([ann, bob].map((page) => page.context().close()));
    }
  }
}

/** A PNG of waves, with noise so that it does not become tiny. */
function png(width, height) {
  const rows = [];
  for (let y = 0; y < height; y++) {
    const row = Buffer.alloc(1 + width * 3);
    for (let x = 0; x < width; x++) {
      const wave = Math.sin(x / 40 + Math.sin(y / 25) * 2) * 30 + ((x * 7919 + y * 104729) ^ (x * y)) % 16;
      row.set([30 + wave / 2, 110 + wave, 170 + wave], 1 + x * 3);
    }
    rows.push(row);
  }
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(body.length + 8);
    frame.writeUInt32BE(data.length, 0);
    body.copy(frame, 4);
    frame.writeUInt32BE(crc32(body), body.length + 4);
    return frame;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", head),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

const tests = {};
for (const transport of ["polling", "websocket"]) {
  tests[`${transport}: two tabs chat`] = () => chats(transport);
  tests[`${transport}: a picture arrives in the other tab`] = () => sendsPicture(transport);
  tests[`${transport}: a tab whose server restarts comes back`] = () => comesBack(transport);
}
if (!command.includes("{}")) {
  const from = (bundle, settings) => () => connectsFromElsewhere(bundle, settings);
  tests["polling: a page of another origin connects with socket.io-client 2"] = from("client-v2/dist/socket.io.js", {});
  tests["polling: a page of another origin connects with socket.io-client 4"] = from("client-v4/dist/socket.io.js", {});
  tests["polling: a page of another origin connects with socket.io-client 4 and credentials"] = from(
    "client-v4/dist/socket.io.js",
    { withCredentials: true },
  );
}
Object.assign(tests, chatPage({ browser, server, openTab, say, message, online }));
if (!command.includes("{}")) Object.assign(tests, chatCluster({ command, openTab, say, message }));
if (options.first) tests["the first program of the README works in a browser"] = () => worksAsWritten(options.first);
if (options.screenshot) tests["screenshots are taken"] = () => screenshots(options.screenshot);

const failed = await runTests(tests, { filter: options.filter, timeout: 60_000, log: () => server.log });
await browser.close();
await server.stop();
process.exit(failed ? 1 : 0);
