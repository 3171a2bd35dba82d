// Runs named tests one after the other, each in bounded time.

import { dim, green, red } from "./table.mjs";

/**
 * @param {Record<string, () => Promise<void>>} tests
 * @returns {Promise<number>} how many failed
 */
export async function runTests(tests, { filter = "", timeout = 5000, known = [], log } = {}) {
  const names = Object.keys(tests).filter((name) => name.includes(filter));
  const started = performance.now();
  let failed = 0;
  let excused = 0;
  for (const name of names) {
    const begun = performance.now();
    let timer;
    try {
      const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no end after ${timeout} ms`)), timeout);
      });
      await Promise.race([tests[name](), late]);
      console.log(`${green("✓")} ${name} ${dim(`${Math.round(performance.now() - begun)} ms`)}`);
    } catch (error) {
      if (known.includes(name)) {
        excused += 1;
        console.log(dim(`- ${name} (known difference)`));
        continue;
      }
      failed += 1;
      console.log(`${red("✗")} ${name}\n${String(error?.stack ?? error).replace(/^/gm, "    ")}`);
      if (log?.()) console.log(dim(`the server said:\n${log().slice(-1500).replace(/^/gm, "    ")}`));
    } finally {
      clearTimeout(timer);
    }
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const extra = excused ? `, ${excused} known differences` : "";
  console.log(`${names.length - failed - excused} passed, ${failed} failed${extra}, ${seconds} s`);
  return failed + (names.length === 0 ? 1 : 0);
}
