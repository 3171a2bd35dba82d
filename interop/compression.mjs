// Compression as real peers negotiate it: npm's `ws`, socket.io-client, HTTP clients and, if there is one, Chromium.
//
//   node compression.mjs --server target/release/examples/conformance --echo target/release/examples/ws_echo

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { get } from "node:http";
import { createDeflateRaw, gunzipSync, inflateSync, brotliDecompressSync } from "node:zlib";
import { randomBytes } from "node:crypto";
import { chromium } from "playwright-core";
import { io } from "client-v4";
import { parseArgs } from "./lib/args.mjs";
import { HOST, PATIENT, ServerUnderTest } from "./lib/server.mjs";
import { runTests } from "./lib/tests.mjs";
import { Peer, Wire } from "./lib/wire.mjs";

const USAGE = `usage: node compression.mjs --server CMD --echo CMD [--chromium PATH] [--filter TEXT]

  --server CMD      command that serves the conformance contract; HOST:PORT, --engine, --deflate and
                    --http-compression are added to it
  --echo CMD        command of a WebSocket server that echoes every message, up to 64 MiB; HOST:PORT and
                    --deflate or --deflate-takeover are added to it
  --chromium PATH   a browser; without one it is left out
  --filter TEXT     only tests whose name holds TEXT`;

const options = parseArgs(USAGE, { server: String, echo: String, chromium: String, filter: String });
if (!options.server || !options.echo) {
  console.error(USAGE);
  process.exit(2);
}

const MiB = 1024 * 1024;
const echo = await new ServerUnderTest(options.echo, ["--deflate"]).start();
const takeover = await new ServerUnderTest(options.echo, ["--deflate-takeover"]).start();
const engine = await new ServerUnderTest(options.server, [...PATIENT, "--engine", "--deflate", "--http-compression"]).start();
const sockets = await new ServerUnderTest(options.server, [...PATIENT, "--deflate", "--http-compression"]).start();
const plain = await new ServerUnderTest(options.server, [...PATIENT, "--engine"]).start();

/** A kibibyte of JSON as applications send it; no two are alike. */
function entries(seed) {
  const words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"];
  const list = [];
  for (let id = seed * 100; JSON.stringify(list).length < 1010; id += 1) {
    const text = [3, 5, 7].map((step) => words[(id * step) % 8]).join(" ");
    list.push({ id, user: `user-${(id * 7919) % 1000}`, text, at: 1764369000000 + id * 977, read: id % 3 === 0 });
  }
  return list;
}

/** A message of `ws` that holds only zeros, and is no larger than `most` bytes when compressed. */
async function bomb(size) {
  const zeros = Buffer.alloc(MiB);
  const deflate = createDeflateRaw({ level: 9 });
  const pieces = [];
  deflate.on("data", (piece) => pieces.push(piece));
  for (let left = size; left > 0; left -= MiB) {
    if (!deflate.write(zeros)) await new Promise((resolve) => deflate.once("drain", resolve));
  }
  await new Promise((resolve) => deflate.flush(resolve));
  await new Promise(setImmediate);
  const data = Buffer.concat(pieces);
  return data.subarray(0, data.lastIndexOf(Buffer.from([0, 0, 255, 255])));
}

/** Sends bytes as a frame that says that they are compressed. */
function sendCompressed(peer, data) {
  const head = Buffer.alloc(data.length < 126 ? 6 : 14);
  head[0] = 0xc2;
  head[1] = 0x80 | (data.length < 126 ? data.length : 127);
  if (data.length >= 126) head.writeBigUInt64BE(BigInt(data.length), 2);
  // A key of zeros changes nothing.
  peer.ws._socket.write(head);
  peer.ws._socket.write(data);
}

/** What both ends have agreed on; undefined if nothing. */
const agreed = (ws) => ws._extensions["permessage-deflate"] && { ...ws._extensions["permessage-deflate"].params };

/** The most memory that a server ever had, in bytes; undefined where there is no /proc. */
function peak(server) {
  // The shell's only child.
  const children = `/proc/${server.child.pid}/task/${server.child.pid}/children`;
  const [child] = existsSync(children) ? readFileSync(children, "utf8").split(" ").filter(Boolean) : [];
  const status = `/proc/${child ?? server.child.pid}/status`;
  if (!existsSync(status)) return undefined;
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(status, "utf8"))[1]) * 1024;
}

