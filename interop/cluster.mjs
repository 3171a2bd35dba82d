// The matrix of clusters: every engine × every pair of Node's server and Sockeye's × every operation.
//
//   node cluster.mjs --server "cargo run --release --example cluster_node --"
//
// Each pair is a cluster of its own; the operations are done at the first node and looked at on both. What emitters can do,
// who are no servers, is looked at on a server of each kind.

import { parseArgs } from "./lib/args.mjs";
import { ServerUnderTest, UNHURRIED } from "./lib/server.mjs";
import { dim, green, printTable, red, yellow } from "./lib/table.mjs";
import { Client } from "./cluster/client.mjs";
import { emitters } from "./cluster/emitters.mjs";
import { ENGINES, Missing } from "./cluster/engines.mjs";
import { GATHERING, KNOWN } from "./cluster/known.mjs";
import { isMute, isRecovering, operationsOn, ROWS } from "./cluster/operations.mjs";
import { ORDERS } from "./cluster/orders.mjs";
import { acquainted, introduced } from "./cluster/states.mjs";

const USAGE = `usage: node cluster.mjs [--server CMD] [--emitter CMD] [--sockeye CMD] [--engine NAMES] [--pair NAMES] [--filter TEXT] [--jobs N]

  --server CMD    command that serves the contract of the example cluster_node; HOST:PORT and options are added to it (or
                  put in place of {}). Without it only clusters of Node's servers are tried.
  --emitter CMD   command of the example cluster_emitter
  --sockeye CMD   the sockeye command, which is an emitter as well
  --engine NAMES  only these engines, with commas between them: ${Object.keys(ENGINES).join(", ")}
  --pair NAMES    only these pairs of nodes, such as node-node,node-sockeye
  --filter TEXT   only operations whose name holds TEXT
  --jobs N        clusters at the same time (default 6)

An engine that is not there is skipped, unless the variable SOCKEYE_REQUIRE_ENGINES is 1.`;

const TIMEOUT = 40_000;
/** How long is waited for what is known not to come. */
const NO_PATIENCE = 1000;

const options = parseArgs(USAGE, {
  server: String,
  emitter: String,
  sockeye: String,
  engine: String,
  pair: String,
  filter: String,
  jobs: String,
});
const NODES = { node: "node cluster/node.mjs", ...(options.server && { sockeye: options.server }) };
const wantedPairs = options.pair?.split(",");
const wantedEngines = options.engine?.split(",");
const kinds = Object.keys(NODES);
const allPairs = kinds
  .flatMap((near) => kinds.map((far) => ({ name: `${near}-${far}`, near, far })))
  .filter(({ name }) => wantedPairs?.includes(name) ?? true);
const isWanted = (name) => name.includes(options.filter ?? "");
const orders = Object.keys(ORDERS).filter(isWanted);

const started = performance.now();
const failures = [];
const skipped = [];
let passed = 0;
let excused = 0;

const columns = Object.keys(ENGINES)
  .filter((name) => wantedEngines?.includes(name) ?? true)
  .map((name) => {
    // A node that is alone is both of a pair.
    const pairs = name === "none" ? kinds.map((kind) => ({ name: kind, near: kind, far: kind })) : allPairs;
    return { name, pairs, emitters: new Set(), results: new Map(), left: pairs.length };
  });
const clusters = columns.flatMap((column) => column.pairs.map((pair) => ({ column, pair })));
await Promise.all(
  Array.from({ length: Number(options.jobs ?? 6) }, async () => {
    for (let next; (next = clusters.shift()); ) await runPair(next.column, next.pair);
  }),
);
report();

/** Runs all operations on two nodes, on an engine that all pairs share; the last one tells how it went. */
async function runPair(column, pair) {
  column.engine ??= start(column.name);
  try {
    const engine = await column.engine;
    const run = async (name) => runOperations(column, pair, await engine.cluster(name));
    await run(pair.name).catch(async (error) => {
      if (!error.isApart || !isKnownToFail(column.name, pair.name, GATHERING)) throw error;
      console.log(`${yellow("once more:")} ${column.name}, ${pair.name}: ${error.message}`);
      await run(`${pair.name}-again`);
    });
  } catch (error) {
    if (error instanceof Missing) column.missing = error;
    for (const operation of wantedOn(column.name, pair)) {
      const key = `${pair.name} ${operation}`;
      if (!column.results.has(key)) column.results.set(key, { error, log: error.log });
    }
  }
  column.left -= 1;
  if (column.left > 0) return;
  await column.engine.then((engine) => engine.close(), () => {});
  if (column.missing && process.env.SOCKEYE_REQUIRE_ENGINES !== "1") {
    skipped.push(`${column.name}: ${column.missing.message}`);
    return;
  }
  const { name, pairs, emitters, results } = column;
  const operations = [...new Set(pairs.flatMap((pair) => wantedOn(name, pair)))];
  const print = (corner, rows, columns) => {
    if (rows.length > 0 && columns.length > 0) printTable(corner, rows, columns, (row, column) => cell(name, row, column, results));
    console.log();
  };
  print(name, operations, pairs.map(({ name }) => name));
  print(`${name}, emitters`, orders, [...emitters]);
}

