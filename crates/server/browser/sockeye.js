/*!
 * sockeye.js, a Socket.IO 5 client for browsers and Node 20+. MIT OR Apache-2.0
 */

const DEFAULTS = {
  path: "/socket.io/",
  transports: ["websocket", "polling"],
  autoConnect: true,
  reconnection: true,
  reconnectionAttempts: Infinity,
  reconnectionDelay: 1000,
  reconnectionDelayMax: 5000,
  randomizationFactor: 0.5,
  timeout: 20000, // for one attempt; false for none
};

const RESERVED = /^(connect(_error)?|disconnect(ing)?|(new|remove)Listener)$/;
const [CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR] = Array(5).keys();
const ANY = Symbol();
const SEPARATOR = "\x1e";
/** By server: namespaces share a session. */
const managers = new Map();

/**
 * Opens a socket. Options besides DEFAULTS, whose times are in ms:
 *
 * - auth: object for the namespace, or `async () => object` / `(done) => …` for every connection
 * - query: object added to every URL; extraHeaders, withCredentials: for polling
 * - forceNew: share no session; protocols, WebSocket: sub-protocols, another implementation
 *
 * @param {string} [url] server and namespace: `https://host/chat`, or `/chat` on this page's server
 */
export function connect(url = "/", options = {}) {
  const page = globalThis.location?.origin;
  const { protocol, host, pathname, searchParams } = new URL(url, page === "null" ? undefined : page);
  const origin = protocol.replace("ws", "http") + "//" + host;
  const namespace = decodeURI(pathname);
  const all = { ...DEFAULTS, query: Object.fromEntries(searchParams), ...options };
  const key = origin + all.path;
  let manager = managers.get(key);
  if (!manager || all.forceNew || manager.sockets.has(namespace)) {
    manager = new Manager(origin, all);
    if (!all.forceNew && !managers.has(key)) managers.set(key, manager);
  }
  return manager.socket(namespace, all);
}

class Emitter {
  #listeners = new Map();

  on(event, listener) {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
    return this;
  }

  once(event, listener) {
    const once = (...args) => {
      this.off(event, once);
      listener(...args);
    };
    once.listener = listener;
    return this.on(event, once);
  }

  off(event, listener) {
    if (event === undefined) this.#listeners.clear();
    const keep = (l) => listener && l !== listener && l.listener !== listener;
    this.#listeners.set(event, (this.#listeners.get(event) ?? []).filter(keep));
    return this;
  }

  _fire(event, ...args) {
    for (const listener of this.#listeners.get(event) ?? []) call(listener, args);
  }
}

/** Events: those of the server, `connect`, `connect_error(error)`, `disconnect(reason, details)`. */
export class Socket extends Emitter {
  id;
  connected = false;
  active = false;
  #flags = {};
  #nextId = 0;
  #acks = new Map();
  #buffer = [];
  /** Events before the answer to this join; which join was asked for. */
  #early;
  #asked;

  constructor(io, nsp, auth) {
    super();
    Object.assign(this, { io, nsp, auth });
  }

  get transport() {
    return this.io._engine?.transport?.name;
  }

  connect() {
    const { active } = this;
    this.active = true;
    this.io._start(this, active);
    return this;
  }

  disconnect() {
    if (this.connected) this.io._write(DISCONNECT, this.nsp);
    this.#leave("io client disconnect");
    return this;
  }

  emit(event, ...args) {
    if (!isName(event)) throw new Error(`reserved or no event name: ${event}`);
    const { timeout, volatile, withError = timeout > 0 } = this.#flags;
    this.#flags = {};
    this.io._engine?.checkHeartbeat();
    const dropped = volatile && !(this.connected && this.io._engine.transport.writable());

    let id;
    if (typeof args.at(-1) === "function") {
      id = this.#nextId++;
      const callback = args.pop();
      const expire = () => {
        this.#buffer = this.#buffer.filter((packet) => packet[2] !== id);
        settle(new Error("operation has timed out"));
      };
      // Nobody answers what is dropped.
      const timer = (dropped || timeout > 0) && setTimeout(expire, timeout);
      const settle = (error, answer) => {
        this.#acks.delete(id);
        clearTimeout(timer);
        if (withError) call(callback, error ? [error] : [null, ...answer]);
        else if (answer) call(callback, answer);
      };
      this.#acks.set(id, settle);
    }
    const packet = [EVENT, this.nsp, id, [event, ...args]];
    if (this.connected && !dropped) this.io._write(...packet);
    else if (!dropped) this.#buffer.push(packet);
    return this;
  }

