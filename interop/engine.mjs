// Engine.IO and Socket.IO spoken by hand, over fetch and ws:
//
//   node engine.mjs --server "cargo run --release --example conformance --"
//
// Written from the protocols' documents; checks what the clients of the matrix never do.

import { parseArgs } from "./lib/args.mjs";
import { ServerUnderTest } from "./lib/server.mjs";
import { runTests } from "./lib/tests.mjs";
import { Wire } from "./lib/wire.mjs";
import { KNOWN } from "./known.mjs";
import { engineIo3 } from "./suites/engine-io-3.mjs";
import { engineIo4 } from "./suites/engine-io-4.mjs";
import { socketIo4, socketIo5 } from "./suites/socket-io.mjs";

const USAGE = `usage: node engine.mjs --server CMD [--filter TEXT] [--known NAME]

  --server CMD   command that serves the conformance contract; HOST:PORT, and --engine for the bare
                 Engine.IO server, are added to it. Also read from the variable SERVER.
  --filter TEXT  only tests whose name holds TEXT
  --known NAME   differences of known.mjs that are no failure`;

const options = parseArgs(USAGE, { server: String, filter: String, known: String });
const command = options.server ?? process.env.SERVER;
if (!command) {
  console.error(USAGE);
  process.exit(2);
}

const engine = await new ServerUnderTest(command, ["--engine"]).start();
const sockets = await new ServerUnderTest(command).start();
const suites = {
  "Engine.IO 4": engineIo4(new Wire(engine, "/engine.io/", 4)),
  "Engine.IO 3": engineIo3(new Wire(engine, "/engine.io/", 3)),
  "Socket.IO 5": socketIo5(new Wire(sockets, "/socket.io/", 4)),
  "Socket.IO 4": socketIo4(new Wire(sockets, "/socket.io/", 3)),
};
const tests = {};
for (const [suite, itsTests] of Object.entries(suites)) {
  for (const [name, test] of Object.entries(itsTests)) tests[`${suite}: ${name}`] = test;
}
const failed = await runTests(tests, {
  filter: options.filter,
  known: KNOWN[options.known],
  log: () => engine.log + sockets.log,
});
await Promise.all([engine.stop(), sockets.stop()]);
process.exit(failed ? 1 : 0);
