// The matrix: every generation of socket.io-client × transport × parser × case.
//
//   node run.mjs --server "cargo run --release --example conformance --"
//
// Each row runs in a process of its own against a server of its own. A case that hangs
// is cut off, and the row goes on with the next one in a fresh process.

import { fork } from "node:child_process";
import { parseArgs } from "./lib/args.mjs";
import { CASES } from "./lib/cases.mjs";
import { CLIENTS, TRANSPORTS } from "./lib/clients.mjs";
import { PATIENT, ServerUnderTest } from "./lib/server.mjs";
import { dim, green, printTable, red } from "./lib/table.mjs";
import { KNOWN } from "./known.mjs";

const USAGE = `usage: node run.mjs --server CMD [--standard] [--filter TEXT] [--jobs N] [--known NAME]

  --server CMD   command that serves the conformance contract; HOST:PORT is added to it
                 (or put in place of {}), --msgpack or --json where a parser is wanted, and
                 --counted-acks for the oldest client.
                 Also read from the variable SERVER.
  --standard     only the standard parser
  --filter TEXT  only cells whose "version transport parser case" holds every word of TEXT
  --jobs N       rows at the same time (default 3)
  --known NAME   differences of known.mjs that are no failure`;

const CASE_TIMEOUT = 8_000;
/** A row that hangs this often is given up, so that a dead server does not take minutes. */
const MAX_HANGS = 2;

const options = parseArgs(USAGE, { server: String, filter: String, jobs: String, known: String, standard: Boolean });
const command = options.server ?? process.env.SERVER;
if (!command) {
  console.error(USAGE);
  process.exit(2);
}
const words = (options.filter ?? "").split(/\s+/).filter(Boolean);
const known = new Set(KNOWN[options.known] ?? []);

const rows = [];
for (const [version, { transports = TRANSPORTS, parsers = [], flags = [] }] of Object.entries(CLIENTS)) {
  if (known.has(version)) continue;
  const formats = [undefined, ...(options.standard ? [] : parsers)];
  for (const [transport, parser] of formats.flatMap((parser) => transports.map((transport) => [transport, parser]))) {
    const name = [version, transport, parser].filter(Boolean).join(" ");
    const cases = Object.keys(CASES).filter((test) => {
      const cell = `${name} ${test}`;
      return words.every((word) => cell.includes(word));
    });
    if (cases.length > 0) rows.push({ name, version, transport, parser, flags, cases, results: new Map(), hangs: 0 });
  }
}
if (rows.length === 0) {
  console.error(`no cell matches "${options.filter}"`);
  process.exit(2);
}

const started = performance.now();
const queue = [...rows];
async function work() {
  for (let row; (row = queue.shift()); ) await runRow(row);
}
await Promise.all(Array.from({ length: Number(options.jobs ?? 3) }, work));
report();

async function runRow(row) {
  const server = new ServerUnderTest(command, [...PATIENT, ...row.flags, ...(row.parser ? [`--${row.parser}`] : [])]);
  try {
    await server.start();
    let left = row.cases;
    while (left.length > 0) {
      await runCases(row, server, left);
      left = row.cases.filter((test) => !row.results.has(test));
      if (left.length > 0 && row.hangs >= MAX_HANGS) throw new Error("not run: the row was given up");
    }
  } catch (error) {
    for (const test of row.cases) {
      if (!row.results.has(test)) row.results.set(test, { error: String(error.message ?? error) });
    }
  } finally {
    await server.stop();
  }
  for (const [test, { error }] of row.results) {
    if (error) row.results.get(test).log = server.log;
  }
}

/** Runs cases in one child until it ends by itself or one of them takes too long. */
function runCases(row, server, cases) {
  return new Promise((resolve) => {
    const { version, transport, parser } = row;
    const child = fork(
      new URL("./lib/row.mjs", import.meta.url),
      [JSON.stringify({ version, transport, parser, origin: server.origin, cases })],
      { silent: true },
    );
    let output = "";
    let current;
    let timer;
    const keep = (chunk) => (output = (output + chunk).slice(-4000));
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);

    child.on("message", async (message) => {
      if (message.start) {
        current = message.start;
        timer = setTimeout(() => {
          row.hangs += 1;
          row.results.set(current, { error: `no end after ${CASE_TIMEOUT} ms` });
          child.kill("SIGKILL");
        }, CASE_TIMEOUT);
      } else if (message.end) {
        clearTimeout(timer);
        row.results.set(message.end, { error: message.error, ms: message.ms });
        current = undefined;
      } else if (message.restart) {
        await server.restart();
        if (child.connected) child.send({ restarted: true });
      }
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      const victim = current ?? (code === 0 ? undefined : cases.find((test) => !row.results.has(test)));
      if (victim && !row.results.has(victim)) {
        row.results.set(victim, { error: `the client's process ended with code ${code}\n${output}` });
      }
      // A child that ended well has run all of its cases.
      for (const test of code === 0 ? cases : []) {
        if (!row.results.has(test)) row.results.set(test, { error: "was not run" });
      }
      resolve();
    });
  });
}

function report() {
  const columns = Object.keys(CASES).filter((test) => rows.some((row) => row.cases.includes(test)));
  const byName = new Map(rows.map((row) => [row.name, row]));
  let passed = 0;
  let excused = 0;
  const failures = [];
  printTable("client", [...byName.keys()], columns, (name, test) => {
    const result = byName.get(name).results.get(test);
    if (!result) return ["·", dim];
    if (!result.error) {
      passed += 1;
      return ["✓", green];
    }
    if (known.has(`${name} ${test}`)) {
      excused += 1;
      return ["known", dim];
    }
    failures.push([`${name} ${test}`, result]);
    return ["✗", red];
  });

  for (const [name, { error, log }] of failures) {
    console.log(`\n${red("✗")} ${name}\n${error.replace(/^/gm, "    ")}`);
    if (log) console.log(dim(`the server said:\n${log.slice(-1500).replace(/^/gm, "    ")}`));
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const extra = excused ? `, ${excused} known differences` : "";
  console.log(`\n${passed} passed, ${failures.length} failed${extra}, ${seconds} s`);
  process.exit(failures.length > 0 ? 1 : 0);
}
