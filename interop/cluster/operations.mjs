// The operations of a cluster, each tried from the clients of one node towards those of another: a row of the matrix each.
//
// An operation gets `near` and `far`, two nodes; `near.clients` and `far.clients`, two clients of each; and `all`, the
// four of them. Every run has a namespace's rooms for itself, as the clients are new.

import assert from "node:assert/strict";
import { RECOVERIES } from "./recoveries.mjs";
import { allArrived, BYTES, found, heard, ids, notes, reaches, rooms, VALUES } from "./states.mjs";

async function emits(s, m, expected, args = []) {
  await s.near.clients[0].ask("emit", { event: "told", args, ...m });
  await heard(s, "told", expected);
  for (const client of expected) assert.deepEqual(client.heard("told")[0], args);
}

/** Events to one room, one right behind the other. */
async function inOrder(s, filling) {
  await rooms(s);
  const [client] = s.near.clients;
  const sent = Array.from({ length: 1000 }, (_, i) => i);
  for (const n of sent) client.emit("emit", { to: ["left"], event: "told", args: [n, filling(n)] });
  const expected = [s.near.clients[0], s.far.clients[0]];
  await heard(s, "told", expected, { times: sent.length });
  for (const receiver of expected) assert.deepEqual(receiver.heard("told").map(([n]) => n), sent);
}

/** Names that mean something to one engine or another, and the lengths at which ids are told from rooms. */
const NAMES = [
  "a#b#",
  "a*b?c",
  "[a-z]",
  "\\d",
  "it's \"quoted\"; --",
  "комната",
  "💬",
  ">",
  "a.b c\td",
  "12345678901234567890",
  "x".repeat(200),
  "",
];

/** What every engine's servers can say to each other's clients. */
const BROADCASTS = {
  "broadcast": (s) => emits(s, {}, s.all, ["x", 1, { a: [null, true, 1.5] }]),
  "broadcast, less the sender": (s) => emits(s, { broadcast: true }, s.all.slice(1)),
  "broadcast without arguments": (s) => emits(s, {}, s.all),
  "to a room": async (s) => {
    await rooms(s);
    await emits(s, { to: ["left"] }, [s.near.clients[0], s.far.clients[0]], [1]);
  },
  "to a room there only": async (s) => {
    await rooms(s);
    await emits(s, { to: ["far"] }, [s.far.clients[1]], [1]);
  },
  "to two rooms, once": async (s) => {
    await rooms(s);
    await emits(s, { to: ["left", "both"] }, [s.near.clients[0], s.far.clients[0]], [1]);
  },
  "to a room that nobody is in": (s) => emits(s, { to: ["nobody"] }, []),
  "to a socket": (s) => emits(s, { to: [s.far.clients[1].id] }, [s.far.clients[1]], [1]),
  "except a room": async (s) => {
    await rooms(s);
    await emits(s, { except: ["right"] }, [s.near.clients[0], s.far.clients[0]], [1]);
  },
  "to a room, except another": async (s) => {
    await rooms(s);
    await s.far.clients[1].ask("join", "both");
    await reaches(s.near, s.far.clients[1], "both");
    await emits(s, { to: ["both"], except: ["far"] }, [s.near.clients[0], s.far.clients[0]], [1]);
  },
  "rooms with odd names": async (s) => {
    for (const name of NAMES) {
      await s.far.clients[0].ask("join", name);
      await reaches(s.near, s.far.clients[0], name);
      await s.near.clients[0].ask("emit", { to: [name], event: "told", args: [name] });
    }
    await heard(s, "told", [s.far.clients[0]], { times: NAMES.length });
    const names = s.far.clients[0].heard("told").map(([name]) => name);
    assert.deepEqual(names.sort(), [...NAMES].sort());
  },
  "left rooms": async (s) => {
    await rooms(s);
    await s.far.clients[0].ask("leave", "left");
    await emits(s, { to: ["left"] }, [s.near.clients[0]]);
  },
  "local": (s) => emits(s, { local: true }, s.near.clients, [1]),
  // Who cannot take it at that moment misses it, so it is said again until everyone has heard it.
  "volatile": async (s) => {
    let times = 0;
    for (; times < 50 && s.all.some((client) => client.heard("told").length === 0); times++) {
      await s.near.clients[0].ask("emit", { volatile: true, event: "told", args: [1] });
      await allArrived(s);
    }
    for (const client of s.all) {
      const often = client.heard("told").length;
      assert.ok(often > 0 && often <= times, `${client.label} has heard it ${often} times, of ${times}`);
    }
  },
  "values of every kind": (s) => emits(s, {}, s.all, VALUES),
  "numbers of more than 64 bits": (s) => emits(s, {}, s.all, [1e300, -1e25]),
  "bytes": (s) => emits(s, {}, s.all, [BYTES, { a: [Buffer.alloc(0), { b: Buffer.alloc(70_000, 7) }] }, "x"]),
  "bytes to a room": async (s) => {
    await rooms(s);
    await emits(s, { to: ["far"] }, [s.far.clients[1]], [BYTES]);
  },
  "a message of every length about 8000": async (s) => {
    await rooms(s);
    const [client] = s.near.clients;
    const lengths = Array.from({ length: 301 }, (_, i) => 7750 + i);
    for (const length of lengths) client.emit("emit", { to: ["left"], event: "told", args: ["x".repeat(length)] });
    await heard(s, "told", [s.near.clients[0], s.far.clients[0]], { times: lengths.length });
  },
  "a message of a million bytes": (s) => emits(s, {}, s.all, ["x".repeat(900_000)]),
  "order of 1000 events": (s) => inOrder(s, () => ""),
  "order of 1000 events, large ones among them": (s) => inOrder(s, (n) => (n % 10 ? "" : "x".repeat(9000))),
};

