// One room with peers of every transport: socket.io-client over WebSocket and over polling, Sockeye's client on a
// Unix-domain socket and a plain net-socket.io peer on the same:
//
//   node rooms.mjs --sockeye "cargo run --release --"
//
// The server is the demo chat, whose messages go to everybody in a room.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { io } from "client-v4";
import { fail, parseArgs } from "./lib/args.mjs";
import { ServerUnderTest } from "./lib/server.mjs";
import { runTests } from "./lib/tests.mjs";
import { PlainPeer } from "./plain-peer.mjs";

const USAGE = `usage: node rooms.mjs --sockeye CMD

  --sockeye CMD  the sockeye command, which is both the server and one of the clients; also read from the variable
                 SOCKEYE`;

const options = parseArgs(USAGE, { sockeye: String });
const command = options.sockeye ?? process.env.SOCKEYE ?? fail(USAGE);

/** Somebody in the chat: how to ask the server something, and all messages that have come. */
class Member {
  messages = [];
  #woken;

  hear({ text }) {
    this.messages.push(text);
    this.#woken?.();
  }

  /** Waits until a message has come. */
  async has(text) {
    while (!this.messages.includes(text)) await new Promise((woken) => (this.#woken = woken));
  }
}

function official(transport) {
  const member = new Member();
  const socket = io(server.origin, { transports: [transport], forceNew: true });
  socket.on("message", (message) => member.hear(message));
  return Object.assign(member, {
    ask: (...event) => socket.emitWithAck(...event),
    check: () => assert.equal(socket.io.engine.transport.name, transport),
    close: () => socket.close(),
  });
}

/** The client of the command, which takes and says lines of JSON in a pipe. */
function native() {
  const member = new Member();
  const answers = [];
  const child = spawn(`exec ${command} connect '${url}' --dialect native`, { shell: true, stdio: ["pipe", "pipe", "inherit"] });
  process.once("exit", () => child.kill("SIGKILL"));
  const lines = createInterface(child.stdout);
  let transport;
  lines.on("line", (text) => {
    const line = JSON.parse(text);
    if (line.type === "connected") ({ transport } = line);
    else if (line.type === "ack") answers.shift()(line.args[0]);
    else if (line.event === "message") member.hear(line.args[0]);
  });
  return Object.assign(member, {
    ask(event, ...args) {
      child.stdin.write(`${JSON.stringify({ event, args, ack: true })}\n`);
      return new Promise((resolve) => answers.push(resolve));
    },
    check: () => assert.equal(transport, "unix"),
    async close() {
      child.stdin.end();
      assert.deepEqual(await once(child, "exit"), [0, null]);
    },
  });
}

function plain() {
  const member = new Member();
  const answers = new Map();
  const peer = PlainPeer.connect(path, (_, { ack, args }) => answers.get(ack)?.(args[0]));
  peer.on("message", (message) => member.hear(message));
  return Object.assign(member, {
    ask(eventName, ...args) {
      const id = answers.size;
      peer.write({ eventName, args, id });
      return new Promise((resolve) => answers.set(id, resolve));
    },
    check: () => {},
    close: () => peer.stream.destroy(),
  });
}

const dir = mkdtempSync(join(tmpdir(), "sockeye-rooms-"));
const path = join(dir, "app.sock");
const url = `unix:${path}`;
const server = await new ServerUnderTest(`${command} serve --listen '${url}' --listen http://{}`).start();

const tests = {
  async "a message to a room reaches peers of every transport once"() {
    const members = { websocket: official("websocket"), polling: official("polling"), native: native(), plain: plain() };
    const stranger = official("websocket");
    await stranger.ask("join", { name: "stranger", room: "sea" });
    for (const [name, member] of Object.entries(members)) {
      const { room } = await member.ask("join", { name, room: "river" });
      assert.equal(room, "river");
    }
    // Each has its turn, so that each is once the sender and has the others' messages between and behind.
    const texts = Object.keys(members).map((name) => `from ${name}: é 😀`);
    for (const [index, member] of Object.values(members).entries()) {
      const { id } = await member.ask("message", texts[index]);
      assert.equal(typeof id, "number");
    }
    await stranger.ask("message", "elsewhere");
    for (const [name, member] of Object.entries(members)) {
      await member.has(texts.at(-1));
      // The answer to this comes behind everything that was sent to the member before.
      await member.ask("picture", 0);
      assert.deepEqual(member.messages, texts, name);
      member.check();
    }
    assert.deepEqual(stranger.messages, ["elsewhere"]);
    for (const member of [...Object.values(members), stranger]) await member.close();
  },
};

const failed = await runTests(tests, { timeout: 20_000, log: () => server.log });
await server.stop();
rmSync(dir, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
