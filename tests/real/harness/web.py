"""The user's web server: what it answers is decided by the case and by the code."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from .ports import free_ports


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    body: str
    status: int = 200
    delay: float = 0
    content_type: str = "text/plain; charset=utf-8"


# By code; "" is the answer to every other code, and to none.
Answers = Mapping[str, Answer]

# What a request carries: the query's parameters, empty ones included.
Request = dict[str, str]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


class Web:
    """Serves `/CASE?…` by the answers of that case."""

    def __init__(self, answers: Mapping[str, Answers]) -> None:
        self.port = free_ports(2)
        self._answers = answers
        self._requests: dict[str, list[Request]] = {}
        self._lock = threading.Lock()
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                web._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def requests(self, case: str) -> list[Request]:
        """The requests that a case has made until now."""
        with self._lock:
            return list(self._requests.get(case, []))

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        case = url.path.strip("/")
        request = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        with self._lock:
            self._requests.setdefault(case, []).append(request)
        answers = self._answers[case]
        answer = answers.get(request.get("code", "")) or answers[""]
        time.sleep(answer.delay)
        body = answer.body.encode()
        try:
            handler.send_response(answer.status)
            handler.send_header("Content-Type", answer.content_type)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            pass  # The daemon did not wait for it, as it should with a slow or a large answer.
