// What every client must be able to do over every transport.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";

/** In the order of the table's columns. A case gets a Bench (bench.mjs). */
export const CASES = {
  async text(bench) {
    const { socket, inbox } = await bench.connect("/");
    const words = ["plain", "é € ß", "日本語", "👩‍👩‍👧‍👦 𝒳 \u{10ffff}", 'quote " back \\ slash', "\u2028\u0000\n\r\t", ""];
    for (const word of words) socket.emit("message", word);
    for (const word of words) same(await inbox.next("message-back"), [word]);
    socket.emit("message", ...words);
    same(await inbox.next("message-back"), words);
  },

  async values(bench) {
    const { socket, inbox } = await bench.connect("/");
    const values = [
      // Whole numbers beyond 64 bits are cut to them by the msgpack parsers in JavaScript.
      0, -1, 1.5, bench.parser === "msgpack" ? 1.5e-7 : 1e21, 5e-324, Number.MAX_SAFE_INTEGER, null, true, false,
      [], {}, [[null]], { "": { a: [1, "2", null] } }, "1",
    ];
    socket.emit("message", ...values);
    same(await inbox.next("message-back"), values);
    socket.emit("message");
    same(await inbox.next("message-back"), []);
    socket.emit("message", undefined, 1);
    same(await inbox.next("message-back"), [null, 1]);
  },

  /** What JSON has no word for, and JavaScript a way to put it into JSON. */
  async "odd values"(bench) {
    const { socket, inbox } = await bench.connect("/");
    const date = new Date(1795904773007);
    socket.emit("message", date, [undefined, NaN, -Infinity], { none: undefined, some: date }, { 7: "x" });
    const text = "2026-11-28T22:26:13.007Z";
    same(await inbox.next("message-back"), [text, [null, null, null], { some: text }, { 7: "x" }]);
    const bytes = new Uint8Array([1, 2, 255]);
    // To 1.x, and in plain JSON, such a one is an object like any other.
    if (bench.parser !== "json" && bench.generation > 1) {
      socket.emit("message", bytes, bytes.buffer);
      same(await inbox.next("message-back"), [bytes, bytes]);
    }
  },

  async binary(bench) {
    const { socket, inbox } = await bench.connect("/");
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const all = [bytes, { deep: [Buffer.from([0x1e, 0x62, 0x34]), 1, { x: Buffer.from([0]) }] }, "end"];
    socket.emit("message", ...all);
    socket.emit("message", "text after binary");
    same(await inbox.next("message-back"), all);
    same(await inbox.next("message-back"), ["text after binary"]);
    socket.emit("message", Buffer.alloc(0));
    same(await inbox.next("message-back"), [Buffer.alloc(0)]);
  },

  async ack(bench) {
    const { socket } = await bench.connect("/");
    same(await call(socket, "message-with-ack", 1, "2", { 3: [false] }), [1, "2", { 3: [false] }]);
    same(await call(socket, "message-with-ack"), []);
    const many = Array.from({ length: 25 }, (_, i) => call(socket, "message-with-ack", i));
    same(await Promise.all(many), many.map((_, i) => [i]));
  },

  async "server-ack"(bench) {
    const { socket, inbox } = await bench.connect("/");
    for (const answer of [["yes", 1, null], []]) {
      socket.emit("emit-with-ack", 1, "2", { 3: [true] });
      const args = await inbox.next("emit-with-ack");
      const ack = args.pop();
      same(args, [1, "2", { 3: [true] }]);
      ack(...answer);
      same(await inbox.next("emit-with-ack"), answer);
    }
  },

  async "binary-ack"(bench) {
    const { socket, inbox } = await bench.connect("/");
    const bytes = [randomBytes(10), { a: randomBytes(300) }];
    same(await call(socket, "message-with-ack", ...bytes, "x"), [...bytes, "x"]);
    socket.emit("emit-with-ack", ...bytes);
    const args = await inbox.next("emit-with-ack");
    const ack = args.pop();
    same(args, bytes);
    ack(bytes[1], bytes[0]);
    same(await inbox.next("emit-with-ack"), [bytes[1], bytes[0]]);
  },

  async "150kB"(bench) {
    const { socket, inbox } = await bench.connect("/");
    const text = randomBytes(75_000).toString("hex");
    const bytes = randomBytes(150_000);
    socket.emit("message", text);
    same(await inbox.next("message-back"), [text]);
    socket.emit("message", bytes, text);
    same(await inbox.next("message-back"), [bytes, text]);
  },

  /** Starts at once, so that the upgrade falls into the middle of it. */
  async order(bench) {
    const { socket, inbox } = await bench.connect("/", { settle: false });
    const message = (i) => (i % 10 === 3 ? [i, Buffer.from([i])] : [i]);
    for (let i = 0; i < 100; i++) socket.emit("message", ...message(i));
    for (let i = 100; i < 200; i++) {
      if (i % 10 === 0) await new Promise(setImmediate);
      socket.emit("message", ...message(i));
    }
    for (let i = 0; i < 200; i++) same(await inbox.next("message-back"), message(i));
  },

  async namespace(bench) {
    const root = await bench.connect("/", { query: { token: "t-0 é" } });
    const custom = await bench.connect("/custom", { auth: { token: "t-0 é" }, query: { token: "t-0 é" } });
    if (bench.sharesConnection) assert.equal(custom.socket.io, root.socket.io, "one connection");
    same(await custom.inbox.next("auth"), [bench.lacks.includes("query") ? {} : { token: "t-0 é" }]);
    same((await call(custom.socket, "query"))[0].token, "t-0 é");

    for (const { socket } of [root, custom]) socket.emit("message", socket === root.socket, Buffer.from([7]));
    same(await root.inbox.next("message-back"), [true, Buffer.from([7])]);
    same(await custom.inbox.next("message-back"), [false, Buffer.from([7])]);
    same(await call(custom.socket, "message-with-ack", "c"), ["c"]);

    custom.socket.disconnect();
    same((await custom.inbox.next("disconnect"))[0], "io client disconnect");
    same(await call(root.socket, "message-with-ack", "still here"), ["still here"]);
    if (bench.lacks.includes("return")) return;
    custom.socket.connect();
    await custom.inbox.next("connect");
    same(await call(custom.socket, "message-with-ack", "back"), ["back"]);
  },

  async refused(bench) {
    const root = await bench.connect("/");
    assert.equal(await refusal(bench, "/nowhere"), "Invalid namespace");
    same(await call(root.socket, "message-with-ack", 1), [1]);
  },

  /** By pattern. */
  async "on-demand"(bench) {
    const root = await bench.connect("/");
    const [first, second] = [await bench.connect("/room-1"), await bench.connect("/room-b")];
    same(await call(first.socket, "room"), ["1"]);
    same(await call(second.socket, "room"), ["b"]);
    same(await call(root.socket, "on-demand"), [["/room-1", "/room-b"]]);
    second.socket.emit("tell-rooms", "news", Buffer.from([7]));
    for (const { inbox } of [first, second]) same(await inbox.next("told"), ["news", Buffer.from([7])]);
    assert.equal(await refusal(bench, "/room-"), "Invalid namespace");
    same(await call(first.socket, "message-with-ack", "x"), ["x"]);

    first.socket.disconnect();
    let names;
    do [names] = await call(root.socket, "on-demand");
    while (names.length > 1);
    same(names, ["/room-b"]);
    if (bench.lacks.includes("return")) return;
    first.socket.connect();
    await first.inbox.next("connect");
    same(await call(first.socket, "room"), ["1"]);
  },

  /** By a function that takes its time. */
  async "on-demand-auth"(bench) {
    const root = await bench.connect("/");
    const secret = { token: "secret" };
    if (bench.lacks.includes("query")) {
      assert.equal(await refusal(bench, "/tenant-a", { query: secret }), "Invalid namespace");
      same(await call(root.socket, "message-with-ack", 1), [1]);
      return;
    }
    const tenant = await bench.connect("/tenant-a", { auth: secret, query: secret });
    same(await tenant.inbox.next("auth"), [secret]);
    same(await call(tenant.socket, "message-with-ack", 1), [1]);
    same(await call(root.socket, "on-demand"), [["/tenant-a"]]);
    const wrong = { token: "wrong" };
    assert.equal(await refusal(bench, "/tenant-b", { auth: wrong, query: wrong }), "Invalid namespace");
    assert.equal(await refusal(bench, "/lodger-a", { auth: secret, query: secret }), "Invalid namespace");
    same(await call(tenant.socket, "message-with-ack", 2), [2]);
  },

  async reconnect(bench) {
    const root = await bench.connect("/");
    const custom = await bench.connect("/custom", { auth: { n: "1" }, query: { n: "1" } });
    const auth = bench.lacks.includes("query") ? {} : { n: "1" };
    same(await custom.inbox.next("auth"), [auth]);
    const buffers = !bench.lacks.includes("buffer");
    const restarted = bench.restartServer();
    for (const { socket, inbox } of [root, custom]) {
      const [reason] = await inbox.next("disconnect");
      assert.match(reason, /^(transport close|transport error|ping timeout)$/);
      if (buffers) socket.emit("message", "sent while offline");
    }
    await restarted;
    for (const { socket, inbox } of [root, custom]) {
      await inbox.next("connect");
      if (buffers) same(await inbox.next("message-back"), ["sent while offline"]);
      same(await call(socket, "message-with-ack", "again"), ["again"]);
    }
    same(await custom.inbox.next("auth"), [auth]);
    await bench.settle(root.socket);
  },

  async "server-disconnect"(bench) {
    const root = await bench.connect("/");
    const custom = await bench.connect("/custom");

    custom.socket.emit("disconnect-me");
    same((await custom.inbox.next("disconnect"))[0], "io server disconnect");
    same(await call(root.socket, "message-with-ack", "still here"), ["still here"]);

    root.socket.emit("disconnect-me", true);
    same((await root.inbox.next("disconnect"))[0], "io server disconnect");
    same(root.socket.connected, false);
    if (bench.lacks.includes("return")) return;
    root.socket.connect();
    await root.inbox.next("connect");
    same(await call(root.socket, "message-with-ack", "back"), ["back"]);
    await bench.settle(root.socket);
  },

  /** Several heartbeats with nothing else to send. */
  async heartbeat(bench) {
    const { socket, inbox } = await bench.connect("/");
    await bench.sleep(1300);
    same(await call(socket, "message-with-ack", "alive"), ["alive"]);
    assert.equal(inbox.count("disconnect"), 0, "the connection broke");
  },
};

/** Asks for a namespace that is refused; gives the message. */
async function refusal(bench, namespace, options) {
  const { inbox } = await bench.connect(namespace, { ...options, settle: false, wait: false });
  const [error] = await inbox.next(bench.generation >= 3 ? "connect_error" : "error");
  return error.message ?? error;
}

function call(socket, event, ...args) {
  return new Promise((resolve) => socket.emit(event, ...args, (...answer) => resolve(answer)));
}

function same(actual, expected) {
  assert.deepEqual(plain(actual), plain(expected));
}

/** Bytes of any type become text, so that Buffer, ArrayBuffer and views compare equal. */
function plain(value) {
  if (value instanceof ArrayBuffer) value = new Uint8Array(value);
  if (ArrayBuffer.isView(value)) {
    return `bytes:${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex")}`;
  }
  if (Array.isArray(value)) return value.map(plain);
  // All that the plain-JSON parser leaves a JavaScript peer of them.
  if (value?.type === "Buffer") return plain(Buffer.from(value.data));
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}
