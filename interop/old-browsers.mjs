// The builds for browsers of old clients, in Chromium: what only their XMLHttpRequest and their scripts and forms ask for.
//
//   node old-browsers.mjs --server target/debug/examples/conformance [--chromium PATH]

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { parseArgs } from "./lib/args.mjs";
import { PATIENT, ServerUnderTest } from "./lib/server.mjs";
import { runTests } from "./lib/tests.mjs";

const USAGE = `usage: node old-browsers.mjs --server CMD [--chromium PATH] [--filter TEXT]

  --server CMD      command that serves the conformance contract; HOST:PORT, --ping-timeout, --jsonp,
                    --merge and --counted-acks are added to it
  --chromium PATH   the browser (default /usr/bin/chromium, or the variable CHROMIUM)
  --filter TEXT     only tests whose name holds TEXT`;

const options = parseArgs(USAGE, { server: String, chromium: String, filter: String });
const command = options.server ?? process.env.SERVER;
const executablePath = options.chromium ?? process.env.CHROMIUM ?? "/usr/bin/chromium";
if (!command) {
  console.error(USAGE);
  process.exit(2);
}
if (!existsSync(executablePath)) {
  console.log(`left out: no browser at ${executablePath}`);
  process.exit(0);
}

const require = createRequire(import.meta.url);
const folder = (name) => require.resolve(`${name}/package.json`).replace(/package\.json$/, "");

/** Version → its build for browsers, and which options the server needs for it. */
const BUILDS = {
  "1.0.2": { script: `${folder("client-v1.0.2")}socket.io.js`, flags: ["--counted-acks"] },
  "1.0.6": { script: `${folder("client-v1.0.6")}socket.io.js` },
  "1.3.7": { script: `${folder("client-v1.3.7")}socket.io.js` },
  "1.7.4": { script: `${folder("client-v1")}dist/socket.io.js` },
  "2.5.0": { script: `${folder("client-v2")}dist/socket.io.js` },
};

/** What the client is told → what its requests show. */
const WAYS = {
  polling: { transports: ["polling"] },
  "polling in base64": { transports: ["polling"], forceBase64: true },
  scripts: { transports: ["polling"], forceJSONP: true },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
  "scripts, then upgrade": { transports: ["polling", "websocket"], forceJSONP: true },
};

const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});

/** A page of the server's own origin that has the script in it. */
async function open(server, script) {
  const page = await (await browser.newContext()).newPage();
  page.requests = [];
  page.on("request", (request) => page.requests.push(request));
  page.on("websocket", (socket) => page.requests.push({ url: () => socket.url() }));
  // An error, but a page.
  await page.goto(`${server.origin}/socket.io/`);
  await page.addScriptTag({ path: script });
  return page;
}

/** What a client does with the contract of the conformance server, in the page. */
async function talk(options) {
  const socket = window.io(location.origin, { forceNew: true, reconnection: false, ...options });
  const lost = new Promise((_, reject) => {
    socket.on("disconnect", (reason) => reject(new Error(`disconnected: ${reason}`)));
  });
  const next = (target, event) =>
    new Promise((resolve, reject) => {
      target.on(event, (...args) => resolve(args));
      for (const failure of ["connect_error", "error"]) target.on(failure, (error) => reject(new Error(String(error))));
    });
  const call = (target, ...args) => new Promise((resolve) => target.emit(...args, (...answer) => resolve(answer)));
  const bytes = (buffer) => Array.from(new Uint8Array(buffer));
  const work = async () => {
    const found = {};
    await next(socket, "connect");
    const texts = ["plain", "é € ß", "日本語 😀 𝒳", 'quote " back \\ slash \\n \\\\n', "\u2028\u2029\n\r\t", "</script>", ""];
    const back = next(socket, "message-back");
    socket.emit("message", ...texts);
    found.texts = JSON.stringify(await back) === JSON.stringify(texts);
    const data = new Uint8Array([0, 1, 30, 98, 52, 255]).buffer;
    const [echo, deep] = await call(socket, "message-with-ack", data, { deep: [data] });
    found.binary = [bytes(echo), bytes(deep.deep[0])];
    const asked = new Promise((resolve) => socket.once("emit-with-ack", (...args) => resolve(args)));
    socket.emit("emit-with-ack", "é");
    const ack = (await asked).pop();
    const answered = new Promise((resolve) => socket.once("emit-with-ack", (...args) => resolve(args)));
    ack("ja ü");
    found.ack = await answered;
    const custom = socket.io.socket("/custom");
    await next(custom, "connect");
    found.custom = await call(custom, "message-with-ack", "in a namespace");
    const large = "x é ".repeat(20_000);
    found.large = (await call(socket, "message-with-ack", large))[0] === large;
    const wanted = options.transports.at(-1);
    while (socket.io.engine.transport.name !== wanted) await new Promise((resolve) => setTimeout(resolve, 5));
    found.after = await call(socket, "message-with-ack", "settled ü");
    // Some heartbeats.
    await new Promise((resolve) => setTimeout(resolve, 700));
    found.alive = await call(socket, "message-with-ack", "alive");
    return found;
  };
  return Promise.race([work(), lost]).finally(() => socket.disconnect());
}

const tests = {};
const logs = [];
for (const [version, { script, flags = [] }] of Object.entries(BUILDS)) {
  for (const [way, settings] of Object.entries(WAYS)) {
    for (const merge of way === "scripts" ? [[], ["--merge"]] : [[]]) {
      tests[[version, way, ...merge].join(" ")] = async () => {
        const server = await new ServerUnderTest(command, [...PATIENT, "--jsonp", ...flags, ...merge]).start();
        logs.push(server);
        const page = await open(server, script);
        try {
          const data = [0, 1, 30, 98, 52, 255];
          assert.deepEqual(await page.evaluate(talk, settings), {
            texts: true,
            binary: [data, data],
            ack: ["ja ü"],
            custom: ["in a namespace"],
            large: true,
            after: ["settled ü"],
            alive: ["alive"],
          });
          const urls = page.requests.map((request) => request.url());
          const ours = urls.filter((url) => url.includes("transport="));
          const scripts = ours.filter((url) => url.includes("&j="));
          assert.equal(scripts.length > 0, settings.forceJSONP ?? false, "scripts");
          if (version.startsWith("1.0.")) assert.ok(ours.every((url) => url.includes("EIO=2")), "Engine.IO 2");
        } finally {
          await page.context().close();
          await server.stop();
        }
      };
    }
  }
}

const failed = await runTests(tests, { filter: options.filter, timeout: 20_000, log: () => logs.at(-1)?.log });
await browser.close();
process.exit(failed > 0 ? 1 : 0);
