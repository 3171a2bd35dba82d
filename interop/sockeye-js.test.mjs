// The browser client's own behaviour, run in Node against the original server:
//
//   node --test sockeye-js.test.mjs
//
// What it shares with other clients is in the matrix (run.mjs, row sockeye.js).

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { Server } from "server-v4";
import { WebSocket, WebSocketServer } from "ws";
import { connect } from "../crates/server/browser/sockeye.js";

const FAST = { WebSocket, reconnectionDelay: 20, reconnectionDelayMax: 60, forceNew: true };

async function listen(t, attach, port = 0) {
  const http = createServer((_, response) => response.writeHead(404).end("not here"));
  const attached = attach(http);
  http.listen(port, "127.0.0.1");
  await once(http, "listening");
  const close = () => {
    http.closeAllConnections();
    http.close();
  };
  t.after(close);
  return { attached, http, close, port: http.address().port, url: `http://127.0.0.1:${http.address().port}` };
}

async function socketIo(t, options = {}, port) {
  const server = await listen(t, (http) => new Server(http, options), port);
  server.io = server.attached;
  // A restart must be able to take the port again at once.
  server.stop = () => new Promise((resolve) => server.io.close(resolve));
  t.after(() => server.io.close());
  return server;
}

const next = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));

test("ships_in_less_than_6_kB", () => {
  const source = readFileSync(new URL("../crates/server/browser/sockeye.js", import.meta.url));
  assert.ok(gzipSync(source, { level: 9 }).length < 6000);
});

test("falls_back_to_polling_without_a_websocket", async (t) => {
  const { url } = await socketIo(t, { transports: ["polling"] });
  for (const implementation of [WebSocket, undefined, class { constructor() { throw new Error("no"); } }]) {
    const socket = connect(url, { ...FAST, WebSocket: implementation });
    await next(socket, "connect");
    assert.equal(socket.transport, "polling");
    socket.disconnect();
  }
});

test("prefers_websocket", async (t) => {
  const { url } = await socketIo(t);
  const socket = connect(url, FAST);
  await next(socket, "connect");
  assert.equal(socket.transport, "websocket");
  assert.equal(typeof socket.id, "string");
  socket.disconnect();
  assert.equal(socket.id, undefined);
});

test("page_without_an_origin_connects_by_a_whole_url", (t) => {
  t.after(() => delete globalThis.location);
  const origin = (url) => connect(url, { forceNew: true, autoConnect: false }).io.origin;
  globalThis.location = { origin: "http://page.example" };
  assert.equal(origin("/chat"), "http://page.example");
  globalThis.location = { origin: "null" };
  assert.equal(origin("https://host.example/chat"), "https://host.example");
  assert.throws(() => origin("/chat"), /Invalid URL/);
});

test("sockets_of_one_server_share_a_session", async (t) => {
  const { io, url } = await socketIo(t);
  io.of("/b");
  const a = connect(url, { ...FAST, forceNew: false });
  const b = connect(`${url}/b`, { ...FAST, forceNew: false });
  const other = connect(url, { ...FAST, forceNew: false });
  await Promise.all([a, b, other].map((socket) => next(socket, "connect")));
  assert.equal(a.io, b.io);
  assert.notEqual(a.io, other.io, "the same namespace twice needs a second session");
  assert.equal(io.engine.clientsCount, 2);
  a.disconnect();
  assert.equal(b.connected, true);
  b.disconnect();
  other.disconnect();
});

test("auth_is_asked_at_every_connection", async (t) => {
  const { io, url } = await socketIo(t);
  const seen = [];
  io.on("connection", (socket) => seen.push(socket.handshake.auth.n));
  let n = 0;
  for (const auth of [async () => ({ n: ++n }), (done) => done({ n: ++n })]) {
    const socket = connect(url, { ...FAST, auth });
    await next(socket, "connect");
    io.disconnectSockets();
    assert.deepEqual((await next(socket, "disconnect"))[0], "io server disconnect");
    socket.connect();
    await next(socket, "connect");
    socket.disconnect();
  }
  assert.deepEqual(seen, [1, 2, 3, 4]);
});

