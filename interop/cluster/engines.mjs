// The engines that clusters are built on: each is started on a free port of 127.0.0.1 with its files in a temporary
// folder, can be stopped and started again there, and is gone when this process is.

import { execFile, execFileSync, spawn } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort, HOST } from "../lib/server.mjs";

/** An engine whose program is not there; the message says how to get it. */
export class Missing extends Error {}

/** One process of an engine. */
class Service {
  constructor(program, args, { user, env } = {}) {
    Object.assign(this, { program, args, user, env, log: "" });
  }

  async start(isUp) {
    // Who dies of a signal runs no handlers, so the system is asked to end the engine then, where it can be.
    const wrapper = find("setpriv");
    const credentials = this.user ? ["--reuid", this.user, "--regid", this.user, "--clear-groups"] : [];
    const words = wrapper
      ? [wrapper, ...credentials, "--pdeathsig", "KILL", "--", this.program, ...this.args]
      : [this.program, ...this.args];
    const child = spawn(words[0], words.slice(1), { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...this.env } });
    this.child = child;
    this.exited = new Promise((resolve) => child.once("exit", resolve));
    child.once("error", (error) => (this.log += error.message));
    const keep = (chunk) => (this.log = (this.log + chunk).slice(-4000));
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    running.add(this);
    for (const end = Date.now() + START_TIMEOUT; Date.now() < end; await sleep(20)) {
      if (child.exitCode !== null) break;
      if (await isUp()) return;
    }
    await this.stop();
    throw new Error(`${this.program} did not start:\n${this.log}`);
  }

  async stop(signal = "SIGKILL") {
    running.delete(this);
    const { child } = this;
    if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    const patience = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT);
    await this.exited;
    clearTimeout(patience);
  }
}

/** What all engines have in common: a folder, ports, services. By itself it is none, for a node that is alone. */
class Engine {
  services = [];
  folder = mkdtempSync(join(tmpdir(), "sockeye-engine-"));

  constructor() {
    folders.add(this.folder);
  }

  async start() {
    return this;
  }

  /** The URL of a cluster that no other name has, on the same engine; none for a node that is alone. */
  async cluster(_name) {}

  /** Ends it at once, as a crash would; its files stay. */
  async stop() {
    await Promise.all(this.services.map((service) => service.stop()));
  }

  async close() {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
    folders.delete(this.folder);
  }
}

export class Redis extends Engine {
  /** @param {number} nodes 1 for a server alone, 3 for a Redis Cluster */
  constructor({ nodes = 1, program = "redis-server" } = {}) {
    super();
    this.program = need(program, "Debian's package redis-server");
    this.nodes = nodes;
  }

  async start() {
    this.ports ??= await Promise.all(Array.from({ length: this.nodes }, freePort));
    this.services = this.ports.map((port) => {
      const folder = join(this.folder, String(port));
      mkdirSync(folder, { recursive: true });
      const cluster = this.nodes > 1 ? CLUSTER_OPTIONS : [];
      return new Service(this.program, ["--bind", HOST, "--port", port, "--dir", folder, ...PLAIN_REDIS, ...cluster].map(String));
    });
    await Promise.all(
      this.services.map((service, i) => service.start(async () => (await redis(this.ports[i], "PING")) === "+PONG")),
    );
    if (this.nodes > 1) await this.#join();
    return this;
  }

  get hosts() {
    return this.ports.map((port) => `${HOST}:${port}`);
  }

  async cluster(name) {
    return `${this.url}${this.url.includes("?") ? "&" : "?"}prefix=${name}`;
  }

