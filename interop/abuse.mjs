// Abuses a server and looks at its memory, on Linux:
//
//   node abuse.mjs --server "../target/release/examples/conformance"
//
// While an attack lasts the server may keep four times what the offender has sent, and 8 MB, or less where
// an attack says so; five seconds after, no more than before. Meanwhile, and in the end, it serves others,
// and what it keeps is what it had at the very first.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fail, parseArgs } from "./lib/args.mjs";
import { mb, measured, Offender, remaining, residentMemory, SLACK } from "./lib/memory.mjs";
import { ServerUnderTest } from "./lib/server.mjs";
import { runTests } from "./lib/tests.mjs";
import { attacks, fewDescriptors, Target, UNFINISHED_TIMEOUT } from "./suites/abuse.mjs";

const USAGE = `usage: node abuse.mjs --server CMD [--filter TEXT] [--short]

  --server CMD   command of a release build of the conformance example; HOST:PORT and --listen are added
                 to it. Also read from the variable SERVER.
  --filter TEXT  only attacks whose name holds TEXT
  --short        a fifth of everything, for every day`;

const options = parseArgs(USAGE, { server: String, filter: String, short: Boolean });
const command = options.server ?? process.env.SERVER;
if (!command) fail(USAGE);

const dir = mkdtempSync(join(tmpdir(), "sockeye-abuse-"));
const path = join(dir, "app.sock");
const server = await new ServerUnderTest(command, [
  `--listen unix:${path}`,
  `--unfinished-timeout ${UNFINISHED_TIMEOUT}`,
]).start();
const target = new Target(server, path);
// What a process takes once, for its first connections, is no part of the measure.
for (let i = 0; i < 50; i++) await target.serves();
const first = residentMemory(server);

const tests = {};
for (const [name, attack] of Object.entries(attacks(target, { scale: options.short ? 0.2 : 1 }))) {
  tests[name] = async () => {
    console.log(await measured(server, attack));
    await target.serves();
  };
}
tests["all attacks together leave nothing"] = async () => {
  // An allocator keeps more of many attacks than of one; what leaks with every connection is beyond that.
  const left = await remaining(server, first, 2 * SLACK);
  if (left > 2 * SLACK) throw new Error(`${mb(left)} more than at first`);
  console.log(`${mb(left)} more than at first`);
};
tests["few descriptors, all of them taken by one"] = async () => {
  const poor = await new ServerUnderTest(`ulimit -n 64; exec ${command}`).start();
  const offender = new Offender();
  try {
    await fewDescriptors(new Target(poor), offender);
  } finally {
    offender.leave();
    await poor.stop();
  }
};

const failed = await runTests(tests, { filter: options.filter, timeout: 120_000, log: () => server.log });
await server.stop();
rmSync(dir, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
