// The contract of the `conformance` example, spoken by the original server.
//
//   node reference-server.js HOST:PORT [--engine]
//
// The suites of this folder run against it to show that they ask for nothing that
// the original does not do. Where the original differs from Sockeye on purpose, the
// suites list it as a known difference (see known.mjs).

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { Server } from "socket.io";

const require = createRequire(import.meta.url);
// The engine is socket.io's own dependency; take the very same copy.
const { Server: Engine } = createRequire(require.resolve("socket.io"))("engine.io");

const engineOptions = {
  pingInterval: 300,
  pingTimeout: 200,
  maxHttpBufferSize: 1_000_000,
  allowEIO3: true,
  cors: { origin: "*" },
};

function serveEngine(http) {
  const engine = new Engine(engineOptions);
  engine.attach(http, { path: "/engine.io/" });
  engine.on("connection", (socket) => {
    socket.on("data", (data) => socket.send(data));
    socket.on("error", () => {});
  });
}

function serveSocketIo(http) {
  const io = new Server(http, { ...engineOptions, connectTimeout: 1000 });
  io.of("/").on("connection", handle);
  io.of("/custom").on("connection", handle);
}

function handle(socket) {
  let nextAck = 1;

  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("emit-with-ack", (...args) => {
    // The original counts ack ids per namespace; the contract counts them per connection.
    socket.nsp._ids = nextAck++;
    socket.emit("emit-with-ack", ...args, (...answer) => socket.emit("emit-with-ack", ...answer));
  });
  socket.on("disconnect-me", (close) => socket.disconnect(close === true));
  socket.on("query", (ack) => ack(socket.handshake.query));
  socket.on("error", () => {});
}

const [address, mode] = process.argv.slice(2);
const match = /^(.+):(\d+)$/.exec(address ?? "");
if (!match || (mode !== undefined && mode !== "--engine")) {
  console.error("usage: node reference-server.js HOST:PORT [--engine]");
  process.exit(2);
}
const http = createServer((_, response) => response.writeHead(404).end());
(mode === "--engine" ? serveEngine : serveSocketIo)(http);
http.listen(Number(match[2]), match[1]);
