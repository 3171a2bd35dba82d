// Child process: one row of the matrix, one client over one transport. The parent names
// the cases, gets a message for each start and end, and restarts the server on request.

import { Bench } from "./bench.mjs";
import { CASES } from "./cases.mjs";
import { CLIENTS } from "./clients.mjs";

const { version, transport, parser, origin, cases } = JSON.parse(process.argv[2]);
const { generation, lacks = [], load } = CLIENTS[version];
const client = await load(parser);

for (const name of cases) {
  const started = performance.now();
  process.send({ start: name });
  const bench = new Bench({ client, generation, lacks, transport, parser, origin, restartServer });
  let error = null;
  try {
    await CASES[name](bench);
    await bench.finish();
  } catch (thrown) {
    error = thrown?.stack ?? String(thrown);
  }
  bench.close();
  process.send({ end: name, error, ms: Math.round(performance.now() - started) });
}
process.disconnect();
process.exit(0);

function restartServer() {
  process.send({ restart: true });
  return new Promise((resolve) => process.once("message", resolve));
}
