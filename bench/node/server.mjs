// The two events of the benchmark on Node's Socket.IO, set up as its documentation does.
// Usage: node server.mjs HOST:PORT [--deflate] [--cluster URL]
//
// As a node of a cluster, with the official adapter for the URL, it serves two events more, as the example bench_server does.
import { createServer } from "node:http";
import { Server } from "socket.io";

const address = process.argv[2] ?? "127.0.0.1:3000";
const [host, port] = address.split(":");
const at = process.argv.indexOf("--cluster");
const url = at < 0 ? undefined : process.argv[at + 1];

const httpServer = createServer();
const io = new Server(httpServer, { perMessageDeflate: process.argv.includes("--deflate") });
if (url) {
  // The suites of interoperability have all adapters and what they need.
  const { adapter } = await import("../../interop/cluster/adapters.mjs");
  io.adapter(await adapter(url));
}

io.on("connection", (socket) => {
  socket.on("echo", (value, ack) => ack(value));
  socket.on("cast", (value) => io.emit("cast", value));
  if (!url) return;
  socket.on("join", async (rooms, ack) => {
    await socket.join(rooms);
    ack(true);
  });
  socket.on("burst", (count, rooms, value) => {
    for (let number = 0; number < count; number += 1) io.to(String(number % rooms)).emit("cast", value);
  });
});

httpServer.listen(Number(port), host);
