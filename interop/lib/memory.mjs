// What a server keeps in memory while it is being abused, and afterwards. Linux only.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export const MB = 1_000_000;

/** More than this beyond the baseline, whatever was sent, is too much. */
export const SLACK = 8 * MB;

/** How often the memory is looked at. */
const INTERVAL = 20;

/** The process that a shell was started for. */
function program(pid) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return children ? program(Number(children.split(" ")[0])) : pid;
}

/** Resident memory of a server under test, in bytes. */
export function residentMemory(server) {
  const status = readFileSync(`/proc/${program(server.child.pid)}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) * 1024;
}

/** Counts what an offender sends, and keeps what is to be closed when it leaves. */
export class Offender {
  sent = 0;
  /** How many bytes the server may keep meanwhile. */
  mayHold = () => 4 * this.sent + SLACK;
  /** It is the server that must put an end to it: the offender leaves only when nothing is kept for it. */
  stays = false;
  #open = new Set();

  /** Something with `destroy()`. */
  keep(connection) {
    this.#open.add(connection);
    return connection;
  }

  leave() {
    for (const connection of this.#open) connection.destroy();
    this.#open.clear();
  }
}

/**
 * Runs an attack and holds the server to what it may keep: four times what was sent and 8 MB while it
 * lasts, unless the attack knows better, and, five seconds after the offender has left, or while it is
 * still there if it stays, no more than before but for the slack that an allocator has.
 *
 * @param {(offender: Offender) => Promise<void>} attack
 * @returns {Promise<string>} the measure in words
 */
export async function measured(server, attack) {
  const offender = new Offender();
  const baseline = residentMemory(server);
  let peak = baseline;
  let worst = 0;
  const look = () => {
    const now = residentMemory(server);
    peak = Math.max(peak, now);
    // What has been sent by now counts, not what will have been.
    worst = Math.max(worst, now - baseline - offender.mayHold());
  };
  const watch = setInterval(look, INTERVAL);
  let left;
  try {
    await attack(offender);
    look();
    if (!offender.stays) offender.leave();
    left = await remaining(server, baseline);
  } finally {
    clearInterval(watch);
    offender.leave();
  }
  const words = `${mb(offender.sent)} sent, at most ${mb(peak - baseline)} more in memory`;
  if (worst > 0) throw new Error(`${words}: ${mb(worst)} too many`);
  if (left > SLACK) throw new Error(`${words}; ${mb(left)} of it five seconds after`);
  return `${words}, ${mb(Math.max(left, 0))} after`;
}

/** What a server keeps beyond a baseline when it has had five seconds to get below `enough`. */
export async function remaining(server, baseline, enough = SLACK) {
  let left = Infinity;
  for (const end = Date.now() + 5000; Date.now() < end && left > enough; await sleep(INTERVAL)) {
    left = residentMemory(server) - baseline;
  }
  return left;
}

export function mb(bytes) {
  return `${(bytes / MB).toFixed(1)} MB`;
}
