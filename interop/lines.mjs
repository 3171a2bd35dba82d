// A plain net-socket.io peer, after its byte rules: one JSON object a line, CR LF at the end, no arguments no `args`.
// Talks to a server with the contract of the `conformance` example over a Unix-domain socket and over TCP, with a
// WebSocket client and a plain one in the same namespace.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, existsSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { io } from "client-v4";

const { values } = parseArgs({ options: { server: { type: "string" } } });
const freePort = async () => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
};

/** One plain peer: `emit`, and the lines that came, parsed. */
class Plain {
  constructor(target) {
    this.socket = net.connect(target);
    this.lines = [];
    this.rest = "";
    this.socket.setEncoding("utf8").on("data", (chunk) => {
      const parts = (this.rest + chunk).split("\n");
      this.rest = parts.pop();
      for (const part of parts) {
        assert.match(part, /^[\x20-\x7e]+\r$/, "ASCII, and CR LF at the end");
        this.lines.push(JSON.parse(part));
      }
      this.woken?.();
    });
  }
  write(object) {
    this.socket.write(`${JSON.stringify(object)}\r\n`);
  }
  emit(eventName, ...args) {
    this.write(args.length ? { eventName, args } : { eventName });
  }
  async next() {
    while (!this.lines.length) await new Promise((woken) => (this.woken = woken));
    return this.lines.shift();
  }
}

let passed = 0;
let failed = 0;
async function check(name, test) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("took too long")), 8000).unref());
  try {
    await Promise.race([test(), late]);
    passed += 1;
    console.log(`✓ ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`✗ ${name}\n    ${error.stack}`);
  }
}

const dir = mkdtempSync(join(tmpdir(), "sockeye-lines-"));
const path = join(dir, "app.sock");
const [http, tcp] = [await freePort(), await freePort()];
const [command, ...before] = values.server.split(" ");
const listen = ["--listen", `unix:${path}`, "--listen", `tcp://127.0.0.1:${tcp}`];
const child = spawn(command, [...before, `127.0.0.1:${http}`, ...listen], { stdio: ["ignore", "pipe", "inherit"] });
process.on("exit", () => child.kill("SIGKILL"));
while (!existsSync(path)) await once(child.stdout, "data");

for (const [name, target] of [["unix", path], ["tcp", tcp]]) {
  const peer = new Plain(target);
  await check(`${name}: a message comes back with the same arguments`, async () => {
    const args = [1, null, { a: ["é", "😀"] }, "", [[]], -1.5, true];
    peer.emit("message", ...args);
    assert.deepEqual(await peer.next(), { eventName: "auth", args: [{}] });
    assert.deepEqual(await peer.next(), { eventName: "message-back", args });
  });
  await check(`${name}: no arguments are no args`, async () => {
    peer.emit("message");
    assert.deepEqual(await peer.next(), { eventName: "message-back" });
  });
  await check(`${name}: a megabyte`, async () => {
    const text = "é".repeat(400_000);
    peer.emit("message", text);
    assert.equal((await peer.next()).args[0], text);
  });
  await check(`${name}: an id is acknowledged`, async () => {
    peer.write({ eventName: "message-with-ack", args: ["a", 2], id: 41 });
    assert.deepEqual(await peer.next(), { ack: 41, args: ["a", 2] });
  });
  await check(`${name}: the server waits for an ack`, async () => {
    peer.emit("emit-with-ack", 1);
    const { eventName, args, id } = await peer.next();
    assert.deepEqual([eventName, args], ["emit-with-ack", [1]]);
    peer.write({ ack: id, args: ["answer"] });
    assert.deepEqual(await peer.next(), { eventName: "emit-with-ack", args: ["answer"] });
  });
  await check(`${name}: the server disconnects`, async () => {
    peer.emit("disconnect-me");
    await once(peer.socket, "end");
  });
}
await check("a client over WebSocket is served beside them", async () => {
  const socket = io(`http://127.0.0.1:${http}`, { transports: ["websocket"] });
  socket.emit("message", "x");
  assert.deepEqual(await once(socket, "message-back"), ["x"]);
  socket.close();
});
await check("the socket file goes with the server", async () => {
  child.kill("SIGINT");
  await once(child, "exit");
  assert.equal(existsSync(path), false);
});
rmSync(dir, { recursive: true, force: true });
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
