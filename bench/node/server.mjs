// The two events of the benchmark on Node's Socket.IO, set up as its documentation does.
// Usage: node server.mjs HOST:PORT
import { createServer } from "node:http";
import { Server } from "socket.io";

const address = process.argv[2] ?? "127.0.0.1:3000";
const [host, port] = address.split(":");

const httpServer = createServer();
const io = new Server(httpServer);

io.on("connection", (socket) => {
  socket.on("echo", (value, ack) => ack(value));
  socket.on("cast", (value) => io.emit("cast", value));
});

httpServer.listen(Number(port), host);
