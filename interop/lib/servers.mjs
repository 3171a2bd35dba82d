// The servers that clients are tried on. Each takes a free port and ends with its standard input.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { PARSERS } from "./clients.mjs";
import { freePort, PATIENT } from "./server.mjs";

const folder = fileURLToPath(new URL("..", import.meta.url));
const FREE = "127.0.0.1:0";

/** The original of a generation, with one of its parsers. */
function node(generation, parser) {
  const flags = parser ? [`--${parser}`] : [];
  return { command: (address) => [process.execPath, "servers/node.js", String(generation), address, ...PATIENT, ...flags] };
}

/**
 * Name in the table → the revisions of Engine.IO to ask it for, and how to start it: `prepare` answers the `command`
 * for an address, the URLs of its `streams` if it has some, and how to `clean` up; or nothing if it is not there. It is
 * told which of the `parsers` to use, if it is not the standard one.
 */
export const SERVERS = {
  "socket.io 1.7.4": { generation: 1, prepare: () => node(1), protocols: ["auto", "3"] },
  "socket.io 2.5.1": { generation: 2, parsers: PARSERS, prepare: ({ parser }) => node(2, parser), protocols: ["auto", "3"] },
  "socket.io 3.1.2": { generation: 3, parsers: PARSERS, prepare: ({ parser }) => node(3, parser), protocols: ["auto", "4"] },
  "socket.io 4.8.4": { generation: 4, parsers: PARSERS, prepare: ({ parser }) => node(4, parser), protocols: ["auto", "4"] },
  "socket.io 4.8.4 deflate": {
    generation: 4,
    prepare: () => ({ command: (address) => [process.execPath, "servers/node.js", "4", address, ...PATIENT, "--deflate"] }),
    protocols: ["4"],
  },
  "python-socketio 5.18.1": {
    generation: 4,
    parsers: ["msgpack"],
    prepare: ({ python, parser }) =>
      python && { command: (address) => [python, "python/server.py", address, ...(parser ? [`--${parser}`] : [])] },
    needs: "--python",
    protocols: ["auto", "4"],
  },
  sockeye: {
    generation: 4,
    parsers: PARSERS,
    prepare: ({ server, parser }) => server && conformance(parser ? `${server} {} --${parser}` : `${server} {}`),
    needs: "--server",
    protocols: ["auto", "3", "4"],
  },
  "sockeye deflate": {
    generation: 4,
    prepare: ({ server }) => server && conformance(`${server} {} --deflate --http-compression`),
    needs: "--server",
    protocols: ["3", "4"],
  },
};

async function conformance(command) {
  const dir = mkdtempSync(join(tmpdir(), "sockeye-client-"));
  const streams = { unix: `unix:${join(dir, "app.sock")}`, tcp: `tcp://127.0.0.1:${await freePort()}` };
  const listen = Object.values(streams).map((url) => `--listen '${url}'`).join(" ");
  return {
    // The shell gives way to the server, so that this gets the signals.
    command: (address) => ["/bin/sh", "-c", `exec ${command.replace("{}", address)} ${PATIENT.join(" ")} ${listen}`],
    streams,
    clean: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** A server that was prepared, and that can be crashed and started again under its clients. */
export class Server {
  log = "";
  #prepared;
  #child;

  /** Resolves once the server listens. */
  static async start(prepared) {
    const server = new Server();
    server.#prepared = prepared;
    server.streams = prepared.streams ?? {};
    server.url = await server.#spawn(FREE);
    return server;
  }

  /** Kills it, so that it has no time for a word, and starts it again where it was. */
  async restart() {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
    // What clients do meanwhile is to meet no server.
    await sleep(100);
    await this.#spawn(new URL(this.url).host);
  }

  stop() {
    this.#child?.kill("SIGKILL");
    this.#prepared.clean?.();
  }

  async #spawn(address, timeout = 20_000) {
    const [program, ...args] = this.#prepared.command(address);
    const child = spawn(program, args, { cwd: folder, stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    let said = "";
    const keep = (chunk) => {
      said += chunk;
      this.log = (this.log + chunk).slice(-8000);
    };
    const timer = setTimeout(() => child.kill("SIGKILL"), timeout);
    // Its end is told by the missing address.
    child.on("error", (error) => keep(error.message));
    child.stdin.on("error", () => {});
    child.stderr.on("data", keep);
    return await new Promise((resolve, reject) => {
      child.stdout.on("data", (chunk) => {
        keep(chunk);
        const [, url] = /^listening on (\S+)\n/m.exec(said) ?? [];
        if (url) resolve(url);
      });
      once(child, "close").then(() => reject(new Error(`the server ended before it listened:\n${said}`)), reject);
    }).finally(() => clearTimeout(timer));
  }
}
