// Starts, restarts and stops the server under test.

import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export const HOST = "127.0.0.1";

/**
 * For suites that are not about time: a server that waits longer for pongs than it does by itself, as whoever waits for the
 * processor is not dead; and short enough for who sends none to be noticed by those who wait for four heartbeats.
 */
export const PATIENT = ["--ping-timeout", "900"];

/** For servers of clusters, whose clients would miss events, or the suite answers, if they were taken for dead. */
export const UNHURRIED = ["--ping-timeout", "20000"];

/**
 * A free port that stays free while nobody listens there: the system gives those above to connections, and tests leave a port
 * alone while another of them has the same one of UDP, which none uses. The nodes of a Redis Cluster speak to each other
 * 10,000 above theirs.
 */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 10_000);
    if ((await claim(port)) && (await isFree(port))) return port;
  }
}

/** Until this process ends. */
async function claim(port) {
  const socket = createSocket("udp4").unref();
  return new Promise((resolve) => {
    socket.once("error", () => resolve(false));
    socket.bind(port, HOST, () => resolve(true));
  });
}

async function isFree(port) {
  const probe = createServer();
  const isFree = await new Promise((resolve) => {
    probe.once("error", () => resolve(false));
    probe.listen(port, HOST, () => resolve(true));
  });
  if (isFree) {
    probe.close();
    await once(probe, "close");
  }
  return isFree;
}

export class ServerUnderTest {
  /**
   * @param {string} command shell command; ` HOST:PORT` and the flags are added to it, or
   *   replace `{}` where the command holds one
   * @param {string[]} flags
   */
  constructor(command, flags = []) {
    this.command = command;
    this.flags = flags;
    this.log = "";
  }

  get origin() {
    return `http://${HOST}:${this.port}`;
  }

  /** Resolves once the port accepts connections. `timeout` leaves room for `cargo run`. */
  async start(timeout = 60_000) {
    this.port ??= await freePort();
    const address = `${HOST}:${this.port}`;
    const line = this.command.includes("{}")
      ? this.command.replaceAll("{}", [address, ...this.flags].join(" "))
      : [this.command, address, ...this.flags].join(" ");
    // A process group of its own, so that stop() also reaches what the shell started.
    const child = spawn(line, { shell: true, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    this.exited = new Promise((resolve) => child.once("exit", resolve));
    const keep = (chunk) => (this.log = (this.log + chunk).slice(-8000));
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    running.add(this);

    for (const end = Date.now() + timeout; Date.now() < end; await sleep(20)) {
      if (child.exitCode !== null) {
        throw new Error(`the server ended with code ${child.exitCode}:\n${this.log}`);
      }
      if (await accepts(this.port)) return this;
    }
    await this.stop();
    throw new Error(`the server did not listen on ${address} in ${timeout} ms:\n${this.log}`);
  }

  /** SIGKILL by default: peers see their connections drop without a word. */
  async stop(signal = "SIGKILL") {
    running.delete(this);
    if (!this.child || this.child.exitCode !== null || this.child.signalCode !== null) return;
    signalGroup(this.child, signal);
    const patience = setTimeout(() => signalGroup(this.child, "SIGKILL"), 5000);
    await this.exited;
    clearTimeout(patience);
  }

  /** Same port, new process. */
  async restart(downFor = 100) {
    await this.stop();
    await sleep(downFor);
    await this.start();
  }
}

const running = new Set();

function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended already.
  }
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => process.exit(130));
}
process.once("exit", () => {
  for (const server of running) signalGroup(server.child, "SIGKILL");
});

function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect(port, HOST);
    const done = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => done(true));
    socket.once("error", () => done(false));
  });
}
