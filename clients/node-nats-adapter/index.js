// A Socket.IO server on Node as one of a cluster on NATS, beside Sockeye's servers and others of its kind.

import { decode, encode } from "@msgpack/msgpack";
import { ClusterAdapterWithHeartbeat, MessageType } from "socket.io-adapter";

/**
 * Gives what `new Server({ adapter })` takes.
 *
 * @param connection one of @nats-io/transport-node; with `noEcho: true` the server does not get its own messages
 * @param options `prefix`, which all subjects begin with ("socket.io"); `heartbeatInterval` and `heartbeatTimeout`, in ms
 */
export function createAdapter(connection, { prefix = "socket.io", ...options } = {}) {
  const publish = (subject, message) => connection.publish(subject, encode(message, { ignoreUndefined: true }));
  // The server calls it with `new`.
  return function (namespace) {
    return new NatsAdapter(namespace, connection, publish, prefix, options);
  };
}

class NatsAdapter extends ClusterAdapterWithHeartbeat {
  #publish;
  #subject;
  #subscriptions;

  constructor(namespace, connection, publish, prefix, options) {
    super(namespace, options);
    this.#publish = publish;
    this.#subject = `${prefix}.${token(namespace.name)}`;
    const subjects = [this.#subject, `${this.#subject}.room.*`, `${this.#subject}.node.${token(this.uid)}`];
    const callback = (error, message) => error || this.#hear(message);
    this.#subscriptions = subjects.map((subject) => connection.subscribe(subject, { callback }));
  }

  #hear({ data }) {
    let message;
    try {
      message = decode(data);
    } catch {
      return; // Anybody can publish anything.
    }
    if (typeof message?.type === "number") this.onMessage(message);
  }

  doPublish(message) {
    const { type, data } = message;
    const isForOneRoom = type === MessageType.BROADCAST && !data.requestId && data.opts.rooms.length === 1;
    const room = isForOneRoom ? token(data.opts.rooms[0]) : "";
    // The line that a subject is in may not be longer than 4 KiB.
    const isShort = room.length > 0 && room.length <= 512;
    this.#publish(isShort ? `${this.#subject}.room.${room}` : this.#subject, message);
    return Promise.resolve("");
  }

  doPublishResponse(server, response) {
    this.#publish(`${this.#subject}.node.${token(server)}`, response);
    return Promise.resolve();
  }

  /** There is no log to come back to. */
  addOffsetIfNecessary() {}

  close() {
    super.close();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }
}

/** A name as one token of a subject, in which dots, blanks and wildcards mean something. */
function token(name) {
  const escaped = encodeURIComponent(name).replace(/[.!~*'()]/g, (c) => `%${c.charCodeAt().toString(16).toUpperCase()}`);
  return escaped || "%";
}
