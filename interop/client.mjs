// The matrix of the Rust client: every generation of servers × revision of Engine.IO × transport.
//
//   node client.mjs --probe target/release/examples/client_probe
//
// A cell is one run of a program that connects to a server with the contract of the `conformance` example, tries
// all it can do there, and ends with 0 if everything went well.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "./lib/args.mjs";
import { TRANSPORTS } from "./lib/clients.mjs";
import { SERVERS, startServer } from "./lib/servers.mjs";
import { dim, green, printTable, red } from "./lib/table.mjs";

const USAGE = `usage: node client.mjs [--probe CMD] [--python PATH] [--filter TEXT] [--jobs N]

  --probe CMD    command of the program; URL --transport NAME --protocol auto|3|4 is added to it.
                 Also read from the variable PROBE (default ../target/release/examples/client_probe)
  --python PATH  a Python that has python/requirements.txt installed, also read from the variable
                 PYTHON; without it, python-socketio is left out
  --filter TEXT  only cells whose "server protocol transport" holds every word of TEXT
  --jobs N       servers at the same time (default 2)`;

/** A program that takes longer hangs. */
const PROBE_TIMEOUT = 30_000;

const options = parseArgs(USAGE, { probe: String, python: String, filter: String, jobs: String });
const built = fileURLToPath(new URL("../target/release/examples/client_probe", import.meta.url));
const probe = options.probe ?? process.env.PROBE ?? `'${built}'`;
const python = options.python ?? process.env.PYTHON;
const words = (options.filter ?? "").split(/\s+/).filter(Boolean);

const running = new Set();
process.once("exit", () => running.forEach((end) => end()));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));

const started = performance.now();
const results = new Map();
const queue = Object.entries(SERVERS);
await Promise.all(Array.from({ length: Number(options.jobs ?? 2) }, work));
report();

async function work() {
  for (let entry; (entry = queue.shift()); ) await runServer(...entry);
}

/** All cells of one server, one after the other. */
async function runServer(name, { generation, command, protocols }) {
  const cells = protocols
    .flatMap((protocol) => TRANSPORTS.map((transport) => ({ row: `${name} ${protocol}`, protocol, transport })))
    .filter(({ row, transport }) => words.every((word) => `${row} ${transport}`.includes(word)));
  const line = command({ python });
  if (cells.length === 0) return;
  if (!line) {
    console.log(dim(`${name} is left out: --python is not given`));
    return;
  }
  let server;
  try {
    server = await startServer(line);
    running.add(server.stop);
    for (const cell of cells) {
      const args = `${server.url} --transport ${cell.transport} --protocol ${cell.protocol}`;
      const before = server.log.length;
      const { error, output } = await runProbe(`${probe} ${args}`, generation);
      record(cell, { error, output, log: server.log.slice(before) });
    }
  } catch (error) {
    for (const cell of cells) record(cell, { error: String(error.message ?? error), output: "" });
  } finally {
    server?.stop();
    running.delete(server?.stop);
  }
}

function record({ row, transport }, result) {
  if (!results.has(row)) results.set(row, new Map());
  const cells = results.get(row);
  if (!cells.has(transport)) cells.set(transport, result);
}

/** `SERVER_GENERATION` is for stand-ins that cannot find out (reference-probe.mjs). */
function runProbe(command, generation) {
  return new Promise((resolve) => {
    const env = { ...process.env, SERVER_GENERATION: generation };
    // The shell gives way to the program, so that this gets the signal.
    const child = spawn(`exec ${command}`, { shell: true, env, stdio: ["ignore", "pipe", "pipe"] });
    const end = () => child.kill("SIGKILL");
    running.add(end);
    let output = "";
    let late = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => (output = (output + chunk).slice(-4000)));
    }
    const timer = setTimeout(() => {
      late = true;
      end();
    }, PROBE_TIMEOUT);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      running.delete(end);
      const error = late ? `no end after ${PROBE_TIMEOUT} ms` : code !== 0 && `the client ended with ${code ?? signal}`;
      resolve({ error, output });
    });
  });
}

function report() {
  let passed = 0;
  const failures = [];
  const order = Object.entries(SERVERS).flatMap(([name, { protocols }]) => protocols.map((one) => `${name} ${one}`));
  printTable("server", order.filter((row) => results.has(row)), TRANSPORTS, (row, transport) => {
    const result = results.get(row).get(transport);
    if (!result) return ["·", dim];
    if (!result.error) {
      passed += 1;
      return ["✓", green];
    }
    failures.push([`${row} ${transport}`, result]);
    return ["✗", red];
  });
  for (const [name, { error, output, log }] of failures) {
    console.log(`\n${red("✗")} ${name}\n    ${error}\n${output.trimEnd().replace(/^/gm, "    ")}`);
    if (log) console.log(dim(`the server said:\n${log.slice(-1500).replace(/^/gm, "    ")}`));
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`\n${passed} passed, ${failures.length} failed, ${seconds} s`);
  // A matrix of nothing has shown nothing.
  process.exit(failures.length > 0 || passed === 0 ? 1 : 0);
}
