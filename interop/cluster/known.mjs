// What Node's own servers cannot do, so that no cell with one of them can pass.

/** That the nodes know of each other, which is no cell; where it is known to fail it is tried once more. */
export const GATHERING = "gathering";

const known = (engine, pair, operation, why) => ({ engine, pair, operation, why });

/**
 * Which cells, each by three patterns. `-node` is a receiver and `node-` a sender of Node's, and `node to` its emitter.
 */
export const KNOWN = [
  known(/^redis/, /^node-/, /^numbers of more than 64 bits$/, "notepack takes every number without a fraction for one of 64 bits"),
  known(/^redis/, /-node$/, /^server-side event with bytes$/, "requests are JSON, and bytes an object in it"),
  known(/^redis-cluster$/, /^node-/, /^order of 1000 events/, "what is published goes over three connections"),
  known(/^(postgres|mongo)$/, /^node-/, /^order of 1000 events/, "what is published goes over a pool of connections"),
  known(/^postgres$/, /^node-/, /^a message of every length about 8000$/, "it gives Postgres one of 8000 bytes, which takes 7999"),
  known(/^postgres$/, /-node$/, /^order of 1000 events, large/, "it fetches what is too large for a notification, and goes on meanwhile"),
  known(/^postgres$/, /^node to .*node/, /./, "its emitter names no namespace, without which its adapter drops everything"),
  known(/^nats-mickl$/, /-node$/, /^bytes/, "bytes are an object of the JSON"),
  known(/^mongo/, /^node-node$/, /^gathering$/, "one of them has heard nothing of the other for 40 seconds, once in some hundred starts, and its adapter never looks whether it hears"),
  known(/^mongo$/, /-node$/, /^server-side event with bytes$/, "bytes stay the driver's own objects"),
  known(/^mongo-recovery$/, /node/, /^what was missed .* from both$/, "it looks for greater ids, which are of each server's own making, and gives them without offsets"),
  known(/^mongo-recovery$/, /-node$/, /^what was missed .* there only$/, "it gives what was missed without offsets"),
  known(/^mongo-recovery$/, /^node-/, /^data and rooms stay$/, "bytes stay the driver's own objects"),
  known(/^mongo-recovery$/, /^node-node$/, /^data and rooms stay, there only$/, "bytes stay the driver's own objects"),
];
