"""python-socketio against a server with the contract of the conformance example:

    python run.py --server "cargo run --release --example conformance --"

once with the standard serializer, and once with `msgpack`, for which `--msgpack` is added to the server's command.
`--ping-timeout` is added to both: whoever waits for the processor is not dead.
"""

import argparse
import os
import queue
import signal
import socket as net
import subprocess
import sys
import time

import engineio.payload
import socketio

# Its default of 16 packets in a payload is less than any server keeps to.
engineio.payload.Payload.max_decode_packets = 1000

HOST = "127.0.0.1"
PATIENCE = 5
BYTES = bytes(range(256))


class Inbox:
    """The arguments of every event that came, by name."""

    def __init__(self, client, namespace):
        self.queues = {}
        for name in ("auth", "message-back", "emit-with-ack", "disconnect", "connect_error"):
            self.queues[name] = queue.Queue()
            client.on(name, self.keeper(name), namespace=namespace)

    def keeper(self, name):
        return lambda *args: self.queues[name].put(args)

    def next(self, name):
        try:
            return list(self.queues[name].get(timeout=PATIENCE))
        except queue.Empty:
            raise AssertionError(f"no {name} after {PATIENCE} s") from None


# The one that is tried.
serializer = "default"


def new_client():
    return socketio.Client(reconnection=False, serializer=serializer)


def opened(origin, transports, namespace="/", auth=None):
    client = new_client()
    inbox = Inbox(client, namespace)
    client.connect(origin, transports=transports, namespaces=[namespace], auth=auth, wait_timeout=PATIENCE)
    return client, inbox


def same(actual, expected):
    assert actual == expected, f"{actual!r} instead of {expected!r}"


def text(client, inbox):
    for words in (["plain"], ["é€ 日本語 👩‍👩‍👧‍👦 𝒳", "", 'quote " back \\ slash\u2028\0']):
        client.emit("message", tuple(words))
        same(inbox.next("message-back"), words)


def values(client, inbox):
    sent = [0, -1, 1.5, 2**53 - 1, None, True, False, [], {}, [[None]], {"a": {"b": [1, "2"]}}]
    client.emit("message", tuple(sent))
    same(inbox.next("message-back"), sent)


def binary(client, inbox):
    sent = [BYTES, {"deep": [b"\x1eb4", 1]}, "end"]
    client.emit("message", tuple(sent))
    client.emit("message", "after")
    same(inbox.next("message-back"), sent)
    same(inbox.next("message-back"), ["after"])


def ack(client, inbox):
    same(list(client.call("message-with-ack", (1, "2", {"3": [False]}), timeout=PATIENCE)), [1, "2", {"3": [False]}])
    same(client.call("message-with-ack", (BYTES,), timeout=PATIENCE), BYTES)


def server_ack(client, inbox):
    answers = queue.Queue()

    def answer(*args):
        inbox.queues["emit-with-ack"].put(args)
        return answers.get_nowait() if not answers.empty() else None

    client.on("emit-with-ack", answer)
    answers.put(("yes", BYTES, None))
    client.emit("emit-with-ack", (1, "2"))
    same(inbox.next("emit-with-ack"), [1, "2"])
    same(inbox.next("emit-with-ack"), ["yes", BYTES, None])


def large(client, inbox):
    sent = ["x" * 150_000, os.urandom(150_000)]
    client.emit("message", tuple(sent))
    same(inbox.next("message-back"), sent)


def in_turn(client):
    """Has the messages handled one after the other: this client starts a thread for each, and they may overtake each other."""
    trigger = client.eio._trigger_event
    client.eio._trigger_event = lambda *args, **kwargs: trigger(*args, **{**kwargs, "run_async": False})


def order(client, inbox):
    in_turn(client)
    for i in range(200):
        client.emit("message", i)
    same([inbox.next("message-back") for _ in range(200)], [[i] for i in range(200)])


