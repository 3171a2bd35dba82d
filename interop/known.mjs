// Where another server differs from what the suites ask for, by name of that server.
// `--known NAME` reports these as "known" and does not fail because of them. A client of the matrix alone is not run.

const TRANSPORTS = ["polling", "websocket", "upgrade"];

/** These cases with msgpack, for each client and transport. */
const withMsgpack = (versions, cases) =>
  versions.flatMap((version) =>
    TRANSPORTS.flatMap((transport) => cases.map((name) => `${version} ${transport} msgpack ${name}`)),
  );

export const KNOWN = {
  reference: [
    // With msgpack it hands values on as they are, where JSON has null, a text or nothing: undefined, NaN, dates.
    ...withMsgpack(["3.1.3", "4.8.4"], ["values", "odd values"]),
    // Acknowledgements of today make it loop for ever.
    "1.0.2",
    // It sends non-ASCII text unescaped in polling payloads, where 1.x expects UTF-8 twice, and on WebSockets, where 1.0
    // does; the first such text it makes itself (here the query) breaks the connection.
    "1.7.4 polling namespace",
    "1.3.7 polling namespace",
    ...TRANSPORTS.map((transport) => `1.0.6 ${transport} namespace`),
    "Socket.IO 4: the text of the server is ASCII",
    // It reads a missing EIO as 3; Sockeye does so only on request.
    "Engine.IO 4: a request without EIO is refused",
    // It takes any text for base64, and lets a WebSocket session move to another WebSocket.
    "Engine.IO 4: polling: what is not base64 closes the session",
    "Engine.IO 4: a WebSocket session cannot be joined",
    // npm's ws takes lengths written longer than needed, and calls the longest too big.
    "closes with 1002: a small length in 16 bits",
    "closes with 1002: a small length in 64 bits",
    "closes with 1002: a length with the highest bit",
  ],
};