  /** What `redis-cli --cluster create` does, without the program. */
  async #join() {
    const [first, ...others] = this.ports;
    const share = Math.ceil(16384 / this.nodes);
    for (const [i, port] of this.ports.entries()) {
      const known = await redis(port, "CLUSTER INFO");
      if (!known.includes("cluster_slots_assigned:0")) continue;
      await redis(port, `CLUSTER ADDSLOTSRANGE ${i * share} ${Math.min(16384, (i + 1) * share) - 1}`);
      await redis(port, `CLUSTER SET-CONFIG-EPOCH ${i + 1}`);
    }
    for (const port of others) await redis(first, `CLUSTER MEET ${HOST} ${port}`);
    for (const port of this.ports) {
      await until(async () => {
        const info = await redis(port, "CLUSTER INFO");
        return info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${this.nodes}`);
      }, "the Redis Cluster did not form");
    }
  }
}

export class Postgres extends Engine {
  constructor() {
    super();
    const installed = "/usr/lib/postgresql";
    const versions = existsSync(installed) ? readdirSync(installed).sort((a, b) => b - a) : [];
    const found = [...versions.map((version) => `${installed}/${version}/bin`), ...path()];
    this.programs = found.find((folder) => ["initdb", "postgres"].every((name) => existsSync(join(folder, name))));
    if (!this.programs) throw new Missing("initdb and postgres are not there (Debian's package postgresql)");
    // The server refuses to run as root.
    this.user = process.getuid() === 0 ? "postgres" : undefined;
  }

  async start() {
    this.port ??= await freePort();
    const data = join(this.folder, "data");
    if (!existsSync(data)) {
      const init = [join(this.programs, "initdb"), "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D", data];
      if (this.user) {
        execFileSync("chown", [this.user, this.folder]);
        init.unshift("setpriv", "--reuid", this.user, "--regid", this.user, "--clear-groups");
      }
      await promisify(execFile)(init[0], init.slice(1), { cwd: "/" });
    }
    rmSync(join(data, "postmaster.pid"), { force: true });
    const settings = ["fsync=off", "listen_addresses=127.0.0.1", `unix_socket_directories=${this.folder}`, "dynamic_shared_memory_type=mmap"];
    const args = ["-D", data, "-p", String(this.port), ...settings.flatMap((setting) => ["-c", setting])];
    this.services = [new Service(join(this.programs, "postgres"), args, { user: this.user })];
    await this.services[0].start(() => this.#query("postgres", ATTACHMENTS).then(() => true, () => false));
    return this;
  }

  get url() {
    return this.#database("postgres");
  }

  /** A database, which hears nothing of what is notified in others. */
  async cluster(name) {
    await this.#query("postgres", `CREATE DATABASE "${name}"`);
    await this.#query(name, ATTACHMENTS);
    return this.#database(name);
  }

  #database(name) {
    return `postgres://postgres@${HOST}:${this.port}/${name}`;
  }

  async #query(database, statement) {
    const { default: pg } = await import("pg");
    const client = new pg.Client({ connectionString: this.#database(database) });
    client.on("error", () => {});
    try {
      await client.connect();
      await client.query(statement);
    } finally {
      await client.end().catch(() => {});
    }
  }
}

export class Mongo extends Engine {
  /** @param {boolean} byAge whether collections forget by age; they are capped otherwise, as whoever comes first makes them so */
  constructor({ byAge = false, program = process.env.SECANTUSD ?? "secantusd-py" } = {}) {
    super();
    this.byAge = byAge;
    this.program = need(program, "pip install --pre secantusdb==0.7.0b3; the variable SECANTUSD may name its path");
  }

  async start() {
    this.port ??= await freePort();
    const args = ["--host", HOST, "--port", String(this.port), "--storage-path", join(this.folder, "data"), "--cache-size", "64M"];
    this.services = [new Service(this.program, args)];
    const isUp = () => this.#ask((client) => client.db("admin").command({ ping: 1 })).then(() => true, () => false);
    await this.services[0].start(isUp);
    return this;
  }

  get url() {
    return this.#database("sockeye");
  }

  async cluster(name) {
    if (this.byAge) {
      const ages = (client) => client.db(name).collection(EVENTS).createIndex({ createdAt: 1 }, { expireAfterSeconds: 3600 });
      await this.#ask(ages);
    }
    return this.#database(name);
  }

  async #ask(question) {
    const { MongoClient } = await import("mongodb");
    const client = new MongoClient(this.url, { serverSelectionTimeoutMS: 500 });
    try {
      return await question(client);
    } finally {
      await client.close();
    }
  }

  #database(name) {
    return `mongodb://${HOST}:${this.port}/${name}`;
  }
}

export class Nats extends Engine {
  /** @param {string} scheme of its URLs: what is said on it */
  constructor(scheme = "nats") {
    super();
    this.scheme = scheme;
    this.program = need("nats-server", "Debian's package nats-server");
  }