test("auth_that_fails_is_a_connect_error", async (t) => {
  const { url } = await socketIo(t);
  const auth = async () => {
    throw new Error("no token");
  };
  const socket = connect(url, { ...FAST, auth });
  assert.equal((await next(socket, "connect_error"))[0].message, "no token");
  assert.equal(socket.active, false);
});

test("auth_that_fails_for_an_earlier_join_does_not_end_the_next_one", async (t) => {
  const { io, url } = await socketIo(t);
  io.of("/b");
  const a = connect(url, FAST);
  await next(a, "connect");
  const answers = [];
  const b = a.io.socket("/b", { auth: () => new Promise((resolve, reject) => answers.push({ resolve, reject })) });
  b.on("connect_error", () => assert.fail());
  b.disconnect().connect();
  answers[0].reject(new Error("too late"));
  answers[1].resolve({});
  await next(b, "connect");
  a.disconnect();
  b.disconnect();
});

test("refusal_carries_message_and_data", async (t) => {
  const { io, url } = await socketIo(t);
  io.use((_, done) => done(Object.assign(new Error("go away"), { data: { code: 7 } })));
  const socket = connect(url, FAST);
  const [error] = await next(socket, "connect_error");
  assert.equal(error.message, "go away");
  assert.deepEqual(error.data, { code: 7 });
  assert.equal(socket.active, false);
});

test("acks_time_out_and_reject", async (t) => {
  const { io, url } = await socketIo(t);
  io.on("connection", (socket) => {
    socket.on("sum", (a, b, ack) => ack(a + b, "more"));
    socket.on("silent", () => {});
  });
  const socket = connect(url, FAST);
  // Still offline: waits in the buffer.
  assert.equal(await socket.emitWithAck("sum", 1, 2), 3);
  assert.deepEqual(await new Promise((resolve) => socket.timeout(999).emit("sum", 3, 4, (...all) => resolve(all))), [null, 7, "more"]);
  await assert.rejects(socket.timeout(20).emitWithAck("silent"), /timed out/);
  const lost = socket.emitWithAck("silent");
  socket.disconnect();
  await assert.rejects(lost, /disconnected/);
  await assert.rejects(socket.timeout(20).emitWithAck("sum", 1, 1), /timed out/);
});

test("sends_every_kind_of_bytes", async (t) => {
  const { io, url } = await socketIo(t);
  io.on("connection", (socket) => socket.on("echo", (...args) => args.pop()(args)));
  for (const transports of [["polling"], ["websocket"]]) {
    const socket = connect(url, { ...FAST, transports });
    const bytes = new Uint8Array([0, 1, 2, 255]);
    const sent = [bytes, bytes.buffer, bytes.subarray(1, 3), new DataView(bytes.buffer, 3), new Blob([bytes])];
    const back = await socket.emitWithAck("echo", ...sent, { deep: [bytes] });
    const hex = (buffer) => Buffer.from(buffer).toString("hex");
    assert.ok(back[0] instanceof ArrayBuffer);
    assert.deepEqual(back.slice(0, 5).map(hex), ["000102ff", "000102ff", "0102", "ff", "000102ff"]);
    assert.equal(hex(back[5].deep[0]), "000102ff");
    socket.disconnect();
  }
});

test("splits_posts_at_the_servers_limit", async (t) => {
  const { io, url } = await socketIo(t, { maxHttpBufferSize: 3000 });
  const got = [];
  io.on("connection", (socket) => socket.on("part", (i) => got.push(i)).on("end", (ack) => ack()));
  const socket = connect(url, { ...FAST, transports: ["polling"] });
  await next(socket, "connect");
  for (let i = 0; i < 40; i++) socket.emit("part", i, "é".repeat(400));
  await socket.emitWithAck("end");
  assert.deepEqual(got, Array.from({ length: 40 }, (_, i) => i));
  socket.disconnect();
});

test("volatile_is_dropped_while_offline", async (t) => {
  const { io, url } = await socketIo(t);
  const got = [];
  io.on("connection", (socket) => socket.onAny((name, ack) => got.push(name) && ack?.()));
  const socket = connect(url, FAST);
  socket.volatile.emit("dropped");
  socket.emit("kept");
  await next(socket, "connect");
  await socket.emitWithAck("end");
  socket.volatile.emit("written");
  await socket.emitWithAck("end");
  assert.deepEqual(got, ["kept", "end", "written", "end"]);
  socket.disconnect();
});

