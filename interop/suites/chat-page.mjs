// What people see of the demo chat.

import assert from "node:assert/strict";

const PHONE = { width: 390, height: 800 };

export function chatPage({ browser, server, openTab, say, message, online }) {
  /** A tab that is open for as long as it is used. */
  async function withTab(name, room, settings, use) {
    const page = await openTab("websocket", name, room, settings);
    try {
      await use(page);
      assert.deepEqual(page.complaints, [], "errors in the page");
    } finally {
      await page.context().close();
    }
  }

  /** A tab that has no name yet. */
  async function withStranger(use) {
    const context = await browser.newContext();
    try {
      const page = await context.newPage();
      await use(page, page.goto(`${server.origin}/?transport=polling`));
    } finally {
      await context.close();
    }
  }

  const isFocused = (page, id) => page.waitForFunction((id) => document.activeElement?.id === id, id);

  return {
    "page: a time stays on one line, beside the longest name": async () => {
      const settings = { viewport: PHONE, locale: "en-US" };
      await withTab("W".repeat(32), "narrow", settings, async (page) => {
        await say(page, "x");
        const time = message(page, "x").locator("time");
        assert.match(await time.textContent(), /^\d\d:\d\d\s[AP]M$/);
        assert.equal(await time.evaluate((it) => it.getClientRects().length), 1);
        const [height, line] = await time.evaluate((it) => {
          const range = document.createRange();
          range.selectNodeContents(it);
          return [range.getBoundingClientRect().height, parseFloat(getComputedStyle(it).lineHeight)];
        });
        assert.ok(height <= line * 1.2, `${height} px with lines of ${line} px`);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, "nothing sticks out");
      });
    },

    "page: names of any colour can be read, in light and dark": async () => {
      for (const colorScheme of ["light", "dark"]) {
        await withTab("Ann", `colours-${colorScheme}`, { colorScheme }, async (page) => {
          const worst = await page.evaluate(() => {
            const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
            const luminance = (colour) => {
              context.clearRect(0, 0, 1, 1);
              context.fillStyle = colour;
              context.fillRect(0, 0, 1, 1);
              const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((byte) => {
                const part = byte / 255;
                return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
              });
              return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            let worst = [Infinity];
            for (const className of ["message", "message mine"]) {
              const item = document.createElement("li");
              const name = document.createElement("b");
              item.className = className;
              item.append(name);
              document.getElementById("messages").append(item);
              const ground = luminance(getComputedStyle(item).backgroundColor);
              for (let hue = 0; hue < 360; hue++) {
                name.style.setProperty("--hue", hue);
                const ink = luminance(getComputedStyle(name).color);
                const contrast = (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05);
                if (contrast < worst[0]) worst = [contrast, hue, className];
              }
              item.remove();
            }
            return worst;
          });
          assert.ok(worst[0] >= 4.5, `${colorScheme}: contrast, hue, where: ${worst}`);
        });
      }
    },

    "page: what one person says in a row stands together": async () => {
      await withTab("Ann", "rows", {}, async (ann) => {
        await withTab("Bob", "rows", {}, async (bob) => {
          for (const text of ["one", "two", "three"]) {
            await say(ann, text);
            await message(ann, text).waitFor();
          }
          await say(bob, "four");
          await message(ann, "four").waitFor();
          await say(ann, "five");
          await message(ann, "five").waitFor();
          const names = await ann
            .locator("#messages header")
            .evaluateAll((heads) => heads.filter((head) => head.clientWidth > 1).map((head) => head.querySelector("b").textContent));
          assert.deepEqual(names, ["Ann", "Bob", "Ann"]);
          // Those who only listen are told each time.
          assert.equal(await ann.locator("#messages header").count(), 5);
        });
      });
    },

    "page: an empty room says so": async () => {
      await withTab("Ann", "empty", {}, async (page) => {
        const empty = page.locator("#empty");
        await empty.waitFor();
        assert.match(await empty.textContent(), /Nothing has been said here yet.*Nobody else is here/);
        await say(page, "hello");
        await message(page, "hello").waitFor();
        assert.equal(await empty.isVisible(), false);
        await page.evaluate(() => (location.hash = "emptier"));
        await empty.waitFor();
        await page.goBack();
        await message(page, "hello").waitFor();
        assert.equal(await empty.isVisible(), false);
      });
    },

    "page: whoever has come in can write at once": async () => {
      await withTab("Ann", "focus", {}, async (page) => {
        await isFocused(page, "text");
        await page.locator("#room-name").fill("focus-too");
        await page.locator("#room-name").press("Enter");
        await page.locator("#title", { hasText: "focus-too" }).waitFor();
        await isFocused(page, "text");
      });
      await withStranger(async (page, opened) => {
        await opened;
        await isFocused(page, "name");
        await page.keyboard.type("Bob");
        await page.keyboard.press("Enter");
        await online(page);
        await isFocused(page, "text");
      });
    },

    "page: it is connecting only while it is": async () => {
      await withStranger(async (page, opened) => {
        // The server answers when it is told to.
        let answer;
        const told = new Promise((resolve) => (answer = resolve));
        await page.route(/transport=polling/, async (route) => {
          await told;
          await route.continue();
        });
        await opened;
        const status = page.locator("#status");
        await page.locator("#welcome").waitFor();
        assert.equal(await status.textContent(), "Not connected");
        await page.locator("#name").fill("Ann");
        await page.locator("#name").press("Enter");
        await page.locator("#status", { hasText: "Connecting…" }).waitFor();
        answer();
        await online(page);
        assert.match(await status.textContent(), /^Online/);
      });
      // A name that the server does not take: it is connected, and in no room.
      const context = await browser.newContext();
      const page = await context.newPage();
      await page.goto(`${server.origin}/?name=${"x".repeat(33)}`);
      await page.locator("#status", { hasText: "Not in a room" }).waitFor();
      await context.close();
    },

    "page: links are links, and nothing else is": async () => {
      await withTab("Ann", "links", {}, async (page) => {
        const text = "see http://example.org/a?b=1&c=(2), HTTPS://example.org. javascript:alert(1) ftp://x http://u@y <a href=//z>";
        await say(page, text);
        const said = message(page, "see");
        await said.waitFor();
        assert.equal(await said.locator("p").textContent(), text);
        const links = await said.locator("a").evaluateAll((all) => all.map((a) => [a.href, a.target, a.rel, a.textContent]));
        assert.deepEqual(links, [
          ["http://example.org/a?b=1&c=(2", "_blank", "noopener", "http://example.org/a?b=1&c=(2"],
          ["https://example.org/", "_blank", "noopener", "HTTPS://example.org"],
        ]);
        await say(page, "http://good.example/\u202egpj.exe");
        const turned = message(page, "good.example").locator("a");
        assert.equal(await turned.textContent(), "http://good.example/");
      });
    },

    "page: marks in a name do not turn what stands around it": async () => {
      const turning = "\u202eAnn\u2067";
      await withTab(encodeURIComponent(turning), "marks", {}, async (page) => {
        await withTab("Bob", "marks", {}, async (bob) => {
          const isBefore = (locator, tail) =>
            locator.evaluate((it, tail) => {
              const walker = document.createTreeWalker(it, NodeFilter.SHOW_TEXT);
              let before, after;
              for (let node; (node = walker.nextNode()); ) {
                const range = document.createRange();
                range.selectNodeContents(node);
                if (node.data.includes(tail)) after = range.getBoundingClientRect();
                else if (node.data.includes("Ann")) before = range.getBoundingClientRect();
              }
              return before.right <= after.left + 1;
            }, tail);
          assert.ok(await isBefore(page.locator("#people li").first(), "(you)"), "the list of people");
          await page.locator("#text").pressSequentially("hm");
          await bob.locator("#typing", { hasText: "is typing" }).waitFor();
          assert.ok(await isBefore(bob.locator("#typing"), "is typing"), "who is typing");
          await say(page, "hello");
          assert.equal(await message(bob, "hello").locator("b bdi").textContent(), turning);
        });
      });
    },

    "page: no other page can have it in a frame": async () => {
      const { headers } = await fetch(server.origin);
      assert.match(headers.get("content-security-policy"), /frame-ancestors 'none'/);
    },
  };
}
