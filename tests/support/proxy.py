"""A TCP proxy that cuts connections where a test wants them cut."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from enum import Enum

from psycopg import conninfo

_CHUNK = 65536


class Cut(Enum):
    """Where the next exchange is cut, once."""

    BEFORE_REQUEST = "the server never hears of it"
    AFTER_ANSWER = "the server carried it out, and the client does not hear of it"


class Proxy:
    """Forwards bytes between a client and the PostgreSQL behind ``url``, in both directions, until told otherwise.

    ``cut_next(where)`` cuts one connection at its next exchange. While ``refusing``, new connections are closed.
    ``lead_to(url)`` is what a new DNS entry or a moved address does.
    A context manager; every connection is served by a thread that ends with it.
    """

    def __init__(self, url: str) -> None:
        self._target = _address(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = conninfo.make_conninfo(url, host="127.0.0.1", port=self._listener.getsockname()[1])
        self.refusing = False
        self.cut_done = threading.Event()
        self._cut: Cut | None = None
        self._refuse_afterwards = False
        self._closing = threading.Event()
        self._open: set[threading.Event] = set()
        self._threads = [threading.Thread(target=self._accept, name="proxy")]

    def __enter__(self) -> Proxy:
        self._threads[0].start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def cut_next(self, where: Cut, *, then_refuse: bool = False) -> None:
        """Cut the next exchange; with ``then_refuse``, let nobody in afterwards."""
        self.cut_done.clear()
        self._refuse_afterwards = then_refuse
        self._cut = where

    def lead_to(self, url: str) -> None:
        """From now on new connections go to the server behind ``url``; those that are open stay where they are."""
        self._target = _address(url)

    def cut_all(self) -> None:
        """Cut the connections that are open now."""
        for stop in tuple(self._open):
            stop.set()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            thread = threading.Thread(target=self._serve, args=(client,), name="proxy connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(ConnectionError), socket.create_connection(self._target) as server:
            stop = threading.Event()
            self._open.add(stop)
            try:
                self._forward(client, server, stop)
            finally:
                self._open.discard(stop)

    def _forward(self, client: socket.socket, server: socket.socket, stop: threading.Event) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while not self._closing.is_set() and not stop.is_set():
                for key, _ in selector.select(0.05):
                    data = key.fileobj.recv(_CHUNK)  # type: ignore[union-attr]
                    if not data or self._is_cut(from_client=key.fileobj is client):
                        return
                    key.data.sendall(data)

    def _is_cut(self, *, from_client: bool) -> bool:
        if self._cut is not (Cut.BEFORE_REQUEST if from_client else Cut.AFTER_ANSWER):
            return False
        self._cut = None
        self.refusing = self._refuse_afterwards
        self.cut_done.set()
        return True


def _address(url: str) -> tuple[str, int]:
    parts = conninfo.conninfo_to_dict(url)
    return str(parts["host"]), int(str(parts["port"]))
