// The contract of the `hooks` example, spoken by the original server: node servers/hooks.js HOST:PORT

import { createServer } from "node:http";
import { Server } from "server-v4";

const [, host, port] = /^(.+):(\d+)$/.exec(process.argv[2] ?? "") ?? [];
if (!host) {
  console.error("usage: node servers/hooks.js HOST:PORT");
  process.exit(2);
}

let told = [];
const tell = (...entry) => told.push(entry);

const http = createServer((_, response) => response.writeHead(404).end());
const io = new Server(http, {
  pingInterval: 300,
  pingTimeout: 200,
  maxHttpBufferSize: 10_000,
  serveClient: false,
  allowRequest: (request, allow) => {
    const isForbidden = new URL(request.url, "http://host").searchParams.has("forbidden");
    allow(isForbidden ? "not you" : null, !isForbidden);
  },
});

io.engine.use((request, response, next) => {
  const refusal = request.headers["x-refuse"];
  if (refusal === "fail") return next(new Error("the layer fails"));
  if (refusal) return response.writeHead(401).end("no");
  response.setHeader("x-layer", "1");
  next();
});
io.engine.on("initial_headers", (headers) => (headers["x-initial"] = "1"));
io.engine.on("headers", (headers) => (headers["x-every"] = "1"));
io.engine.on("connection_error", ({ code, message, context }) => {
  // What the application has said when it refused is in the context.
  tell("connection_error", code, code === 4 ? context.message : message, context?.name ?? null);
});
// Packets and heartbeats are told of the connections whose query has `watch`, from the moment a socket is seen.
io.engine.on("connection", (connection) => {
  if (!new URL(connection.request.url, "http://host").searchParams.has("watch")) return;
  const text = (data) => (Buffer.isBuffer(data) ? null : (data ?? ""));
  connection.on("packet", ({ type, data }) => connection.isSeen && tell("packet", type, text(data)));
  connection.on("heartbeat", () => connection.isSeen && tell("heartbeat"));
  connection.on("upgrading", () => connection.isSeen && tell("upgrading", connection.transport.name));
  connection.on("upgrade", ({ name }) => connection.isSeen && tell("upgrade", name));
  connection.on("close", (reason, description) => tell("close", reason, description?.message ?? null));
});

io.on("new_namespace", (namespace) => {
  tell("new_namespace", namespace.name);
  for (const what of ["create-room", "join-room", "leave-room", "delete-room"]) {
    namespace.adapter.on(what, (room) => room.startsWith("room") && tell(what, room));
  }
});
io.on("connection", (socket) => {
  socket.on("told", (ack) => ack(told.splice(0)));
  // A server that is alone never answers itself; the original leaves whoever asks without an end, too.
  socket.on("counts", async (ack) => ack([io.engine.clientsCount, await io.of("/").adapter.serverCount(), 0]));
});
io.of(/^\/seen-[^/]+$/).on("connection", (socket) => {
  socket.conn.isSeen = true;
  tell("connection", socket.conn.transport.name);
  socket.on("join", (room, ack) => (socket.join(room), ack(true)));
  socket.on("leave", (room, ack) => (socket.leave(room), ack(true)));
  for (const what of ["disconnecting", "disconnect"]) {
    socket.on(what, (reason, description) => tell(what, reason, description?.message ?? null));
  }
});

http.listen(Number(port), host);
process.once("SIGTERM", () => process.exit(0));
