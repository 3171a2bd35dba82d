// What a case works with: sockets that are closed after it, and inboxes that miss nothing.

import { setTimeout as sleep } from "node:timers/promises";

const EVENTS = [
  "connect", "connect_error", "error", "disconnect",
  "auth", "message-back", "emit-with-ack", "told",
];

export class Bench {
  constructor({ client, generation, lacks = [], transport, parser, origin, restartServer }) {
    Object.assign(this, { client, generation, lacks, transport, parser, origin, restartServer, sleep });
    this.sockets = [];
    this.sharesConnection = generation !== undefined;
  }

  /**
   * Connects a socket to `namespace`; the sockets of one bench share a connection.
   * `wait`: until connected. `settle`: also until the upgrade, if there is to be one.
   */
  async connect(namespace, { wait = true, settle = true, auth, query } = {}) {
    const options = {
      // The first socket of a case opens a connection of its own, the others join it.
      forceNew: this.sockets.length === 0,
      reconnectionDelay: 50,
      reconnectionDelayMax: 200,
      // Old clients send the query along with the namespace; newer ones have `auth`.
      ...(this.generation < 3 ? { query } : { auth, query }),
    };
    const socket =
      this.sockets.length === 0
        ? this.client.connect(this.origin + namespace, this.transport, options)
        : (this.client.join ?? joinManager)(this.sockets[0], namespace, options);
    this.sockets.push(socket);
    const inbox = new Inbox(socket);
    if (wait) await inbox.next("connect");
    if (settle) await this.settle(socket);
    return { socket, inbox };
  }

  /** Waits for the transport that this row is about. */
  async settle(socket) {
    const wanted = this.transport === "polling" ? "polling" : "websocket";
    while (this.client.transportOf(socket) !== wanted) await sleep(5);
  }

  /** Ends the case: the transport must still be the wanted one, then everything closes. */
  async finish() {
    await this.settle(this.sockets[0]);
    this.close();
  }

  close() {
    for (const socket of this.sockets) this.client.closeAll(socket);
    this.sockets = [];
  }
}

function joinManager(first, namespace, { query, ...options }) {
  // Only io() itself turns the query into text in 1.x; all versions accept text.
  const text = query && Object.entries(query).map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
  return first.io.socket(namespace, { query: text, ...options });
}

/** Every event that arrives, kept until somebody asks for it. */
class Inbox {
  constructor(socket) {
    this.arrived = new Map(EVENTS.map((name) => [name, []]));
    this.waiting = new Map();
    for (const name of EVENTS) {
      socket.on(name, (...args) => {
        const waiting = this.waiting.get(name);
        this.waiting.delete(name);
        if (waiting) waiting(args);
        else this.arrived.get(name).push(args);
      });
    }
  }

  /** The arguments of the next `name`; waits as long as the case may last. */
  async next(name) {
    const arrived = this.arrived.get(name);
    if (arrived.length > 0) return arrived.shift();
    return new Promise((resolve) => this.waiting.set(name, resolve));
  }

  count(name) {
    return this.arrived.get(name).length;
  }
}
