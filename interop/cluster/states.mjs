// What the operations wait for: states that the clients see, and never a time.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

/** How long a state may take on a machine that is busy. */
const PATIENCE = 15_000;

export const ids = (clients) => clients.map((client) => client.id).sort();

/** Waits for a condition, as long as it may take; whether it holds. */
async function holds(condition, patience = PATIENCE) {
  for (const end = Date.now() + patience; ; await sleep(3)) {
    if (await condition()) return true;
    if (Date.now() > end) return false;
  }
}

/** Who of some clients has heard an event, so many times, and that the others have not. */
export async function heard(s, event, expected, { clients = s.all, times = 1 } = {}) {
  const missing = () => expected.filter((client) => client.heard(event).length < times);
  await holds(() => missing().length === 0, s.patience);
  const some = missing().map((client) => client.label);
  assert.deepEqual(some, [], `these have not got "${event}" ${times} times`);
  await allArrived(s);
  for (const client of clients) {
    const wanted = expected.includes(client) ? times : 0;
    assert.equal(client.heard(event).length, wanted, `"${event}" has come to ${client.label} so often`);
  }
}

/**
 * Waits until all that is on its way has arrived, as far as the engine keeps an order: what the first node says comes behind
 * it, and what the second one says upon that behind its echo.
 */
export async function allArrived({ near, far, all }) {
  for (const node of [near, far]) {
    const event = `mark ${(marks += 1)}`;
    const client = node.clients.find((client) => client.isConnected());
    client.emit("emit", { event });
    const missing = () => all.filter((client) => client.isConnected() && client.heard(event).length === 0);
    const isEverywhere = await holds(() => missing().length === 0);
    assert.ok(isEverywhere, `what the node ${node.name} says to everyone has not come to ${missing().map(({ label }) => label)}`);
  }
}

let marks = 0;

/**
 * Waits until a socket is reached by what a node emits to a room. Servers say that a socket is there, or has joined a room,
 * before they have subscribed to that.
 *
 * The last argument is no text, as clients take that for an offset: Node's servers on MongoDB may give an event once more to a
 * socket that comes back, and without its offset.
 */
export async function reaches(node, client, room) {
  const isReached = () => client.heard("reached").some(([name]) => name === room);
  for (let tries = 0; tries < PATIENCE / 100; tries++) {
    node.clients[0].emit("emit", { to: [room], event: "reached", args: [room, true] });
    if (await holds(isReached, 100)) return;
  }
  assert.fail(`${client.label} is not reached in the room ${JSON.stringify(room)}`);
}

/** Waits until the nodes find these sockets, and no others. */
export async function found({ near }, m, clients) {
  const expected = ids(clients);
  let sockets;
  await holds(async () => {
    const answer = await near.clients[0].ask("fetch", m);
    // Node's servers may say that somebody is missing who has gone a moment ago.
    sockets = Array.isArray(answer) ? ids(answer) : answer.error;
    return String(sockets) === String(expected);
  });
  assert.deepEqual(sockets, expected);
}

/** Waits until clients that have just come are all that there are, as far as nodes can be asked, and are reached. */
export async function introduced(s) {
  if (!s.isMute) await found(s, {}, s.all);
  await acquainted(s.near, s.far);
}

/** Waits until the clients of two nodes are reached by their ids from the other one. */
export async function acquainted(near, far) {
  await Promise.all([
    ...near.clients.map((client) => reaches(far, client, client.id)),
    ...far.clients.map((client) => reaches(near, client, client.id)),
  ]);
}

/** Rooms with members at both ends. */
export async function rooms({ near, far }) {
  await Promise.all([
    near.clients[0].ask("join", ["left", "both"]),
    near.clients[1].ask("join", "right"),
    far.clients[0].ask("join", ["left", "both"]),
    far.clients[1].ask("join", ["right", "far"]),
  ]);
  await Promise.all([
    ...["left", "both"].map((room) => reaches(far, near.clients[0], room)),
    reaches(far, near.clients[1], "right"),
    ...["left", "both"].map((room) => reaches(near, far.clients[0], room)),
    ...["right", "far"].map((room) => reaches(near, far.clients[1], room)),
  ]);
}

/** The server-side events that a node has seen, of which there is one at least. */
export async function notes(node) {
  const notes = [];
  await holds(async () => {
    notes.push(...(await node.clients[0].ask("seen")));
    return notes.length > 0;
  });
  return notes;
}

export const VALUES = [
  null,
  true,
  0,
  -1,
  127,
  128,
  -32769,
  4294967296,
  9007199254740991,
  -9007199254740991,
  0.5,
  -1.5e-7,
  "",
  "é😀\u0000\"\\\u2028",
  "x".repeat(70_000),
  [],
  [[[]]],
  {},
  { a: { b: [1, { c: null }] }, "ключ": [] },
  Array.from({ length: 70 }, (_, i) => i),
  Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, i])),
];

export const BYTES = Buffer.from([0, 1, 2, 127, 128, 254, 255]);

