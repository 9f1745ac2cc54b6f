"""A relay between a client and a server that counts bytes, and round trips: how often a client spoke after it."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

from psycopg import conninfo


class Relay:
    """Made by :func:`relaying`. ``port`` of 127.0.0.1, and for PostgreSQL ``url``, lead through the relay.

    ``round_trips`` and ``bytes``, those of both directions without the headers of TCP, grow as they happen.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.url = ""
        self.round_trips = 0
        self.bytes = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._peers: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._asking: set[socket.socket] = set()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Relay until stopped. Runs on a thread of its own."""
        while not self._stopping.is_set():
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._listening:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._peers:
                    self._pass_on(key.fileobj)

    def stop(self) -> None:
        """Let :meth:`run` return."""
        self._stopping.set()

    def close(self) -> None:
        """Close all connections, after :meth:`run` has returned."""
        self._selector.close()
        for sock in (self._listening, *self._peers):
            sock.close()

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        server = socket.create_connection(self._server)
        for sock, peer in ((client, server), (server, client)):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[sock] = peer
            self._selector.register(sock, selectors.EVENT_READ)
        self._clients.add(client)

    def _pass_on(self, sock: socket.socket) -> None:
        peer = self._peers[sock]
        with suppress(OSError):
            if data := sock.recv(1 << 16):
                self._count(sock, peer)
                self.bytes += len(data)
                peer.sendall(data)
                return
        for end in (sock, peer):
            del self._peers[end]
            self._selector.unregister(end)
            end.close()

    def _count(self, sock: socket.socket, peer: socket.socket) -> None:
        if sock not in self._clients:
            self._asking.discard(peer)
        elif sock not in self._asking:
            self._asking.add(sock)
            self.round_trips += 1


@contextmanager
def relayed(url: str) -> Generator[Relay]:
    """Run a relay in front of PostgreSQL."""
    parts = conninfo.conninfo_to_dict(url)
    with relaying(str(parts.get("host") or "127.0.0.1"), int(parts.get("port") or 5432)) as relay:
        relay.url = conninfo.make_conninfo(
            url, host="127.0.0.1", port=relay.port, sslmode="disable", gssencmode="disable"
        )
        yield relay


@contextmanager
def relaying(host: str, port: int) -> Generator[Relay]:
    """Run a relay in front of any server that speaks plain TCP."""
    relay = Relay(host, port)
    thread = threading.Thread(target=relay.run, name="relay")
    thread.start()
    try:
        yield relay
    finally:
        relay.stop()
        thread.join()
        relay.close()
