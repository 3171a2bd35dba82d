// The contract of the `admin` example, spoken by the original server: node servers/admin.js HOST:PORT [PRODUCTION]

import { createServer } from "node:http";
import admin from "@socket.io/admin-ui";
import { Server } from "server-v4";

const [, host, port] = /^(.+):(\d+)$/.exec(process.argv[2] ?? "") ?? [];
if (!host) {
  console.error("usage: node servers/admin.js HOST:PORT [PRODUCTION]");
  process.exit(2);
}

const http = createServer((_, response) => response.writeHead(404).end());
const io = new Server(http, { serveClient: false });
admin.instrument(io, {
  auth: {
    type: "basic",
    username: "ann",
    // "correct horse"
    password: "$2b$10$jPzzNernFh4JYZCyVk47Z.XMIHFQ7RRUquwQ6nRcrE9w0jw17ETvW",
  },
  mode: process.argv[3] ? "production" : "development",
});

for (const name of ["/", "/chat"]) {
  io.of(name).on("connection", (socket) => {
    socket.on("join", (room, ack) => (socket.join(room), ack(true)));
    socket.on("leave", (room, ack) => (socket.leave(room), ack(true)));
    socket.on("name", (name, ack) => ((socket.data.name = name), ack(true)));
    socket.on("say", (room, text) => io.of(socket.nsp.name).to(room).emit("said", text));
    socket.on("echo", (...args) => args.pop()(...args));
  });
}

http.listen(Number(port), host);
process.once("SIGTERM", () => process.exit(0));