  async start() {
    this.port ??= await freePort();
    const args = ["--addr", HOST, "--port", String(this.port), "--jetstream", "--store_dir", this.folder];
    this.services = [new Service(this.program, args)];
    await this.services[0].start(() => accepts(this.port));
    return this;
  }

  get url() {
    return `${this.scheme}://${HOST}:${this.port}`;
  }

  /** A server of its own, as a URL has no room for a prefix; it is as light as one. */
  async cluster(_name) {
    this.#others.push(await new Nats(this.scheme).start());
    return this.#others.at(-1).url;
  }

  async close() {
    await Promise.all(this.#others.map((other) => other.close()));
    await super.close();
  }

  #others = [];
}

/** Streams have names of their own, and kept sockets keys. */
class Streams extends Redis {
  get url() {
    return `redis+streams://${this.hosts}`;
  }

  async cluster(name) {
    return `${this.url}?prefix=${name}&stream=${name}&sessions=${name}:`;
  }
}

/** Sends one command to a Redis server, and gives the answer as it comes over the wire, without its line ends. */
export function redis(port, command) {
  return new Promise((resolve) => {
    const socket = connect(port, HOST);
    let answer = "";
    const done = () => {
      socket.destroy();
      resolve(answer.trim());
    };
    socket.setTimeout(2000, done);
    socket.on("error", done);
    socket.on("connect", () => socket.write(`${command}\r\n`));
    socket.on("data", (chunk) => {
      answer += chunk;
      const [, length] = /^\$(\d+)\r\n/.exec(answer) ?? [];
      if (length === undefined ? answer.endsWith("\r\n") : answer.length > Number(length) + length.length + 3) done();
    });
  });
}

async function until(condition, what) {
  for (const end = Date.now() + START_TIMEOUT; Date.now() < end; await sleep(50)) if (await condition()) return;
  throw new Error(what);
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, HOST);
    const done = (answer) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", done(true));
    socket.once("error", done(false));
  });
}

const path = () => (process.env.PATH ?? "").split(delimiter);

function find(program) {
  const candidates = program.includes("/") ? [program] : path().map((folder) => join(folder, program));
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function need(program, advice) {
  const found = find(program);
  if (!found) throw new Missing(`${program} is not there (${advice})`);
  return found;
}

const running = new Set();
const folders = new Set();

process.once("exit", () => {
  for (const service of running) service.child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const START_TIMEOUT = 30_000;
const STOP_TIMEOUT = 5_000;
/** The collection in the instructions of Node's adapter. */
export const EVENTS = "socket.io-adapter-events";
const PLAIN_REDIS = ["--save", "", "--appendonly", "no", "--protected-mode", "no", "--daemonize", "no"];
const CLUSTER_OPTIONS = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
const ATTACHMENTS = `CREATE TABLE IF NOT EXISTS socket_io_attachments (
  id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea)`;

/** All that the matrix is about, by name: engines with the URL of the cluster on them; first those that take longest. */
export const ENGINES = {
  // What plays MongoDB here looks at all of a capped collection whenever something is put into it.
  mongo: () => new Mongo({ byAge: true }),
  postgres: () => new Postgres(),
  none: () => new Engine(),
  redis: () => at(new Redis(), ({ hosts }) => `redis://${hosts}`),
  "redis-cluster": () => at(new Redis({ nodes: 3 }), ({ hosts }) => `redis://${hosts}`),
  sharded: () => at(new Redis(), ({ hosts }) => `redis+sharded://${hosts}`),
  "sharded-static": () => at(new Redis(), ({ hosts }) => `redis+sharded://${hosts}?mode=static`),
  "sharded-private": () => at(new Redis(), ({ hosts }) => `redis+sharded://${hosts}?mode=dynamic-private`),
  "sharded-cluster": () => at(new Redis({ nodes: 3 }), ({ hosts }) => `redis+sharded://${hosts}`),
  streams: () => new Streams(),
  "streams-cluster": () => new Streams({ nodes: 3 }),
  "streams-recovery": () => new Streams(),
  "streams-cluster-recovery": () => new Streams({ nodes: 3 }),
  "mongo-recovery": () => new Mongo(),
  nats: () => new Nats(),
  "nats-mickl": () => new Nats("nats+mickl"),
};

function at(engine, url) {
  return Object.defineProperty(engine, "url", { get: () => url(engine) });
}
