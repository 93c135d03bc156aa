"""The lab's web server: says where a call goes, and is told of events. What a web server of yours would be.

Every question and every event is a line on the standard output. /seen/told holds the events, one JSON object a line.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

PORT = 8000
TOLD = Path("/seen/told")
NAK = "status=NAK"
# By the code that the caller typed: where the call goes, and what the telephone there shows.
CODES = {"0042": ("201", "Jansen & Zn"), "0043": ("202", "Zoë Müller")}
# By how the caller's number begins.
NAMES = {"020765": "Bakery Example"}
# Longer than Switchhook waits.
SLOW = 5


def answer(path: str, query: dict[str, str]) -> str:
    """What is answered to a question; the empty text: there is no such page."""
    if path == "/route":
        destination, name = CODES.get(query.get("code", ""), ("", ""))
        return _encoded(status="ACK", destination=destination, callername=name) if destination else NAK
    if path == "/name":
        caller = query.get("callerid", "")
        name = next((name for begin, name in NAMES.items() if caller.startswith(begin)), "")
        return _encoded(status="ACK", callername=name) if name else NAK
    if path == "/slow":
        time.sleep(SLOW)
        return _encoded(status="ACK", destination="201")
    if path == "/wild":
        return _encoded(status="ACK", destination="201,30&PJSIP/elsewhere")
    return ""


def _encoded(**values: str) -> str:
    return urlencode(values, quote_via=quote)


def _log(line: str) -> None:
    """One write: lines of several calls do not mix."""
    sys.stdout.write(line + "\n")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/":
            self._send(200, "The lab's web server. It is asked by Switchhook, not by browsers.\n")
            return
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        text = answer(url.path, query)
        self._send(200 if text else 404, text)
        # A code is a secret: it stays out of this log, too.
        shown = {key: "****" if key == "code" else value for key, value in query.items()}
        _log(f"asked {url.path} {' '.join(f'{key}={value}' for key, value in shown.items())}: {text or 404}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        event = json.loads(body)
        with TOLD.open("a") as told:
            told.write(json.dumps(event) + "\n")
        # Answered when it is kept: what was not answered is told again.
        self._send(200, "")
        _log(f"told  {event['event']}: {event['callfrom']} to {event['callto']}, {event['direction']}")

    def _send(self, status: int, text: str) -> None:
        body = text.encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            _log("Switchhook did not wait for the answer to this:")

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


def main() -> None:
    if sys.argv[1:] == ["--is-up"]:
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=3)
        return
    TOLD.touch()
    print(f"The web server answers on port {PORT}.")
    Server(("", PORT), Handler).serve_forever()


if __name__ == "__main__":
    main()