test("dropped_volatile_event_settles_its_ack", async (t) => {
  const socket = connect("http://127.0.0.1:1", { ...FAST, autoConnect: false });
  await assert.rejects(socket.timeout(20).volatile.emitWithAck("question"), /timed out/);
  // Nobody says how long to wait for what is never sent.
  await assert.rejects(socket.volatile.emitWithAck("question"), /timed out/);
  const [error] = await new Promise((resolve) => {
    socket.timeout(20).volatile.emit("question", (...all) => resolve(all));
  });
  assert.match(error.message, /timed out/);
  const { url } = await socketIo(t);
  const later = connect(url, FAST);
  later.volatile.emit("question", () => assert.fail("there is no answer"));
  await next(later, "connect");
  later.disconnect();
});

test("listeners_come_and_go", async (t) => {
  const { io, url } = await socketIo(t);
  io.on("connection", (socket) => socket.on("say", (...args) => socket.emit(...args)));
  const socket = connect(url, FAST);
  const log = [];
  const always = (x) => log.push(`on ${x}`);
  const any = (name, x) => log.push(`any ${name} ${x}`);
  socket.on("a", always).once("a", (x) => log.push(`once ${x}`)).onAny(any);
  const removed = () => log.push("removed");
  socket.once("a", removed).off("a", removed);
  const done = () => new Promise((resolve) => socket.once("done", resolve).emit("say", "done", 0));
  socket.emit("say", "a", 1).emit("say", "a", 2);
  await done();
  socket.off("a").offAny();
  socket.emit("say", "a", 3);
  await done();
  assert.deepEqual(log, ["any a 1", "on 1", "once 1", "any a 2", "on 2", "any done 0"]);
  assert.throws(() => socket.emit("disconnect"), /reserved/);
  socket.disconnect();
});

test("a_listener_that_throws_does_not_break_the_connection", async (t) => {
  const { io, url } = await socketIo(t);
  io.on("connection", (socket) => socket.on("say", (name, ack) => ack(socket.emit(name))));
  const socket = connect(url, { ...FAST, transports: ["polling"] });
  // What would be an uncaught error ends up here instead of failing the test.
  const thrown = [];
  const { setTimeout } = globalThis;
  t.mock.method(globalThis, "setTimeout", (callback, ms) =>
    ms === undefined ? thrown.push(callback) : setTimeout(callback, ms),
  );
  socket.on("bang", () => {
    throw new Error("bang");
  });
  await socket.emitWithAck("say", "bang");
  await socket.emitWithAck("say", "x");
  assert.throws(thrown[0], /bang/);
  assert.equal(socket.connected, true);
  socket.disconnect();
});

test("gives_up_after_the_allowed_attempts", async (t) => {
  const socket = connect("http://127.0.0.1:9", { ...FAST, reconnectionAttempts: 2 });
  const errors = [];
  const attempts = [];
  socket.on("connect_error", (error) => errors.push(error.message));
  socket.io.on("reconnect_attempt", (n) => attempts.push(n));
  await next(socket.io, "reconnect_failed");
  assert.deepEqual(attempts, [1, 2]);
  assert.deepEqual(errors, ["polling error", "polling error", "polling error"]);
  socket.disconnect();
});

test("does_not_reconnect_when_told_so", async (t) => {
  const socket = connect("http://127.0.0.1:9", { ...FAST, reconnection: false });
  await next(socket, "connect_error");
  let again = false;
  socket.on("connect_error", () => (again = true));
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(again, false);
});

