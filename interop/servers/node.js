// The contract of the `conformance` example, spoken by the original server of one generation:
//
//   node servers/node.js 1|2|3|4 [HOST:PORT] [--eio3] [--engine] [--deflate] [--msgpack | --json]
//                         [--recovery] [--max-disconnection MS] [--ping-timeout MS]
//
// Says `listening on URL` once it does. Without an address it takes a free port of 127.0.0.1, and ends with its
// standard input; in any case it ends on SIGTERM.
//
// `--eio3` lets 3.x and 4.x serve clients of Engine.IO 3, which 1.x and 2.x know only; `--engine` serves the bare
// Engine.IO server of that generation at `/engine.io/`. `--deflate` compresses messages on WebSockets.
// `--recovery` lets the sockets of 4.x come back after a loss, within the time of `--max-disconnection`.
// `--msgpack` and `--json` are its parsers of that name, from 2.x on. `--ping-timeout` is 200 ms without it.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { PARSERS, parserModule } from "../lib/clients.mjs";

const USAGE = "usage: node servers/node.js 1|2|3|4 [HOST:PORT] [--eio3] [--engine] [--deflate] [--msgpack | --json]";

const words = process.argv.slice(2);
const maxDisconnectionDuration = millis("--max-disconnection", 120_000);
const pingTimeout = millis("--ping-timeout", 200);
const flags = new Set(words.filter((word) => word.startsWith("--")));
const [generation, address = "127.0.0.1:0", ...rest] = words.filter((word) => !flags.has(word));
const [, host, port] = /^(.+):(\d+)$/.exec(address) ?? [];
const known = [...flags].every((flag) => ["eio3", "engine", "deflate", "recovery", ...PARSERS].includes(flag.slice(2)));
if (!/^[1-4]$/.test(generation) || !host || rest.length > 0 || !known) {
  console.error(USAGE);
  process.exit(2);
}

const require = createRequire(import.meta.url);
const name = `server-v${generation}`;
const options = {
  pingInterval: 300,
  pingTimeout,
  maxHttpBufferSize: 1_000_000,
  connectTimeout: 1000,
  allowEIO3: flags.has("--eio3"),
  perMessageDeflate: flags.has("--deflate"),
  // Who may ask is `cors` since 3.x, and was `origins` before.
  cors: { origin: "*" },
  origins: "*:*",
  serveClient: false,
  cleanupEmptyChildNamespaces: true,
  ...(flags.has("--recovery") && { connectionStateRecovery: { maxDisconnectionDuration } }),
  parser: parserModule(PARSERS.find((parser) => flags.has(`--${parser}`)), Number(generation)),
};

const http = createServer((_, response) => response.writeHead(404).end());
if (flags.has("--engine")) serveEngine();
else serveSocketIo();
http.listen(Number(port), host, () => console.log(`listening on http://${host}:${http.address().port}`));
process.once("SIGTERM", () => process.exit(0));
if (Number(port) === 0) process.stdin.resume().once("end", () => process.exit(0));

/** Takes an option with its value out of the words. */
function millis(option, otherwise) {
  const at = words.indexOf(option);
  return at < 0 ? otherwise : Number(words.splice(at, 2)[1]);
}

function serveEngine() {
  // The engine is the server's own dependency; take the very same copy.
  const { Server } = createRequire(require.resolve(name))("engine.io");
  const { connectTimeout, serveClient, origins, parser, ...engineOptions } = options;
  const engine = new Server(engineOptions);
  engine.attach(http, { path: "/engine.io/" });
  engine.on("connection", (socket) => {
    socket.on("message", (data) => socket.send(data));
    socket.on("error", () => {});
  });
}

function serveSocketIo() {
  if (generation < 3) keepQueryAsAuth(require(`${name}/lib/socket`).prototype);
  const io = require(name)(http, options);
  io.of("/").on("connection", handle);
  io.of("/custom").on("connection", handle);
  // What 1.x and 2.x have of this is less, and nobody asks for it.
  if (generation >= 3) onDemand(io);
}

function onDemand(io) {
  const rooms = io.of(/^\/room-[^/]+$/);
  rooms.on("connection", handle).on("connection", (socket) => {
    socket.on("room", (ack) => ack(socket.nsp.name.slice("/room-".length)));
    socket.on("tell-rooms", (...args) => rooms.emit("told", ...args));
  });
  const tenants = io.of((name, auth, next) => {
    setImmediate(next, null, auth.token === "secret" && name.startsWith("/tenant-"));
  });
  tenants.on("connection", handle);
  io.of("/").on("connection", (socket) => {
    socket.on("on-demand", (ack) => ack([...io._nsps.keys()].filter((name) => name.includes("-")).sort()));
  });
}

/** Old clients have no auth: in its place they send a query along with the namespace, and 1.x and 2.x keep it among
 *  the request's own. */
function keepQueryAsAuth(prototype) {
  const { buildHandshake } = prototype;
  prototype.buildHandshake = function (query) {
    return { ...buildHandshake.call(this, query), auth: { ...query } };
  };
}

function handle(socket) {
  let nextAck = 1;

  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("emit-with-ack", (...args) => {
    // The original counts ack ids per namespace, the contract counts them per connection.
    socket.nsp[generation < 3 ? "ids" : "_ids"] = nextAck++;
    socket.emit("emit-with-ack", ...args, (...answer) => socket.emit("emit-with-ack", ...answer));
  });
  socket.on("join", (room, ack) => (socket.join(room), ack(true)));
  socket.on("to-room", (room, value, ack) => (socket.nsp.to(room).emit("to-room", value), ack(true)));
  socket.on("disconnect-me", (close) => socket.disconnect(close === true));
  socket.on("query", (ack) => ack(socket.handshake.query));
  socket.on("error", () => {});
}
