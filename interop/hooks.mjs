// What a server tells its application: of requests that are refused, of namespaces, rooms, connections and packets. The
// original client causes it, and the original server is asked the same, so that both can be compared.
//
//   node hooks.mjs --server "cargo run --example hooks --"

import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { io } from "client-v4";
import { WebSocket } from "ws";
import { fail, parseArgs } from "./lib/args.mjs";
import { ServerUnderTest } from "./lib/server.mjs";
import { runTests } from "./lib/tests.mjs";

const USAGE = `usage: node hooks.mjs --server CMD [--filter TEXT]

  --server CMD   command that serves the contract of the hooks example; HOST:PORT is added to it (or put in
                 place of {}). Also read from the variable SERVER.`;

const options = parseArgs(USAGE, { server: String, filter: String });
const command = options.server ?? process.env.SERVER ?? fail(USAGE);

/** The one under test, and the one that it is compared with. */
const servers = {
  "Sockeye": await new ServerUnderTest(command).start(),
  "socket.io": await new ServerUnderTest("node servers/hooks.js").start(),
};

let number = 0;

/** A server, somebody who asks it, and a client that causes what is told. */
class Scene {
  constructor(server) {
    this.server = server;
    this.observer = io(server.origin, { forceNew: true, transports: ["websocket"] });
  }

  async begin() {
    await once(this.observer, "connect");
    await this.told();
  }

  end() {
    this.observer.disconnect();
    this.client?.disconnect();
  }

  told() {
    return this.observer.emitWithAck("told");
  }

  /** Waits until such an entry has come; gives all until then. */
  async until(what) {
    const entries = [];
    while (!entries.some(([name]) => name === what)) {
      entries.push(...(await this.told()));
      await sleep(10);
    }
    return entries;
  }

  /** A client in a namespace of its own. */
  async connect(transports) {
    this.namespace = `/seen-${(number += 1)}`;
    const { origin } = this.server;
    this.client = io(origin + this.namespace, { forceNew: true, reconnection: false, transports, query: { watch: 1 } });
    await once(this.client, "connect");
    return this.client;
  }

  url(query, scheme = "http") {
    const all = new URLSearchParams({ EIO: 4, transport: "polling", ...query });
    return `${this.server.origin.replace("http", scheme)}/socket.io/?${all}`;
  }

  /** A socket whose packets are written by hand. */
  async byHand() {
    this.namespace = `/seen-${(number += 1)}`;
    const ws = new WebSocket(this.url({ transport: "websocket", watch: 1 }, "ws"));
    ws.on("error", () => {});
    const messages = [];
    ws.on("message", (data) => messages.push(`${data}`));
    await once(ws, "open");
    ws.send(`40${this.namespace},`);
    while (!messages.some((text) => text.startsWith(`40${this.namespace}`))) await once(ws, "message");
    return ws;
  }
}

/** Without what comes by the clock. */
const still = (entries) => entries.filter(([what, kind]) => what !== "heartbeat" && !(what === "packet" && kind === "pong"));

/** Why it ended, and not what else is known: Node says more of errors alone. */
const reasons = (entries) => entries.filter(([what]) => /^disconnect|^close/.test(what)).map(([what, reason]) => [what, reason]);