test("connect_begins_anew_after_giving_up", async (t) => {
  const spare = await listen(t, () => {});
  spare.close();
  for (const options of [{ reconnection: false }, { reconnectionAttempts: 1 }]) {
    const socket = connect(spare.url, { ...FAST, ...options });
    await next(...(options.reconnectionAttempts ? [socket.io, "reconnect_failed"] : [socket, "connect_error"]));
    const server = await socketIo(t, {}, spare.port);
    socket.connect();
    await next(socket, "connect");
    // A connection that was lost and is not to come back by itself.
    socket.io.options.reconnection = false;
    const lost = next(socket, "disconnect");
    server.io.engine.close();
    await lost;
    assert.equal(socket.active, true);
    socket.connect();
    await next(socket, "connect");
    socket.disconnect();
    await server.stop();
  }
});

test("connect_in_a_listener_does_not_get_around_the_delay", async (t) => {
  const socket = connect("http://127.0.0.1:9", { ...FAST, reconnectionDelay: 1e6, reconnectionDelayMax: 1e6 });
  socket.on("connect_error", () => socket.connect());
  await next(socket, "connect_error");
  assert.equal(socket.io._engine, undefined);
  socket.disconnect();
});

test("connect_called_again_joins_once", async (t) => {
  const joins = [];
  const { url } = await listen(t, (server) =>
    new WebSocketServer({ server }).on("connection", (ws) => {
      ws.send('0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}');
      ws.on("message", (data) => {
        joins.push(String(data));
        if (String(data) === "40") ws.send('40{"sid":"x"}');
        if (String(data).startsWith("40/b")) ws.send('40/b,{"sid":"y"}');
        if (String(data).startsWith("42/b")) ws.send("43/b,0[]");
      });
    }),
  );
  const a = connect(url, { ...FAST, transports: ["websocket"] }).connect();
  a.io.on("reconnect", () => assert.fail());
  const opened = next(a, "connect");
  a.connect();
  await opened;
  a.connect();
  // Asked for its auth, it leaves and comes back: only the later answer is sent.
  const answers = [];
  const b = a.io.socket("/b", { auth: (done) => answers.push(done) });
  b.disconnect().connect().connect();
  const joined = next(b, "connect");
  answers[0]({ n: 1 });
  answers[1]({ n: 2 });
  await joined;
  b.connect();
  await b.emitWithAck("settled");
  a.disconnect();
  b.disconnect();
  assert.equal(answers.length, 2);
  assert.deepEqual(joins.filter((packet) => packet.startsWith("40")), ["40", '40/b,{"n":2}']);
});

test("an_attempt_times_out", async (t) => {
  const { url } = await listen(t, (http) => http.removeAllListeners("request"));
  const socket = connect(url, { ...FAST, timeout: 100, transports: ["polling"], reconnection: false });
  assert.equal((await next(socket, "connect_error"))[0].message, "timeout");
});

test("a_websocket_that_never_answers_leaves_time_for_polling", async (t) => {
  const server = await socketIo(t, { transports: ["polling"] });
  let silent;
  server.http.removeAllListeners("upgrade").on("upgrade", (_, stream) => (silent = stream));
  const socket = connect(server.url, { ...FAST, timeout: 800 });
  await next(socket, "connect");
  assert.equal(socket.transport, "polling");
  silent.destroy();
  socket.disconnect();
});

/** A WebSocket server that opens a session and then does what a test wants. */
function scripted(t, script) {
  return listen(t, (http) =>
    new WebSocketServer({ server: http }).on("connection", (ws) => {
      ws.send('0{"sid":"s","upgrades":[],"pingInterval":60,"pingTimeout":40,"maxPayload":1000}');
      ws.on("message", (data) => String(data) === "40" && (ws.send('40{"sid":"x"}'), script(ws)));
    }),
  );
}

test("a_silent_server_is_a_ping_timeout", async (t) => {
  const { url } = await scripted(t, () => {});
  const socket = connect(url, { ...FAST, transports: ["websocket"], reconnection: false });
  assert.equal((await next(socket, "disconnect"))[0], "ping timeout");
  assert.equal(socket.active, true);
  socket.disconnect();
});