async function echoes(server, perMessageDeflate, expected) {
  const one = new Peer(`ws://${HOST}:${server.port}/`, { perMessageDeflate, maxPayload: 100 * MiB });
  await one.opened;
  assert.deepEqual(agreed(one.ws), expected);
  const messages = [
    "",
    "x",
    "née 👋🏽 ".repeat(200),
    JSON.stringify(entries(1)),
    JSON.stringify(entries(2)),
    "a".repeat(100_000),
    randomBytes(70_000),
    Buffer.alloc(0),
    Buffer.alloc(3 * MiB, 7),
    randomBytes(500_000).toString("base64"),
    JSON.stringify(entries(1)),
  ];
  one.send(...messages);
  for (const message of messages) {
    const back = await one.next();
    assert.equal(typeof back, typeof message);
    assert.equal(Buffer.compare(Buffer.from(back), Buffer.from(message)), 0, `${message.length} bytes came back changed`);
  }
  const text = "fragments of a text ".repeat(500);
  one.ws.send(text.slice(0, 100), { fin: false });
  one.ws.send(text.slice(100, 5000), { fin: false });
  one.ws.ping();
  one.ws.send(text.slice(5000), { fin: true });
  assert.equal(await one.next(), text);
  one.ws.send("sent as it is", { compress: false });
  assert.equal(await one.next(), "sent as it is");
  one.ws.close();
  await one.closed;
}

const NEITHER = { server_no_context_takeover: true, client_no_context_takeover: true };

/** The answer to a GET as it came. */
function fetchRaw(url, accept) {
  return new Promise((resolve, reject) => {
    const headers = accept ? { "accept-encoding": accept } : {};
    get(url, { headers }, async (response) => {
      const pieces = [];
      for await (const piece of response) pieces.push(piece);
      resolve({ coding: response.headers["content-encoding"], bytes: Buffer.concat(pieces) });
    }).on("error", reject);
  });
}

const tests = {
  "ws, as it is": () => echoes(echo, true, NEITHER),
  "ws, every message": () => echoes(echo, { threshold: 0 }, NEITHER),
  "ws, a small window of the server": () =>
    echoes(echo, { serverMaxWindowBits: 9, threshold: 0 }, { ...NEITHER, server_max_window_bits: 9 }),
  "ws, small windows": () =>
    echoes(
      echo,
      { serverMaxWindowBits: 10, clientMaxWindowBits: 9, threshold: 0 },
      { ...NEITHER, server_max_window_bits: 10, client_max_window_bits: 9 },
    ),
  "ws, with context takeover": () => echoes(takeover, { threshold: 0 }, {}),
  "ws, with context takeover one way": () =>
    echoes(takeover, { serverNoContextTakeover: true, threshold: 0 }, { server_no_context_takeover: true }),
  "ws, with context takeover and a small window": () =>
    echoes(takeover, { serverMaxWindowBits: 9, threshold: 0 }, { server_max_window_bits: 9 }),
  "ws, without": () => echoes(echo, false, undefined),
  "ws, and a server that has it switched off": async () => {
    const one = await new Wire(plain, "/engine.io/", 4).wsSession();
    assert.equal(agreed(one.ws), undefined);
    one.send(`4${"a".repeat(5000)}`);
    assert.equal((await one.message()).length, 5001);
    one.close();
  },

  async "a bomb of 1 GiB in 1 MB, past 64 MiB"() {
    const data = await bomb(1024 * MiB);
    assert.ok(data.length < 1.1 * MiB);
    const before = peak(echo);
    const one = new Peer(`ws://${HOST}:${echo.port}/`, { perMessageDeflate: true });
    await one.opened;
    sendCompressed(one, data);
    assert.equal(await one.end(20_000), 1009);
    if (before) console.log(`    peak memory ${(before / MiB).toFixed(1)} MiB before, ${(peak(echo) / MiB).toFixed(1)} MiB after`);
  },

  async "a bomb past a megabyte, and another session"() {
    const other = await new Wire(engine, "/engine.io/", 4).wsSession();
    const data = await bomb(900 * MiB);
    assert.ok(data.length < 1_000_000);
    const before = peak(engine);
    const one = await new Wire(engine, "/engine.io/", 4).wsSession();
    sendCompressed(one, data);
    assert.equal(await one.end(10_000), 1009);
    if (before) {
      const after = peak(engine);
      console.log(`    peak memory ${(before / MiB).toFixed(1)} MiB before, ${(after / MiB).toFixed(1)} MiB after`);
      // The message, what came of it, and a decompressor.
      assert.ok(after - before < 4 * MiB, `${after - before} bytes for it`);
    }
    other.close();
  },

  async "what is in no deflate format"() {
    const one = await new Wire(engine, "/engine.io/", 4).wsSession();
    sendCompressed(one, Buffer.from([0xff, 0xff, 0xff, 0xff]));
    assert.equal(await one.end(), 1007);
  },

  async "socket.io-client, and what a kibibyte of JSON takes"() {
    const socket = io(`http://${HOST}:${sockets.port}`, { transports: ["websocket"], forceNew: true, reconnection: false });
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject));
    const { ws } = socket.io.engine.transport;
    assert.deepEqual(agreed(ws), NEITHER);
    let [sent, came, bytes] = [0, 0, 0];
    for (let round = 0; round < 20; round += 1) {
      const list = entries(round);
      const [read, written] = [ws._socket.bytesRead, ws._socket.bytesWritten];
      const back = new Promise((resolve) => socket.once("message-back", resolve));
      socket.emit("message", list);
      assert.deepEqual(await back, list);
      sent += ws._socket.bytesWritten - written;
      came += ws._socket.bytesRead - read;
      bytes += JSON.stringify(["message-back", list]).length + 6;
    }
    console.log(`    of plain frames: ${(came / bytes).toFixed(3)} from the server, ${(sent / bytes).toFixed(3)} to it`);
    assert.ok(came / bytes <= 0.45);
    socket.close();
  },

  async "socket.io-client, moving from polling to WebSocket"() {
    const socket = io(`http://${HOST}:${sockets.port}`, { forceNew: true, reconnection: false });
    for (let round = 0; round < 30; round += 1) {
      const list = entries(round);
      const back = new Promise((resolve) => socket.once("message-back", resolve));
      socket.emit("message", list);
      assert.deepEqual(await back, list);
    }
    socket.close();
  },

  async "answers to polls, by what the client takes"() {
    const wire = new Wire(engine, "/engine.io/", 4);
    const text = `4${JSON.stringify(entries(3))}${"x".repeat(200)}`;
    for (const [accept, coding, decode] of [
      ["gzip, deflate", "gzip", gunzipSync],
      ["deflate", "deflate", inflateSync],
      ["gzip;q=0.2, deflate;q=0.5", "deflate", inflateSync],
      ["gzip;q=0, identity", undefined, (bytes) => bytes],
      [undefined, undefined, (bytes) => bytes],
      ["br", undefined, (bytes) => bytes],
    ]) {
      const sid = await wire.session();
      await wire.post({ sid }, text);
      const answer = await fetchRaw(wire.url({ sid }), accept);
      if (accept === "br" && answer.coding === "br") {
        assert.equal(messages(brotliDecompressSync(answer.bytes)), text);
        continue;
      }
      assert.equal(answer.coding, coding, accept);
      assert.equal(messages(decode(answer.bytes)), text);
    }
    // The platform's own client.
    const sid = await wire.session();
    await wire.post({ sid }, text);
    const response = await wire.get({ sid });
    assert.equal(messages(response.text), text);
    assert.match(response.headers.get("content-encoding"), /^(gzip|br)$/);
  },
};

