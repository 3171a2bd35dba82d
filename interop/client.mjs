// The matrix of the Rust client: every generation of servers × parser × revision of Engine.IO × transport, and Sockeye's own
// server over every transport that it has.
//
//   node client.mjs --probe target/release/examples/client_probe --server target/release/examples/conformance
//
// A cell is one run of a program that connects to a server with the contract of the `conformance` example, tries
// all it can do there, and ends with 0 if everything went well.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "./lib/args.mjs";
import { TRANSPORTS } from "./lib/clients.mjs";
import { SERVERS, Server } from "./lib/servers.mjs";
import { dim, green, printTable, red } from "./lib/table.mjs";

const USAGE = `usage: node client.mjs [--probe CMD] [--server CMD] [--python PATH] [--filter TEXT] [--jobs N]

  --probe CMD    command of the program; URL, --transport NAME --protocol auto|3|4 or --dialect native|lines|auto,
                 --parser msgpack|json where it is not the standard one, and --reconnect are added to it. With --reconnect it says a line "restart" when it is ready for the
                 server to crash and come back, and is told a line "restarted" on its standard input afterwards.
                 Also read from the variable PROBE (default ../target/release/examples/client_probe)
  --server CMD   command of the conformance example, also read from the variable SERVER; without it, Sockeye's own
                 server is left out
  --python PATH  a Python that has python/requirements.txt installed, also read from the variable
                 PYTHON; without it, python-socketio is left out
  --filter TEXT  only cells whose "server parser protocol transport" holds every word of TEXT
  --jobs N       servers at the same time (default 2)`;

/** A program that takes longer hangs. */
const PROBE_TIMEOUT = 30_000;
const DIALECTS = ["native", "lines", "auto"];

const options = parseArgs(USAGE, { probe: String, server: String, python: String, filter: String, jobs: String });
const built = fileURLToPath(new URL("../target/release/examples/client_probe", import.meta.url));
const probe = options.probe ?? process.env.PROBE ?? `'${built}'`;
const python = options.python ?? process.env.PYTHON;
const own = options.server ?? process.env.SERVER;
const words = (options.filter ?? "").split(/\s+/).filter(Boolean);

const running = new Set();
process.once("exit", () => running.forEach((end) => end()));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));

const started = performance.now();
const results = new Map();
const queue = Object.entries(SERVERS).flatMap(([name, server]) => [
  [name, server],
  ...(server.parsers ?? []).map((parser) => [`${name} ${parser}`, { ...server, parser }]),
]);
await Promise.all(Array.from({ length: Number(options.jobs ?? 2) }, work));
report();

async function work() {
  for (let entry; (entry = queue.shift()); ) await runServer(...entry);
}

/** All cells of one server, one after the other. */
async function runServer(name, { generation, prepare, needs, protocols, parser }) {
  const prepared = await prepare({ python, server: own, parser });
  const cells = cellsOf(name, protocols, Object.keys(prepared?.streams ?? {})).filter(({ row, column }) =>
    words.every((word) => `${row} ${column}`.includes(word)),
  );
  if (!prepared && cells.length > 0) console.log(dim(`${name} is left out: ${needs} is not given`));
  if (!prepared || cells.length === 0) return prepared?.clean?.();
  let server;
  try {
    server = await Server.start(prepared);
    running.add(stop);
    for (const cell of cells) {
      const before = server.log.length;
      const format = parser ? ` --parser ${parser}` : "";
      const { error, output } = await runProbe(`${probe} ${cell.args(server)}${format} --reconnect`, generation, server);
      record(cell, { error, output, log: server.log.slice(before) });
    }
  } catch (error) {
    for (const cell of cells) record(cell, { error: String(error.message ?? error), output: "" });
  } finally {
    stop();
    running.delete(stop);
  }

  function stop() {
    if (server) server.stop();
    else prepared.clean?.();
  }
}

/** Where a cell is in the table, and what the program is told. */
function cellsOf(name, protocols, streams) {
  const http = protocols.flatMap((protocol) =>
    TRANSPORTS.map((transport) => ({
      row: `${name} ${protocol}`,
      column: transport,
      args: ({ url }) => `${url} --transport ${transport} --protocol ${protocol}`,
    })),
  );
  if (streams.length === 0) return http;
  const ws = {
    row: `${name} ws`,
    column: "websocket",
    args: ({ url }) => `${url.replace("http", "ws")} --transport websocket`,
  };
  const bare = streams.flatMap((stream) =>
    DIALECTS.map((dialect) => ({
      row: `${name} ${stream}`,
      column: dialect,
      args: (server) => `'${server.streams[stream]}' --dialect ${dialect}`,
    })),
  );
  return [...http, ws, ...bare];
}

function record({ row, column }, result) {
  if (!results.has(row)) results.set(row, new Map());
  const cells = results.get(row);
  if (!cells.has(column)) cells.set(column, result);
}

/** `SERVER_GENERATION` is for stand-ins that cannot find out (reference-probe.mjs). */
function runProbe(command, generation, server) {
  return new Promise((resolve) => {
    const env = { ...process.env, SERVER_GENERATION: generation };
    // The shell gives way to the program, so that this gets the signal.
    const child = spawn(`exec ${command}`, { shell: true, env, stdio: ["pipe", "pipe", "pipe"] });
    const end = () => child.kill("SIGKILL");
    running.add(end);
    let output = "";
    let late = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => (output = (output + chunk).slice(-4000)));
    }
    // Its end is told by its code.
    child.stdin.on("error", () => {});
    createInterface(child.stdout).on("line", async (line) => {
      if (line !== "restart") return;
      try {
        await server.restart();
        child.stdin.write("restarted\n");
      } catch (error) {
        output += error.message;
        end();
      }
    });
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
  const order = Object.keys(SERVERS);
  const place = (row) => order.findIndex((name) => row.startsWith(name));
  const rows = [...results.keys()].sort((one, other) => place(one) - place(other));
  const columns = [...TRANSPORTS, ...DIALECTS].filter((column) => rows.some((row) => results.get(row).has(column)));
  printTable("server", rows, columns, (row, column) => {
    const result = results.get(row).get(column);
    if (!result) return ["·", dim];
    if (!result.error) {
      passed += 1;
      return ["✓", green];
    }
    failures.push([`${row} ${column}`, result]);
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
