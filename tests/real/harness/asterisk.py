"""One Asterisk on loopback, and the user events of its dialplan as they come over AMI."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote_to_bytes

from .ports import free_ports

HERE = Path(__file__).resolve().parent.parent
CONTRIB = HERE.parent.parent / "contrib" / "asterisk"

# Two ports a channel, for all calls that are there at the same time.
_RTP_PORTS = 200

Event = dict[str, str]


class Missing(Exception):
    """Something that the tests need is not there; the message says what and how to get it."""


class Asterisk:
    """A running Asterisk. `cases` is the dialplan that the calls go to; context `from-caller`."""

    def __init__(
        self,
        version: str,
        root: Path,
        run: Path,
        cases: str,
        fastagi_port: int,
        callee_port: int,
        rtp: range | None = None,
    ) -> None:
        self.version = version
        self.run = run
        self.sip_port = free_ports(2)
        self.events: list[Event] = []
        self.log = run / "log" / "full"
        self._root = root
        self._changed = threading.Condition()
        self.ami_port = free_ports(2)
        self._rtp = rtp or _ports(_RTP_PORTS)
        self._fastagi_port = fastagi_port
        self._callee_port = callee_port
        self._configure(cases)
        self._process = self._start()
        try:
            self._follow()
        except BaseException:
            self.stop()
            raise

    def cli(self, command: str) -> str:
        """What Asterisk's console answers to a command."""
        done = subprocess.run(
            [self._root / "asterisk.sh", "-C", self.run / "etc" / "asterisk.conf", "-rx", command],
            capture_output=True,
            text=True,
            timeout=10,
        )
        return done.stdout

    def wait_for(self, wanted: Callable[[Event], bool], seconds: float) -> Event | None:
        """The first user event, past or to come, that is the wanted one."""
        until = time.monotonic() + seconds
        seen = 0
        with self._changed:
            while True:
                for event in self.events[seen:]:
                    if wanted(event):
                        return event
                seen = len(self.events)
                left = until - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return next(filter(wanted, self.events[seen:]), None)

    def named(self, name: str) -> list[Event]:
        """The user events of a name until now."""
        with self._changed:
            return [event for event in self.events if event.get("UserEvent") == name]

    def wait_for_count(self, name: str, count: int, seconds: float) -> None:
        """Waits until there are so many user events of a name."""
        until = time.monotonic() + seconds
        with self._changed:
            while sum(event.get("UserEvent") == name for event in self.events) < count:
                if not self._changed.wait(until - time.monotonic()):
                    return

    def linked_id(self, channel: str) -> str:
        """By which id Asterisk joins a channel with others."""
        found = re.search(r"^\s*Linked ID: (\S+)|^\s*LinkedID: (\S+)", self.cli(f"core show channel {channel}"), re.M)
        return (found[1] or found[2]) if found else ""

    def calls_processed(self) -> int:
        """How many calls have begun since the start, by Asterisk's own count."""
        found = re.search(r"(\d+) calls? processed", self.cli("core show channels count"))
        return int(found[1]) if found else -1

    def answers(self, account: dict[str, str], actions: list[str]) -> list[str]:
        """What Asterisk answers to these actions of an account, by their `Message` or else their `Response`."""
        with socket.create_connection(("127.0.0.1", self.ami_port), 10) as link:
            login = "".join(f"{key.title()}: {value}\r\n" for key, value in account.items())
            for action in [f"Login\r\n{login}Events: off", *actions]:
                link.sendall(f"Action: {action}\r\nActionID: here\r\n\r\n".encode())
            blocks, rest = [], b""
            while len(blocks) <= len(actions) and (data := link.recv(65536)):
                *whole, rest = (rest + data).split(b"\r\n\r\n")
                blocks += [event for event in map(_event, whole) if "Response" in event]
        return [block.get("Message", block["Response"]) for block in blocks[1:]]

    def action(self, name: str, **headers: str) -> None:
        """Sends an action by the tests' own account, and does not wait for what comes of it."""
        lines = [f"Action: {name}", *(f"{key}: {value}" for key, value in headers.items()), "", ""]
        self._link.sendall("\r\n".join(lines).encode())

    def kill(self) -> None:
        """SIGKILL, and all calls with it."""
        # Asterisk's start script has executed Asterisk itself: there is one process.
        self._process.kill()
        self._process.wait()

    def start_again(self) -> None:
        """After `kill`, on the same ports."""
        self._process = self._start()
        self._follow()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def is_running(self) -> bool:
        return self._process.poll() is None

    def _configure(self, cases: str) -> None:
        for folder in ("etc", "lib", "db", "spool", "log", "run", "cache"):
            (self.run / folder).mkdir(parents=True, exist_ok=True)
        values = {
            "RUN": self.run,
            "ROOT": self._root,
            "CONTRIB": CONTRIB,
            "SIP_PORT": self.sip_port,
            "AMI_PORT": self.ami_port,
            "FASTAGI_PORT": self._fastagi_port,
            "CALLEE_PORT": self._callee_port,
            "RTP_START": self._rtp.start,
            "RTP_END": self._rtp.stop - 1,
        }
        etc = self.run / "etc"
        for template in (HERE / "conf").glob("*.conf"):
            text = re.sub(r"@([A-Z_]+)@", lambda name: str(values[name[1]]), template.read_text())
            (etc / template.name).write_text(text)
        (etc / "cases.conf").write_text(cases)
        names = (HERE / "conf" / "modules.list").read_text().split("\n")
        loads = [
            f"load = {name}.so\n"
            for name in names
            if name and not name.startswith("#") and (self._root / "modules" / f"{name}.so").exists()
        ]
        (etc / "modules.conf").write_text("[modules]\nautoload = no\n" + "".join(loads))

    def _start(self) -> subprocess.Popen[bytes]:
        out = (self.run / "log" / "stdout").open("wb")
        process = subprocess.Popen(
            [self._root / "asterisk.sh", "-f", "-C", self.run / "etc" / "asterisk.conf"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        until = time.monotonic() + 30
        while "fully booted" not in self.cli("core waitfullybooted"):
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                raise Missing(f"Asterisk {self.version} does not start, see {out.name}")
            time.sleep(0.1)
        return process

    def _follow(self) -> None:
        link = socket.create_connection(("127.0.0.1", self.ami_port), 10)
        link.sendall(b"Action: Login\r\nUsername: tests\r\nSecret: tests\r\n\r\n")
        link.settimeout(None)
        self._link = link
        threading.Thread(target=self._read, args=(link,), daemon=True).start()
        if self.wait_for(lambda event: event.get("Response") == "Success", 10) is None:
            raise Missing(f"no AMI on Asterisk {self.version}, see {self.log}")

    def _read(self, link: socket.socket) -> None:
        rest = b""
        while data := link.recv(65536):
            *blocks, rest = (rest + data).split(b"\r\n\r\n")
            events = [{**_event(block), "ReceivedAt": str(time.monotonic())} for block in blocks]
            with self._changed:
                self.events.extend(events)
                self._changed.notify_all()


def _ports(count: int) -> range:
    first = free_ports(count)
    return range(first, first + count)


def _event(block: bytes) -> Event:
    """A block's headers; the dialplan sends values percent-encoded, for they may hold commas."""
    event: Event = {}
    for line in block.split(b"\r\n"):
        key, _, value = line.partition(b": ")
        event[key.decode("utf-8", "replace")] = unquote_to_bytes(value).decode("utf-8", "replace")
    return event