/** A payload without the ping that may have been due by then. */
function messages(payload) {
  return String(payload).replace(/^2\x1e|\x1e2$/, "");
}

const browser =
  options.chromium &&
  (await chromium.launch({ executablePath: options.chromium, headless: true, args: ["--no-sandbox", "--disable-gpu"] }));
if (browser) {
  tests["Chromium"] = async () => {
    const page = await browser.newPage();
    const text = `4${JSON.stringify(entries(5)).repeat(3)}`;
    const seen = await page.evaluate(
      async ({ ws, polling, text }) => {
        const socket = new WebSocket(ws);
        const next = () => new Promise((resolve) => (socket.onmessage = (event) => resolve(event.data)));
        await next();
        socket.send(text);
        let back = "2";
        while (back === "2") back = await next();
        const { extensions } = socket;
        socket.close();
        // Polling as well, from a page of another origin.
        const open = await (await fetch(polling)).text();
        const url = `${polling}&sid=${JSON.parse(open.slice(1)).sid}`;
        await fetch(url, { method: "POST", body: text });
        return { extensions, back, polled: await (await fetch(url)).text() };
      },
      {
        ws: `ws://${HOST}:${engine.port}/engine.io/?EIO=4&transport=websocket`,
        polling: `http://${HOST}:${engine.port}/engine.io/?EIO=4&transport=polling`,
        text,
      },
    );
    await page.close();
    const answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert.deepEqual(seen, { extensions: answer, back: text, polled: text });
  };
} else {
  console.log("Chromium is left out: --chromium is not given");
}

const servers = [echo, takeover, engine, sockets, plain];
const failed = await runTests(tests, {
  filter: options.filter,
  timeout: 30_000,
  log: () => servers.map((server) => server.log).join(""),
});
await browser?.close?.();
await Promise.all(servers.map((server) => server.stop()));
process.exit(failed ? 1 : 0);