function wantedOn(engine, { near }) {
  return operationsOn(engine, near).filter(isWanted);
}

async function start(name) {
  return ENGINES[name]().start();
}

async function runOperations(column, pair, url) {
  const { name, results } = column;
  const kinds = url ? [pair.near, pair.far] : [pair.near];
  const nodes = kinds.map((kind, i) => {
    const label = pair.near === pair.far ? `${kind}-${i + 1}` : kind;
    const flags = ["--name", label, ...UNHURRIED, ...(url ? ["--cluster", `'${url}'`] : []), ...(isRecovering(name) ? ["--recovery"] : [])];
    return { name: label, server: new ServerUnderTest(NODES[kind], flags) };
  });
  try {
    await Promise.all(nodes.map(({ server }) => server.start()));
    await gathered(nodes, isMute(name));
    const near = nodes[0];
    const far = nodes[1] ?? { ...near };
    for (const operation of wantedOn(name, pair)) {
      const isKnown = isKnownToFail(name, pair.name, operation);
      const s = { near, far, patience: isKnown ? NO_PATIENCE : undefined, isMute: isMute(name) };
      results.set(`${pair.name} ${operation}`, await runOperation(s, ROWS[operation]));
    }
    if (url && !isRecovering(name) && !isMute(name)) await runOrders(column, pair, url, near, far);
  } finally {
    await Promise.all(nodes.map(({ server }) => server.stop()));
  }
}

/** What emitters can do; at two servers of ours only what Node's cannot take. */
async function runOrders({ name, emitters: names, results }, pair, url, near, far) {
  const isMixed = pair.near !== pair.far;
  if (isMixed ? pair.near !== "node" : pair.near === "node" && options.server) return;
  for (const [label, connect] of Object.entries(emitters(url, options))) {
    const column = `${label} to ${pair.name}`;
    const wanted = orders.filter((order) => isMixed || !options.server || isKnownToFail(name, `${label} to node-sockeye`, order));
    if (wanted.length === 0) continue;
    names.add(column);
    const emitter = await connect();
    const possible = wanted.filter((order) => emitter.takes(ORDERS[order]) && !isKnownToFail(name, column, order));
    for (const order of possible) results.set(`${column} ${order}`, await runOperation({ near, far, emitter }, ORDERS[order].run));
    await emitter.close();
  }
}

/** Waits until the nodes know of each other, which nothing else announces. */
async function gathered(nodes, isMute) {
  const clients = await Promise.all(nodes.map(({ server, name }) => Client.connect(server.origin, name, {})));
  const counts = async () => Promise.all(clients.map((client) => client.ask("count")));
  try {
    // Whoever is not asked for a number may be heard.
    if (isMute) return await acquainted(...clients.map((client) => ({ clients: [client] })));
    for (const end = Date.now() + TIMEOUT; Date.now() < end; ) {
      if ((await counts()).every((count) => count === nodes.length)) return;
    }
    throw Object.assign(new Error(`the nodes count ${await counts()}`), { isApart: true, log: logs(nodes) });
  } finally {
    for (const client of clients) client.close();
  }
}

async function runOperation(s, operation) {
  const { near, far } = s;
  const clients = [];
  let timer;
  try {
    for (const node of [near, far]) {
      node.clients = await Promise.all([1, 2].map((n) => Client.connect(node.server.origin, `${node.name}'s client ${n}`, { n, from: node.name })));
      clients.push(...node.clients);
    }
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no end after ${TIMEOUT} ms`)), TIMEOUT);
    });
    s.all = [...clients];
    await Promise.race([introduced(s).then(() => operation(s)), late]);
    return {};
  } catch (error) {
    return { error, log: logs([near, far]) };
  } finally {
    clearTimeout(timer);
    for (const client of clients) client.close();
  }
}

function logs(nodes) {
  return nodes.map(({ name, server }) => `${name}: ${server.log.slice(-600)}`).join("\n");
}

function isKnownToFail(engine, pair, operation) {
  return KNOWN.some((known) => known.engine.test(engine) && known.pair.test(pair) && known.operation.test(operation));
}

function cell(engine, operation, pair, results) {
  const isKnown = isKnownToFail(engine, pair, operation);
  const result = results.get(`${pair} ${operation}`);
  if (!result && !isKnown) return ["·", dim];
  const { error, log } = result ?? {};
  if (result && !error) {
    passed += 1;
    return ["✓", green];
  }
  if (isKnown) {
    excused += 1;
    return ["Node cannot", dim];
  }
  failures.push({ name: `${engine}, ${pair}: ${operation}`, error, log });
  return ["✗", red];
}

function report() {
  for (const { name, error, log } of failures) {
    console.log(`${red("✗")} ${name}\n${String(error?.stack ?? error).replace(/^/gm, "    ")}`);
    if (log) console.log(dim(log.replace(/^/gm, "    ")));
  }
  for (const reason of skipped) console.log(`${yellow("skipped:")} ${reason}`);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${passed} passed, ${failures.length} failed, ${excused} that Node cannot do, ${seconds} s`);
  process.exit(failures.length > 0 || passed === 0 ? 1 : 0);
}
