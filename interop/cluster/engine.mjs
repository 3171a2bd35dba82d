// Runs one engine that clusters are built on, for who wants it from outside: says its URL, and ends with its input.
//
//   node cluster/engine.mjs NAME

import { ENGINES, Missing } from "./engines.mjs";

const [name] = process.argv.slice(2);
try {
  if (!ENGINES[name]) throw new Missing(`there is no engine ${name}; there are ${Object.keys(ENGINES).join(", ")}`);
  const engine = ENGINES[name]();
  process.stdin.resume().once("end", async () => {
    await engine.close();
    process.exit(0);
  });
  await engine.start();
  console.log(engine.url);
} catch (error) {
  if (!(error instanceof Missing)) throw error;
  console.error(error.message);
  process.exit(1);
}