// A server that is busy sending says no heartbeat in between.
test("every_packet_is_a_sign_of_life", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  let ws;
  const { url } = await scripted(t, (opened) => (ws = opened));
  const socket = connect(url, { ...FAST, transports: ["websocket"], reconnection: false });
  await next(socket, "connect");
  const reasons = [];
  socket.on("disconnect", (reason) => reasons.push(reason));
  const binary = ['451-["news",{"_placeholder":true,"num":0}]', Buffer.from([1])];
  for (const packets of [['42["news",1]'], binary, ["6", '42["news",2]'], binary]) {
    t.mock.timers.tick(99);
    assert.deepEqual(reasons, []);
    for (const packet of packets) ws.send(packet);
    await next(socket, "news");
    socket.emit("looks_at_the_clock");
  }
  t.mock.timers.tick(99);
  assert.deepEqual(reasons, []);
  t.mock.timers.tick(1);
  assert.deepEqual(reasons, ["ping timeout"]);
  socket.disconnect();
});

test("nonsense_is_a_parse_error", async (t) => {
  const bad = [
    "42{}", "4x", '450-["a"]', "451-[1", '451-["a",{"_placeholder":true,"num":3}]', "42[", "45[1]", "9", '42"ab"', '430"ab"',
    // A property of arrays, or of texts.
    '451-["a",{"_placeholder":true,"num":"push"}]', '451-["a",{"_placeholder":true,"num":"length"}]',
    // Names that are none, and those of the client's own events.
    "42[]", "42[null]", "42[{}]", '42[["a"]]', "42[true]",
    '42["connect"]', '42["connect_error"]', '42["disconnect","io client disconnect"]', '42["disconnecting"]',
  ];
  for (const text of bad) {
    const { url } = await scripted(t, (ws) => {
      ws.send(text);
      if (text[1] === "5" && !text.startsWith("450-")) ws.send(Buffer.from([1]));
    });
    const socket = connect(url, { ...FAST, transports: ["websocket"], reconnection: false });
    assert.equal((await next(socket, "disconnect"))[0], "parse error", text);
    socket.disconnect();
  }
});

test("whatever_ends_an_attempt_is_told_by_an_error", async (t) => {
  const uncaught = [];
  const note = (error) => uncaught.push(error);
  process.on("uncaughtException", note).on("unhandledRejection", note);
  t.after(() => process.off("uncaughtException", note).off("unhandledRejection", note));
  const none = { ...FAST, reconnection: false };

  // What answers every path with its page.
  const page = await listen(t, (http) => {
    http.removeAllListeners("request").on("request", (_, response) => response.end("<!doctype html>"));
  });
  const [wrong] = await next(connect(page.url, none), "connect_error");
  assert.ok(wrong instanceof Error);

  for (const first of [
    "0{", "0", "0null", "0{}", '0"text"', '0{"pingInterval":1}', "", "1", "2", "4", '42["a"]', "<!doctype html>", Buffer.from([0]),
  ]) {
    const { url } = await listen(t, (server) => new WebSocketServer({ server }).on("connection", (ws) => ws.send(first)));
    const socket = connect(url, { ...none, transports: ["websocket"] });
    socket.io.on("reconnect", () => assert.fail(`${first} opens nothing`));
    const [error] = await next(socket, "connect_error");
    assert.ok(error instanceof Error, `${first}: ${error}`);
    assert.notEqual(error.message, "timeout");
  }

  for (const [answer, message, data] of [
    ["44"], ["44null"], ["44[]"], ["44{}"], ["445"], ['44"no"', "no"], ['44{"message":"no","data":1}', "no", 1],
  ]) {
    const { url } = await listen(t, (server) =>
      new WebSocketServer({ server }).on("connection", (ws) => {
        ws.send('0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}');
        ws.on("message", () => ws.send(answer));
      }),
    );
    const socket = connect(url, { ...none, transports: ["websocket"] });
    const [error] = await next(socket, "connect_error");
    assert.ok(error instanceof Error, answer);
    if (message) assert.equal(error.message, message);
    assert.equal(error.data, data);
    assert.equal(socket.active, false);
  }
  await new Promise(setImmediate);
  assert.deepEqual(uncaught, []);
});

test("a_session_is_opened_once", async (t) => {
  const { url } = await scripted(t, (ws) => ws.send('0{"sid":"t","upgrades":[],"pingInterval":60,"pingTimeout":40}'));
  const socket = connect(url, { ...FAST, transports: ["websocket"], reconnection: false });
  assert.equal((await next(socket, "disconnect"))[0], "parse error");
  socket.disconnect();
});

