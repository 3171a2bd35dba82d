// npm's `ws`, and bare TCP for what it would never send, against a plain WebSocket echo server:
//
//   node ws.mjs --server "cargo run --release --example ws_echo --"

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { WebSocket } from "ws";
import { parseArgs } from "./lib/args.mjs";
import { HOST, ServerUnderTest } from "./lib/server.mjs";
import { runTests } from "./lib/tests.mjs";
import { Peer } from "./lib/wire.mjs";
import { KNOWN } from "./known.mjs";

const USAGE = `usage: node ws.mjs --server CMD [--filter TEXT] [--known NAME]

  --server CMD   command of a WebSocket server that echoes every message on any path, up to 64 MiB;
                 HOST:PORT is added to it. Also read from the variable SERVER.
  --filter TEXT  only tests whose name holds TEXT
  --known NAME   differences of known.mjs that are no failure`;

const options = parseArgs(USAGE, { server: String, filter: String, known: String });
const command = options.server ?? process.env.SERVER;
if (!command) {
  console.error(USAGE);
  process.exit(2);
}

const MiB = 1024 * 1024;
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0, 1, 2, 8, 9, 10];
const server = await new ServerUnderTest(command).start();

async function peer(path = "/", settings = {}) {
  const made = new Peer(`ws://${HOST}:${server.port}${path}`, { perMessageDeflate: false, maxPayload: 100 * MiB, ...settings });
  await made.opened;
  return made;
}

async function echoes(one, ...messages) {
  one.send(...messages);
  for (const message of messages) {
    const back = await one.next();
    // deepEqual would be slow on megabytes, and its report unreadable.
    assert.equal(typeof back, typeof message);
    assert.equal(Buffer.compare(Buffer.from(back), Buffer.from(message)), 0, `${message.length} bytes came back changed`);
  }
}

/** A handshake done by hand; then frames of any shape can be sent. */
class Raw {
  static async open(headers = {}) {
    const raw = new Raw();
    raw.socket = connect(server.port, HOST);
    raw.socket.on("error", () => {});
    raw.arrived = Buffer.alloc(0);
    raw.socket.on("data", (data) => (raw.arrived = Buffer.concat([raw.arrived, data])));
    raw.ended = once(raw.socket, "close");
    const all = {
      Host: "localhost",
      Upgrade: "websocket",
      Connection: "Upgrade",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
      "Sec-WebSocket-Version": "13",
      ...headers,
    };
    const lines = Object.entries(all).filter(([, value]) => value !== undefined).map(([key, value]) => `${key}: ${value}\r\n`);
    raw.socket.write(`GET /raw HTTP/1.1\r\n${lines.join("")}\r\n`);
    raw.head = await raw.take((bytes) => {
      const end = bytes.indexOf("\r\n\r\n");
      return end < 0 ? undefined : end + 4;
    });
    raw.status = Number(/^HTTP\/1\.1 (\d+)/.exec(raw.head)[1]);
    return raw;
  }

  /** Waits until `length(bytes)` tells how many bytes to take. */
  async take(length) {
    for (;;) {
      const count = length(this.arrived);
      if (count !== undefined && this.arrived.length >= count) {
        const taken = this.arrived.subarray(0, count);
        this.arrived = this.arrived.subarray(count);
        return taken;
      }
      if (this.socket.destroyed) throw new Error("the connection ended");
      await Promise.race([once(this.socket, "data"), this.ended]);
    }
  }

  send(...frames) {
    this.socket.write(Buffer.concat(frames));
  }

  /** The next frame of the server. */
  async frame() {
    const size = (bytes) => {
      if (bytes.length < 2) return undefined;
      const short = bytes[1] & 0x7f;
      if (short < 126) return 2 + short;
      if (bytes.length < 10) return undefined;
      return short === 126 ? 4 + bytes.readUInt16BE(2) : 10 + Number(bytes.readBigUInt64BE(2));
    };
    const bytes = await this.take(size);
    assert.equal(bytes[1] & 0x80, 0, "servers do not mask");
    const short = bytes[1] & 0x7f;
    return { head: bytes[0], payload: bytes.subarray(short < 126 ? 2 : short === 126 ? 4 : 10) };
  }

  async expectClose(code) {
    for (;;) {
      const { head, payload } = await this.frame();
      if (head !== (0x80 | CLOSE)) continue;
      assert.equal(payload.length >= 2 ? payload.readUInt16BE(0) : undefined, code);
      break;
    }
    await this.ended;
  }
}

