// A plain net-socket.io peer, after its byte rules: one JSON object a line, CR LF at the end, no arguments no `args`.
// It knows no namespaces, acknowledgements, heartbeats or ends; nothing but Node's `net` is needed.

import { once } from "node:events";
import net from "node:net";

/** One end of a connection. `emit` writes a line; `on` listens for those of the other end. */
export class PlainPeer {
  #listeners = new Map();

  /** `watch(line, object)` sees every line that comes, with its CR if it has one, and what it means. */
  constructor(stream, watch = () => {}) {
    this.stream = stream;
    let rest = "";
    stream.setEncoding("utf8").on("data", (chunk) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop();
      for (const line of lines) this.#read(line, watch);
    });
    stream.on("error", () => {});
  }

  /** Connects to a path or a port of this machine. */
  static connect(target, watch) {
    return new PlainPeer(net.connect(target), watch);
  }

  on(eventName, listener) {
    this.#listeners.set(eventName, [...(this.#listeners.get(eventName) ?? []), listener]);
    return this;
  }

  emit(eventName, ...args) {
    this.write(args.length > 0 ? { eventName, args } : { eventName });
  }

  /** Any other object, which a plain peer on the other end does not heed. */
  write(object) {
    this.stream.write(`${JSON.stringify(object)}\r\n`);
  }

  #read(line, watch) {
    let object = null;
    try {
      object = JSON.parse(line);
    } catch {
      // What is no JSON is dropped without a word.
    }
    watch(line, object);
    const args = Array.isArray(object?.args) ? object.args : [];
    for (const listener of this.#listeners.get(object?.eventName) ?? []) listener(...args);
  }
}

/** Accepts peers on a path or, with 0 for a free one, a port of 127.0.0.1. */
export class PlainServer {
  peers = new Set();

  constructor(greet, watch) {
    this.net = net.createServer((stream) => {
      const peer = new PlainPeer(stream, watch);
      this.peers.add(peer);
      stream.once("close", () => this.peers.delete(peer));
      greet(peer);
    });
  }

  async listen(target) {
    this.net.listen(typeof target === "number" ? { port: target, host: "127.0.0.1" } : target);
    await once(this.net, "listening");
    return this.net.address();
  }

  emit(eventName, ...args) {
    for (const peer of this.peers) peer.emit(eventName, ...args);
  }

  close() {
    this.net.close();
    for (const { stream } of this.peers) stream.destroy();
  }
}