test("polling_follows_no_redirect", async (t) => {
  const seen = [];
  const other = await listen(t, (http) => {
    http.removeAllListeners("request").on("request", (request, response) => {
      seen.push(request.headers);
      response.end();
    });
  });
  for (const status of [301, 302, 303, 307, 308]) {
    for (const redirected of ["GET", "POST"]) {
      const { url } = await listen(t, (http) => {
        http.removeAllListeners("request").on("request", (request, response) => {
          if (request.method === redirected) return response.writeHead(status, { location: other.url + request.url }).end();
          // The first poll opens the session, later ones wait.
          if (!request.url.includes("sid=")) response.end('0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}');
        });
      });
      const socket = connect(url, {
        ...FAST,
        transports: ["polling"],
        auth: { token: "secret" },
        extraHeaders: { "x-api-key": "secret" },
        reconnection: false,
      });
      const ended = redirected === "GET" ? next(socket, "connect_error") : new Promise((resolve) => (socket.io._engine.onend = resolve));
      await ended;
      socket.disconnect();
    }
  }
  assert.deepEqual(seen, []);
});

test("a_computer_that_goes_offline_loses_its_sessions_but_those_to_itself", async (t) => {
  const window = new EventTarget();
  const listeners = new Set();
  globalThis.addEventListener = (type, listener) => listeners.add(listener) && window.addEventListener(type, listener);
  globalThis.removeEventListener = (type, listener) => listeners.delete(listener) && window.removeEventListener(type, listener);
  t.after(() => {
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
  });
  const { port, url } = await socketIo(t);
  const remote = connect(url, { ...FAST, reconnection: false });
  const local = connect(`http://localhost:${port}`, FAST);
  await Promise.all([remote, local].map((socket) => next(socket, "connect")));
  const lost = next(remote, "disconnect");
  window.dispatchEvent(new Event("offline"));
  assert.equal((await lost)[0], "transport close");
  assert.equal(local.connected, true);
  local.disconnect();

  // During an attempt.
  const attempt = connect(url, { ...FAST, reconnection: false });
  const failed = next(attempt, "connect_error");
  window.dispatchEvent(new Event("offline"));
  assert.ok((await failed)[0] instanceof Error);

  // Nothing stays behind in the page, however a session ends.
  const left = connect(url, FAST);
  await next(left, "connect");
  left.disconnect();
  connect(url, FAST).disconnect();
  assert.equal(listeners.size, 0);
});

test("names_that_are_none_are_not_emitted", async () => {
  const socket = connect("http://127.0.0.1:1", { ...FAST, autoConnect: false });
  for (const name of [undefined, null, {}, ["a"], true, Symbol("a"), "connect", "disconnect", "connect_error"]) {
    assert.throws(() => socket.emit(name), Error);
  }
});

test("numbers_are_names_too", async (t) => {
  const { io, url } = await socketIo(t);
  io.on("connection", (socket) => socket.on(5, (n) => socket.emit(7, n)));
  const socket = connect(url, FAST);
  socket.emit(5, "n");
  assert.deepEqual(await next(socket, 7), ["n"]);
  socket.disconnect();
});

test("query_is_that_of_the_url_or_of_the_options", async (t) => {
  const { io, url } = await socketIo(t);
  const seen = [];
  io.on("connection", (socket) => {
    const { EIO, transport, t, sid, b64, ...query } = socket.handshake.query;
    seen.push(query);
    socket.disconnect(true);
  });
  io.of("/chat").on("connection", (socket) => seen.push({ chat: socket.handshake.query.token }));
  for (const [address, query] of [
    [`${url}/?token=a%20b&n=1`, undefined],
    [`${url}/?token=a`, { token: "b", zero: 0, no: false, empty: "", gone: null, never: undefined }],
    [url, { a: null }],
  ]) {
    const options = query ? { ...FAST, query } : FAST;
    const socket = connect(address, options);
    await next(socket, "disconnect");
    socket.disconnect();
  }
  const chat = connect(`${url}/chat?token=c`, FAST);
  await next(chat, "connect");
  chat.disconnect();
  assert.deepEqual(seen, [
    { token: "a b", n: "1" },
    { token: "b", zero: "0", no: "false", empty: "" },
    {},
    { chat: "c" },
  ]);
});