def heartbeat(client, inbox):
    time.sleep(1.2)
    same(client.call("message-with-ack", "alive", timeout=PATIENCE), "alive")


def on_root(test):
    def run(origin, transports):
        client, inbox = opened(origin, transports)
        same(inbox.next("auth"), [{}])
        test(client, inbox)
        wanted = "websocket" if "websocket" in transports else "polling"
        same(client.transport(), wanted)
        client.disconnect()

    return run


def namespace(origin, transports):
    auth = {"token": "é 𝒳"}
    client, inbox = opened(origin, transports, "/custom", auth)
    same(inbox.next("auth"), [auth])
    client.emit("message", ("a", BYTES), namespace="/custom")
    same(inbox.next("message-back"), ["a", BYTES])
    same(client.call("message-with-ack", 1, namespace="/custom", timeout=PATIENCE), 1)
    client.disconnect()


def refused(origin, transports):
    client = new_client()
    inbox = Inbox(client, "/nowhere")
    try:
        client.connect(origin, transports=transports, namespaces=["/nowhere"], wait_timeout=PATIENCE)
    except socketio.exceptions.ConnectionError:
        pass
    else:
        raise AssertionError("/nowhere took us in")
    same(inbox.next("connect_error"), [{"message": "Invalid namespace"}])
    client.disconnect()


def server_disconnect(origin, transports):
    client, inbox = opened(origin, transports)
    client.emit("disconnect-me", True)
    inbox.next("disconnect")
    client.disconnect()


CASES = {
    "text": on_root(text),
    "values": on_root(values),
    "binary": on_root(binary),
    "ack": on_root(ack),
    "server ack": on_root(server_ack),
    "150 kB": on_root(large),
    "order": on_root(order),
    "heartbeat": on_root(heartbeat),
    "namespace with auth": namespace,
    "unknown namespace": refused,
    "server disconnect": server_disconnect,
}
PATIENT = ["--ping-timeout", "900"]
SERIALIZERS = {"default": PATIENT, "msgpack": [*PATIENT, "--msgpack"]}
TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}


def start(command, flags):
    with net.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    address = f"{HOST}:{port}"
    words = " ".join([address, *flags])
    line = command.replace("{}", words) if "{}" in command else f"{command} {words}"
    server = subprocess.Popen(line, shell=True, start_new_session=True)
    for _ in range(1200):
        if server.poll() is not None:
            sys.exit(f"the server ended with code {server.returncode}")
        with net.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return server, f"http://{address}"
        time.sleep(0.05)
    os.killpg(server.pid, signal.SIGKILL)
    sys.exit(f"the server did not listen on {address}")


def run(name, options):
    """Says of each cell whether it passed."""
    global serializer
    serializer = name
    server, origin = start(options.server, SERIALIZERS[name])
    try:
        for transport, transports in TRANSPORTS.items():
            for case_name, case in CASES.items():
                cell = f"{name} {transport} {case_name}"
                if options.filter not in cell:
                    continue
                try:
                    case(origin, transports)
                    yield True
                    print(f"✓ {cell}", flush=True)
                except Exception as error:  # a cell reports whatever went wrong in it
                    yield False
                    print(f"✗ {cell}\n    {type(error).__name__}: {error}"[:2000], flush=True)
    finally:
        os.killpg(server.pid, signal.SIGKILL)


def main():
    parser = argparse.ArgumentParser(description="python-socketio against a conformance server")
    parser.add_argument("--server", default=os.environ.get("SERVER"), help="its command; HOST:PORT is added")
    parser.add_argument("--filter", default="", help='only cells whose "serializer transport case" holds this')
    options = parser.parse_args()
    if not options.server:
        parser.error("--server is needed")

    results = [ok for name in SERIALIZERS for ok in run(name, options)]
    passed, failed = results.count(True), results.count(False)
    print(f"{passed} passed, {failed} failed")
    # Threads of a client that hangs must not keep the suite.
    sys.stdout.flush()
    os._exit(1 if failed or not passed else 0)


main()
