// A plain server, and a client that is a program. The server's side of the contract:
//
// * on connection it emits `auth` with an empty object, as a server without handshakes would;
// * `message` is answered by `message-back`, and the event with the empty name by itself, with the same arguments;
// * `disconnect-me` ends the connection.
//
// The program has to emit all that WANTED lists, to compare what comes back, and to end with 0 if it was the same.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { PlainServer } from "../plain-peer.mjs";

/** What must have come from the client, and how to know it. */
const WANTED = {
  "no arguments": ({ eventName, args }) => eventName === "message" && args === undefined,
  "several arguments": ({ args }) => args?.length > 1,
  "null": holds((value) => value === null),
  "a boolean": holds((value) => typeof value === "boolean"),
  "a negative number": holds((value) => value < 0),
  "a fraction": holds((value) => typeof value === "number" && !Number.isInteger(value)),
  "an empty text": holds((value) => value === ""),
  "an array in an array": holds((value) => Array.isArray(value) && value.some(Array.isArray)),
  "an object": holds((value) => value !== null && typeof value === "object" && !Array.isArray(value)),
  "an emoji": holds((value) => typeof value === "string" && /\p{Emoji_Presentation}/u.test(value)),
  // What a line may hold by default, 10^6 bytes, is a little more than the text in it.
  "a megabyte": holds((value) => typeof value === "string" && value.length >= 900_000),
  "the empty name": ({ eventName }) => eventName === "",
};

/** Lines that are no events, and some that are no good ones; a client neither minds nor heeds them. */
const ODD = [
  "\r\n",
  "no JSON\r\n",
  "null\r\n",
  "[1]\r\n",
  "{}\r\n",
  '{"args":[1]}\r\n',
  '{"eventName":7}\r\n',
  ...["error", "close", "ready", "connect", "disconnect", "data"].map((name) => `{"eventName":"${name}"}\r\n`),
  '{"eventName":"nobody listens","args":{"not":"an array"}}\r\n',
  '{"eventName":"nobody listens","of":"more keys"}\n',
];

export function clientTests(command, dir) {
  const unix = async (server) => `unix:${await server.listen(join(dir, "plain.sock"))}`;
  const tcp = async (server) => `tcp://127.0.0.1:${(await server.listen(0)).port}`;
  return {
    ...runTests("unix", command, unix, greet),
    ...runTests("tcp", command, tcp, greet),
    ...runTests("tcp, odd lines", command, tcp, greetOddly),
  };
}

function runTests(name, command, listen, greeting) {
  const lines = [];
  const objects = [];
  const tests = {
    async "the client is content"() {
      const server = new PlainServer(
        (peer) => {
          answer(peer);
          greeting(peer);
        },
        (line, object) => {
          lines.push(line);
          objects.push(object);
        },
      );
      const url = await listen(server);
      try {
        await succeeds(command.includes("{}") ? command.replaceAll("{}", url) : `${command} ${url}`);
      } finally {
        server.close();
      }
    },

    "it has emitted every kind of event"() {
      const missing = Object.keys(WANTED).filter((kind) => !objects.some((object) => object && WANTED[kind](object)));
      assert.deepEqual(missing, []);
    },

    "its lines keep to the byte rules"() {
      assert.notEqual(lines.length, 0);
      for (const line of lines) assert.match(line, /^\{"eventName":"[\x20-\x7e]*\}\r$/, "ASCII, and CR LF at the end");
      for (const { eventName, args, ...others } of objects) {
        assert.equal(typeof eventName, "string");
        assert.ok(args === undefined || (Array.isArray(args) && args.length > 0), "no arguments are no args");
        // A number under `id` asks for an acknowledgement; a plain peer never gives one.
        assert.deepEqual(Object.keys(others).filter((key) => key !== "id"), []);
      }
    },
  };
  return Object.fromEntries(Object.entries(tests).map(([test, run]) => [`${name}: ${test}`, run]));
}

function answer(peer) {
  peer.on("message", (...args) => peer.emit("message-back", ...args));
  peer.on("", (...args) => peer.emit("", ...args));
  peer.on("disconnect-me", () => peer.stream.end());
}

function greet(peer) {
  peer.emit("auth", {});
}

/** The same greeting with spaces before it and a bare LF after it, in two pieces cut within a character. */
function greetOddly({ stream }) {
  for (const line of ODD) stream.write(line);
  const bytes = Buffer.from('  {"eventName":"auth","key":"😀","args":[{}]}\n');
  const half = bytes.indexOf(0xf0) + 2;
  stream.setNoDelay().write(bytes.subarray(0, half), () => setImmediate(() => stream.write(bytes.subarray(half))));
}

/** Whether an argument, or something in it, passes the test. */
function holds(test) {
  const within = (value) =>
    test(value) || (value !== null && typeof value === "object" && Object.values(value).some(within));
  return ({ args }) => args?.some(within) ?? false;
}

/** Runs a command, and tells what it said if it fails. */
async function succeeds(command) {
  // The shell gives way to the program, so that this gets the signals.
  const child = spawn(`exec ${command}`, { shell: true, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output = (output + chunk).slice(-4000)));
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const timer = setTimeout(kill, 15_000);
  const [code, signal] = await once(child, "close");
  clearTimeout(timer);
  process.removeListener("exit", kill);
  assert.equal(code, 0, `the client ended with ${code ?? signal}:\n${output}`);
}
