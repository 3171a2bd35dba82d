// The event `echo` on Node's own sockets, without a library: a JSON object on each line.
// Usage: node net.mjs PATH
import { createServer } from "node:net";

const server = createServer((socket) => {
  let rest = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const { eventName, args, id } = JSON.parse(line);
      if (eventName === "echo") socket.write(JSON.stringify({ ack: id, args }) + "\n");
    }
  });
  socket.on("error", () => {}); // a peer that is gone
});

server.listen(process.argv[2]);
