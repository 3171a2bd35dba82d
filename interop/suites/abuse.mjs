// What offenders do to a server with the contract of the `conformance` example: input that grows while it
// is passed on, connections that read nothing or never finish what they have begun, and more of each than
// anybody needs. Written from reports; none of it needs more than a socket.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { io } from "client-v4";
import { WebSocket } from "ws";
import { MB, SLACK } from "../lib/memory.mjs";

const LIMIT = 1_000_000;

/** In milliseconds, how long the server waits for the rest of what was begun. */
export const UNFINISHED_TIMEOUT = 1000;

/** The places of a server: its HTTP port, and the path of its Unix-domain socket. */
export class Target {
  constructor(server, path) {
    Object.assign(this, { server, path });
  }

  /** Somebody who uses the server as it is meant to be, over WebSocket. */
  async bystander() {
    const socket = io(this.server.origin, { transports: ["websocket"], reconnection: false });
    await once(socket, "connect");
    return socket;
  }

  /** That it still serves others: a new connection is let in and gets its answer. */
  async serves() {
    const socket = await this.bystander();
    const answer = await socket.timeout(3000).emitWithAck("message-with-ack", "still there");
    assert.equal(answer, "still there");
    socket.close();
  }
}

/** A raw connection that counts what is written to it. */
function raw(offender, place) {
  const socket = offender.keep(connect(place));
  socket.on("error", () => {});
  const closed = once(socket, "close").catch(() => {});
  return {
    socket,
    closed,
    async write(data) {
      if (socket.destroyed) return;
      offender.sent += Buffer.byteLength(data);
      if (!socket.write(data)) await Promise.race([once(socket, "drain").catch(() => {}), closed]);
    },
  };
}

