// Servers that fail: one of three servers of a cluster is killed, and one is stopped and goes on later, while the others wait
// for its answers. Their requests have to end soon after it is noticed, with the answers of those that are left; and who goes
// on after a stop has to be one of them again, to take nobody for gone, and to keep its sockets.
//
//   node failures.mjs --server "cargo run --release --example cluster_node --"

import { setTimeout as sleep } from "node:timers/promises";
import { fail, parseArgs } from "./lib/args.mjs";
import { ServerUnderTest, UNHURRIED } from "./lib/server.mjs";
import { Client } from "./cluster/client.mjs";
import { ENGINES, Missing } from "./cluster/engines.mjs";

const USAGE = `usage: node failures.mjs --server CMD [OPTIONS]

  --server CMD     command that serves the contract of the example cluster_node; HOST:PORT and options are added to it (or put
                   in place of {})
  --engine NAMES   only these engines, with commas between them. Default: redis,sharded,streams,
                   postgres,nats
  --quick          only what takes least: redis, and one engine on which servers know each other by heartbeats`;

const options = parseArgs(USAGE, { server: String, engine: String, quick: Boolean });
if (!options.server) fail(USAGE);
const names = (options.engine ?? (options.quick ? "redis,nats" : "redis,sharded,streams,postgres,nats")).split(",");
if (names.some((name) => !ENGINES[name])) fail(USAGE);

/** How long after the loss is noticed requests may wait; a quick run has no machine for itself, and finds out what hangs. */
const BOUND = options.quick ? 10_000 : 1000;
/** Servers are missed after ten seconds without a heartbeat. */
const PATIENCE = 30_000;
/** On these Redis says how many servers there are, and what is stopped is still connected. */
const COUNTED = ["redis", "sharded", "streams"];

/** One request, from when it is begun to what it is answered. */
class Request {
  constructor(client, ...words) {
    this.kind = words[0];
    this.begun = performance.now();
    this.done = client.socket.timeout(PATIENCE + 10_000).emitWithAck(...words).then((answer) => {
      this.ended = performance.now();
      this.answer = answer;
      return answer;
    });
    // Whoever waits for it hears of it.
    this.done.catch(() => {});
  }
}

/** Three servers with a client each. */
class Cluster {
  faults = [];
  figures = [];

  constructor(name, url) {
    this.name = name;
    const command = `exec ${options.server}`;
    this.servers = ["a", "b", "c"].map((id) => new ServerUnderTest(command, ["--name", id, "--cluster", `'${url}'`, ...UNHURRIED]));
  }

  async start() {
    await Promise.all(this.servers.map((server) => server.start()));
    this.clients = await Promise.all(this.servers.map((server, i) => this.client(i)));
    await this.complete();
    return this;
  }

  async client(i) {
    const client = await Client.connect(this.servers[i].origin, `${this.name}/${"abc"[i]}`);
    // It is not the client that is to miss its server.
    const { engine } = client.manager;
    engine._pingTimeout = 1e6;
    engine._resetPingTimeout();
    await client.ask("join", "room");
    return client;
  }

  check(isTrue, text) {
    if (!isTrue) this.faults.push(text);
  }

  /** Waits until each server counts all. */
  async complete() {
    for (const client of this.clients) await this.until("all are counted", async () => (await client.ask("count")) === 3);
  }

  async until(what, isSo) {
    for (const end = Date.now() + PATIENCE; !(await isSo()); await sleep(20)) {
      if (Date.now() > end) throw new Error(`waited in vain until ${what}`);
    }
  }

  /** What waits for a server, and for a client of it that does not answer. */
  async begin(victim) {
    const [a, , c] = this.clients;
    c.mute = true;
    const heard = c.heard("question").length;
    const timeout = PATIENCE;
    const requests = [
      new Request(a, "emit-ack", { to: ["room"], event: "question", args: [], timeout }),
      new Request(a, "remote-ack", { id: c.id, event: "question", args: [], timeout }),
    ];
    await this.until("the client is asked", () => c.heard("question").length >= heard + 2);
    // Such that it gets no further requests.
    victim.child.kill("SIGSTOP");
    await sleep(50);
    return requests;
  }

  /** Adds what waits for the server only; its timeout may be shorter than it takes to miss it. */
  ask(requests) {
    const [a] = this.clients;
    requests.push(new Request(a, "fetch", {}), new Request(a, "server-emit-ack", ["x"]));
  }

  /** Goes on asking until one server less is counted; gives the last moment at which that was not so. */
  async noticed(requests) {
    const [a] = this.clients;
    let asked = 0;
    let last = performance.now();
    for (const end = last + PATIENCE; last < end; await sleep(20)) {
      const now = performance.now();
      if ((await a.ask("count")) === 2) return last;
      last = now;
      if (performance.now() - asked < 1000) continue;
      asked = performance.now();
      this.ask(requests);
    }
    throw new Error("the loss is not noticed");
  }

