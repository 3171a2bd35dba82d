// Connection state recovery: a client whose network is cut while events go to its room. It is the original one and, with
// --sockeye, Sockeye's own.
//
//   node recovery.mjs --server "cargo run --release --example conformance --" --sockeye "cargo run --release --"
//
// The server may be the original one as well: `--server "node servers/node.js 4"`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { io } from "client-v4";
import { fail, parseArgs } from "./lib/args.mjs";
import { HOST, ServerUnderTest } from "./lib/server.mjs";
import { runTests } from "./lib/tests.mjs";

const USAGE = `usage: node recovery.mjs --server CMD [--sockeye CMD] [--filter TEXT]

  --server CMD   command that serves the conformance contract with --recovery; HOST:PORT is added to it
                 (or put in place of {}). Also read from the variable SERVER.
  --sockeye CMD  the sockeye command, which is one of the clients`;

const options = parseArgs(USAGE, { server: String, sockeye: String, filter: String });
const command = options.server ?? process.env.SERVER ?? fail(USAGE);

const EVENTS = 1_000;
const CUT = 5_000;

/** A network between a client and a server, which can be cut. */
class Network {
  #streams = new Set();
  #cut = false;

  async start(port) {
    this.server = createServer((near) => {
      if (this.#cut) return near.destroy();
      const far = connect(port, HOST);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ]) {
        this.#streams.add(from);
        from.on("data", (chunk) => this.#cut || to.write(chunk));
        from.on("close", () => this.#streams.delete(from) && (this.#cut || to.destroy()));
        from.on("error", () => {});
      }
    });
    this.server.listen(0, HOST);
    await once(this.server, "listening");
    this.url = `http://${HOST}:${this.server.address().port}`;
    return this;
  }

  /** Cuts it: both ends are told, or neither is and what they say is lost. */
  cut(tell) {
    this.#cut = true;
    if (tell) for (const stream of this.#streams) stream.destroy();
  }

  mend() {
    for (const stream of this.#streams) stream.destroy();
    this.#cut = false;
  }

  stop() {
    for (const stream of this.#streams) stream.destroy();
    this.server.close();
  }
}

/** socket.io-client. */
function official(...transports) {
  return (url) => {
    const client = { heard: [], stays: [] };
    const socket = io(url, { transports, reconnectionDelay: 50, reconnectionDelayMax: 200, forceNew: true });
    socket.on("connect", () => client.stays.push({ id: socket.id, recovered: socket.recovered === true }));
    socket.on("to-room", (n) => client.heard.push(n));
    client.join = (room) => socket.emitWithAck("join", room);
    client.close = () => socket.close();
    return client;
  };
}

/** Sockeye's client, as its command shows it. */
function own(url) {
  const client = { heard: [], stays: [] };
  const child = spawn(`exec ${options.sockeye} connect ${url}`, { shell: true, stdio: ["pipe", "pipe", "ignore"] });
  const joined = [];
  createInterface({ input: child.stdout }).on("line", (text) => {
    const line = JSON.parse(text);
    if (line.type === "connected") client.stays.push(line);
    if (line.type === "event" && line.event === "to-room") client.heard.push(line.args[0]);
    if (line.type === "ack") joined.shift()?.();
  });
  client.join = (room) => {
    child.stdin.write(`${JSON.stringify({ event: "join", args: [room], ack: true })}\n`);
    return new Promise((resolve) => joined.push(resolve));
  };
  client.close = () => child.kill();
  return client;
}

/** A client in a room behind a network, and one that emits to that room. */
async function scene(flags, start, work) {
  const server = await new ServerUnderTest(command, ["--recovery", ...flags]).start();
  const network = await new Network().start(server.port);
  const client = start(network.url);
  const emitter = io(server.origin, { transports: ["websocket"], forceNew: true });
  client.connected = (times) => until(() => client.stays.length >= times, () => `connected ${client.stays.length} times`);
  try {
    await Promise.all([client.connected(1), once(emitter, "connect")]);
    await client.join("room");
    await work({ client, network, emit: (n) => emitter.emitWithAck("to-room", "room", n) });
  } finally {
    client.close();
    emitter.close();
    network.stop();
    await server.stop();
  }
}

async function until(condition, what) {
  for (const end = Date.now() + 15_000; Date.now() < end; await sleep(20)) if (condition()) return;
  assert.fail(what());
}

const range = (end) => [...Array(end).keys()];

/** All events of the time of the cut arrive once and in order, and the socket is the same. */
function missed(start, tell) {
  return () =>
    scene([], start, async ({ client, network, emit }) => {
      const { heard, stays } = client;
      await emit(0);
      await until(() => heard.length === 1, () => "the first event has not come");
      const cut = Date.now();
      network.cut(tell);
      for (const n of range(EVENTS).slice(1)) await emit(n);
      await sleep(Math.max(0, cut + CUT - Date.now()));
      network.mend();
      await client.connected(2);
      assert.equal(stays[1].recovered, true);
      assert.equal(stays[1].id, stays[0].id);
      await emit(EVENTS);
      await until(() => heard.length > EVENTS, () => `${heard.length} of ${EVENTS + 1} events have come`);
      await sleep(100);
      // The command shows events by handlers that wait for its output, which a burst may put in another order.
      if (start === own) heard.sort((a, b) => a - b);
      assert.deepEqual(heard, range(EVENTS + 1));
    });
}

function late(start) {
  return () =>
    scene(["--max-disconnection", "300"], start, async ({ client, network, emit }) => {
      const { heard, stays } = client;
      await emit(0);
      await until(() => heard.length === 1, () => "the first event has not come");
      network.cut(true);
      await emit(1);
      await sleep(1500);
      network.mend();
      await client.connected(2);
      assert.equal(stays[1].recovered, false);
      assert.notEqual(stays[1].id, stays[0].id);
      // It is in no room any more.
      await emit(2);
      await client.join("room");
      await emit(3);
      await until(() => heard.length === 2, () => `heard ${heard}`);
      assert.deepEqual(heard, [0, 3]);
    });
}

function often(start) {
  return () =>
    scene([], start, async ({ client, network, emit }) => {
      const { heard, stays } = client;
      for (const round of range(4)) {
        await emit(2 * round);
        await until(() => heard.length === 2 * round + 1, () => `heard ${heard}`);
        network.cut(true);
        await emit(2 * round + 1);
        network.mend();
        await client.connected(round + 2);
        assert.equal(stays.at(-1).recovered, true);
      }
      await until(() => heard.length === 8, () => `heard ${heard}`);
      assert.deepEqual(heard, range(8));
    });
}

const tests = {
  "missed events come over a websocket": missed(official("websocket"), true),
  "missed events come over polling": missed(official("polling"), true),
  "missed events come when nobody was told of the cut": missed(official("websocket"), false),
  "past the limit it is a clean new session": late(official("websocket")),
  "a socket is recovered again and again": often(official("websocket")),
};
if (options.sockeye) {
  Object.assign(tests, {
    "missed events come to sockeye": missed(own, true),
    "missed events come to sockeye when nobody was told of the cut": missed(own, false),
    "past the limit it is a clean new session for sockeye": late(own),
    "sockeye is recovered again and again": often(own),
  });
}

process.exit((await runTests(tests, { filter: options.filter, timeout: 40_000 })) ? 1 : 0);