/** What servers on classic Redis can be asked by Node's, and ask nobody themselves. */
const QUESTIONS = {
  "rooms of all servers": async (s) => {
    await rooms(s);
    const all = await s.near.clients[0].ask("all-rooms");
    const missing = ["left", "right", "both", "far", ...ids(s.all)].filter((room) => !all.includes(room));
    assert.deepEqual(missing, []);
  },
};

const OPERATIONS = {
  ...BROADCASTS,
  "two namespaces": async (s) => {
    const [client] = s.far.clients;
    const custom = await client.beside("/custom");
    await s.near.clients[0].ask("emit", { event: "told" });
    await heard(s, "told", s.all, { clients: [...s.all, custom] });
    const near = await s.near.clients[0].beside("/custom");
    await near.ask("join", "room");
    await custom.ask("join", "room");
    await reaches({ clients: [near] }, custom, "room");
    await near.ask("emit", { to: ["room"], event: "more", args: [1] });
    await heard(s, "more", [custom, near], { clients: [...s.all, custom, near] });
    const { error, answers } = await near.ask("emit-ack", { event: "question" });
    assert.deepEqual([error, answers.sort()], [null, [custom.id, near.id].sort()]);
  },

  "ack by all": async (s) => {
    const { error, answers } = await s.near.clients[0].ask("emit-ack", { event: "question" });
    assert.deepEqual([error, answers.sort()], [null, ids(s.all)]);
  },
  "ack by a room": async (s) => {
    await rooms(s);
    const { error, answers } = await s.near.clients[0].ask("emit-ack", { to: ["far"], event: "question" });
    assert.deepEqual([error, answers], [null, ids([s.far.clients[1]])]);
  },
  "ack by nobody": async (s) => {
    const begun = Date.now();
    const answer = await s.near.clients[0].ask("emit-ack", { to: ["nobody"], event: "question", timeout: 3000 });
    assert.deepEqual(answer, { error: null, answers: [] });
    assert.ok(Date.now() - begun < 1500, "it has waited for its time to be over");
  },
  "ack by some, in time": async (s) => {
    s.far.clients[0].mute = true;
    const { error, answers } = await s.near.clients[0].ask("emit-ack", { event: "question", timeout: 500 });
    const others = s.all.filter((client) => client !== s.far.clients[0]);
    assert.ok(error, "there is no error");
    assert.deepEqual(answers.sort(), ids(others));
  },
  "ack with bytes": async (s) => {
    const m = { to: [s.far.clients[0].id], event: "back", args: [BYTES, { a: [BYTES] }] };
    const { error, answers } = await s.near.clients[0].ask("emit-ack", m);
    assert.deepEqual([error, answers], [null, [{ back: [BYTES, { a: [BYTES] }] }]]);
  },
  "ack without a value": async (s) => {
    const m = { to: [s.far.clients[0].id], event: "nothing" };
    const { error, answers } = await s.near.clients[0].ask("emit-ack", m);
    assert.equal(error, null);
    assert.equal(answers.length, 1);
  },

  "fetch": async (s) => {
    await rooms(s);
    await s.far.clients[1].ask("data", { name: "é", list: [1, null, 2.5] });
    const sockets = await s.near.clients[0].ask("fetch", {});
    const byId = (list) => list.sort((a, b) => (a.id < b.id ? -1 : 1));
    const expected = (client, rooms, data = {}) => ({ id: client.id, rooms: [client.id, ...rooms].sort(), data, auth: client.auth });
    const wanted = [
      expected(s.near.clients[0], ["left", "both"]),
      expected(s.near.clients[1], ["right"]),
      expected(s.far.clients[0], ["left", "both"]),
      expected(s.far.clients[1], ["right", "far"], { name: "é", list: [1, null, 2.5] }),
    ];
    assert.deepEqual(byId(sockets), byId(wanted));
  },
  "fetch from a room": async (s) => {
    await rooms(s);
    const sockets = await s.near.clients[0].ask("fetch", { to: ["right"], except: ["left"] });
    assert.deepEqual(ids(sockets), ids([s.near.clients[1], s.far.clients[1]]));
    const none = await s.near.clients[0].ask("fetch", { to: ["nobody"] });
    assert.deepEqual(none, []);
  },
  "mass join": async (s) => {
    await rooms(s);
    await s.near.clients[0].ask("mass-join", { to: ["left"], rooms: ["new", "newer"] });
    await found(s, { to: ["newer"] }, [s.near.clients[0], s.far.clients[0]]);
    await Promise.all([reaches(s.far, s.near.clients[0], "new"), reaches(s.near, s.far.clients[0], "new")]);
    await emits(s, { to: ["new"] }, [s.near.clients[0], s.far.clients[0]], [1]);
  },
  "mass leave": async (s) => {
    await rooms(s);
    await s.near.clients[0].ask("mass-leave", { except: ["far"], rooms: ["left", "right"] });
    await found(s, { to: ["left", "right"] }, [s.far.clients[1]]);
    await emits(s, { to: ["left", "right"] }, [s.far.clients[1]], [1]);
  },
  "mass disconnect": async (s) => {
    await rooms(s);
    const [first, second] = s.far.clients;
    const beside = await second.beside("/custom");
    await s.near.clients[0].ask("mass-disconnect", { to: ["far"] });
    await second.gone("io server disconnect");
    await allArrived(s);
    assert.ok(beside.isConnected() && first.isConnected(), "others are gone as well");
  },
  "mass disconnect, with connections": async (s) => {
    await rooms(s);
    const [first, second] = s.far.clients;
    const beside = await second.beside("/custom");
    await s.near.clients[0].ask("mass-disconnect", { to: ["far"], close: true });
    await second.gone("io server disconnect");
    await beside.gone();
    await allArrived(s);
    assert.ok(first.isConnected(), "others are gone as well");
  },

  "server-side event": async (s) => {
    await s.near.clients[0].ask("server-emit", ["a", 1, { b: null }]);
    const seen = await notes(s.far);
    assert.deepEqual(seen, [["note", "a", 1, { b: null }]]);
    assert.deepEqual(await s.near.clients[0].ask("seen"), []);
  },
  "server-side event with ack": async (s) => {
    const answer = await s.near.clients[0].ask("server-emit-ack", ["a", [1]]);
    assert.deepEqual(answer, { error: null, answers: [s.far.name] });
    assert.deepEqual(await s.far.clients[0].ask("seen"), [["note", "a", [1]]]);
  },
  "server-side event with bytes": async (s) => {
    await s.near.clients[0].ask("server-emit", [BYTES]);
    assert.deepEqual(await notes(s.far), [["note", BYTES]]);
  },
  "server count": async (s) => {
    assert.equal(await s.near.clients[0].ask("count"), 2);
    assert.equal(await s.far.clients[0].ask("count"), 2);
  },
  "remote socket, with ack": async (s) => {
    const m = { id: s.far.clients[1].id, event: "back", args: [1, "x"] };
    assert.deepEqual(await s.near.clients[0].ask("remote-ack", m), { error: null, answer: { back: [1, "x"] } });
    const { error } = await s.near.clients[0].ask("remote-ack", { ...m, id: "AAAAAAAAAAAAAAAAAAAA" });
    assert.ok(error, "nobody has answered");
  },
};

/** All there are, by name. */
export const ROWS = { ...OPERATIONS, ...QUESTIONS, ...RECOVERIES };

/** Whether sockets come back on an engine: all else has offsets among its arguments there. */
export const isRecovering = (engine) => engine.endsWith("recovery");

/** Whether servers can say things on an engine, and ask nothing. */
export const isMute = (engine) => engine === "nats-mickl";

/** The names of the operations that a pair of nodes is tried with on an engine. */
export function operationsOn(engine, near) {
  if (isRecovering(engine)) return Object.keys(RECOVERIES);
  if (isMute(engine)) return Object.keys(BROADCASTS);
  const asks = near === "node" && /^redis(-cluster)?$/.test(engine);
  const names = Object.keys({ ...OPERATIONS, ...(asks && QUESTIONS) });
  // Some make no sense with one node.
  return engine === "none" ? names.filter((name) => !BETWEEN_NODES.has(name)) : names;
}

const BETWEEN_NODES = new Set([
  "local",
  "server-side event",
  "server-side event with ack",
  "server-side event with bytes",
  "server count",
]);
