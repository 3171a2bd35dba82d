// Those who tell the servers of a cluster what to do, and are none: Node's emitters, Sockeye's, and the command.
//
// Each follows orders, which are objects: `do` is one of "emit", "join", "leave", "disconnect", "server-emit"; and `of`, `to`,
// `except`, `volatile`, `compress`, `event`, `args`, `rooms`, `close` say the rest.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { clusterUrl, given, mongoCollection, redisClient } from "./adapters.mjs";

/** How to get the emitters for the cluster of a URL, by name; `programs` has the commands of those that are programs. */
export function emitters(url, programs) {
  return {
    ...(OFFICIAL[clusterUrl(url).scheme] && { node: () => NodeEmitter.connect(url) }),
    ...(programs.emitter && { sockeye: () => new Program(`${programs.emitter} --cluster '${url}'`) }),
    ...(programs.sockeye && { command: () => new EmitCommand(programs.sockeye, url) }),
  };
}

/** The official packages. There is none for sharded pub/sub, nor for what this project has for NATS. */
const OFFICIAL = {
  redis: async (url) => {
    const { Emitter } = await import("@socket.io/redis-emitter");
    const client = await redisClient(url);
    return [new Emitter(client, given({ key: url.parameter("prefix") })), () => client.destroy()];
  },
  postgres: async (_, text) => {
    const { default: pg } = await import("pg");
    const { Emitter } = await import("@socket.io/postgres-emitter");
    const pool = new pg.Pool({ connectionString: text, max: 1 });
    return [new Emitter(pool), () => pool.end()];
  },
  mongodb: async (url, text) => {
    const { MongoClient } = await import("mongodb");
    const { Emitter } = await import("@socket.io/mongo-emitter");
    const client = await new MongoClient(text).connect();
    const [collection, options] = await mongoCollection(client, url);
    return [new Emitter(collection, "/", options), () => client.close()];
  },
};

class NodeEmitter {
  static async connect(text) {
    const url = clusterUrl(text);
    const [emitter, close] = await OFFICIAL[url.scheme](url, text);
    return Object.assign(new NodeEmitter(), { emitter, close });
  }

  takes = () => true;

  async follow(order) {
    const namespace = order.of ? this.emitter.of(order.of) : this.emitter;
    // What is for everyone has no operator to say it with.
    let meant = order.to ? namespace.to(order.to) : namespace;
    if (order.except) meant = meant.except(order.except);
    if (order.volatile) meant = meant.volatile;
    if (order.compress !== undefined) meant = meant.compress(order.compress);
    const args = order.args ?? [];
    if (order.do === "emit") meant.emit(order.event, ...args);
    if (order.do === "join") meant.socketsJoin(order.rooms);
    if (order.do === "leave") meant.socketsLeave(order.rooms);
    if (order.do === "disconnect") meant.disconnectSockets(order.close);
    if (order.do === "server-emit") namespace.serverSideEmit(order.event, ...args);
  }
}

/** The example cluster_emitter, which takes an order a line. */
class Program {
  log = "";

  constructor(command) {
    this.child = spawn(command, { shell: true, stdio: ["pipe", "ignore", "pipe"] });
    this.child.stderr.on("data", (chunk) => (this.log += chunk));
    this.child.stdin.on("error", (error) => (this.log += error.message));
  }

  takes = () => true;

  async follow(order) {
    if (this.child.exitCode !== null) throw new Error(`the emitter has ended: ${this.log}`);
    this.child.stdin.write(`${JSON.stringify(order)}\n`);
  }

  async close() {
    if (this.child.exitCode !== null) return;
    this.child.stdin.end();
    await once(this.child, "exit");
  }
}

/** `sockeye emit --via`, which is an emitter for one event. */
class EmitCommand {
  folder = mkdtempSync(join(tmpdir(), "sockeye-emit-"));

  constructor(command, url) {
    Object.assign(this, { command, url });
  }

  takes = ({ byCommand }) => byCommand === true;

  async follow({ of, to = [], except = [], event, args = [] }) {
    const words = args.map((arg, i) => {
      if (!Buffer.isBuffer(arg)) return JSON.stringify(arg);
      const file = join(this.folder, String(i));
      writeFileSync(file, arg);
      return `@${file}`;
    });
    const rooms = [...to.map((room) => `--room=${room}`), ...except.map((room) => `--except=${room}`)];
    const options = [...rooms, ...(of ? [`--namespace=${of}`] : [])];
    const all = ["emit", "--via", ...options, "--", this.url, event, ...words];
    await promisify(execFile)("sh", ["-c", `${this.command} "$@"`, "sh", ...all]);
  }

  async close() {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