  /** Waits until all have ended, and looks at what they are answered. */
  async ended(requests, noticed, what) {
    await Promise.all(requests.map(({ done }) => done));
    const late = requests.filter(({ ended }) => ended > noticed);
    const longest = Math.max(...late.map(({ ended }) => ended - noticed));
    this.check(late.length >= 4, `${what}: only ${late.length} requests have waited`);
    this.figures.push(`${what}: ${late.length} of ${requests.length} requests waited, and ended within ${longest.toFixed(0)} ms`);
    for (const { kind, ended, begun } of late) {
      const took = ended - Math.max(noticed, begun);
      this.check(took <= BOUND, `${what}: ${kind} has ended ${took.toFixed(0)} ms after the loss was noticed`);
    }
    for (const request of requests) this.look(request, what);
  }

  look({ kind, answer }, what) {
    const [a, b] = this.clients;
    const text = `${what}: ${kind} was answered ${JSON.stringify(answer)}`;
    const list = Array.isArray(answer) ? answer : answer.answers;
    const same = (expected) => [...list].sort().join() === [...expected].sort().join();
    if (kind === "remote-ack") return this.check(answer.error !== null && answer.answer === null, text);
    if (kind === "emit-ack") return this.check(answer.error !== null && same([a.id, b.id]), text);
    if (kind === "server-emit-ack") return this.check(same(["b"]), text);
    const ids = list.map(({ id }) => id);
    this.check([a.id, b.id].every((id) => ids.includes(id)) && ids.length === 2, text);
  }

  async killed() {
    const [, , victim] = this.servers;
    const requests = await this.begin(victim);
    this.ask(requests);
    await sleep(200);
    await victim.stop("SIGKILL");
    const noticed = await this.noticed(requests);
    await this.ended(requests, noticed, "killed");
    this.clients[2].close();
    await victim.start();
    this.clients[2] = await this.client(2);
    await this.complete();
  }

  async stopped() {
    const [, , victim] = this.servers;
    const [a, b, c] = this.clients;
    const { id } = c;
    const requests = await this.begin(victim);
    if (COUNTED.includes(this.name)) {
      // Nobody misses it, so that they end when their time is over.
      this.ask(requests);
      const some = requests.slice(2);
      await Promise.all(some.map(({ done }) => done));
      for (const request of some) this.look(request, "stopped");
      for (const { kind, answer } of some) this.check(answer.error, `stopped: ${kind} says not that one is missing`);
    } else {
      await this.ended(requests, await this.noticed(requests), "stopped");
    }
    c.mute = false;
    const gone = new Promise((_, reject) =>
      c.socket.once("disconnect", (reason) => reject(new Error(`its client was disconnected: ${reason}`))),
    );
    gone.catch(() => {});
    victim.child.kill("SIGCONT");
    let fewest = 3;
    const begun = performance.now();
    await this.until("it is back", async () => {
      fewest = Math.min(fewest, await Promise.race([c.ask("count"), gone]));
      return (await a.ask("count")) === 3 && (await b.ask("count")) === 3;
    });
    this.figures.push(`back after ${(performance.now() - begun).toFixed(0)} ms`);
    while (performance.now() - begun < 1500) fewest = Math.min(fewest, await c.ask("count"));
    this.check(fewest === 3, `stopped: it has counted ${fewest} when it went on`);
    this.check(c.isConnected() && c.id === id, "stopped: its client was disconnected");
    // On an engine that had to be connected to again, it takes a moment until all hears.
    await this.until("its client is heard of", async () => {
      const { answers } = await a.ask("emit-ack", { to: ["room"], event: "question", args: [], timeout: 500 });
      return answers.length === 3;
    });
    const found = await c.ask("fetch", {});
    this.check(found.length === 3, `stopped: it finds ${found.length} sockets`);
  }

  async run() {
    for (const what of ["killed", "stopped"]) {
      try {
        await this[what]();
      } catch (error) {
        this.faults.push(`${what}: ${error.message}`);
        break;
      }
    }
  }

  async close() {
    for (const client of this.clients ?? []) client.close();
    await Promise.all(this.servers.map((server) => server.stop()));
  }
}

async function on(name) {
  const engine = ENGINES[name]();
  await engine.start();
  const cluster = new Cluster(name, engine.url);
  try {
    await cluster.start();
    await cluster.run();
  } finally {
    await cluster.close();
    await engine.close();
  }
  const isFine = cluster.faults.length === 0;
  console.log(`${isFine ? "✓" : "✗"} ${name}: ${cluster.figures.join("; ")}`);
  for (const fault of cluster.faults) console.log(`    ${fault}`);
  if (!isFine) for (const { flags, log } of cluster.servers) console.log(`  ${flags[1]}:\n${log.slice(-1500).replace(/^/gm, "    ")}`);
  return isFine;
}

const outcomes = await Promise.all(
  names.map((name) =>
    on(name).catch((error) => {
      if (error instanceof Missing && process.env.SOCKEYE_REQUIRE_ENGINES !== "1") {
        console.log(`skipped: ${error.message}`);
        return true;
      }
      console.log(`✗ ${name}: ${error.message}`);
      return false;
    }),
  ),
);
process.exit(outcomes.every(Boolean) ? 0 : 1);