/** A client's frame. `bits`: FIN and the reserved bits; `length`: a wrong or long-winded one. */
function frame(opcode, payload = "", { fin = true, reserved = 0, mask = true, length } = {}) {
  const data = Buffer.from(payload);
  const size = data.length;
  const form = length ?? (size < 126 ? 7 : size < 65536 ? 16 : 64);
  const head = Buffer.alloc({ 7: 2, 16: 4, 64: 10 }[form]);
  head[0] = (fin ? 0x80 : 0) | reserved | opcode;
  head[1] = (mask ? 0x80 : 0) | { 7: size, 16: 126, 64: 127 }[form];
  if (form === 16) head.writeUInt16BE(size, 2);
  if (form === 64) head.writeBigUInt64BE(BigInt(size), 2);
  if (!mask) return Buffer.concat([head, data]);
  const key = randomBytes(4);
  return Buffer.concat([head, key, data.map((byte, i) => byte ^ key[i % 4])]);
}

const part = (opcode, payload) => frame(opcode, payload, { fin: false });
const closing = (code, reason = "") => {
  const body = Buffer.alloc(2);
  body.writeUInt16BE(code);
  return frame(CLOSE, Buffer.concat([body, Buffer.from(reason)]));
};

const tests = {
  async "text"() {
    const one = await peer();
    await echoes(one, "hello", "", "é€ 👩‍👩‍👧‍👦 𝒳 \u0000", "x".repeat(125), "x".repeat(126), "x".repeat(65535), "x".repeat(65536));
    one.close();
  },

  async "bytes"() {
    const one = await peer();
    await echoes(one, ...[0, 1, 125, 126, 127, 65535, 65536].map((size) => randomBytes(size)));
    one.close();
  },

  async "any path"() {
    const one = await peer("/some/where?x=1");
    await echoes(one, "hello");
    one.close();
  },

  async "1 MB and 20 MB"() {
    const one = await peer();
    await echoes(one, randomBytes(1_000_000), randomBytes(500_000).toString("hex"), randomBytes(20_000_000));
    one.close();
  },

  async "64 MiB, not a byte more"() {
    const one = await peer();
    await echoes(one, Buffer.alloc(64 * MiB, 1));
    one.send(Buffer.alloc(64 * MiB + 1));
    assert.equal(await one.end(15_000), 1009);
  },

  async "too big in fragments"() {
    const one = await peer();
    const third = Buffer.alloc(22 * MiB);
    one.ws.send(third, { fin: false });
    one.ws.send(third, { fin: false });
    one.ws.send(third, { fin: true });
    assert.equal(await one.end(15_000), 1009);
  },

  async "many small messages in order"() {
    const one = await peer();
    await echoes(one, ...Array.from({ length: 5000 }, (_, i) => (i % 3 === 0 ? Buffer.from(`${i}`) : `${i}`)));
    one.close();
  },

  async "fragments"() {
    const one = await peer();
    one.ws.send("frag", { fin: false });
    one.ws.send("", { fin: false });
    one.ws.send("ments", { fin: true });
    assert.equal(await one.next(), "fragments");
    one.ws.send(Buffer.from([1]), { fin: false, binary: true });
    one.ws.ping("between");
    one.ws.send(Buffer.from([2]), { fin: true, binary: true });
    assert.deepEqual(await one.next(), Buffer.from([1, 2]));
    one.close();
  },

  async "a character split between fragments"() {
    const raw = await Raw.open();
    const [first, ...rest] = Buffer.from("𝒳");
    raw.send(part(TEXT, [first]), frame(CONTINUATION, rest));
    assert.equal((await raw.frame()).payload.toString(), "𝒳");
    raw.socket.destroy();
  },

  async "frames cut anywhere"() {
    const raw = await Raw.open();
    raw.socket.setNoDelay(true);
    for (const byte of Buffer.concat([frame(TEXT, "slow"), frame(BINARY, Buffer.alloc(130, 3))])) {
      raw.send(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    assert.equal((await raw.frame()).payload.toString(), "slow");
    assert.equal((await raw.frame()).payload.length, 130);
    raw.socket.destroy();
  },

  async "ping and pong"() {
    const one = await peer();
    for (const data of ["", "hello", "x".repeat(125)]) {
      one.ws.ping(data);
      const [back] = await once(one.ws, "pong");
      assert.equal(back.toString(), data);
    }
    one.ws.pong("nobody asked");
    await echoes(one, "still here");
    one.close();
  },

  async "close codes come back"() {
    for (const code of [1000, 1001, 1003, 1007, 1011, 3000, 4999]) {
      const one = await peer();
      one.ws.close(code, "because é");
      assert.equal(await one.end(), code);
    }
    const silent = await peer();
    silent.ws.close();
    assert.equal(await silent.end(), 1005);
  },

  async "what was sent before the close is answered"() {
    const one = await peer();
    one.send("last words");
    one.ws.close(1000);
    assert.equal(await one.next(), "last words");
    assert.equal(await one.end(), 1000);
  },

  async "handshake"() {
    const raw = await Raw.open();
    assert.equal(raw.status, 101);
    const accept = createHash("sha1").update("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
    assert.match(raw.head.toString(), new RegExp(`^sec-websocket-accept: ${accept.replaceAll("+", "\\+")}\r$`, "im"));
    raw.socket.destroy();
    const listed = await Raw.open({ Connection: "keep-alive, Upgrade", Upgrade: "WebSocket" });
    assert.equal(listed.status, 101);
    listed.socket.destroy();
  },

  async "bad handshakes are refused"() {
    const bad = [
      { "Sec-WebSocket-Key": undefined },
      { "Sec-WebSocket-Key": "short" },
      { "Sec-WebSocket-Version": "7" },
      { "Sec-WebSocket-Version": undefined },
      { Upgrade: "h2c" },
    ];
    for (const headers of bad) {
      const raw = await Raw.open(headers);
      assert.ok(raw.status >= 400 && raw.status < 500, `${raw.status} for ${JSON.stringify(headers)}`);
      raw.socket.destroy();
    }
  },

  async "no extension is promised that was not asked for"() {
    const raw = await Raw.open();
    assert.doesNotMatch(raw.head.toString(), /^sec-websocket-extensions/im);
    raw.socket.destroy();
    const one = await peer("/", { perMessageDeflate: true });
    await echoes(one, "x".repeat(5000));
    one.close();
  },
};

// Frames that break the protocol, and the code that must close the connection
const violations = {
  "an unmasked frame": [1002, frame(TEXT, "x", { mask: false })],
  "a reserved bit": [1002, frame(TEXT, "x", { reserved: 0x40 })],
  "another reserved bit": [1002, frame(TEXT, "x", { reserved: 0x10 })],
  "a reserved bit on a ping": [1002, frame(PING, "x", { reserved: 0x20 })],
  "a reserved opcode": [1002, frame(3, "x")],
  "a reserved control opcode": [1002, frame(11)],
  "a continuation of nothing": [1002, frame(CONTINUATION, "x")],
  "a message inside a message": [1002, part(TEXT, "x"), frame(TEXT, "y")],
  "a ping in fragments": [1002, part(PING, "x")],
  "a pong of 126 bytes": [1002, frame(PONG, "x".repeat(126))],
  "a close frame of 126 bytes": [1002, closing(1000, "x".repeat(124))],
  "a close frame of one byte": [1002, frame(CLOSE, "x")],
  "close code 999": [1002, closing(999)],
  "close code 1004": [1002, closing(1004)],
  "close code 1005": [1002, closing(1005)],
  "close code 1006": [1002, closing(1006)],
  "close code 1016": [1002, closing(1016)],
  "close code 5000": [1002, closing(5000)],
  "a close reason that is not UTF-8": [1007, frame(CLOSE, [0x03, 0xe8, 0xff])],
  "a length of 63 bits": [1009, Buffer.from([0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4])],
  "text that is not UTF-8": [1007, frame(TEXT, [0x61, 0xff])],
  "text with a surrogate": [1007, frame(TEXT, [0xed, 0xa0, 0x80])],
  "text with an overlong form": [1007, frame(TEXT, [0xc0, 0xaf])],
  "text beyond Unicode": [1007, frame(TEXT, [0xf4, 0x90, 0x80, 0x80])],
  "text cut inside a character": [1007, frame(TEXT, Buffer.from("é").subarray(0, 1))],
  "text cut inside a character, in fragments": [1007, part(TEXT, "x"), frame(CONTINUATION, Buffer.from("€").subarray(0, 2))],
  "a small length in 16 bits": [1002, frame(BINARY, "x", { length: 16 })],
  "a small length in 64 bits": [1002, frame(BINARY, "x", { length: 64 })],
  "a length with the highest bit": [1002, Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4])],
};
for (const [name, [code, ...frames]] of Object.entries(violations)) {
  tests[`closes with ${code}: ${name}`] = async () => {
    const raw = await Raw.open();
    const impatience = setTimeout(() => raw.socket.destroy(), 1000);
    raw.send(frame(TEXT, "fine"), ...frames);
    assert.equal((await raw.frame()).payload.toString(), "fine");
    await raw.expectClose(code);
    clearTimeout(impatience);
  };
}

const failed = await runTests(tests, {
  filter: options.filter,
  timeout: 15_000,
  known: KNOWN[options.known],
  log: () => server.log,
});
await server.stop();
process.exit(failed ? 1 : 0);
