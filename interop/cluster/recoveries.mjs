// Clients that lose their connection and come back to another node: a row of the matrix each, for engines with a log. Both nodes
// are asked to keep sockets.

import assert from "node:assert/strict";
import { once } from "node:events";
import { BYTES, found, heard, reaches } from "./states.mjs";

/** Without the offset, which is the last argument of what can be missed. */
const told = (client) => client.heard("told").map((args) => args.slice(0, -1));

/** Loses its connection to one node, and comes back to another after `meanwhile`. */
async function move(client, from, to, meanwhile) {
  const lost = once(client.socket, "disconnect");
  client.emit("drop");
  await lost;
  const others = [...from.clients, ...to.clients].filter((other) => other !== client);
  await found({ near: { clients: others } }, {}, others);
  await meanwhile(others);
  client.manager.uri = to.server.origin;
  const arrived = once(client.socket, "connect");
  client.socket.connect();
  await arrived;
}

async function emit(client, m) {
  await client.ask("emit", { event: "told", ...m });
  // All answer after it, so that it is in the log before what another node emits next.
  await client.ask("fetch", { to: ["nobody"] });
}

/** There and back again, or only there. */
async function thereAndBack(s, check, { back = true } = {}) {
  const [client] = s.near.clients;
  const { id } = client;
  await client.ask("join", ["left", "both"]);
  await client.ask("data", { name: "né", bytes: BYTES });
  await reaches(s.far, client, "left");
  for (const [from, to] of [
    [s.near, s.far],
    ...(back ? [[s.far, s.near]] : []),
  ]) {
    await check(client, from, to);
    assert.equal(client.socket.recovered, true, `a socket that comes to ${to.name} is another one`);
    assert.equal(client.id, id);
  }
}

async function missed(s, client, from, to) {
  const { id } = client;
  const before = told(client).length;
  await move(client, from, to, async (others) => {
    await emit(others[0], { args: ["x", 1] });
    await emit(others.at(-1), { to: ["left"], args: [2] });
    await emit(others[0], { to: ["nobody"], args: [666] });
    await emit(others[0], { except: ["both"], args: [667] });
    await emit(others[0], { to: [id], args: [3, BYTES] });
    await emit(others.at(-1), { to: ["both", "left"], args: [4, { a: [null] }] });
  });
  await emit(to.clients.at(-1), { to: ["left"], args: [5] });
  await heard(s, "told", [client], { clients: [client], times: before + 5 });
  const expected = [["x", 1], [2], [3, BYTES], [4, { a: [null] }], [5]];
  assert.deepEqual(told(client).slice(before), expected);
}

async function stays(s, client, from, to) {
  await move(client, from, to, () => {});
  const [there] = await to.clients.at(-1).ask("fetch", { to: [client.id] });
  assert.deepEqual(there.rooms, [client.id, "both", "left"].sort());
  assert.equal(there.data.name, "né");
  // The data of the example for Sockeye is JSON. What Sockeye knows of bytes is their form there, which is Node's own.
  if (s.near.name.startsWith("node")) assert.deepEqual(Buffer.from(there.data.bytes.data ?? there.data.bytes), BYTES);
}

export const RECOVERIES = {
  "what was missed comes in order, from both": (s) => thereAndBack(s, (...move) => missed(s, ...move)),
  "what was missed comes in order, there only": (s) => thereAndBack(s, (...move) => missed(s, ...move), { back: false }),
  "data and rooms stay": (s) => thereAndBack(s, (...move) => stays(s, ...move)),
  "data and rooms stay, there only": (s) => thereAndBack(s, (...move) => stays(s, ...move), { back: false }),
};