test("refused_acknowledgement_rejects_with_message_and_data", async (t) => {
  const { io, url } = await socketIo(t);
  io.on("connection", (socket) => socket.on("ask", (answer, ack) => ack(...answer)));
  const socket = connect(url, FAST);
  const refusal = { error: { message: "sold out", data: { left: 0 } } };
  for (const answer of [refusal, { error: { data: { left: 0 }, message: "sold out" } }]) {
    const error = await socket.emitWithAck("ask", [answer]).catch((error) => error);
    assert.ok(error instanceof Error);
    assert.deepEqual([error.message, error.data], ["sold out", { left: 0 }]);
  }
  const bare = await socket.emitWithAck("ask", [{ error: { message: "no" } }]).catch((error) => error);
  assert.deepEqual([bare.message, bare.data], ["no", undefined]);
  const [error, ...more] = await new Promise((resolve) => {
    socket.timeout(9999).emit("ask", [refusal], (...all) => resolve(all));
  });
  assert.deepEqual([error.message, more], ["sold out", []]);
  // Who does not ask for errors sees what came.
  assert.deepEqual(await new Promise((resolve) => socket.emit("ask", [refusal], resolve)), refusal);
  // None of these is a refusal.
  for (const answer of [
    [null], ["error"], [{ error: "text" }], [{ error: null }], [{ error: { message: 1 } }], [{ error: ["message"] }],
    [{ error: { message: "no" }, more: 1 }], [{ error: { message: "no" }, data: 1 }], [{ error: { message: "no", code: 1 } }], [[{ error: { message: "no" } }]],
  ]) {
    assert.deepEqual(await socket.emitWithAck("ask", answer), answer[0]);
  }
  assert.deepEqual(await socket.emitWithAck("ask", [{ error: { message: "no" } }, 1]), { error: { message: "no" } });
  assert.equal(await socket.emitWithAck("ask", []), undefined);
  socket.disconnect();
});

test("ack_kept_over_a_reconnection_answers_no_other_question", async (t) => {
  const { io, url } = await socketIo(t);
  const answers = [];
  const connections = [];
  io.on("connection", (socket) => {
    connections.push(socket);
    socket.on("settled", (ack) => ack());
    // One counter for all of them would not show it: each connection's ids begin anew.
    socket.nsp._ids = 0;
    socket.emit("question", connections.length, (answer) => answers.push(answer));
  });
  const socket = connect(url, FAST);
  const [, first] = await next(socket, "question");
  connections[0].conn.close();
  const [n, second] = await next(socket, "question");
  assert.equal(n, 2);
  first("to the first question");
  second("to the second");
  second("once more");
  await socket.emitWithAck("settled");
  socket.disconnect();
  assert.deepEqual(answers, ["to the second"]);
});

test("reconnects_after_the_server_comes_back", async (t) => {
  for (const transports of [["polling"], ["websocket"], ["websocket", "polling"]]) {
    const first = await socketIo(t);
    const socket = connect(first.url, { ...FAST, transports });
    await next(socket, "connect");
    const gone = next(socket, "disconnect");
    await first.stop();
    assert.match((await gone)[0], /^transport (close|error)$/);
    socket.emit("later", 5);
    const second = await socketIo(t, {}, first.port);
    const later = new Promise((resolve) =>
      second.io.on("connection", (peer) => peer.on("later", resolve)),
    );
    const [attempts] = await next(socket.io, "reconnect");
    assert.ok(attempts >= 1);
    assert.equal(await later, 5);
    socket.disconnect();
  }
});

test("keeps_events_that_come_before_the_answer_to_its_connect", async (t) => {
  const { attached, url } = await listen(t, (server) => new WebSocketServer({ server }));
  attached.on("connection", (socket) => {
    socket.send('0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}');
    socket.on("message", (packet) => {
      if (String(packet) !== "40") return;
      socket.send('42["early",1]');
      socket.send('42["early",2]');
      socket.send('40{"sid":"x"}');
    });
  });
  const socket = connect(url, { ...FAST, transports: ["websocket"] });
  t.after(() => socket.disconnect());
  const heard = [];
  socket.on("early", (n) => heard.push(n));
  await next(socket, "connect");
  assert.deepEqual(heard, [1, 2]);
});

