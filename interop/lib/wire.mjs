// Bare HTTP and WebSocket access to a server, for suites that speak the protocol by hand.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { WebSocket } from "ws";

/** One kind of endpoint: a server, its path and the Engine.IO revision to ask for. */
export class Wire {
  constructor(server, path, revision) {
    Object.assign(this, { server, path, revision });
  }

  url(query) {
    const all = new URLSearchParams({ EIO: this.revision, transport: "polling", ...query });
    for (const [key, value] of [...all]) if (value === "undefined") all.delete(key);
    return `${this.server.origin}${this.path}?${all}`;
  }

  get(query) {
    return this.request("GET", query);
  }

  post(query, body, headers = { "content-type": "text/plain;charset=UTF-8" }) {
    return this.request("POST", query, body, headers);
  }

  async request(method, query, body, headers) {
    const response = await fetch(this.url(query), { method, body, headers });
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, bytes, text: bytes.toString() };
  }

  /** A polling session: answers its id. */
  async session(query) {
    return this.openPacket((await this.get(query)).text).sid;
  }

  openPacket(text) {
    const packet = this.revision === 3 ? unframe(text)[0] : text;
    assert.equal(packet[0], "0", `an open packet, not ${packet}`);
    return JSON.parse(packet.slice(1));
  }

  /** A WebSocket, open at the WebSocket level. */
  async ws(query) {
    const peer = new Peer(this.url({ transport: "websocket", ...query }).replace("http", "ws"));
    await peer.opened;
    return peer;
  }

  /** A WebSocket session whose open packet has been read. */
  async wsSession(query) {
    const peer = await this.ws(query);
    peer.open = this.openPacket.call({ revision: 4 }, await peer.next());
    return peer;
  }

  /** Status and body of the answer to a WebSocket handshake that must be refused. */
  refusedWs(query) {
    return new Promise((resolve, reject) => {
      const ws = new WebSocket(this.url({ transport: "websocket", ...query }).replace("http", "ws"));
      ws.on("open", () => reject(new Error("the WebSocket opened")));
      ws.on("error", reject);
      ws.on("unexpected-response", async (_, response) => {
        let text = "";
        for await (const chunk of response) text += chunk;
        resolve({ status: response.statusCode, text });
      });
    });
  }

  /** A request whose body stays unfinished until finish() is called. */
  slowPost(query, body) {
    const { pathname, search, host } = new URL(this.url(query));
    const socket = connect(this.server.port, "127.0.0.1");
    socket.on("error", () => {});
    const head = `POST ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n`;
    return new Promise((resolve) => {
      socket.write(head + body.slice(0, 1), () => resolve({ finish: () => socket.end(body.slice(1)), destroy: () => socket.destroy() }));
    });
  }
}

/** A WebSocket that keeps what arrives until it is asked for. */
export class Peer {
  #arrived = [];
  #waiting = [];

  constructor(url, options) {
    this.ws = new WebSocket(url, options);
    this.opened = new Promise((resolve, reject) => this.ws.once("open", resolve).once("error", reject));
    this.closed = new Promise((resolve) =>
      this.ws.once("close", (code) => {
        resolve(code);
        for (const [, reject] of this.#waiting) reject(new Error(`closed with ${code}`));
      }),
    );
    this.ws.on("error", () => {});
    this.ws.on("message", (data, binary) => {
      const message = binary ? data : data.toString();
      const waiting = this.#waiting.shift();
      if (waiting) waiting[0](message);
      else this.#arrived.push(message);
    });
  }

  send(...messages) {
    for (const message of messages) this.ws.send(message);
  }

  /** The next message: a string, or a Buffer if it was binary. */
  async next() {
    if (this.#arrived.length > 0) return this.#arrived.shift();
    if (this.ws.readyState === WebSocket.CLOSED) throw new Error("closed");
    return new Promise((...settle) => this.#waiting.push(settle));
  }

  /** The next message that is no heartbeat of the server; those are answered. */
  async message() {
    for (;;) {
      const message = await this.next();
      if (message !== "2") return message;
      this.send("3");
    }
  }

  /** Waits for the server to close, answering nothing; what arrives meanwhile is dropped. */
  async end(within = 1000) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`still open after ${within} ms`)), within);
    });
    try {
      return await Promise.race([this.closed, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  close() {
    this.ws.terminate();
  }
}

/** The packets of an Engine.IO 3 text payload. */
export function unframe(text) {
  const packets = [];
  while (text) {
    const [head, length] = /^(\d+):/.exec(text) ?? assert.fail(`a length, not ${text}`);
    const end = head.length + Number(length);
    assert.ok(text.length >= end, `${length} units in ${text}`);
    packets.push(text.slice(head.length, end));
    text = text.slice(end);
  }
  return packets;
}

export function frame(...packets) {
  return packets.map((packet) => `${packet.length}:${packet}`).join("");
}

export function expectError({ status, text, headers }, code, message) {
  assert.equal(status, 400);
  assert.deepEqual(JSON.parse(text), { code, message });
  assert.match(headers.get("content-type"), /^application\/json/);
}
