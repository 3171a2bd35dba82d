// What the `client_probe` example does, done by the original clients and the plain peer:
//
//   node reference-probe.mjs URL [--transport polling|websocket|upgrade] [--protocol auto|3|4] [--parser msgpack|json]
//     [--reconnect]
//
// The original cannot find out what a server speaks; the variable SERVER_GENERATION tells which of them to take.

import assert from "node:assert/strict";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { Bench } from "./lib/bench.mjs";
import { CASES } from "./lib/cases.mjs";
import { CLIENTS } from "./lib/clients.mjs";
import { PlainPeer } from "./plain-peer.mjs";

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: {
    transport: { type: "string", default: "upgrade" },
    protocol: { type: "string", default: "auto" },
    parser: { type: "string" },
    reconnect: { type: "boolean", default: false },
  },
});
const url = new URL(positionals[0]);
let failed = 0;
if (url.protocol === "unix:") await plain(url.pathname);
else if (url.protocol === "tcp:") await plain(Number(url.port));
else await matrix(url.origin);
process.exit(failed ? 1 : 0);

async function matrix(origin) {
  const generation = Number(process.env.SERVER_GENERATION ?? 4);
  const { load } = Object.values(CLIENTS).find((client) => client.generation === generation);
  const client = await load(options.parser);
  for (const [name, run] of Object.entries(CASES)) {
    // Namespaces on demand are the server's affair: `client_probe` does not ask for them, nor has every server some.
    if (name.startsWith("on-demand")) continue;
    // As known.mjs has it of the other end.
    if (options.parser === "msgpack" && ["values", "odd values"].includes(name)) continue;
    // Who started the server has to restart it.
    if (name === "reconnect" && !options.reconnect) continue;
    const bench = new Bench({ client, generation, transport: options.transport, parser: options.parser, origin, restartServer });
    await attempt(name, async () => {
      await run(bench);
      await bench.finish();
    });
    bench.close();
  }
}

async function restartServer() {
  console.log("restart");
  await once(process.stdin, "data");
  process.stdin.pause();
}

/** The cases of suites/lines-client.mjs. */
async function plain(target) {
  const peer = PlainPeer.connect(target);
  const next = (eventName) => new Promise((resolve) => peer.on(eventName, (...args) => resolve(args)));
  const auth = next("auth");
  await attempt("auth", async () => assert.deepEqual(await auth, [{}]));
  for (const [name, ...args] of [
    ["message"],
    ["message", null, true, -1, 1.5, "", [[]], { a: 1 }],
    ["message", "\u{1f600}"],
    ["message", "x".repeat(900_000)],
    ["", 1],
  ]) {
    await attempt(JSON.stringify([name, ...args]).slice(0, 60), async () => {
      const back = next(name && "message-back");
      // The plain peer does not escape; a client that this suite is content with has to.
      const text = JSON.stringify(args.length ? { eventName: name, args } : { eventName: name });
      const ascii = text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
      peer.stream.write(`${ascii}\r\n`);
      assert.deepEqual(await back, args);
    });
  }
}

async function attempt(name, run) {
  let timer;
  try {
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("no end after 8000 ms")), 8000);
    });
    await Promise.race([run(), late]);
    console.log(`✓ ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`✗ ${name}\n    ${error.stack}`);
  } finally {
    clearTimeout(timer);
  }
}
