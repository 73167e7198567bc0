"""A TCP connection that a test can cut, send elsewhere, or make lose what it carries."""

from __future__ import annotations

import contextlib
import socket
import threading


class Link:
    """Listens on a port of its own and forwards to `target`."""

    def __init__(self, target: int):
        self.target = target
        self.drops = False  # what comes is read and thrown away, both ways
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.sockets: set[socket.socket] = set()
        self.lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=10)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self.lock:
                self.sockets |= {near, far}
            for here, there in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(here, there), daemon=True).start()

    def _pump(self, here: socket.socket, there: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := here.recv(65536):
                if not self.drops:
                    there.sendall(data)
        self._close(here, there)

    def _close(self, *sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            with self.lock:
                self.sockets.discard(one)
            one.close()

    def cut(self) -> None:
        """Close what is connected."""
        with self.lock:
            sockets = list(self.sockets)
        self._close(*sockets)

    def close(self) -> None:
        self._close(self.listener)
        self.cut()
