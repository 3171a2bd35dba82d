// Socket.IO by hand, over WebSocket: protocol 5 (Engine.IO 4) and 4 (Engine.IO 3).

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

const slot = (num) => `{"_placeholder":true,"num":${num}}`;
const BYTES = [Buffer.from([1, 2, 3]), Buffer.from([4, 5])];

export function socketIo5(wire) {
  /** A connection that has joined `/`. */
  async function joined() {
    const peer = await wire.wsSession();
    peer.send("40");
    await join(peer, "");
    return peer;
  }

  /** Reads the answer to a CONNECT and the `auth` event after it. */
  async function join(peer, head, auth = {}) {
    const answer = await peer.message();
    assert.ok(answer.startsWith(`40${head}{`), answer);
    const { sid } = JSON.parse(answer.slice(2 + head.length));
    assert.match(sid, /^[\w-]{20}$/);
    const event = await peer.message();
    assert.ok(event.startsWith(`42${head}[`), event);
    assert.deepEqual(JSON.parse(event.slice(2 + head.length)), ["auth", auth]);
    return sid;
  }

  /** What breaks the rules must end the whole connection. */
  async function forbidden(peer, ...messages) {
    peer.send(...messages);
    await peer.end(280);
  }

  const tests = {
    // Joining

    async "join /"() {
      const peer = await wire.wsSession();
      peer.send("40");
      assert.notEqual(await join(peer, ""), peer.open.sid, "the session's id is a secret");
      peer.close();
    },

    async "join / with auth"() {
      const peer = await wire.wsSession();
      peer.send('40{"token":"é 𝒳"}');
      await join(peer, "", { token: "é 𝒳" });
      peer.close();
    },

    async "join /custom, comma or not"() {
      for (const text of ["40/custom,", "40/custom"]) {
        const peer = await wire.wsSession();
        peer.send(text);
        await join(peer, "/custom,");
        peer.close();
      }
    },

    async "join /custom with auth"() {
      const peer = await wire.wsSession();
      peer.send('40/custom,{"token":"123"}');
      await join(peer, "/custom,", { token: "123" });
      peer.close();
    },

    async "join over polling"() {
      const sid = await wire.session();
      await wire.post({ sid }, "40");
      let text = "";
      while (!text.includes("42")) text += `${(await wire.get({ sid })).text}\x1e`;
      const [answer, event] = text.split("\x1e");
      assert.match(answer, /^40\{"sid":"[\w-]{20}"\}$/);
      assert.equal(event, '42["auth",{}]');
    },

    async "an unknown namespace is refused"() {
      const peer = await wire.wsSession();
      peer.send("40/random");
      assert.equal(await peer.message(), '44/random,{"message":"Invalid namespace"}');
      peer.send("40");
      await join(peer, "");
      peer.close();
    },

    async "auth must be an object"() {
      for (const text of ["40[]", '40"abc"', "40{"]) await forbidden(await wire.wsSession(), text);
    },

    async "nobody joins a namespace twice"() {
      await forbidden(await joined(), "40");
    },

    async "a connection that joins nothing is closed"() {
      const peer = await wire.wsSession();
      const started = performance.now();
      const pongs = (async () => {
        for (;;) if ((await peer.next()) === "2") peer.send("3");
      })().catch(() => {});
      await peer.end(1600);
      await pongs;
      const waited = performance.now() - started;
      assert.ok(waited > 900, `closed after ${waited} ms`);
    },

    async "a refused connection is closed as well in time"() {
      const peer = await wire.wsSession();
      peer.send("40/random");
      await peer.message();
      (async () => {
        for (;;) if ((await peer.next()) === "2") peer.send("3");
      })().catch(() => {});
      await peer.end(1600);
    },

    // Leaving

    async "leaving one namespace keeps the other"() {
      const peer = await joined();
      peer.send("40/custom,");
      await join(peer, "/custom,");
      peer.send("41", '42/custom,["message",1]');
      assert.equal(await peer.message(), '42/custom,["message-back",1]');
      peer.send("40");
      await join(peer, "");
      peer.close();
    },

    async "an event after leaving closes the connection"() {
      const peer = await joined();
      peer.send("40/custom,");
      await join(peer, "/custom,");
      peer.send("41");
      // The original leaves a tick later; by the answer to this it has left.
      peer.send('42/custom,["message"]');
      await peer.message();
      await forbidden(peer, '42["message",1]');
    },

    async "the server disconnects a socket"() {
      const peer = await joined();
      peer.send("40/custom,");
      await join(peer, "/custom,");
      peer.send('42/custom,["disconnect-me"]');
      assert.equal(await peer.message(), "41/custom,");
      peer.send('42["message",1]');
      assert.equal(await peer.message(), '42["message-back",1]');
      peer.send('42["disconnect-me",true]');
      assert.equal(await peer.message(), "41");
      await peer.end();
    },

    // Events and acknowledgements

    async "an event"() {
      const peer = await joined();
      peer.send('42["message",1,"2",{"3":[true]},null,"é𝒳\\u2028"]');
      const back = await peer.message();
      assert.deepEqual(JSON.parse(back.slice(2)), ["message-back", 1, "2", { 3: [true] }, null, "é𝒳\u2028"]);
      peer.close();
    },

    async "an event in /custom"() {
      const peer = await wire.wsSession();
      peer.send("40/custom");
      await join(peer, "/custom,");
      peer.send('42/custom,["message"]');
      assert.equal(await peer.message(), '42/custom,["message-back"]');
      peer.close();
    },

    async "names nobody listens to are ignored"() {
      const peer = await joined();
      peer.send('42["nothing",1]', '42["",1]', "42[5,1]", '42["m\\u0065ssage",2]');
      assert.equal(await peer.message(), '42["message-back",2]');
      peer.close();
    },

    async "an acknowledgement"() {
      const peer = await joined();
      peer.send('42456["message-with-ack",1,"2",{"3":[false]}]', '420["message-with-ack"]');
      assert.equal(await peer.message(), '43456[1,"2",{"3":[false]}]');
      assert.equal(await peer.message(), "430[]");
      peer.close();
    },

    async "the server asks for acknowledgements, counted from 1"() {
      const peer = await joined();
      for (const id of [1, 2]) {
        peer.send('42["emit-with-ack",1,"2"]');
        assert.equal(await peer.message(), `42${id}["emit-with-ack",1,"2"]`);
        peer.send(`43${id}["yes",{}]`);
        assert.equal(await peer.message(), '42["emit-with-ack","yes",{}]');
      }
      peer.send('4377["nobody asked"]', '431["twice"]', '42["message"]');
      assert.equal(await peer.message(), '42["message-back"]');
      peer.close();
    },

    async "a binary event"() {
      const peer = await joined();
      peer.send(`452-["message",${slot(0)},{"a":[${slot(1)}]}]`, ...BYTES);
      assert.equal(await peer.message(), `452-["message-back",${slot(0)},{"a":[${slot(1)}]}]`);
      assert.deepEqual([await peer.message(), await peer.message()], BYTES);
      peer.close();
    },

    async "a binary acknowledgement"() {
      const peer = await joined();
      peer.send(`452-789["message-with-ack",${slot(0)},${slot(1)}]`, ...BYTES);
      assert.equal(await peer.message(), `462-789[${slot(0)},${slot(1)}]`);
      assert.deepEqual([await peer.message(), await peer.message()], BYTES);
      peer.send(`451-["emit-with-ack",${slot(0)}]`, BYTES[0]);
      assert.equal(await peer.message(), `451-1["emit-with-ack",${slot(0)}]`);
      assert.deepEqual(await peer.message(), BYTES[0]);
      peer.send(`461-1[${slot(0)}]`, BYTES[1]);
      assert.equal(await peer.message(), `451-["emit-with-ack",${slot(0)}]`);
      assert.deepEqual(await peer.message(), BYTES[1]);
      peer.close();
    },

    async "ten attachments, not eleven"() {
      const event = (count) =>
        `45${count}-["message",${Array.from({ length: count }, (_, i) => slot(i)).join()}]`;
      const peer = await joined();
      peer.send(event(10), ...Array.from({ length: 10 }, (_, i) => Buffer.from([i])));
      assert.equal(await peer.message(), event(10).replace("message", "message-back"));
      for (let i = 0; i < 10; i++) assert.deepEqual(await peer.message(), Buffer.from([i]));
      await forbidden(peer, event(11));
    },
  };

  // What breaks the rules after joining `/`
  const violations = {
    "an event for a namespace not joined": ['42/custom,["message"]'],
    "an acknowledgement for a namespace not joined": ["43/custom,1[]"],
    "a refusal from the client": ['44{"message":"x"}'],
    "an unknown packet type": ["47"],
    "an empty packet": ["4"],
    "no packet type": ["4abc"],
    "an event that is no array": ['42{"a":1}'],
    "an event without a name": ["42[]"],
    "an event whose name is no name": ["42[null,1]"],
    "an event with a reserved name": ['42["disconnect"]'],
    "broken JSON": ['42["message"'],
    "something behind the JSON": ['42["message"]x'],
    "an acknowledgement that is no array": ["431{}"],
    "attachments without a count": [`45["message",${slot(0)}]`],
    "a count that is no number": [`45x-["message",${slot(0)}]`],
    "bytes that nobody announced": [BYTES[0]],
    "text where bytes are owed": [`452-["message",${slot(0)},${slot(1)}]`, BYTES[0], '42["message"]'],
    "a placeholder out of range": [`451-["message",${slot(3)}]`, BYTES[0]],
    "a placeholder that is no number": ['451-["message",{"_placeholder":true,"num":"0"}]', BYTES[0]],
  };
  for (const [name, messages] of Object.entries(violations)) {
    tests[`closes: ${name}`] = async () => forbidden(await joined(), ...messages);
  }
  tests["closes: an event before joining"] = async () => forbidden(await wire.wsSession(), '42["message"]');
  tests["closes: bytes before joining"] = async () => forbidden(await wire.wsSession(), BYTES[0]);
  return tests;
}

