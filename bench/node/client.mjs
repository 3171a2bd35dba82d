// The modes of the example bench_client on Node's socket.io-client.
// Usage: node client.mjs echo|idle URL [--connections N] [--in-flight N] [--seconds S]
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { io } from "socket.io-client";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    connections: { type: "string", default: "1" },
    "in-flight": { type: "string", default: "16" },
    seconds: { type: "string", default: "3" },
  },
});
const [mode, url] = positionals;

const sockets = [];
for (let i = 0; i < Number(values.connections); i++) {
  const socket = io(url, { transports: ["websocket"], forceNew: true });
  await once(socket, "connect");
  sockets.push(socket);
}

if (mode === "echo") {
  let done = 0;
  const text = "x".repeat(32);
  const ask = (socket) =>
    socket.emit("echo", text, (answer) => {
      if (answer !== text) throw new Error(`no echo: ${answer}`);
      done++;
      ask(socket);
    });
  for (const socket of sockets) {
    for (let i = 0; i < Number(values["in-flight"]); i++) ask(socket);
  }
  await sleep(1000);
  console.log("started");
  const before = done;
  await sleep(Number(values.seconds) * 1000);
  console.log(done - before);
} else {
  console.log("connected");
}

process.stdin.resume().on("end", () => process.exit());
