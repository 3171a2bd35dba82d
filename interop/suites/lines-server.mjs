// A server with the contract of the `conformance` example, and plain peers beside a WebSocket client.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { io } from "client-v4";
import { freePort } from "../lib/server.mjs";
import { PlainPeer } from "../plain-peer.mjs";

/** Starts the server with listeners at `path` and on TCP. The tests are to run in their order. */
export async function startServer(command, path) {
  const [http, tcp] = [await freePort(), await freePort()];
  const listen = `--listen unix:${path} --listen tcp://127.0.0.1:${tcp}`;
  // The shell gives way to the server, so that this gets the signals.
  const child = spawn(`exec ${command} 127.0.0.1:${http} ${listen}`, { shell: true, stdio: ["ignore", "pipe", "inherit"] });
  process.once("exit", () => child.kill("SIGKILL"));
  while (!existsSync(path)) await once(child.stdout, "data");

  const tests = {
    ...peerTests("unix", path),
    ...peerTests("tcp", tcp),

    async "a client over WebSocket is served beside them"() {
      const socket = io(`http://127.0.0.1:${http}`, { transports: ["websocket"] });
      socket.emit("message", "x");
      assert.deepEqual(await once(socket, "message-back"), ["x"]);
      socket.close();
    },

    async "the socket file goes with the server"() {
      child.kill("SIGINT");
      await once(child, "exit");
      assert.equal(existsSync(path), false);
    },
  };
  return { tests, stop: () => child.kill("SIGKILL") };
}

/** The tests of one kind of stream share a connection. */
function peerTests(name, target) {
  const inbox = new Inbox();
  let peer;

  const tests = {
    async "a message comes back with the same arguments"() {
      peer = PlainPeer.connect(target, inbox.watch);
      const args = [1, null, { a: ["é", "😀"] }, "", [[]], -1.5, true];
      peer.emit("message", ...args);
      assert.deepEqual(await inbox.next(), { eventName: "auth", args: [{}] });
      assert.deepEqual(await inbox.next(), { eventName: "message-back", args });
    },

    async "no arguments are no args"() {
      peer.emit("message");
      assert.deepEqual(await inbox.next(), { eventName: "message-back" });
    },

    async "a megabyte"() {
      const text = "é".repeat(400_000);
      peer.emit("message", text);
      assert.equal((await inbox.next()).args[0], text);
    },

    async "an id is acknowledged"() {
      peer.write({ eventName: "message-with-ack", args: ["a", 2], id: 41 });
      assert.deepEqual(await inbox.next(), { ack: 41, args: ["a", 2] });
    },

    async "the server waits for an ack"() {
      peer.emit("emit-with-ack", 1);
      const { eventName, args, id } = await inbox.next();
      assert.deepEqual([eventName, args], ["emit-with-ack", [1]]);
      peer.write({ ack: id, args: ["answer"] });
      assert.deepEqual(await inbox.next(), { eventName: "emit-with-ack", args: ["answer"] });
    },

    async "the server disconnects"() {
      const ended = once(peer.stream, "end");
      peer.emit("disconnect-me");
      await ended;
    },

    async "a peer that only listens is greeted"() {
      const heard = new Inbox();
      const listener = PlainPeer.connect(target, heard.watch);
      assert.deepEqual(await heard.next(), { eventName: "auth", args: [{}] });
      listener.stream.destroy();
    },

    "every line was ASCII with CR LF"() {
      for (const line of inbox.lines) assert.match(line, /^[\x20-\x7e]+\r$/);
    },
  };
  return Object.fromEntries(Object.entries(tests).map(([test, run]) => [`${name}: ${test}`, run]));
}

/** What has come, kept until somebody asks for it. */
class Inbox {
  lines = [];
  #arrived = [];
  #woken;

  watch = (line, object) => {
    this.lines.push(line);
    this.#arrived.push(object);
    this.#woken?.();
  };

  async next() {
    while (this.#arrived.length === 0) await new Promise((woken) => (this.#woken = woken));
    return this.#arrived.shift();
  }
}
