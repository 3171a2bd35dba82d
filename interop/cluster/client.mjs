// A client of a node: socket.io-client, which keeps what it hears.

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Manager } from "client-v4";

export class Client {
  #heard = new Map();
  #beside = [];
  #goneFor;
  mute = false;

  /** @param {Manager} manager connects it; @param {string} label what failures call it */
  constructor(manager, namespace, label, auth) {
    Object.assign(this, { manager, label, auth });
    const socket = manager.socket(namespace, { auth });
    this.socket = socket;
    socket.onAny((event, ...args) => {
      const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
      if (!this.#heard.has(event)) this.#heard.set(event, []);
      this.#heard.get(event).push(args);
      if (event === "question" && !this.mute) ack?.(socket.id);
      if (event === "back") ack?.({ back: args });
      if (event === "nothing") ack?.();
    });
    socket.on("disconnect", (reason) => (this.#goneFor = reason));
    socket.connect();
  }

  static connect(url, label, auth) {
    const manager = new Manager(url, { transports: ["websocket"], reconnection: false, autoConnect: false });
    return new Client(manager, "/", label, auth).connected();
  }

  /** The same connection in another namespace. */
  beside(namespace) {
    const client = new Client(this.manager, namespace, `${this.label} in ${namespace}`, this.auth);
    this.#beside.push(client);
    return client.connected();
  }

  async connected() {
    if (!this.socket.connected) {
      await Promise.race([
        once(this.socket, "connect"),
        once(this.socket, "connect_error").then(([error]) => Promise.reject(error)),
      ]);
    }
    return this;
  }

  get id() {
    return this.socket.id;
  }

  isConnected() {
    return this.socket.connected;
  }

  /** All arguments with which an event has come so far. */
  heard(event) {
    return this.#heard.get(event) ?? [];
  }

  emit(...args) {
    this.socket.emit(...args);
  }

  /** Emits an event, and gives what it is acknowledged with. */
  async ask(...args) {
    try {
      return await this.socket.timeout(12_000).emitWithAck(...args);
    } catch (error) {
      throw new Error(`${this.label} is not answered ${args[0]}: ${error.message}`);
    }
  }

  async gone(reason) {
    for (const end = Date.now() + 4000; Date.now() < end; await sleep(5)) {
      if (this.#goneFor !== undefined) break;
    }
    if (this.#goneFor === undefined) throw new Error(`${this.label} is still connected`);
    if (reason && this.#goneFor !== reason) throw new Error(`${this.label} has gone for "${this.#goneFor}"`);
  }

  close() {
    for (const other of this.#beside) other.close();
    this.socket.disconnect();
  }
}
