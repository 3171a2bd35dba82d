// The adapter for Node's servers on NATS, by itself; that it gets on with others is in the matrix of clusters (cluster.mjs):
//
//   node --test nats-adapter.test.mjs
//
// Needs nats-server.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { connect } from "@nats-io/transport-node";
import { encode } from "@msgpack/msgpack";
import { Server } from "server-v4";
import { createAdapter } from "sockeye-nats-adapter";
import { Missing, Nats } from "./cluster/engines.mjs";

let engine;
let missing = false;

before(async () => {
  try {
    engine = await new Nats().start();
  } catch (error) {
    if (!(error instanceof Missing) || process.env.SOCKEYE_REQUIRE_ENGINES === "1") throw error;
    missing = error.message;
  }
});

after(() => engine?.close());

/** A server that is one of a cluster, and its connection. */
async function member(t, prefix) {
  const servers = `127.0.0.1:${engine.port}`;
  const connection = await connect({ servers, noEcho: true, reconnect: false });
  const io = new Server({ adapter: createAdapter(connection, { prefix }) });
  t.after(async () => {
    io.of("/").adapter.close();
    await connection.close();
  });
  // What was subscribed to is in force.
  await connection.flush();
  return { io, connection };
}

/** What nobody has caught since the test began. Node's tests would take it for a failure of theirs. */
let uncaught;

beforeEach(() => (uncaught = []));
process.setUncaughtExceptionCaptureCallback((error) => uncaught.push(error));

const heard = (io, event) => new Promise((resolve) => io.once(event, resolve));

test("hears_on_after_what_is_malformed", { timeout: 10_000 }, async (t) => {
  if (missing) return t.skip(missing);
  const [{ io }, stranger] = [await member(t, "malformed"), await member(t, "malformed")];
  const opts = { rooms: [], except: [], flags: {} };
  const malformed = [
    undefined,
    {},
    ...[undefined, null, "x", [], {}, { opts: {} }, { opts: { rooms: 1, except: [] } }, { packet: 1, opts }, { packet: { data: 1 }, opts }, { opts, rooms: 1 }],
    { sockets: 1, requestId: "x" },
    { sockets: [null], requestId: "x" },
  ];
  for (const type of [...Array.from({ length: 16 }).keys(), -1, 1.5]) {
    for (const data of malformed) {
      const message = encode({ type, uid: "x", nsp: "/", data }, { ignoreUndefined: true });
      stranger.connection.publish("malformed.%2F", message);
    }
  }
  const deepest = encode({ type: 3, uid: "x", nsp: "/", data: { opts, packet: { type: 2, data: ["hi", null] } } });
  assert.equal(deepest.at(-1), 0xc0);
  stranger.connection.publish("malformed.%2F", Buffer.concat([deepest.subarray(0, -1), Buffer.alloc(50_000, 0x91), deepest.subarray(-1)]));
  for (const bytes of [[], [0xc1], [0xc0], [0x93], [0xff, 0xff]]) {
    stranger.connection.publish("malformed.%2F", Uint8Array.from(bytes));
  }
  const said = heard(io, "hi");
  stranger.io.serverSideEmit("hi", 1);
  assert.equal(await said, 1);
  assert.deepEqual(uncaught, []);
});

test("hears_on_after_a_listener_that_throws_and_tells_of_it", { timeout: 10_000 }, async (t) => {
  if (missing) return t.skip(missing);
  const [{ io }, other] = [await member(t, "throws"), await member(t, "throws")];
  io.on("bad", () => {
    throw new Error("a listener's");
  });
  const said = heard(io, "good");
  other.io.serverSideEmit("bad");
  other.io.serverSideEmit("good", 1);
  assert.equal(await said, 1);
  assert.deepEqual(uncaught.map(({ message }) => message), ["a listener's"]);
});

test("what_cannot_be_published_throws_at_nobody", { timeout: 10_000 }, async (t) => {
  if (missing) return t.skip(missing);
  const { io, connection } = await member(t, "closed");
  await connection.close();
  const namespace = io.of("/");
  namespace.adapter.publish({ type: 2 });
  namespace.adapter.publishResponse("x", { type: 10, data: { requestId: "x" } });
  await new Promise(setImmediate);
  assert.deepEqual(uncaught, []);
});