const cases = {
  async "a namespace and its rooms"(scene) {
    const client = await scene.connect(["websocket"]);
    await client.emitWithAck("join", "room 1");
    await client.emitWithAck("join", "room 2");
    await client.emitWithAck("leave", "room 1");
    client.disconnect();
    const entries = await scene.until("disconnect");
    assert.deepEqual(
      entries.filter(([what]) => /namespace$|^connection$|-room$/.test(what)),
      [
        ["new_namespace", scene.namespace],
        ["connection", "websocket"],
        ["create-room", "room 1"],
        ["join-room", "room 1"],
        ["create-room", "room 2"],
        ["join-room", "room 2"],
        ["leave-room", "room 1"],
        ["delete-room", "room 1"],
        ["leave-room", "room 2"],
        ["delete-room", "room 2"],
      ],
    );
  },

  async "packets, heartbeats and the upgrade"(scene) {
    const client = await scene.connect(["polling", "websocket"]);
    const entries = [...(await scene.until("upgrade"))];
    await client.emitWithAck("join", "room");
    entries.push(...(await scene.until("heartbeat")));
    client.disconnect();
    entries.push(...(await scene.until("disconnect")));
    const { namespace } = scene;
    assert.deepEqual(
      still(entries).filter(([what]) => /^(connection|upgrading|upgrade|packet)$/.test(what)),
      [
        ["connection", "polling"],
        ["upgrading", "polling"],
        ["upgrade", "websocket"],
        ["packet", "message", `2${namespace},0["join","room"]`],
        ["packet", "message", `1${namespace},`],
      ],
    );
    const beat = entries.findIndex(([what]) => what === "heartbeat");
    assert.deepEqual(entries[beat - 1], ["packet", "pong", ""]);
    // Of the end of the connection, a socket that has left before is not told.
    assert.deepEqual(reasons(entries).slice(0, 2), [
      ["disconnecting", "client namespace disconnect"],
      ["disconnect", "client namespace disconnect"],
    ]);
  },

  async "a client that is gone"(scene) {
    const ws = await scene.byHand();
    ws.close(1001);
    const entries = await scene.until("close");
    assert.deepEqual(reasons(entries), [
      ["disconnecting", "transport close"],
      ["disconnect", "transport close"],
      ["close", "transport close"],
    ]);
  },

  async "a client that is silent"(scene) {
    const ws = await scene.byHand();
    const entries = await scene.until("close");
    assert.deepEqual(reasons(entries), [
      ["disconnecting", "ping timeout"],
      ["disconnect", "ping timeout"],
      ["close", "ping timeout"],
    ]);
    ws.terminate();
  },

  async "a message that is too large"(scene) {
    const ws = await scene.byHand();
    ws.send(`42${scene.namespace},["x","${"x".repeat(20_000)}"]`);
    const entries = await scene.until("close");
    assert.deepEqual(reasons(entries), [
      ["disconnecting", "transport error"],
      ["disconnect", "transport error"],
      ["close", "transport error"],
    ]);
    const [, , detail] = entries.find(([what]) => what === "disconnect");
    assert.equal(typeof detail, "string", "what else is known");
    ws.terminate();
  },

  async "a packet that makes no sense"(scene) {
    const ws = await scene.byHand();
    ws.send("9");
    const entries = await scene.until("close");
    assert.deepEqual(reasons(entries), [
      ["disconnecting", "parse error"],
      ["disconnect", "parse error"],
      ["close", "parse error"],
    ]);
    ws.terminate();
  },

  async "requests that are refused"(scene) {
    const errors = [];
    for (const [query, init] of [
      [{ transport: "pigeon" }],
      [{ sid: "nobody" }],
      [{}, { method: "POST", body: "4" }],
      [{ transport: "websocket" }],
      [{ forbidden: 1 }],
      [{ EIO: 3 }],
      [{}, { headers: { "x-refuse": "fail" } }],
    ]) {
      const response = await fetch(scene.url(query), init);
      assert.ok(response.status >= 400);
      await response.arrayBuffer();
      const told = await scene.told();
      errors.push(...told.filter(([what]) => what === "connection_error"));
    }
    assert.deepEqual(errors, [
      ["connection_error", 0, "Transport unknown", null],
      ["connection_error", 1, "Session ID unknown", null],
      ["connection_error", 2, "Bad handshake method", null],
      ["connection_error", 3, "Bad request", "TRANSPORT_HANDSHAKE_ERROR"],
      ["connection_error", 4, "not you", null],
      ["connection_error", 5, "Unsupported protocol version", null],
      ["connection_error", 3, "Bad request", "MIDDLEWARE_FAILURE"],
    ]);
  },

  async "headers and a layer of requests"(scene) {
    const names = ["x-initial", "x-every", "x-layer"];
    const seen = (headers) => names.filter((name) => (headers.get?.(name) ?? headers[name]) === "1");
    const opened = await fetch(scene.url());
    assert.deepEqual(seen(opened.headers), names);
    const { sid } = JSON.parse((await opened.text()).slice(1));
    const posted = await fetch(scene.url({ sid }), { method: "POST", body: "1" });
    assert.deepEqual(seen(posted.headers), ["x-every", "x-layer"]);
    await posted.text();
    const ws = new WebSocket(scene.url({ transport: "websocket" }, "ws"));
    const [response] = await once(ws, "upgrade");
    assert.deepEqual(seen(response.headers), names);
    ws.close();
    const refused = await fetch(scene.url(), { headers: { "x-refuse": "1" } });
    assert.deepEqual([refused.status, await refused.text()], [401, "no"]);
  },

  async "counts of connections and servers"(scene) {
    const counts = () => scene.observer.emitWithAck("counts");
    const settled = async (connections) => {
      for (;;) {
        const [now, ...others] = await counts();
        assert.deepEqual(others, [1, 0]);
        if (now === connections) return;
        await sleep(20);
      }
    };
    await settled(1);
    const client = await scene.connect(["websocket"]);
    await settled(2);
    client.disconnect();
    await settled(1);
  },
};

const tests = {};
for (const [name, server] of Object.entries(servers)) {
  for (const [title, run] of Object.entries(cases)) {
    tests[`${name}: ${title}`] = async () => {
      const scene = new Scene(server);
      await scene.begin();
      await run(scene).finally(() => scene.end());
    };
  }
}

const failed = await runTests(tests, { filter: options.filter, log: () => servers.Sockeye.log });
for (const server of Object.values(servers)) await server.stop();
process.exit(failed ? 1 : 0);