test("namespace_that_is_left_for_an_early_event_is_told_nothing_more", async (t) => {
  const { attached, url } = await listen(t, (server) => new WebSocketServer({ server }));
  const heard = [];
  attached.on("connection", (socket) => {
    socket.send('0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}');
    socket.on("message", (packet) => {
      heard.push(String(packet));
      if (heard.at(-1) !== "40") return;
      socket.send('42["early"]');
      socket.send('40{"sid":"x"}');
    });
  });
  const socket = connect(url, { ...FAST, transports: ["websocket"] });
  const other = socket.io.socket("/other");
  t.after(() => other.disconnect());
  socket.emit("waits");
  socket.on("connect", () => assert.fail("it has left"));
  const left = new Promise((resolve) => socket.on("early", () => resolve(socket.disconnect())));
  await left;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(heard.filter((packet) => !packet.startsWith("40/other")), ["40", "41"]);
});

test("namespace_that_is_left_before_the_answer_is_left_when_it_comes", async (t) => {
  const { io, url } = await socketIo(t);
  const told = [];
  io.of("/b").on("connection", (socket) => {
    told.push("in");
    socket.on("disconnect", (reason) => told.push(reason));
  });
  io.on("connection", (socket) => socket.on("settled", (ack) => setTimeout(ack, 20)));
  const a = connect(url, { ...FAST, transports: ["websocket"] });
  await next(a, "connect");
  const b = a.io.socket("/b").disconnect();
  await a.emitWithAck("settled");
  assert.deepEqual(told, ["in", "client namespace disconnect"]);
  assert.equal(b.connected, false);
  a.disconnect();
});

/** A socket that is connected to a server which answers in "/" only, what that hears, and how it says something. */
async function byHand(t) {
  const heard = [];
  const { attached, url } = await listen(t, (server) => new WebSocketServer({ server }));
  const accepted = once(attached, "connection");
  const socket = connect(url, { ...FAST, transports: ["websocket"] });
  t.after(() => [...socket.io.sockets.values()].forEach((each) => each.disconnect()));
  const [peer] = await accepted;
  peer.send('0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}');
  peer.on("message", (data) => {
    heard.push(String(data));
    if (heard.at(-1) === "40") peer.send('40{"sid":"x"}');
    if (heard.at(-1).endsWith('["settled"]')) peer.send(`43${heard.pop().slice(2, -11)}[]`);
  });
  await next(socket, "connect");
  heard.pop();
  return { socket, heard, say: (packet) => peer.send(packet) };
}

test("namespace_is_asked_for_again_once_the_server_has_answered", async (t) => {
  const answers = [
    ['40/b,{"sid":"y"}', "41/b,"],
    ['44/b,{"message":"no"}'],
  ];
  for (const [answer, ...told] of answers) {
    const { socket, heard, say } = await byHand(t);
    const b = socket.io.socket("/b").disconnect().connect();
    for (const event of ["early", "connect_error", "disconnect"]) b.on(event, () => assert.fail(event));
    await socket.emitWithAck("settled");
    assert.deepEqual(heard, ["40/b,"]);
    say('42/b,["early"]');
    say(answer);
    await socket.emitWithAck("settled");
    assert.deepEqual(heard, ["40/b,", ...told, "40/b,"]);
    assert.equal(b.connected, false);
    say('40/b,{"sid":"z"}');
    await next(b, "connect");
    assert.equal(b.id, "z");
    b.off("disconnect");
  }
});

test("what_the_server_says_of_an_earlier_stay_does_not_end_the_next_one", async (t) => {
  const { socket, say } = await byHand(t);
  const b = socket.io.socket("/b");
  say('40/b,{"sid":"y"}');
  await next(b, "connect");
  b.disconnect().connect();
  say("41/b,");
  say('40/b,{"sid":"z"}');
  await next(b, "connect");
  assert.equal(b.id, "z");
});