export function socketIo4(wire) {
  /** A connection whose implicit join of `/` is over. */
  async function connected() {
    const peer = await wire.wsSession();
    assert.equal(await peer.next(), "40");
    assert.equal(await peer.next(), '42["auth",{}]');
    return peer;
  }

  return {
    async "/ is joined by itself"() {
      (await connected()).close();
      const sid = await wire.session();
      let text = "";
      while (!text.includes("auth")) text += (await wire.get({ sid })).text;
      assert.ok(text.startsWith('2:40'), text);
    },

    async "/custom is joined on request"() {
      const peer = await connected();
      peer.send("40/custom?token=a%20b&n=1,");
      assert.equal(await peer.next(), "40/custom,");
      assert.equal(await peer.next(), '42/custom,["auth",{"token":"a b","n":"1"}]');
      peer.send('42/custom,7["message-with-ack","x"]');
      assert.equal(await peer.next(), '43/custom,7["x"]');
      peer.close();
    },

    async "an unknown namespace is refused"() {
      const peer = await connected();
      peer.send("40/random,");
      assert.equal(await peer.next(), '44/random,{"message":"Invalid namespace"}');
      peer.send('42["message",1]');
      assert.equal(await peer.next(), '42["message-back",1]');
      peer.close();
    },

    async "events and acknowledgements, with bytes"() {
      const peer = await connected();
      peer.send(`452-3["message-with-ack",${slot(0)},${slot(1)}]`, ...BYTES.map((bytes) => Buffer.from([4, ...bytes])));
      assert.equal(await peer.next(), `462-3[${slot(0)},${slot(1)}]`);
      for (const bytes of BYTES) assert.deepEqual(await peer.next(), Buffer.from([4, ...bytes]));
      peer.send('42["emit-with-ack",1]');
      assert.equal(await peer.next(), '421["emit-with-ack",1]');
      peer.send("431[2]");
      assert.equal(await peer.next(), '42["emit-with-ack",2]');
      peer.close();
    },

    async "the text of the server is ASCII"() {
      const peer = await connected();
      peer.send('42["message","é𝒳"]');
      assert.equal(await peer.next(), String.raw`42["message-back","\u00e9\ud835\udcb3"]`);
      peer.close();
    },

    async "leaving, and the server's disconnect"() {
      const peer = await connected();
      peer.send("40/custom,");
      await peer.next();
      await peer.next();
      peer.send('42/custom,["disconnect-me"]');
      assert.equal(await peer.next(), "41/custom,");
      await sleep(20);
      peer.send('42["disconnect-me",true]');
      assert.equal(await peer.next(), "41");
      await peer.end(400);
    },
  };
}
