// Engine.IO 3, by hand. The server echoes every message.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { expectError, frame, unframe } from "../lib/wire.mjs";

const PING_INTERVAL = 300;
const PING_TIMEOUT = 200;

export function engineIo3(wire) {
  return {
    async "polling handshake"() {
      const { status, headers, text } = await wire.get();
      assert.equal(status, 200);
      assert.match(headers.get("content-type"), /^text\/plain/i);
      assert.equal(unframe(text).length, 1);
      const { sid, upgrades, pingInterval, pingTimeout } = wire.openPacket(text);
      assert.match(sid, /^[\w-]{20}$/);
      assert.deepEqual([upgrades, pingInterval, pingTimeout], [["websocket"], PING_INTERVAL, PING_TIMEOUT]);
    },

    async "WebSocket handshake"() {
      const peer = await wire.wsSession();
      assert.deepEqual(peer.open.upgrades, []);
      peer.close();
    },

    async "errors are the same"() {
      expectError(await wire.get({ transport: "abc" }), 0, "Transport unknown");
      expectError(await wire.get({ sid: "nobody" }), 1, "Session ID unknown");
      expectError(await wire.post({}, "x"), 2, "Bad handshake method");
    },

    async "polling: lengths count UTF-16 units"() {
      const sid = await wire.session();
      for (const packets of [["4hello"], ["4é€😀", "4", "4x"]]) {
        assert.equal((await wire.post({ sid }, frame(...packets))).text, "ok");
        assert.deepEqual(await collect(wire, sid, packets.length), packets);
      }
    },

    async "polling: bytes as base64 for those who ask"() {
      const sid = await wire.session({ b64: "1" });
      await wire.post({ sid, b64: "1" }, frame("4a", "b4AQIDBA=="));
      assert.deepEqual(await collect(wire, sid, 2), ["4a", "b4AQIDBA=="]);
    },

    async "polling: bytes in binary framing"() {
      const sid = await wire.session();
      // 01: binary, its length digit by digit, ff, type 4 and the bytes
      const payload = Buffer.from([1, 5, 0xff, 4, 1, 2, 3, 4]);
      const posted = await wire.post({ sid }, payload, { "content-type": "application/octet-stream" });
      assert.equal(posted.text, "ok");
      const { headers, bytes } = await wire.get({ sid });
      assert.equal(headers.get("content-type"), "application/octet-stream");
      assert.deepEqual(bytes, payload);
    },

    async "polling: text and bytes in one binary payload"() {
      const sid = await wire.session();
      const text = [0, 3, 0xff, 0x34, 0xc3, 0xa9];
      const binary = [1, 1, 2, 0xff, 4, ...Buffer.alloc(11, 9)];
      await wire.post({ sid }, Buffer.from([...text, ...binary]), { "content-type": "application/octet-stream" });
      const { bytes } = await wire.get({ sid });
      assert.deepEqual(bytes, Buffer.from([...text, ...binary]));
    },

    async "polling: nonsense closes the session"() {
      for (const body of ["abc", "5:4x", "x:4x", "3:9ab", "2"]) {
        const sid = await wire.session();
        await wire.post({ sid }, body).catch(() => {});
        assert.equal((await wire.get({ sid })).status, 400, body);
      }
    },

    async "WebSocket: text and bytes"() {
      const peer = await wire.wsSession();
      peer.send("4hello", Buffer.from([4, 1, 2]), "b4AQI=");
      assert.equal(await peer.next(), "4hello");
      assert.deepEqual(await peer.next(), Buffer.from([4, 1, 2]));
      assert.deepEqual(await peer.next(), Buffer.from([4, 1, 2]));
      peer.close();
    },

    async "the client sends pings"() {
      const sid = await wire.session();
      for (let i = 0; i < 2; i++) {
        await sleep(PING_INTERVAL);
        assert.equal((await wire.post({ sid }, frame("2"))).text, "ok");
        assert.equal((await wire.get({ sid })).text, frame("3"));
      }
      const peer = await wire.wsSession();
      for (let i = 0; i < 2; i++) {
        await sleep(PING_INTERVAL);
        peer.send("2");
        assert.equal(await peer.next(), "3");
      }
      peer.close();
    },

    async "no ping, no session"() {
      const sid = await wire.session();
      const peer = await wire.wsSession();
      await peer.end(2 * (PING_INTERVAL + PING_TIMEOUT));
      assert.equal((await wire.get({ sid })).status, 400);
    },

    async "a pong from the client closes the session"() {
      const sid = await wire.session();
      await wire.post({ sid }, frame("3")).catch(() => {});
      assert.equal((await wire.get({ sid })).status, 400);
      const peer = await wire.wsSession();
      peer.send("3");
      await peer.end(PING_INTERVAL);
    },

    async "a second GET closes the session"() {
      const sid = await wire.session();
      const first = wire.get({ sid });
      await sleep(20);
      assert.equal((await wire.get({ sid })).status, 400);
      assert.equal((await first).text, frame("1"));
    },

    async "polling: a close packet frees the GET"() {
      const sid = await wire.session();
      const [got, posted] = await Promise.all([wire.get({ sid }), wire.post({ sid }, frame("1"))]);
      assert.equal(posted.text, "ok");
      assert.equal(got.text, frame("6"));
      expectError(await wire.get({ sid }), 1, "Session ID unknown");
    },

    async "upgrade"() {
      const sid = await wire.session();
      await wire.post({ sid }, frame("4before"));
      const peer = await wire.ws({ sid });
      peer.send("2probe");
      assert.equal(await peer.next(), "3probe");
      peer.send("5", "4after");
      assert.equal(await peer.next(), "4before");
      assert.equal(await peer.next(), "4after");
      expectError(await wire.get({ sid }), 3, "Bad request");
      peer.close();
    },

    async "upgrade: a pending GET is freed"() {
      const sid = await wire.session();
      const pending = wire.get({ sid });
      const peer = await wire.ws({ sid });
      peer.send("2probe");
      assert.equal(await peer.next(), "3probe");
      assert.equal((await pending).text, frame("6"));
      peer.close();
    },
  };
}

async function collect(wire, sid, count) {
  const packets = [];
  while (packets.length < count) {
    const { status, text } = await wire.get({ sid });
    assert.equal(status, 200, text);
    packets.push(...unframe(text).filter((packet) => packet !== "6"));
  }
  return packets;
}
