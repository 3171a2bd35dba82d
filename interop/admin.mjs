// What an administrator's page is told of a server, and may do there. The original server with `@socket.io/admin-ui` is
// asked the same as ours, by the original client, and what both tell is compared: event by event, and shape by shape. In
// the end the original page is opened in a browser, if one is named.
//
//   node admin.mjs --server "cargo run --features admin --example admin --" [--chromium PATH]

import assert from "node:assert/strict";
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join, normalize } from "node:path";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { io } from "client-v4";
import { fail, parseArgs } from "./lib/args.mjs";
import { HOST, ServerUnderTest } from "./lib/server.mjs";
import { runTests } from "./lib/tests.mjs";

const USAGE = `usage: node admin.mjs --server CMD [--filter TEXT] [--chromium PATH]

  --server CMD      command that serves the contract of the admin example; HOST:PORT is added to it (or put in
                    place of {}). Also read from the variable SERVER.
  --chromium PATH   a browser to open the page in; without it that is left out`;

const options = parseArgs(USAGE, { server: String, filter: String, chromium: String });
const command = options.server ?? process.env.SERVER ?? fail(USAGE);

const CREDENTIALS = { username: "ann", password: "correct horse" };

const start = (command, flags) => new ServerUnderTest(command, flags).start();

/** Ours and theirs, in development and in production. */
const servers = {
  development: [await start(command), await start("node servers/admin.js")],
  production: [await start(command, ["production"]), await start("node servers/admin.js", ["production"])],
};

/** A page: it keeps all that it is told. */
class Page {
  constructor(server, auth = CREDENTIALS) {
    this.told = [];
    this.socket = io(`${server.origin}/admin`, { forceNew: true, reconnection: false, transports: ["websocket"], auth });
    this.socket.onAny((...event) => this.told.push(event));
  }

  /** Waits until it was told of something; gives that. */
  async until(is) {
    for (;;) {
      const found = this.told.find(is);
      if (found) return found;
      await sleep(10);
    }
  }

  /** Waits for the first event of this name. */
  next(name) {
    return this.until(([told]) => told === name);
  }

  end() {
    this.socket.disconnect();
  }
}

async function connect(server, namespace, options = {}) {
  const client = io(server.origin + namespace, { forceNew: true, reconnection: false, transports: ["websocket"], ...options });
  await once(client, "connect");
  return client;
}

/** The types of all that is in a value, by name. */
function shape(value) {
  if (Array.isArray(value)) return value.length ? [shape(value[0])] : [];
  if (value instanceof Uint8Array) return "bytes";
  if (value === null || typeof value !== "object") {
    return typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value) ? "date" : typeof value;
  }
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, shape(value[key])]));
}

/** What is told of one client from its first to its last moment. */
async function life(server) {
  const page = new Page(server);
  await page.next("all_sockets");
  const client = await connect(server, "/chat", {
    transports: ["polling", "websocket"],
    query: { page: "1" },
    extraHeaders: { "x-colour": "red" },
  });
  const { id } = client;
  await page.next("socket_updated");
  await client.emitWithAck("join", "red");
  await client.emitWithAck("name", "Ann");
  await client.emitWithAck("echo", 1, "two", { three: [null, true] }, Buffer.from("four"));
  client.emit("say", "red", "hello");
  await once(client, "said");
  await client.emitWithAck("leave", "red");
  await page.until(([name, update]) => name === "socket_updated" && update.data);
  client.disconnect();
  await page.next("socket_disconnected");
  await page.until(([name, , room]) => name === "room_left" && room === id);
  page.end();
  const about = ([name, first, second, third]) =>
    name === "socket_connected" || name === "socket_updated" ? first.id === id : second === id || third === id;
  return { id, told: page.told.filter(about) };
}

const both = async (mode, run) => Promise.all(servers[mode].map(run));

