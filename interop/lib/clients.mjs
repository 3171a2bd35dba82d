// The clients of the matrix behind one face. They share most of their API, so a case
// written once runs on all of them; what differs is told by `generation`.

import { createRequire } from "node:module";

import { WebSocket } from "ws";

const require = createRequire(import.meta.url);

/** The formats of packets beside the standard one. */
export const PARSERS = ["msgpack", "json"];

/** What a parser is for clients and servers of a generation, as their option `parser`; nothing for the standard one. */
export function parserModule(parser, generation) {
  return parser ? require(`parser-${parser}-v${Math.min(generation, 3)}`) : undefined;
}

export const TRANSPORTS = ["polling", "websocket", "upgrade"];

/**
 * Name in the table → how to load it, which transports it can be limited to, which parsers there are for it, and which
 * options the server needs for it. What it `lacks`: a `query` of a namespace, to `return` into one that it has left,
 * and a `buffer` for what is emitted meanwhile.
 */
export const CLIENTS = {
  "1.0.2": { generation: 1, flags: ["--counted-acks"], lacks: ["query", "return", "buffer"], load: () => ancient("client-v1.0.2") },
  "1.0.6": { generation: 1, lacks: ["query", "return"], load: () => ancient("client-v1.0.6") },
  "1.3.7": { generation: 1, lacks: ["query"], load: () => official("client-v1.3.7") },
  "1.7.4": { generation: 1, load: () => official("client-v1") },
  "2.5.0": { generation: 2, parsers: PARSERS, load: (parser) => official("client-v2", parserModule(parser, 2)) },
  "3.1.3": { generation: 3, parsers: PARSERS, load: (parser) => official("client-v3", parserModule(parser, 3)) },
  "4.8.4": { generation: 4, parsers: PARSERS, load: (parser) => official("client-v4", parserModule(parser, 4)) },
  "sockeye.js": { generation: 4, transports: ["polling", "websocket"], load: sockeye },
};

function official(name, parser) {
  const io = require(name);
  return {
    connect(url, transport, options) {
      return io(url, {
        transports: transport === "upgrade" ? ["polling", "websocket"] : [transport],
        ...(parser && { parser }),
        ...options,
      });
    },
    transportOf: (socket) => socket.io.engine?.transport?.name,
    closeAll: (socket) => (socket.io.close ?? socket.io._close).call(socket.io),
  };
}

/** A client from before Node's buffers were typed arrays: what it finds as their `buffer` it takes for all of the data. */
function ancient(name) {
  const own = createRequire(require.resolve(name));
  const parser = createRequire(own.resolve("engine.io-client"))("engine.io-parser");
  const { encodePacket } = parser;
  parser.encodePacket = ({ type, data }, ...rest) => {
    if (Buffer.isBuffer(data)) data = Object.defineProperty(Buffer.from(data), "buffer", { value: undefined });
    return encodePacket({ type, data }, ...rest);
  };
  return official(name);
}

/** The browser client of this repository. */
async function sockeye() {
  const { connect } = await import("../../crates/server/browser/sockeye.js");
  return {
    connect: (url, transport, options) => connect(url, { transports: [transport], WebSocket, ...options }),
    transportOf: (socket) => socket.transport,
    closeAll: (socket) => socket.io.sockets.forEach((one) => one.disconnect()),
  };
}
