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
    if (!isWellFormed(message)) return;
    try {
      this.onMessage(message);
    } catch (error) {
      // The application's, by a listener of its own. Thrown from here it would end the reader of the connection, after which
      // nothing is heard any more.
      if (!isDeeper(message, MAX_DEPTH)) queueMicrotask(() => { throw error; });
    }
  }

  /** Both of these are async so that what cannot be published is a rejection, which those who call them look at. */
  async doPublish(message) {
    const { type, data } = message;
    const isForOneRoom = type === MessageType.BROADCAST && !data.requestId && data.opts.rooms.length === 1;
    const room = isForOneRoom ? token(data.opts.rooms[0]) : "";
    // The line that a subject is in may not be longer than 4 KiB.
    const isShort = room.length > 0 && room.length <= 512;
    this.#publish(isShort ? `${this.#subject}.room.${room}` : this.#subject, message);
    return "";
  }

  async doPublishResponse(server, response) {
    this.#publish(`${this.#subject}.node.${token(server)}`, response);
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

/** Whether a message has all that is looked for in one of its type. */
function isWellFormed(message) {
  if (typeof message?.type !== "number" || typeof message.uid !== "string") return false;
  const hasAll = DATA[message.type];
  return !hasAll || (isMap(message.data) && hasAll(message.data));
}

const isMap = (value) => typeof value === "object" && value !== null;
const hasOpts = ({ opts }) => Array.isArray(opts?.rooms) && Array.isArray(opts.except);
const hasOptsAndRooms = (data) => hasOpts(data) && Array.isArray(data.rooms);

/** What has data, by its type. */
const DATA = {
  [MessageType.BROADCAST]: (data) => hasOpts(data) && Array.isArray(data.packet?.data),
  [MessageType.SOCKETS_JOIN]: hasOptsAndRooms,
  [MessageType.SOCKETS_LEAVE]: hasOptsAndRooms,
  [MessageType.DISCONNECT_SOCKETS]: hasOpts,
  [MessageType.FETCH_SOCKETS]: hasOpts,
  [MessageType.FETCH_SOCKETS_RESPONSE]: ({ sockets }) => Array.isArray(sockets) && sockets.every((socket) => Array.isArray(socket?.rooms)),
  [MessageType.SERVER_SIDE_EMIT]: ({ packet }) => Array.isArray(packet),
  [MessageType.SERVER_SIDE_EMIT_RESPONSE]: () => true,
  [MessageType.BROADCAST_CLIENT_COUNT]: () => true,
  [MessageType.BROADCAST_ACK]: () => true,
};

/** Whether something has more levels than that. */
function isDeeper(value, levels) {
  if (!isMap(value) || ArrayBuffer.isView(value)) return false;
  return levels === 0 || Object.values(value).some((part) => isDeeper(part, levels - 1));
}

/** No server writes so many levels, and there is a number of them that is too much for the stack of whoever goes into them. */
const MAX_DEPTH = 1000;
