// The contract of the `cluster_node` example, spoken by the original server with its official adapters:
//
//   node cluster/node.mjs HOST:PORT [--cluster URL] [--name NAME] [--recovery] [--ping-timeout MS]
//
// Says `listening on http://HOST:PORT` once it is in the cluster; ends on SIGTERM.

import { createServer } from "node:http";
import { Server } from "server-v4";
import { adapter } from "./adapters.mjs";

const USAGE = "usage: node cluster/node.mjs HOST:PORT [--cluster URL] [--name NAME] [--recovery] [--ping-timeout MS]";

const words = process.argv.slice(2);
const taken = (name) => {
  const at = words.indexOf(name);
  return at < 0 ? undefined : words.splice(at, 2)[1];
};
const url = taken("--cluster");
const given = taken("--name");
const pingTimeout = Number(taken("--ping-timeout") ?? 1000);
const recovery = words.includes("--recovery");
const [address, ...rest] = words.filter((word) => word !== "--recovery");
const [, host, port] = /^(.+):(\d+)$/.exec(address ?? "") ?? [];
if (!host || rest.length > 0) {
  console.error(USAGE);
  process.exit(2);
}
const name = given ?? address;

const http = createServer((_, response) => response.writeHead(404).end());
const io = new Server(http, {
  pingInterval: 1000,
  pingTimeout,
  serveClient: false,
  ...(url && { adapter: await adapter(url) }),
  ...(recovery && { connectionStateRecovery: {} }),
});
for (const namespace of [io.of("/"), io.of("/custom")]) serve(namespace);
http.listen(Number(port), host, () => console.log(`listening on http://${host}:${http.address().port}`));
process.once("SIGTERM", async () => {
  // Engines may be gone by now, which is no reason to stay.
  setTimeout(() => process.exit(0), 1000).unref();
  await io.close();
  process.exit(0);
});

function serve(namespace) {
  const seen = [];
  namespace.on("note", (...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    seen.push(["note", ...args]);
    ack?.(name);
  });
  namespace.on("connection", (socket) => handle(namespace, socket, seen));
}

function handle(namespace, socket, seen) {
  // Whoever asks for nonsense, or for no answer, ends no server.
  socket.use((packet, next) => {
    if (typeof packet.at(-1) !== "function") packet.push(() => {});
    next();
  });
  const on = (event, handler) =>
    socket.on(event, async (...args) => {
      try {
        await handler(...args);
      } catch (error) {
        console.error(`${event}: ${error.message}`);
      }
    });

  const meant = (m) => {
    let operator = m.broadcast ? socket.broadcast : namespace;
    if (m.to) operator = operator.to(m.to);
    if (m.except) operator = operator.except(m.except);
    if (m.local) operator = operator.local;
    if (m.volatile) operator = operator.volatile;
    return operator;
  };

  on("join", async (rooms, ack) => {
    await socket.join(rooms);
    ack(true);
  });
  on("leave", async (room, ack) => {
    await socket.leave(room);
    ack(true);
  });
  on("data", (value, ack) => {
    socket.data = value;
    ack(true);
  });
  on("emit", (m, ack) => {
    meant(m).emit(m.event, ...(m.args ?? []));
    ack?.(true);
  });
  on("emit-ack", async (m, ack) => {
    try {
      ack({ error: null, answers: await meant(m).timeout(m.timeout ?? 2000).emitWithAck(m.event, ...(m.args ?? [])) });
    } catch (error) {
      ack({ error: String(error.message), answers: error.responses ?? [] });
    }
  });
  on("fetch", async (m, ack) => {
    try {
      const sockets = await meant(m).fetchSockets();
      ack(sockets.map(({ id, rooms, data, handshake }) => ({ id, rooms: [...rooms].sort(), data, auth: handshake.auth })));
    } catch (error) {
      ack({ error: String(error.message) });
    }
  });
  on("mass-join", (m, ack) => (meant(m).socketsJoin(m.rooms), ack(true)));
  on("mass-leave", (m, ack) => (meant(m).socketsLeave(m.rooms), ack(true)));
  on("mass-disconnect", (m, ack) => (ack(true), meant(m).disconnectSockets(m.close === true)));
  on("server-emit", (args, ack) => (namespace.serverSideEmit("note", ...args), ack(true)));
  on("server-emit-ack", async (args, ack) => {
    try {
      ack({ error: null, answers: await namespace.serverSideEmitWithAck("note", ...args) });
    } catch (error) {
      ack({ error: String(error.message), answers: error.responses ?? [] });
    }
  });
  on("seen", (ack) => ack(seen.splice(0)));
  // What ours have no need to ask, but have to answer.
  on("all-rooms", async (ack) => ack([...(await namespace.adapter.allRooms())]));
  on("count", async (ack) => ack(await namespace.adapter.serverCount()));
  on("remote-ack", async (m, ack) => {
    try {
      const [remote] = await namespace.in(m.id).fetchSockets();
      if (!remote) throw new Error("there is no such socket");
      ack({ error: null, answer: await remote.timeout(m.timeout ?? 2000).emitWithAck(m.event, ...(m.args ?? [])) });
    } catch (error) {
      ack({ error: String(error.message), answer: null });
    }
  });
  on("drop", () => {
    const { transport } = socket.conn;
    if (transport.socket?.terminate) transport.socket.terminate();
    else socket.conn.close(true);
  });
}
