// The operations of an emitter, each looked at on two nodes: a row of its matrix each.

import assert from "node:assert/strict";
import { allArrived, BYTES, found, heard, notes, reaches, rooms, VALUES } from "./states.mjs";

const emit = (m) => ({ do: "emit", event: "told", ...m });

/** An operation that emits one event to those of the four clients whose numbers are given. */
function emits(m, expected) {
  const order = emit(m);
  return {
    run: async (s) => {
      if (order.to || order.except) await rooms(s);
      await s.emitter.follow(order);
      // There is nothing to wait for when nobody is meant, but for what is said next.
      await s.emitter.follow(emit({ event: "next" }));
      await heard(s, "next", s.all);
      const clients = expected.map((i) => s.all[i]);
      await heard(s, "told", clients);
      for (const client of clients) assert.deepEqual(client.heard("told")[0], order.args ?? []);
    },
  };
}

const EVERYONE = [0, 1, 2, 3];

/**
 * By name; `byCommand` are those that the command is tried with. `left` and `both` are the rooms of the first clients, `right`
 * of the second ones, `far` of the fourth alone.
 */
export const ORDERS = {
  "to everyone": { byCommand: true, ...emits({ args: ["x", 1, { a: [null, true, 1.5] }] }, EVERYONE) },
  "without arguments": emits({}, EVERYONE),
  "to a room": emits({ to: ["left"], args: [1] }, [0, 2]),
  "to a room on one node": emits({ to: ["far"], args: [1] }, [3]),
  "to two rooms, once": emits({ to: ["left", "both"], args: [1] }, [0, 2]),
  "to a room that nobody is in": emits({ to: ["nobody"] }, []),
  "except a room": emits({ except: ["right"], args: [1] }, [0, 2]),
  "to two rooms, except one": { byCommand: true, ...emits({ to: ["both", "right"], except: ["far", "nobody"], args: [1] }, [0, 1, 2]) },
  "to each socket": {
    run: async (s) => {
      for (const { id } of s.all) await s.emitter.follow(emit({ to: [id], args: [id] }));
      await heard(s, "told", s.all);
      for (const client of s.all) assert.deepEqual(client.heard("told")[0], [client.id]);
    },
  },
  "values of every kind": emits({ args: VALUES.filter((value) => value?.length !== 70_000) }, EVERYONE),
  "bytes": { byCommand: true, ...emits({ args: [BYTES, Buffer.alloc(70_000, 7)] }, EVERYONE) },
  "bytes within, to a room": emits({ to: ["left"], args: [{ a: [Buffer.alloc(0), { b: BYTES }] }, "x"] }, [0, 2]),
  "large text": emits({ args: ["x".repeat(100_000)] }, EVERYONE),
  "volatile": {
    // Who cannot take it at that moment misses it.
    run: async (s) => {
      for (let i = 0; i < 50 && s.all.some((client) => client.heard("told").length === 0); i++) {
        await s.emitter.follow(emit({ volatile: true }));
        await allArrived(s);
      }
      for (const client of s.all) assert.ok(client.heard("told").length > 0, client.label);
    },
  },
  "not compressed": emits({ compress: false, args: ["x".repeat(3000)] }, EVERYONE),
  "another namespace": {
    byCommand: true,
    run: async (s) => {
      const [near, far] = await Promise.all([s.near, s.far].map(({ clients }) => clients[0].beside("/custom")));
      await Promise.all([near.ask("join", "room"), far.ask("join", "room")]);
      await Promise.all([reaches({ clients: [near] }, far, "room"), reaches({ clients: [far] }, near, "room")]);
      // The slash may be left out.
      for (const of of ["/custom", "custom"]) await s.emitter.follow(emit({ of, to: ["room"], args: [of] }));
      await heard(s, "told", [near, far], { clients: [...s.all, near, far], times: 2 });
      await s.emitter.follow(emit({ args: ["/"] }));
      await heard(s, "told", s.all);
      assert.equal(far.heard("told").length, 2);
    },
  },
  "join": {
    run: async (s) => {
      await rooms(s);
      await s.emitter.follow({ do: "join", to: ["left"], rooms: ["new", "newer"] });
      await found(s, { to: ["newer"] }, [s.all[0], s.all[2]]);
      await found(s, { to: ["new"] }, [s.all[0], s.all[2]]);
    },
  },
  "leave": {
    run: async (s) => {
      await rooms(s);
      await s.emitter.follow({ do: "leave", except: ["far"], rooms: ["left", "right"] });
      await found(s, { to: ["left", "right"] }, [s.all[3]]);
    },
  },
  "disconnect": {
    run: async (s) => {
      await rooms(s);
      const beside = await s.all[2].beside("/custom");
      await s.emitter.follow({ do: "disconnect", to: ["left"] });
      for (const i of [0, 2]) await s.all[i].gone("io server disconnect");
      await allArrived(s);
      assert.deepEqual([s.all[1], s.all[3], beside].map((client) => client.isConnected()), [true, true, true]);
    },
  },
  "disconnect, with connections": {
    run: async (s) => {
      await rooms(s);
      const beside = await s.all[3].beside("/custom");
      await s.emitter.follow({ do: "disconnect", to: ["right"], except: ["nobody"], close: true });
      for (const client of [s.all[1], s.all[3], beside]) await client.gone();
      await allArrived(s);
      assert.ok(s.all[0].isConnected() && s.all[2].isConnected(), "others are gone as well");
    },
  },
  "server-side event": {
    run: async (s) => {
      await s.emitter.follow({ do: "server-emit", event: "note", args: ["a", 1, { b: null }] });
      for (const node of [s.near, s.far]) assert.deepEqual(await notes(node), [["note", "a", 1, { b: null }]]);
    },
  },
};
