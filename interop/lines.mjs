// Plain net-socket.io peers (plain-peer.mjs) over a Unix-domain socket and TCP, with Sockeye as either end:
//
//   node lines.mjs --server CMD    against a server with the contract of the `conformance` example
//   node lines.mjs --client CMD    against a program that is a client

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fail, parseArgs } from "./lib/args.mjs";
import { runTests } from "./lib/tests.mjs";
import { clientTests } from "./suites/lines-client.mjs";
import { startServer } from "./suites/lines-server.mjs";

const USAGE = `usage: node lines.mjs [--server CMD] [--client CMD]

  --server CMD   command of a server; its HOST:PORT and some --listen URL are added to it
  --client CMD   command of a client; the URL of a plain server, unix:/path or tcp://127.0.0.1:port, is
                 added to it (or put in place of {}). It has to end with 0 if all it did went well; what it
                 has to do, and what the server does, is in suites/lines-client.mjs`;

const options = parseArgs(USAGE, { server: String, client: String });
if (!options.server && !options.client) fail(USAGE);

const dir = mkdtempSync(join(tmpdir(), "sockeye-lines-"));
const tests = {};
let server;
if (options.server) {
  server = await startServer(options.server, join(dir, "app.sock"));
  Object.assign(tests, server.tests);
}
if (options.client) Object.assign(tests, clientTests(options.client, dir));
const failed = await runTests(tests, { timeout: 20_000 });
server?.stop();
rmSync(dir, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
