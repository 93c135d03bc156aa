"""The web server that is told of calls."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .ports import free_ports

# An event's variables, as text: true is `true`, nothing is the empty text.
Told = dict[str, str]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: object, address: object) -> None:
        """A daemon that is killed resets its connections; anything else is worth a traceback."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, address)


class Receiver:
    """Takes events as JSON, at any path. What is delivered twice counts once: a call's `seq` names an event."""

    def __init__(self) -> None:
        self.port = free_ports(2)
        self._told: dict[tuple[str, str], Told] = {}
        self._changed = threading.Condition(threading.RLock())
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver._take({key: _text(value) for key, value in json.loads(body).items()})
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def events(self, **wanted: str) -> list[Told]:
        """The events that have these values, in the order in which they came."""
        with self._changed:
            return [told for told in self._told.values() if all(told[key] == value for key, value in wanted.items())]

    def wait_for(self, count: int, seconds: float, **wanted: str) -> bool:
        """Whether so many such events came in time."""
        return self.wait_until(lambda: len(self.events(**wanted)) >= count, seconds)

    def wait_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Looks whenever an event has come."""
        until = time.monotonic() + seconds
        with self._changed:
            while not done():
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, told: Told) -> None:
        with self._changed:
            self._told.setdefault((told["calluniqueid"], told["seq"]), told)
            self._changed.notify_all()


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