const cases = {
  async "a client's life, as a page is told of it"() {
    const lives = await both("development", life);
    const sorted = lives.map(({ id, told }) => {
      // Without what is another each time.
      const entries = told.map(([name, ...args]) => {
        if (name === "socket_connected") return [name, shape({ ...args[0], handshake: null }), shape(args[1])];
        const still = (value) => (value === id ? "ID" : shape(value) === "date" ? "DATE" : value);
        if (name === "socket_updated") return [name, { ...args[0], id: "ID" }];
        return [name, ...args.map(still)];
      });
      // At the end, Node tells of the rooms after the socket, and ours before.
      const order = (entry) => JSON.stringify(entry);
      return entries.sort((a, b) => (order(a) < order(b) ? -1 : 1));
    });
    assert.deepEqual(sorted[0], sorted[1]);
    assert.ok(sorted[0].length >= 13, "and that is all of it");
  },

  async "a socket and its handshake"() {
    const sockets = await both("development", async (server) => {
      const client = await connect(server, "/", { query: { page: "1" } });
      const { id } = client;
      const page = new Page(server);
      const [, all] = await page.next("all_sockets");
      page.end();
      client.disconnect();
      const socket = all.find((socket) => socket.id === id);
      const { handshake, ...rest } = socket;
      return [{ ...shape(rest), transport: rest.transport, nsp: rest.nsp }, shape(handshake), handshake.query.page];
    });
    assert.deepEqual(sockets[0], sockets[1]);
  },

  async "what the page may do, and the figures"() {
    const has = (type) => ([name, stats]) =>
      name === "server_stats" && stats.aggregatedEvents.some((event) => event.type === type);
    const compare = async (mode) => {
      const told = await both(mode, async (server) => {
        const page = new Page(server);
        const [, config] = await page.next("config");
        const client = await connect(server, "/chat");
        await client.emitWithAck("echo", "x");
        const [, stats] = await page.until(has("bytesOut"));
        client.disconnect();
        await page.until(has("rawDisconnection"));
        page.end();
        const events = page.told.flatMap(([name, stats]) => (name === "server_stats" ? stats.aggregatedEvents : []));
        // Which of them come together depends on the second in which they happen.
        const kinds = new Map(events.map((event) => [`${event.type} ${event.subType ?? ""}`, shape(event)]));
        return {
          config,
          kinds: [...kinds].sort(),
          told: mode === "production" ? [...new Set(page.told.map(([name]) => name))].sort() : [],
          namespaces: stats.namespaces.map(({ name }) => name).sort(),
          stats: shape({ ...stats, aggregatedEvents: [] }),
        };
      });
      assert.deepEqual(told[0], told[1]);
    };
    // All of them, whatever one says: the next case counts what comes.
    const outcomes = await Promise.allSettled(Object.keys(servers).map(compare));
    for (const { status, reason } of outcomes) if (status === "rejected") throw reason;
  },

  async "packets and bytes are counted alike"() {
    const sums = await both("production", async (server) => {
      const page = new Page(server);
      await page.next("server_stats");
      // What has come before is told, and a page that is connected says nothing by itself.
      page.told.length = 0;
      await page.next("server_stats");
      page.told.length = 0;
      const client = await connect(server, "/chat");
      for (let n = 0; n < 20; n += 1) await client.emitWithAck("echo", "x".repeat(100), Buffer.alloc(50));
      const sum = (type) =>
        page.told
          .flatMap(([name, stats]) => (name === "server_stats" ? stats.aggregatedEvents : []))
          .reduce((sum, event) => sum + (event.type === type ? event.count : 0), 0);
      await page.until(() => sum("packetsIn") >= 41);
      client.disconnect();
      page.end();
      return [sum("rawConnection"), sum("packetsIn"), sum("bytesIn")];
    });
    assert.deepEqual(sums[0], sums[1]);
  },

  async "orders of the page"() {
    const heard = await both("development", async (server) => {
      const page = new Page(server);
      await page.next("config");
      const [alice, bob] = [await connect(server, "/chat"), await connect(server, "/chat")];
      const heard = [];
      alice.onAny((...event) => heard.push(["alice", ...event]));
      bob.onAny((...event) => heard.push(["bob", ...event]));
      const done = async (client, run) => {
        run();
        await once(client, "done");
      };
      const { socket } = page;
      socket.emit("emit", "/chat", undefined, "all", 1, { two: 2 });
      socket.emit("emit", "/chat", alice.id, "one", Buffer.from("x"));
      socket.emit("join", "/chat", "blue", bob.id);
      await page.until(([name, , room]) => name === "room_joined" && room === "blue");
      socket.emit("emit", "/chat", "blue", "to blue");
      socket.emit("leave", "/chat", "blue", undefined);
      await page.until(([name, , room]) => name === "room_left" && room === "blue");
      socket.emit("emit", "/chat", "blue", "to nobody");
      await Promise.all([once(alice, "done"), done(bob, () => socket.emit("emit", "/chat", undefined, "done"))]);
      socket.emit("_disconnect", "/chat", false, alice.id);
      const [reason] = await once(alice, "disconnect");
      heard.push(["alice", "left", reason, bob.connected]);
      socket.emit("_disconnect", "/chat", true, undefined);
      await once(bob, "disconnect");
      page.end();
      // Each hears in order, and one need not hear before the other.
      return ["alice", "bob"].map((who) => heard.filter(([name]) => name === who));
    });
    assert.deepEqual(heard[0], heard[1]);
    assert.equal(heard[0][0].length + heard[0][1].length, 7);
  },

  async "credentials and sessions"() {
    const answers = await both("development", async (server) => {
      const answers = [];
      for (const auth of [
        {},
        { ...CREDENTIALS, password: "wrong" },
        { ...CREDENTIALS, username: "bob" },
        { sessionId: "0123456789abcdef" },
      ]) {
        const page = new Page(server, auth);
        const [error] = await once(page.socket, "connect_error");
        answers.push(error.message);
        page.end();
      }
      const page = new Page(server);
      const [, sessionId] = await page.next("session");
      page.end();
      const again = new Page(server, { sessionId });
      await again.next("all_sockets");
      answers.push(typeof sessionId, again.told.some(([name]) => name === "session"));
      again.end();
      return answers;
    });
    assert.deepEqual(answers[0], answers[1]);
    // A name without a password is left out: Node's server gives no answer to that.
    assert.deepEqual(answers[0].slice(0, 4), Array(4).fill("invalid credentials"));
  },
};

