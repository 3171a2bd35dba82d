// A rolling restart: the servers of a cluster with recovery are ended and started again one after the other, while events go
// to clients that come back to whichever server takes them. Each client has to get each event once, in order, and to be the
// same socket all the time.
//
//   node rolling.mjs --server "cargo run --release --example cluster_node --"
//
// The clients are the original ones. The events come from outside, by an emitter that is none of the servers.

import { connect, createServer } from "node:net";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { io } from "client-v4";
import { createClient } from "redis";
import { fail, parseArgs } from "./lib/args.mjs";
import { freePort, HOST, ServerUnderTest } from "./lib/server.mjs";
import { ENGINES, Missing } from "./cluster/engines.mjs";

const USAGE = `usage: node rolling.mjs --server CMD [OPTIONS]

  --server CMD    command that serves the contract of the example cluster_node; HOST:PORT and options are added to it (or put
                  in place of {})
  --nodes NAMES   the servers, with commas between them, each sockeye or node. Default: sockeye,sockeye,sockeye
  --clients N     how many clients there are. Default: 20
  --rate N        how many events there are in a second. Default: 500
  --rounds N      how often each server is restarted. Default: 1
  --kill          the servers are killed, and keep sockets early`;

const options = parseArgs(USAGE, { server: String, nodes: String, clients: String, rate: String, rounds: String, kill: Boolean });
// Without a shell in between, whose end is not yet the server's.
const COMMANDS = { node: "exec node cluster/node.mjs", sockeye: options.server && `exec ${options.server}` };
const kinds = (options.nodes ?? "sockeye,sockeye,sockeye").split(",");
if (kinds.some((kind) => !COMMANDS[kind])) fail(USAGE);
const RATE = Number(options.rate ?? 500);
const PATIENCE = 30_000;

/** Where clients connect: each connection goes to one of the servers that are there. */
class Balancer {
  #next = 0;

  async start(servers) {
    this.server = createServer((near) => {
      near.on("error", () => {});
      this.#pass(near, servers, servers.length);
    });
    this.server.listen(0, HOST);
    await once(this.server, "listening");
    this.url = `http://${HOST}:${this.server.address().port}`;
    return this;
  }

  #pass(near, servers, tries) {
    const { port } = servers[this.#next++ % servers.length];
    const far = connect(port, HOST);
    far.once("error", () => (tries > 1 ? this.#pass(near, servers, tries - 1) : near.destroy()));
    far.once("connect", () => {
      far.removeAllListeners("error").on("error", () => {});
      near.pipe(far).pipe(near);
      far.once("close", () => near.destroy());
      near.once("close", () => far.destroy());
    });
  }
}

/** A client that counts. */
class Counter {
  next = undefined;
  faults = [];
  returns = 0;
  longest = 0;

  constructor(url, name) {
    this.name = name;
    this.socket = io(url, {
      transports: ["websocket"],
      forceNew: true,
      reconnectionDelay: 50,
      reconnectionDelayMax: 200,
      randomizationFactor: 0.5,
    });
    this.socket.on("connect", () => this.#connected());
    this.socket.on("n", (number) => this.#count(number));
  }

  #connected() {
    const { id, recovered } = this.socket;
    if (this.id !== undefined) {
      this.returns += 1;
      if (!recovered) this.faults.push(`came back as another socket after ${this.next - 1}`);
      if (recovered && this.id !== id) this.faults.push(`has another id after ${this.next - 1}`);
    }
    this.id = id;
  }

  #count(number) {
    const now = performance.now();
    if (this.last !== undefined) this.longest = Math.max(this.longest, now - this.last);
    this.last = now;
    this.next ??= number;
    if (number !== this.next) this.faults.push(`got ${number} instead of ${this.next}`);
    this.next = number + 1;
  }
}

/** What Node's emitter writes; there is no package of it to be had. */
class Source {
  number = 0;

  constructor(client) {
    this.client = client;
  }

  start() {
    const started = performance.now();
    this.timer = setInterval(() => {
      while (this.number < ((performance.now() - started) / 1000) * RATE) this.#emit(++this.number);
    }, 2);
  }

  #emit(number) {
    const data = JSON.stringify({ packet: { type: 2, data: ["n", number], nsp: "/" }, opts: { rooms: [], flags: {}, except: [] } });
    const fields = { uid: "emitter", nsp: "/", type: "3", data };
    this.client.xAdd("socket.io", "*", fields, { TRIM: { strategy: "MAXLEN", strategyModifier: "~", threshold: 10_000 } });
  }

  stop() {
    clearInterval(this.timer);
  }
}

/** Whether all clients are where another server finds them. */
async function areKept() {
  return (await redis.exists(clients.map(({ socket }) => `sio:session:${socket._pid}`))) === clients.length;
}

async function until(what, isSo) {
  for (const end = Date.now() + PATIENCE; !(await isSo()); await sleep(10)) {
    if (Date.now() > end) throw new Error(`waited in vain until ${what}`);
  }
}

const engine = ENGINES.streams();
try {
  await engine.start();
} catch (error) {
  if (!(error instanceof Missing) || process.env.SOCKEYE_REQUIRE_ENGINES === "1") throw error;
  console.log(`skipped: ${error.message}`);
  process.exit(0);
}
const servers = kinds.map((kind, i) => {
  const flags = ["--name", `${kind}-${i + 1}`, "--cluster", `'${engine.url}'`, "--recovery", ...(options.kill ? ["--early"] : [])];
  return new ServerUnderTest(COMMANDS[kind], flags);
});
for (const server of servers) server.port = await freePort();
await Promise.all(servers.map((server) => server.start()));
const balancer = await new Balancer().start(servers);
const redis = createClient({ url: `redis://${engine.hosts}` });
redis.on("error", () => {});
await redis.connect();
const source = new Source(redis);
source.start();
const clients = Array.from({ length: Number(options.clients ?? 20) }, (_, i) => new Counter(balancer.url, `client ${i + 1}`));
let failed = false;
try {
  await until("all clients count", () => clients.every(({ next }) => next !== undefined));
  for (let round = 0; round < Number(options.rounds ?? 1); round++) {
    for (const server of servers) {
      if (options.kill) await until("all are kept", areKept);
      await server.stop(options.kill ? "SIGKILL" : "SIGTERM");
      await until("all are connected", () => clients.every(({ socket }) => socket.connected));
      await server.start();
      const { number } = source;
      await until("all have caught up", () => clients.every(({ next }) => next > number));
    }
  }
  source.stop();
  await until("all have got all", () => clients.every(({ next }) => next === source.number + 1));
} catch (error) {
  failed = true;
  console.log(`✗ ${error.message}`);
}
source.stop();
for (const { name, faults, next } of clients) {
  if (faults.length === 0 && next === source.number + 1) continue;
  failed = true;
  console.log(`✗ ${name} has got ${next - 1} of ${source.number}: ${faults.length} faults; ${faults.slice(0, 3).join("; ")}`);
}
if (failed) for (const { flags, log } of servers) console.log(`${flags[1]}:\n${log.slice(-1500).replace(/^/gm, "    ")}`);
const returns = clients.reduce((sum, client) => sum + client.returns, 0);
const longest = Math.max(...clients.map((client) => client.longest));
console.log(`${source.number} events to ${clients.length} clients, which came back ${returns} times; longest silence ${longest.toFixed(0)} ms`);
if (returns === 0) failed = true;
for (const { socket } of clients) socket.disconnect();
await Promise.all(servers.map((server) => server.stop()));
redis.destroy();
await engine.close();
process.exit(failed ? 1 : 0);
