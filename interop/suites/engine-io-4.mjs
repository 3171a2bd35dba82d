// Engine.IO 4, by hand. The server echoes every message.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { expectError } from "../lib/wire.mjs";

const RS = "\x1e";
const PING_INTERVAL = 300;
const PING_TIMEOUT = 200;
const UNKNOWN_SID = [1, "Session ID unknown"];
const MISMATCH = [3, "Bad request"];

export function engineIo4(wire) {
  return {
    // Handshake

    async "polling handshake"() {
      const { status, headers, text } = await wire.get();
      assert.equal(status, 200);
      assert.match(headers.get("content-type"), /^text\/plain; charset=utf-8$/i);
      const { sid, ...rest } = wire.openPacket(text);
      assert.match(sid, /^[\w-]{20}$/);
      assert.deepEqual(rest, {
        upgrades: ["websocket"],
        pingInterval: PING_INTERVAL,
        pingTimeout: PING_TIMEOUT,
        maxPayload: 1_000_000,
      });
    },

    async "WebSocket handshake"() {
      const peer = await wire.wsSession();
      const { sid, ...rest } = peer.open;
      assert.match(sid, /^[\w-]{20}$/);
      assert.deepEqual(rest, { upgrades: [], pingInterval: 300, pingTimeout: 200, maxPayload: 1_000_000 });
      peer.close();
    },

    async "ids are not repeated"() {
      const ids = await Promise.all(Array.from({ length: 20 }, () => wire.session()));
      assert.equal(new Set(ids).size, 20);
    },

    async "unknown transports are refused"() {
      for (const transport of ["undefined", "abc", "constructor", "__proto__", ""]) {
        expectError(await wire.get({ transport }), 0, "Transport unknown");
      }
      assert.equal((await wire.refusedWs({ transport: "abc" })).status, 400);
    },

    async "unknown sessions are refused"() {
      for (const transport of ["polling", "websocket"]) {
        expectError(await wire.get({ sid: "nobody", transport }), ...UNKNOWN_SID);
      }
      expectError(await wire.post({ sid: "nobody" }, "4x"), ...UNKNOWN_SID);
      assert.deepEqual(await wire.refusedWs({ sid: "nobody" }), { status: 400, text: "Session ID unknown" });
    },

    async "a session begins with GET"() {
      for (const method of ["POST", "PUT", "DELETE"]) {
        expectError(await wire.request(method), 2, "Bad handshake method");
      }
    },

    async "transport=websocket needs an upgrade"() {
      expectError(await wire.get({ transport: "websocket" }), ...MISMATCH);
    },

    async "a request without EIO is refused"() {
      expectError(await wire.get({ EIO: "undefined" }), 5, "Unsupported protocol version");
      assert.equal((await wire.refusedWs({ EIO: "undefined" })).status, 400);
    },

    async "another path is not ours"() {
      const response = await fetch(`${wire.server.origin}/elsewhere/?EIO=4&transport=polling`);
      assert.equal(response.status, 404);
    },

    async "any origin may ask"() {
      const headers = { origin: "http://example.com" };
      for (const query of [{}, { transport: "abc" }]) {
        const response = await wire.request("GET", query, undefined, headers);
        assert.equal(response.headers.get("access-control-allow-origin"), "*");
      }
      const preflight = await wire.request("OPTIONS", {}, undefined, {
        ...headers,
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-a",
      });
      assert.equal(preflight.status, 204);
      assert.equal(preflight.headers.get("access-control-allow-origin"), "*");
      assert.match(preflight.headers.get("access-control-allow-methods"), /POST/);
      assert.match(preflight.headers.get("access-control-allow-headers"), /x-a/i);
    },

    // Messages

    async "polling: text"() {
      const sid = await wire.session();
      for (const text of ["4hello", "4é€ 👩‍👩‍👧‍👦 𝒳", "4"]) {
        const posted = await wire.post({ sid }, text);
        assert.deepEqual([posted.status, posted.text], [200, "ok"]);
        const got = await wire.get({ sid });
        assert.deepEqual([got.status, got.text], [200, text]);
      }
    },

    async "polling: several packets and bytes in one payload"() {
      const sid = await wire.session();
      const packets = ["4one", "bAQIDBA==", "4é", "4", "b/w=="];
      await wire.post({ sid }, packets.join(RS));
      assert.deepEqual(await collect(wire, sid, packets.length), packets);
    },

    async "polling: nonsense closes the session"() {
      for (const body of ["abc", "", `4ok${RS}9`, `4a${RS}${RS}4b`]) {
        const sid = await wire.session();
        await refusedPost(wire, sid, body);
        assert.equal((await wire.get({ sid })).status, 400, JSON.stringify(body));
      }
    },

    async "polling: what is not base64 closes the session"() {
      const sid = await wire.session();
      await refusedPost(wire, sid, "b*");
      assert.equal((await wire.get({ sid })).status, 400);
    },

    async "polling: binary bodies are refused"() {
      const sid = await wire.session();
      await refusedPost(wire, sid, "4x", { "content-type": "application/octet-stream" });
      assert.equal((await wire.get({ sid })).status, 400);
    },

    async "polling: a body over the limit is refused"() {
      const sid = await wire.session();
      const { status } = await wire.post({ sid }, `4${"x".repeat(1_000_000)}`);
      assert.equal(status, 413);
      const other = await wire.session();
      assert.equal((await wire.post({ sid: other }, `4${"x".repeat(999_999)}`)).text, "ok");
      assert.equal((await wire.get({ sid: other })).bytes.length, 1_000_000);
    },

    async "polling: other methods leave the session alone"() {
      const sid = await wire.session();
      for (const method of ["PUT", "DELETE"]) assert.notEqual((await wire.request(method, { sid })).status, 200);
      await wire.post({ sid }, "4still");
      assert.equal((await wire.get({ sid })).text, "4still");
    },

    async "WebSocket: text and bytes"() {
      const peer = await wire.wsSession();
      const bytes = Buffer.from([0, 1, 0x1e, 255]);
      peer.send("4hello", bytes, "4é€ 𝒳", "4", Buffer.alloc(0));
      for (const expected of ["4hello", bytes, "4é€ 𝒳", "4", Buffer.alloc(0)]) {
        assert.deepEqual(await peer.message(), expected);
      }
      peer.close();
    },

    async "WebSocket: as large as the limit, and larger"() {
      const peer = await wire.wsSession();
      peer.send(`4${"x".repeat(999_999)}`);
      assert.equal((await peer.message()).length, 1_000_000);
      peer.send(Buffer.alloc(1_000_000, 7));
      assert.equal((await peer.message()).length, 1_000_000);
      peer.send(Buffer.alloc(1_000_001));
      assert.equal(await peer.end(), 1009);
    },

    async "WebSocket: nonsense closes the session"() {
      for (const text of ["abc", "", "9"]) {
        const peer = await wire.wsSession();
        peer.send(text);
        await peer.end(PING_INTERVAL - 50);
      }
    },

    // Overlapping requests

    async "a second GET closes the session"() {
      const sid = await wire.session();
      const first = wire.get({ sid });
      await sleep(20);
      assert.equal((await wire.get({ sid })).status, 400);
      const { status, text } = await first;
      assert.deepEqual([status, text], [200, "1"]);
      expectError(await wire.get({ sid }), ...UNKNOWN_SID);
    },

    async "a second POST closes the session"() {
      const sid = await wire.session();
      const first = await wire.slowPost({ sid }, "4hello");
      await sleep(20);
      assert.equal((await wire.post({ sid }, "4x")).status, 400);
      assert.equal((await wire.get({ sid })).status, 400);
      first.destroy();
    },

    async "a GET that is dropped closes the session"() {
      const sid = await wire.session();
      const abort = new AbortController();
      const dropped = fetch(wire.url({ sid }), { signal: abort.signal }).catch(() => {});
      await sleep(30);
      abort.abort();
      await dropped;
      await sleep(30);
      assert.equal((await wire.post({ sid }, "4x")).status, 400);
    },

    // Heartbeat

    async "polling: ping and pong"() {
      const sid = await wire.session();
      for (let i = 0; i < 3; i++) {
        const started = performance.now();
        assert.equal((await wire.get({ sid })).text, "2");
        const waited = performance.now() - started;
        assert.ok(waited > PING_INTERVAL - 60 && waited < PING_INTERVAL + 190, `${waited} ms`);
        assert.equal((await wire.post({ sid }, "3")).text, "ok");
      }
    },

    async "WebSocket: ping and pong"() {
      const peer = await wire.wsSession();
      for (let i = 0; i < 3; i++) {
        assert.equal(await peer.next(), "2");
        peer.send("3");
      }
      peer.close();
    },

    async "polling: no pong, no session"() {
      const sid = await wire.session();
      await sleep(PING_INTERVAL + PING_TIMEOUT + 10);
      assert.equal((await wire.get({ sid })).status, 400);
    },

    async "WebSocket: no pong, no session"() {
      const peer = await wire.wsSession();
      const started = performance.now();
      await peer.end(2 * (PING_INTERVAL + PING_TIMEOUT));
      const waited = performance.now() - started;
      assert.ok(waited > PING_INTERVAL + PING_TIMEOUT - 60, `${waited} ms`);
    },

    async "a ping from the client closes the session"() {
      const sid = await wire.session();
      await refusedPost(wire, sid, "2");
      assert.equal((await wire.get({ sid })).status, 400);
      const peer = await wire.wsSession();
      peer.send("2");
      await peer.end(PING_INTERVAL - 50);
    },

    // Close

    async "polling: a close packet frees the GET"() {
      const sid = await wire.session();
      const [got, posted] = await Promise.all([wire.get({ sid }), wire.post({ sid }, "1")]);
      assert.deepEqual([posted.status, posted.text], [200, "ok"]);
      assert.deepEqual([got.status, got.text], [200, "6"]);
      expectError(await wire.get({ sid }), ...UNKNOWN_SID);
    },

    async "WebSocket: a close packet ends the connection"() {
      const peer = await wire.wsSession();
      peer.send("1");
      await peer.end();
    },

    // Upgrade

    async "upgrade"() {
      const sid = await wire.session();
      const peer = await wire.ws({ sid });
      peer.send("2probe");
      assert.equal(await peer.next(), "3probe");
      peer.send("5", "4hello");
      assert.equal(await peer.message(), "4hello");
      expectError(await wire.get({ sid }), ...MISMATCH);
      expectError(await wire.post({ sid }, "4x"), ...MISMATCH);
      peer.send(Buffer.from([5]));
      assert.deepEqual(await peer.message(), Buffer.from([5]));
      peer.close();
    },

    async "upgrade: a pending GET is freed"() {
      const sid = await wire.session();
      const pending = wire.get({ sid });
      const peer = await wire.ws({ sid });
      peer.send("2probe");
      assert.equal(await peer.next(), "3probe");
      assert.equal((await pending).text, "6");
      peer.send("5", "4x");
      assert.equal(await peer.message(), "4x");
      peer.close();
    },

    async "upgrade: probe and commit back to back, then a GET"() {
      const sid = await wire.session();
      const peer = await wire.ws({ sid });
      peer.send("2probe", "5");
      // They come over two connections: the GET is refused, or freed if it was there before the commit.
      const { status, text } = await wire.get({ sid });
      assert.ok(status === 400 || (status === 200 && text === "6"), `${status} ${text}`);
      assert.equal(await peer.next(), "3probe");
      peer.send("4hello");
      assert.equal(await peer.message(), "4hello");
      peer.close();
    },

    async "upgrade: what waits goes over the new transport"() {
      const sid = await wire.session();
      await wire.post({ sid }, `4one${RS}4two`);
      const peer = await wire.ws({ sid });
      peer.send("2probe");
      assert.equal(await peer.next(), "3probe");
      peer.send("5", "4three");
      for (const text of ["4one", "4two", "4three"]) assert.equal(await peer.message(), text);
      peer.close();
    },

    async "upgrade: heartbeats go on"() {
      const sid = await wire.session();
      const peer = await wire.ws({ sid });
      peer.send("2probe");
      assert.equal(await peer.next(), "3probe");
      peer.send("5");
      for (let i = 0; i < 2; i++) {
        assert.equal(await peer.next(), "2");
        peer.send("3");
      }
      await peer.end(2 * (PING_INTERVAL + PING_TIMEOUT));
    },

    async "upgrade: a wrong first packet ends the probe only"() {
      for (const first of ["4hello", "2", "2prob"]) {
        const sid = await wire.session();
        const peer = await wire.ws({ sid });
        peer.send(first);
        await peer.end();
        await wire.post({ sid }, "4still");
        const [last] = (await collect(wire, sid, 1)).slice(-1);
        assert.equal(last, "4still", first);
      }
    },

    async "upgrade: the probe may go away"() {
      const sid = await wire.session();
      const peer = await wire.ws({ sid });
      peer.send("2probe");
      assert.equal(await peer.next(), "3probe");
      peer.close();
      await sleep(20);
      await wire.post({ sid }, "4still");
      assert.deepEqual(await collect(wire, sid, 1), ["4still"]);
    },

    async "upgrade: only one at a time"() {
      const sid = await wire.session();
      const first = await wire.ws({ sid });
      first.send("2probe");
      assert.equal(await first.next(), "3probe");
      await turnedAway(wire, { sid });
      first.send("5", "4mine");
      assert.equal(await first.message(), "4mine");
      await turnedAway(wire, { sid });
      first.send("4still mine");
      assert.equal(await first.message(), "4still mine");
      first.close();
    },

    async "a WebSocket session cannot be joined"() {
      const peer = await wire.wsSession();
      await turnedAway(wire, { sid: peer.open.sid });
      expectError(await wire.get({ sid: peer.open.sid }), ...MISMATCH);
      peer.send("4mine");
      assert.equal(await peer.message(), "4mine");
      peer.close();
    },
  };
}

/** GETs until `count` packets other than noop and ping came. */
async function collect(wire, sid, count) {
  const packets = [];
  while (packets.length < count) {
    const { status, text } = await wire.get({ sid });
    assert.equal(status, 200, text);
    for (const packet of text.split(RS)) {
      if (packet === "2") await wire.post({ sid }, "3");
      else if (packet !== "6") packets.push(packet);
    }
  }
  return packets;
}

/** The answer is 400, or none: the original drops the connection of some such requests. */
async function refusedPost(wire, sid, body, headers) {
  try {
    const { status } = await wire.post({ sid }, body, headers);
    assert.ok(status === 400 || status === 200, `status ${status}`);
  } catch (error) {
    assert.equal(error.message, "fetch failed");
  }
}

/** The handshake is refused, or the WebSocket closed at once. */
async function turnedAway(wire, query) {
  let peer;
  try {
    peer = await wire.ws(query);
  } catch {
    return;
  }
  peer.send("2probe");
  await peer.end(PING_INTERVAL);
}
