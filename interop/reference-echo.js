// The contract of the `ws_echo` example, spoken by npm's `ws`: node reference-echo.js HOST:PORT

import { WebSocketServer } from "ws";

const [host, port] = (process.argv[2] ?? "").split(":");
const limits = { maxPayload: 64 * 1024 * 1024, perMessageDeflate: false };
new WebSocketServer({ host, port: Number(port), ...limits }).on("connection", (ws) => {
  ws.on("message", (data, binary) => ws.send(data, { binary }));
  ws.on("error", () => {});
});
