// The demo chat on two servers of a cluster, with a page on each.

import assert from "node:assert/strict";
import { Missing, Redis } from "../cluster/engines.mjs";
import { ServerUnderTest } from "../lib/server.mjs";

/** The tests by name, or none without an engine. */
export function chatCluster({ command, openTab, say, message }) {
  let engine;
  try {
    engine = new Redis();
  } catch (error) {
    if (!(error instanceof Missing) || process.env.SOCKEYE_REQUIRE_ENGINES === "1") throw error;
    console.log(`skipped: ${error.message}`);
    return {};
  }
  return {
    "pages on two servers of a cluster chat": async () => {
      const servers = [];
      const pages = [];
      try {
        await engine.start();
        for (const name of ["Ann", "Bob"]) {
          const line = `${command} serve --cluster redis://${engine.hosts} --listen http://{}`;
          servers.push(await new ServerUnderTest(line).start());
          const settings = { origin: servers.at(-1).origin };
          pages.push(await openTab(name === "Ann" ? "polling" : "websocket", name, "cluster", settings));
        }
        const [ann, bob] = pages;
        for (const page of pages) await page.locator("#people li").nth(1).waitFor();
        const people = await bob.locator("#people li").allTextContents();
        assert.deepEqual(people.sort(), ["Ann", "Bob (you)"]);
        await bob.locator("#text").pressSequentially("hm");
        await ann.getByText("Bob is typing…").waitFor();
        await say(bob, "from the other server");
        await message(ann, "from the other server").waitFor();
        await say(ann, "and back");
        await message(bob, "and back").waitFor();
        await bob.context().close();
        await ann.locator("#people li").nth(1).waitFor({ state: "detached" });
        assert.deepEqual(pages.flatMap(({ complaints }) => complaints), [], "errors in the pages");
      } finally {
        await Promise.all(pages.map((page) => page.context().close()));
        await Promise.all(servers.map((server) => server.stop()));
        await engine.close();
      }
    },
  };
}
