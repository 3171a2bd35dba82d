// The servers that clients are tried on. Each takes a free port and ends with its standard input.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("..", import.meta.url));
const node = (generation) => () => [process.execPath, "servers/node.js", String(generation)];

/** Name in the table → how to start it, and the revisions of Engine.IO to ask it for. */
export const SERVERS = {
  "socket.io 1.7.4": { generation: 1, command: node(1), protocols: ["auto", "3"] },
  "socket.io 2.5.1": { generation: 2, command: node(2), protocols: ["auto", "3"] },
  "socket.io 3.1.2": { generation: 3, command: node(3), protocols: ["auto", "4"] },
  "socket.io 4.8.4": { generation: 4, command: node(4), protocols: ["auto", "4"] },
  "python-socketio 5.18.1": {
    generation: 4,
    command: ({ python }) => python && [python, "python/server.py"],
    protocols: ["auto", "4"],
  },
};

/** Resolves once the server listens, with its URL. */
export async function startServer([program, ...args], timeout = 20_000) {
  const child = spawn(program, args, { cwd: folder, stdio: ["pipe", "pipe", "pipe"] });
  const server = {
    log: "",
    stop() {
      child.stdin.destroy();
      child.kill("SIGKILL");
    },
  };
  const timer = setTimeout(() => child.kill("SIGKILL"), timeout);
  // Its end is told by the missing address.
  child.on("error", (error) => (server.log += error.message));
  child.stdin.on("error", () => {});
  const keep = (chunk) => (server.log = (server.log + chunk).slice(-8000));
  child.stderr.on("data", keep);
  server.url = await new Promise((resolve, reject) => {
    child.stdout.on("data", (chunk) => {
      keep(chunk);
      const [, url] = /^listening on (\S+)\n/m.exec(server.log) ?? [];
      if (url) resolve(url);
    });
    once(child, "close").then(
      () => reject(new Error(`the server ended before it listened:\n${server.log}`)),
      reject,
    );
  }).finally(() => clearTimeout(timer));
  return server;
}