/** The files of the page. */
function pages() {
  const main = createRequire(import.meta.url).resolve("@socket.io/admin-ui");
  const folder = join(dirname(main), "../ui/dist");
  const types = { ".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml" };
  return createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://host");
    const file = join(folder, normalize(pathname === "/" ? "/index.html" : pathname));
    if (!file.startsWith(folder) || !existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  });
}

if (options.chromium) {
  const { chromium } = await import("playwright-core");
  cases["the page in a browser lists sockets, and disconnects one"] = async () => {
    const [server] = servers.development;
    const client = await connect(server, "/");
    const files = pages().listen(0, HOST);
    await once(files, "listening");
    const browser = await chromium.launch({ executablePath: options.chromium, args: ["--no-sandbox"] });
    try {
      const page = await browser.newPage();
      const here = `http://${HOST}:${files.address().port}`;
      // Fonts and icons are elsewhere, and nobody waits for these.
      await page.route((url) => url.hostname !== HOST, (route) => route.abort());
      // It comes from another origin, which our example does not allow and WebSockets do not ask for.
      await page.addInitScript(() => localStorage.setItem("ws_only", "true"));
      await page.goto(here);
      await page.getByLabel("Server URL").fill(`${server.origin}`);
      await page.getByLabel("Username").fill(CREDENTIALS.username);
      await page.getByLabel("Password").fill(CREDENTIALS.password);
      const connecting = page.getByRole("button", { name: "Connect" });
      await connecting.click();
      await connecting.waitFor({ state: "hidden" });
      await page.goto(`${here}/#/sockets`);
      await page.getByText(client.id).first().waitFor({ timeout: 15_000 });
      const gone = once(client, "disconnect");
      const row = page.getByRole("row").filter({ hasText: client.id });
      await row.getByRole("button").last().click();
      await gone;
    } finally {
      await browser.close();
      files.close();
      client.disconnect();
    }
  };
} else {
  console.log("no browser was named: the page itself is left out");
}

const [ours] = servers.development;
const failed = await runTests(cases, { filter: options.filter, timeout: 30_000, log: () => ours.log });
for (const server of Object.values(servers).flat()) await server.stop();
process.exit(failed ? 1 : 0);
