"""A TCP proxy that can go deaf: it holds its connections and takes new ones, and forwards nothing."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Any

_CHUNK = 65536


class DeafProxy:
    """Forwards bytes to a port on this machine, except while ``deaf`` is set. A context manager; one thread."""

    def __init__(self, port: int) -> None:
        self.deaf = threading.Event()
        self._target = ("127.0.0.1", port)
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="deaf proxy")

    def __enter__(self) -> DeafProxy:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._thread.join(5)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def url(self, url: str) -> str:
        """The same URL, through here."""
        return url.replace(f":{self._target[1]}/", f":{self._listener.getsockname()[1]}/")

    def _run(self) -> None:
        while not self._closing.is_set():
            if self.deaf.is_set():
                self._closing.wait(0.02)
                continue
            for key, _ in self._selector.select(0.02):
                if key.data is None:
                    self._accept()
                elif not self._forward(key):
                    self._end(key)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(self._target)
        self._selector.register(client, selectors.EVENT_READ, server)
        self._selector.register(server, selectors.EVENT_READ, client)

    def _forward(self, key: selectors.SelectorKey) -> bool:
        source, target = key.fileobj, key.data
        try:
            data: bytes = source.recv(_CHUNK)  # type: ignore[union-attr]
            target.sendall(data)
        except OSError:
            return False
        return bool(data)

    def _end(self, key: selectors.SelectorKey) -> None:
        ends: tuple[Any, Any] = (key.fileobj, key.data)
        for end in ends:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(end)
            end.close()
