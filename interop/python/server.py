"""The contract of the conformance example, spoken by python-socketio's server:

    python server.py [HOST:PORT] [--msgpack]

Says `listening on URL` once it does. Without an address it takes a free port of 127.0.0.1, and ends with its standard
input; in any case it ends on SIGTERM.
"""

import os
import socket
import sys
import threading
from urllib.parse import parse_qsl

import engineio.payload
import socketio
import uvicorn

# Its default of 16 packets in a payload is less than other clients keep to.
engineio.payload.Payload.max_decode_packets = 1000

sio = socketio.AsyncServer(
    async_mode="asgi",
    # Each handler in a task of its own would give up the order of events.
    async_handlers=False,
    # A namespace nobody knows is refused by a handler, for the sake of the message that all others send.
    namespaces="*",
    cors_allowed_origins="*",
    # Sent every 300 ms, and announced with the grace added: it announces whole seconds only.
    ping_interval=(0.3, 0.7),
    ping_timeout=0.4,
    max_http_buffer_size=1_000_000,
    serializer="msgpack" if "--msgpack" in sys.argv else "default",
)


def register(namespace):
    @sio.on("connect", namespace=namespace)
    async def connect(sid, environ, auth):
        # This leaves before the answer to the CONNECT, as it does in every application of python-socketio that emits
        # in its connect handler; clients keep it until they are connected.
        await sio.emit("auth", auth or {}, to=sid, namespace=namespace)

    @sio.on("message", namespace=namespace)
    async def message(sid, *args):
        await sio.emit("message-back", args, to=sid, namespace=namespace)

    @sio.on("message-with-ack", namespace=namespace)
    async def message_with_ack(sid, *args):
        return args

    @sio.on("emit-with-ack", namespace=namespace)
    async def emit_with_ack(sid, *args):
        async def answered(*answer):
            await sio.emit("emit-with-ack", answer, to=sid, namespace=namespace)

        await sio.emit("emit-with-ack", args, to=sid, namespace=namespace, callback=answered)

    @sio.on("disconnect-me", namespace=namespace)
    async def disconnect_me(sid, close=False):
        session = sio.manager.eio_sid_from_sid(sid, namespace)
        await sio.disconnect(sid, namespace=namespace)
        if close is True:
            # In one payload with the engine's end, clients in JavaScript would not notice the namespace's.
            await sio.eio.sockets[session].queue.join()
            await sio.eio.disconnect(session)

    @sio.on("query", namespace=namespace)
    async def query(sid):
        return dict(parse_qsl(sio.get_environ(sid, namespace)["QUERY_STRING"]))


@sio.on("connect", namespace="*")
async def refuse(namespace, sid, environ, auth):
    raise socketio.exceptions.ConnectionRefusedError("Invalid namespace")


def serve(host, port):
    listener = socket.create_server((host, port))
    # Of the servers python-socketio runs on, that of aiohttp takes the first piece of a large request for all of it.
    config = uvicorn.Config(socketio.ASGIApp(sio), ws="wsproto", lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    # Peers are to see their connections drop, not to be waited for.
    server.handle_exit = lambda *_: os._exit(0)
    print(f"listening on http://{host}:{listener.getsockname()[1]}", flush=True)
    server.run(sockets=[listener])


def end_with_input():
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    words = [word for word in sys.argv[1:] if word != "--msgpack"]
    address = words[0] if words else "127.0.0.1:0"
    host, _, port = address.rpartition(":")
    if len(words) > 1 or not host or not port.isdigit():
        sys.exit("usage: python server.py [HOST:PORT] [--msgpack]")
    if port == "0":
        threading.Thread(target=end_with_input, daemon=True).start()
    for namespace in ("/", "/custom"):
        register(namespace)
    serve(host, int(port))


main()