/** A WebSocket in the namespace `/` that answers heartbeats and is otherwise silent. */
async function member(target, offender) {
  const ws = new WebSocket(`${target.server.origin.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate: false });
  offender.keep({ destroy: () => ws.terminate() });
  ws.on("error", () => {});
  const peer = {
    ws,
    /** An answer in the middle of a message would be the end of that. */
    fragment(part) {
      ws.removeAllListeners("message");
      offender.sent += part.length;
      return new Promise((resolve) => ws.send(part, { fin: false }, resolve));
    },
    closed: once(ws, "close").catch(() => {}),
    send(message) {
      if (ws.readyState !== WebSocket.OPEN) return;
      offender.sent += message.length;
      return new Promise((resolve) => ws.send(message, resolve));
    },
  };
  ws.on("message", (data, binary) => {
    if (!binary && data.toString() === "2") ws.send("3");
  });
  await once(ws, "open");
  await peer.send("40");
  return peer;
}

/** A plain peer on the Unix-domain socket that listens, and throws away what it hears. */
async function listener(target, offender) {
  const peer = raw(offender, target.path);
  peer.heard = 0;
  peer.socket.on("data", (data) => (peer.heard += data.length));
  await peer.write('{"eventName":"message","args":["x"]}\r\n');
  while (peer.heard === 0) await sleep(5);
  return peer;
}

/** A session on long-polling that has joined `/`; its requests are raw, to be read or not. */
async function poller(target, offender) {
  const path = "/socket.io/?EIO=4&transport=polling";
  const opened = await (await fetch(target.server.origin + path)).text();
  const query = `${path}&sid=${JSON.parse(opened.slice(1)).sid}`;
  const post = (body) => {
    offender.sent += body.length;
    return fetch(target.server.origin + query, { method: "POST", body, headers: { "content-type": "text/plain" } });
  };
  await post("40");
  return { query, post };
}

const PLACEHOLDERS = (count) => Array(count).fill('{"_placeholder":true,"num":0}').join(",");

/** @returns {Record<string, (offender: import("../lib/memory.mjs").Offender) => Promise<void>>} */
export function attacks(target, { scale }) {
  const port = target.server.port;
  const times = (count) => Math.ceil(count * scale);
  return {
    async "one attachment referenced a thousand times, relayed to a plain peer"(offender) {
      await listener(target, offender);
      for (const size of [100_000, 900_000]) {
        const peer = await member(target, offender);
        await peer.send(`451-["relay",[${PLACEHOLDERS(1000)}]]`);
        await peer.send(Buffer.alloc(size, 1));
        await Promise.race([peer.closed, sleep(500)]);
      }
    },

    async "one attachment referenced a thousand times, read by a handler"(offender) {
      for (const size of [100_000, 900_000]) {
        const peer = await member(target, offender);
        await peer.send(`451-7["lengths",[${PLACEHOLDERS(1000)}]]`);
        await peer.send(Buffer.alloc(size, 1));
        await Promise.race([peer.closed, sleep(500)]);
      }
    },

    async "lines with Buffers disconnect nobody who hears them"(offender) {
      const bystander = await target.bystander();
      const peer = await listener(target, offender);
      for (const count of [11, 100, times(30_000)]) {
        const buffers = Array(count).fill('{"type":"Buffer","data":[1]}').join(",");
        await peer.write(`{"eventName":"relay","args":[[${buffers}]]}\r\n`);
      }
      await sleep(200);
      const answer = await bystander.timeout(2000).emitWithAck("message-with-ack", 1);
      assert.equal(answer, 1, "the bystander is still connected");
      bystander.close();
    },

    async "an event with forged placeholders disconnects nobody who hears it"(offender) {
      const bystander = await target.bystander();
      const peer = await listener(target, offender);
      await peer.write('{"eventName":"relay","args":[{"_placeholder":true,"num":7}]}\r\n');
      await peer.write('{"eventName":"relay","args":[{"_placeholder":true,"num":0},{"type":"Buffer","data":[1]}]}\r\n');
      await sleep(200);
      const answer = await bystander.timeout(2000).emitWithAck("message-with-ack", 1);
      assert.equal(answer, 1, "the bystander is still connected");
      bystander.close();
    },

    async "pipelined requests whose answers nobody reads come to an end"(offender) {
      // Answers that are too much for the buffers of both operating systems together.
      const request = "GET /socket.io/sockeye.js HTTP/1.1\r\nHost: a\r\n\r\n";
      const peers = Array.from({ length: times(40) }, () => raw(offender, { port, host: "127.0.0.1" }));
      for (const peer of peers) {
        peer.socket.pause();
        await peer.write(request.repeat(2000));
      }
      await target.serves();
      await ended(peers.map(hungUp));
    },

    async "answers to polls that nobody reads do not outlive their sessions"(offender) {
      // Each has its message once, in the answer, and while that is made once more.
      offender.mayHold = () => 2 * offender.sent + SLACK;
      for (let i = 0; i < times(50); i++) {
        const { query, post } = await poller(target, offender);
        await post(`42["message","${"x".repeat(900_000)}"]`);
        const peer = raw(offender, { port, host: "127.0.0.1" });
        peer.socket.pause();
        await peer.write(`GET ${query} HTTP/1.1\r\nHost: a\r\n\r\n`);
      }
      // Its sessions miss their heartbeats, and its connections have taken nothing for too long.
      offender.stays = true;
    },

    async "bodies in chunks of one byte"(offender) {
      const chunk = "1\r\nx\r\n".repeat(1000);
      const posting = Array.from({ length: times(20) }, async () => {
        const { query } = await poller(target, offender);
        const peer = raw(offender, { port, host: "127.0.0.1" });
        let answer = "";
        peer.socket.on("data", (data) => (answer += data));
        await peer.write(`POST ${query} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n`);
        for (let i = 0; i < 200 && !answer; i++) await peer.write(chunk);
        await Promise.race([peer.closed, sleep(2000)]);
        // The rest of the body is not read, so that the answer may get lost with the connection.
        assert.ok(peer.socket.destroyed, "the connection is closed");
        assert.match(answer, /^(HTTP\/1.1 413|$)/);
      });
      await Promise.all(posting);
    },

    async "lines that never end"(offender) {
      const part = "x".repeat(100_000);
      const peers = Array.from({ length: times(10) }, () => raw(offender, target.path));
      for (const peer of peers) {
        peer.socket.resume();
        await peer.write('{"eventName":"message","args":["');
        for (let sent = 0; sent < 3_500_000; sent += part.length) await peer.write(part);
        assert.ok(!peer.socket.destroyed, "so much is allowed");
      }
      offender.stays = true;
      await ended(peers.map((peer) => peer.closed));
    },

    async "messages whose last fragment never comes"(offender) {
      const peers = [];
      for (let i = 0; i < times(20); i++) {
        const peer = await member(target, offender);
        peers.push(peer);
        await peer.fragment("42[" + "x".repeat(900_000));
        assert.equal(peer.ws.readyState, WebSocket.OPEN, "so much is allowed");
      }
      offender.stays = true;
      await ended(peers.map((peer) => peer.closed));
    },

    async "attachments that are owed"(offender) {
      const peers = [];
      for (let i = 0; i < times(20); i++) {
        const peer = await member(target, offender);
        peers.push(peer);
        const heads = Array.from({ length: 10 }, (_, num) => `{"_placeholder":true,"num":${num}}`);
        await peer.send(`4510-["message",${heads}]`);
        for (let sent = 0; sent < 9; sent++) await peer.send(Buffer.alloc(LIMIT - 1, sent));
        assert.equal(peer.ws.readyState, WebSocket.OPEN, "so much is allowed");
      }
      // These go on answering heartbeats.
      offender.stays = true;
      await ended(peers.map((peer) => peer.closed));
    },

    async "floods of pings whose pongs nobody reads"(offender) {
      const count = times(10);
      offender.mayHold = () => SLACK + count * MB;
      for (let i = 0; i < count; i++) {
        const peer = await member(target, offender);
        peer.ws._socket.pause();
        const payload = Buffer.alloc(125);
        for (let sent = 0; sent < 60_000; sent++) {
          peer.ws.ping(payload);
          offender.sent += payload.length;
          if (sent % 1000 === 0) await sleep(0);
        }
      }
    },

    async "arguments that handlers hold while they wait"(offender) {
      const count = times(5);
      // What may be held of one connection, and the message that goes beyond it, for which there was room.
      offender.mayHold = () => SLACK + count * 6 * MB;
      for (let i = 0; i < count; i++) {
        const peer = await member(target, offender);
        for (let event = 0; event < 20; event++) {
          await Promise.race([peer.send(`42["emit-with-ack","${"x".repeat(500_000)}"]`), peer.closed, sleep(500)]);
        }
      }
      await sleep(300);
    },

    async "a thousand sessions that were only begun"(offender) {
      for (let i = 0; i < times(1000); i++) {
        const path = "/socket.io/?EIO=4&transport=polling";
        offender.sent += path.length;
        await (await fetch(target.server.origin + path)).text();
      }
    },
  };
}

/** Waits until the server has closed all these connections. */
async function ended(closed) {
  const late = sleep(10_000, "late", { ref: false });
  const end = await Promise.race([Promise.all(closed), late]);
  assert.notEqual(end, "late", "the connections are still there");
}

/** Waits until the other end has closed a connection that is not read from: writing fails then. */
async function hungUp({ socket, closed }) {
  const knock = setInterval(() => socket.destroyed || socket.write("x"), 200);
  await closed;
  clearInterval(knock);
}

/**
 * With few descriptors, an offender that takes all of them does not keep others out.
 */
export async function fewDescriptors(target, offender) {
  const request = `GET /socket.io/?EIO=4&transport=${"x".repeat(400)} HTTP/1.1\r\nHost: a\r\n\r\n`;
  for (let i = 0; i < 200; i++) {
    const peer = raw(offender, { port: target.server.port, host: "127.0.0.1" });
    peer.socket.pause();
    void peer.write(request.repeat(200));
  }
  const answered = async () => {
    const response = await fetch(`${target.server.origin}/healthz`, { signal: AbortSignal.timeout(1000) });
    return response.status;
  };
  // Before the offender's connections would have been dropped for not reading.
  for (let tries = 0; ; tries++) {
    const status = await answered().catch((error) => error);
    if (status === 404) return;
    assert.ok(tries < 1, `no answer for others: ${status}`);
  }
}