  emitWithAck(event, ...args) {
    this.#flags.withError = true;
    return new Promise((resolve, reject) => {
      this.emit(event, ...args, (error, value) => (error ? reject(error) : resolve(value)));
    });
  }

  /** The next emit's acknowledgement gets `(error, …answer)`, an error after `ms`. */
  timeout(ms) {
    this.#flags.timeout = ms;
    return this;
  }

  /** The next emit is dropped if it would have to wait. */
  get volatile() {
    this.#flags.volatile = true;
    return this;
  }

  /** For every event of the server: `(event, …args)`. */
  onAny(listener) {
    return this.on(ANY, listener);
  }

  offAny(listener) {
    return this.off(ANY, listener);
  }

  async _join(engine) {
    if (this.#asked?.engine === engine) return;
    const early = (this.#early = Object.assign([], { engine }));
    let { auth } = this;
    try {
      if (typeof auth === "function") auth = await (auth.length ? new Promise(auth) : auth());
    } catch (error) {
      if (this.#early !== early) return;
      this.#leave();
      return this._fire("connect_error", error);
    }
    // It has left since.
    if (this.#early !== early || this.io._engine !== engine) return;
    this.#asked = early;
    this.io._write(CONNECT, this.nsp, undefined, auth);
  }

  _receive(packet) {
    const { type, id, data } = packet;
    if (type === CONNECT || type === CONNECT_ERROR) {
      const stale = this.#asked && this.#asked !== this.#early;
      this.#asked = undefined;
      if (stale) {
        // It has left since.
        if (type === CONNECT) this.io._write(DISCONNECT, this.nsp);
        return this.active && this._join(this.io._engine);
      }
    }
    if (!this.active) return;
    if (type === EVENT && !this.connected) {
      this.#early?.push(packet);
    } else if (type === EVENT) {
      let join = this.id;
      const ack = (...args) => {
        // Later the id is another event's.
        if (join && join === this.id) this.io._write(ACK, this.nsp, id, args);
        join = undefined;
      };
      if (id >= 0) data.push(ack);
      this._fire(ANY, ...data);
      this._fire(...data);
    } else if (type === ACK) {
      this.#acks.get(id)?.(refusal(data), data);
    } else if (type === CONNECT && data?.sid) {
      this.id = data.sid;
      this.connected = true;
      for (const packet of this.#early.splice(0)) this._receive(packet);
      if (!this.connected) return;
      for (const packet of this.#buffer.splice(0)) this.io._write(...packet);
      this._fire("connect");
    } else if (type === DISCONNECT && this.connected) {
      this.#leave("io server disconnect");
    } else if (type === CONNECT_ERROR) {
      this.#leave();
      this._fire("connect_error", Object.assign(new Error(data?.message ?? data), { data: data?.data }));
    }
  }

  #leave(reason) {
    this.active = false;
    this.#early = undefined;
    this._lost(reason);
    this.io._stop();
  }

  _lost(reason, details) {
    if (!this.connected) return;
    this.connected = false;
    this.id = undefined;
    for (const settle of this.#acks.values()) settle(new Error("socket has been disconnected"));
    this._fire("disconnect", reason, details);
  }
}

/** The sockets of one session. Events: reconnect, reconnect_(attempt|failed). */
class Manager extends Emitter {
  sockets = new Map();
  _engine;
  #attempts = 0;
  #retry;
  #packet;

  constructor(origin, options) {
    super();
    Object.assign(this, { origin, options });
  }

  socket(namespace, { auth, autoConnect = true } = {}) {
    const socket = this.sockets.get(namespace) ?? new Socket(this, namespace, auth);
    this.sockets.set(namespace, socket);
    return autoConnect ? socket.connect() : socket;
  }

  _start(socket, joined) {
    if (!this._engine) this.#retry || this.#connect();
    else if (this._engine.opened && !joined) socket._join(this._engine);
  }

  #active() {
    return [...this.sockets.values()].filter((socket) => socket.active);
  }

  _stop() {
    if (this.#active().length) return;
    clearTimeout(this.#retry);
    this._engine?.close();
    this._engine = this.#retry = this.#packet = undefined;
    this.#attempts = 0;
  }

  #connect() {
    const { timeout } = this.options;
    const engine = (this._engine = new Engine(this.origin, this.options));
    const timer = timeout && setTimeout(() => engine.end("transport error", new Error("timeout")), timeout);
    engine.onopen = () => {
      clearTimeout(timer);
      if (this.#attempts) this._fire("reconnect", this.#attempts);
      this.#attempts = 0;
      for (const socket of this.#active()) socket._join(engine);
    };
    engine.onmessage = (data) => this.#receive(data);
    engine.onend = (reason, error) => {
      clearTimeout(timer);
      this._engine = this.#packet = undefined;
      // First, so that no listener connects without the delay.
      this.#reconnect(this.options);
      for (const socket of this.#active()) {
        if (engine.opened) socket._lost(reason, error);
        else socket._fire("connect_error", error ?? new Error(reason));
      }
    };
  }

  #reconnect(options) {
    if (!options.reconnection || !this.#active().length) return;
    if (this.#attempts >= (options.reconnectionAttempts || Infinity)) {
      this.#attempts = 0;
      return queueMicrotask(() => this._fire("reconnect_failed"));
    }
    const delay = options.reconnectionDelay * 2 ** Math.min(this.#attempts++, 30);
    const jitter = delay * options.randomizationFactor * (Math.random() * 2 - 1);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this._fire("reconnect_attempt", this.#attempts);
      if (this.#active().length) this._start();
    }, Math.min(delay + jitter, options.reconnectionDelayMax));
  }

  _write(...packet) {
    for (const part of encode(...packet)) this._engine?.send(part);
  }

  #receive(data) {
    if (typeof data === "string") {
      if (this.#packet) throw new Error("invalid packet");
      this.#packet = decode(data);
    } else {
      this.#packet.attachments.push(data);
    }
    const packet = this.#packet;
    if (packet.attachments.length < packet.count) return;
    this.#packet = undefined;
    packet.data = parse(packet);
    this.sockets.get(packet.nsp)?._receive(packet);
  }
}

/** One Engine.IO session, over the first transport that opens. */
class Engine {
  #timer;
  #deadline = Infinity;
  #ended;
  #offline = () => this.end("transport close");

  constructor(origin, options) {
    Object.assign(this, { origin, options });
    if (!/\/localhost(:|$)/.test(origin)) globalThis.addEventListener?.("offline", this.#offline);
    queueMicrotask(() => this.#next(options.transports, new Error("no transport")));
  }

  #next([name, ...others], error) {
    if (this.#ended) return;
    if (!name) return this.end("transport error", error);
    const { path, query, timeout } = this.options;
    const params = Object.entries({ ...query, EIO: 4, transport: name }).filter(([, value]) => value != null);
    const url = this.origin + path + "?" + new URLSearchParams(params);
    let over;
    const events = {
      packet: (packet) => over || this.#ended || this.#receive(packet),
      end: (reason, cause) => {
        if (over) return;
        over = true;
        clearTimeout(this.#timer);
        if (this.opened) return this.end(reason, cause);
        this.transport?.abort();
        this.#next(others, Object.assign(new Error(`${name} error`), { description: cause }));
      },
    };
    // A proxy may swallow a WebSocket: leave time for others.
    if (others.length && timeout) this.#timer = setTimeout(events.end, timeout / 4);
    try {
      this.transport = (name === "polling" ? polling : webSocket)(url, this.options, events);
      this.transport.name = name;
    } catch (cause) {
      events.end("", cause);
    }
  }

  #receive(packet) {
    const type = packet[0];
    const first = !this.opened;
    try {
      const opened = this.opened ?? (type === "0" && JSON.parse(packet.slice(1)));
      const patience = opened.pingInterval + opened.pingTimeout;
      if (!(patience > 0)) throw new Error("invalid packet");
      this.opened = this.transport.session = opened;
      clearTimeout(this.#timer);
      this.#deadline = Date.now() + patience;
      this.#timer = setTimeout(() => this.end("ping timeout"), patience);
      if (first) this.onopen();
      else if (typeof packet !== "string") this.onmessage(packet);
      else if (type === "4") this.onmessage(packet.slice(1));
      else if (type === "2") this.transport.send("3");
      else if (type === "1") this.end("transport close");
      else if (type !== "6") throw new Error("invalid packet");
    } catch (error) {
      this.end("parse error", error);
    }
  }

  send(packet) {
    if (!this.#ended) this.transport.send(typeof packet === "string" ? "4" + packet : packet);
  }

  /** Timers sleep with the computer. */
  checkHeartbeat() {
    if (Date.now() > this.#deadline) this.end("ping timeout");
  }

  end(reason, error) {
    if (this.#ended) return;
    this.close("abort");
    this.onend(reason, error);
  }

  close(how = this.opened ? "close" : "abort") {
    this.#ended = true;
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.("offline", this.#offline);
    this.transport?.[how]();
  }
}

function webSocket(url, options, events) {
  const { WebSocket = globalThis.WebSocket, protocols = [] } = options;
  const ws = new WebSocket(url.replace("http", "ws"), protocols);
  ws.binaryType = "arraybuffer";
  ws.onmessage = ({ data }) => events.packet(data);
  ws.onerror = (event) => events.end("transport error", event);
  ws.onclose = (event) => events.end("transport close", event);
  const close = () => ws.close();
  return { send: (packet) => ws.send(packet), writable: () => !ws.bufferedAmount, close, abort: close };
}

function polling(url, { extraHeaders: headers, withCredentials }, events) {
  const abort = new AbortController();
  const queue = [];
  let posting, closed;

  async function request(body) {
    const response = await fetch(self.session ? `${url}&sid=${self.session.sid}` : url, {
      method: body && "POST",
      body,
      headers,
      cache: "no-store",
      redirect: "error", // nothing to other servers
      credentials: withCredentials ? "include" : undefined,
      signal: abort.signal,
    });
    const text = await response.text();
    if (response.status !== 200) throw Object.assign(new Error(text), { status: response.status });
    return text;
  }

  async function poll() {
    while (!closed) {
      for (const packet of (await request()).split(SEPARATOR)) {
        events.packet(packet[0] === "b" ? fromBase64(packet.slice(1)) : packet);
      }
    }
  }

  async function flush() {
    if (posting) return;
    posting = true;
    while (queue.length) {
      let body;
      do {
        const packet = queue[0];
        if (typeof packet !== "string") queue[0] = "b" + (await toBase64(packet));
        const more = body ? body + SEPARATOR + queue[0] : queue[0];
        // At most 3 bytes of UTF-8 for each UTF-16 unit.
        if (body && more.length * 3 > self.session.maxPayload) break;
        body = more;
        queue.shift();
      } while (queue.length);
      await request(body);
    }
    posting = false;
  }

  const failed = (error) => events.end("transport error", error);
  const send = (packet) => {
    queue.push(packet);
    flush().catch(failed);
  };
  const self = {
    send,
    writable: () => !posting,
    // The server then answers the pending GET.
    close: () => {
      closed = true;
      send("1");
    },
    abort: () => abort.abort(),
  };
  poll().catch(failed);
  return self;
}

function encode(type, nsp, id = "", data) {
  const attachments = [];
  const json = JSON.stringify(data, function (key, value) {
    // Not `value`: Node's Buffer has a toJSON method.
    return isBinary(this[key]) ? { _placeholder: true, num: attachments.push(this[key]) - 1 } : value;
  });
  const head = attachments.length ? `${type + 3}${attachments.length}-` : type;
  return [head + (nsp === "/" ? "" : nsp + ",") + id + (json ?? ""), ...attachments];
}

function decode(text) {
  const [, type, count, nsp = "/", id, json] =
    /^([0-6])(?:([1-9]\d*)-)?(?:(\/[^,]*),?)?(\d+)?([^]*)$/.exec(text) ?? [];
  if (!type || type > CONNECT_ERROR !== count >= 0) throw new Error("invalid packet");
  return { type: count ? type - 3 : +type, count, nsp, id: id && +id, json, attachments: [] };
}

function parse({ type, count, json, attachments }) {
  const revive = (_, value) => {
    if (value?._placeholder !== true) return value;
    if (typeof value.num === "number" && attachments[value.num]) return attachments[value.num];
    throw new Error("invalid packet");
  };
  const data = json && JSON.parse(json, count && revive);
  const isList = Array.isArray(data);
  if (type === EVENT ? !isList || !isName(data[0]) : type === ACK && !isList) throw new Error("invalid packet");
  return data;
}

function isName(name) {
  return /string|number/.test(typeof name) && !RESERVED.test(name);
}

/** The error in a refused acknowledgement: `[{ error: { message, data } }]`. */
function refusal([answer, ...more]) {
  const { message, data } = answer?.error ?? {};
  const keys = [answer, answer?.error].map((value) => Object.keys(Object(value))).join(";");
  if (more.length || typeof message !== "string") return;
  if (/^error;(data,)?message(,data)?$/.test(keys)) return Object.assign(new Error(message), { data });
}

function isBinary(value) {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value) || value instanceof Blob;
}

async function toBase64(data) {
  const buffer = await new Blob([data]).arrayBuffer();
  return btoa(Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join(""));
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer;
}

/** What a listener throws must not break the connection. */
function call(listener, args) {
  try {
    listener(...args);
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
  }
}
