// The clients of the matrix behind one face. They share most of their API, so a case
// written once runs on all of them; what differs is told by `generation`.

import { createRequire } from "node:module";

import { WebSocket } from "ws";

const require = createRequire(import.meta.url);

export const TRANSPORTS = ["polling", "websocket", "upgrade"];

/** Name in the table → how to load it and which transports it can be limited to. */
export const CLIENTS = {
  "1.7.4": { generation: 1, load: () => official("client-v1") },
  "2.5.0": { generation: 2, load: () => official("client-v2") },
  "3.1.3": { generation: 3, load: () => official("client-v3") },
  "4.8.4": { generation: 4, load: () => official("client-v4") },
  "sockeye.js": { generation: 4, transports: ["polling", "websocket"], load: sockeye },
};

function official(name) {
  const io = require(name);
  return {
    connect(url, transport, options) {
      return io(url, {
        transports: transport === "upgrade" ? ["polling", "websocket"] : [transport],
        ...options,
      });
    },
    transportOf: (socket) => socket.io.engine?.transport?.name,
    closeAll: (socket) => (socket.io.close ?? socket.io._close).call(socket.io),
  };
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
