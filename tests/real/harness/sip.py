"""SIPp as caller and as callee."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from .asterisk import HERE, Missing
from .ports import free_ports

ALICE = '"Alice Example" <sip:0201234567@127.0.0.1>'


@dataclass(frozen=True)
class Step:
    """One thing that a caller does after the one before it."""

    xml: str
    seconds: float = 0


def wait(seconds: float) -> Step:
    """Do nothing."""
    return Step(f'<pause milliseconds="{round(seconds * 1000)}"/>', seconds)


def keys(digits: str) -> Step:
    """Press keys as RFC 4733 events: the first at once, then one every 0.4 s."""
    seconds = 0.4 * len(digits) + 0.2
    press = f'<nop><action><exec play_dtmf="{escape(digits)}"/></action></nop>'
    return Step(press + wait(seconds).xml, seconds)


HANGUP = Step((HERE / "sipp" / "hangup.xml").read_text())
AWAIT_HANGUP = Step((HERE / "sipp" / "await_hangup.xml").read_text())


def require_sipp() -> None:
    """Raises Missing without a usable SIPp."""
    if shutil.which("sipp") is None:
        raise Missing("sipp is not installed: apt-get install sip-tester")
    shown = subprocess.run(["sipp", "-v"], capture_output=True, text=True)
    if "PCAP" not in shown.stdout + shown.stderr:
        raise Missing("this sipp cannot send RFC 4733 digits: it was built without PCAP")
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP).close()
    except PermissionError:
        raise Missing("sipp sends digits through a raw socket: this needs root, or CAP_NET_RAW") from None


def _sipp(
    folder: Path, scenario: str, *options: str | Path | int, messages: bool = True, local: str = "127.0.0.1"
) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scenario.xml").write_text(scenario)
    command = ["sipp", "-sf", "scenario.xml", "-i", local, "-mi", local, "-nostdin"]
    command += ["-trace_err", "-error_file", "errors"]
    command += ["-trace_msg", "-message_file", "messages"] if messages else []
    out = (folder / "out").open("wb")
    return subprocess.Popen(
        [*command, *map(str, options)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        start_new_session=True,
    )


class Caller:
    """One call, on its way from the moment this exists. `hosts` are the caller's address and the PBX's.

    A `scenario` of the caller's own has no place for steps.
    """

    def __init__(
        self,
        folder: Path,
        sip_port: int,
        number: str,
        steps: tuple[Step, ...],
        caller: str = ALICE,
        identity: str = "",
        hosts: tuple[str, str] = ("127.0.0.1", "127.0.0.1"),
        scenario: Path = HERE / "sipp" / "caller.xml",
    ) -> None:
        self.folder = folder
        ends = () if steps and steps[-1] is HANGUP else (AWAIT_HANGUP,)
        body = "\n  ".join(step.xml for step in (*steps, *ends))
        text = scenario.read_text().replace("@STEPS@", body)
        # A header of our own keeps SIPp from sending an empty line where there is no identity.
        options: list[str | Path | int] = ["-key", "from", caller, "-key", "identity", identity or "X-Identity: none"]
        ports: list[str | Path | int] = ["-p", free_ports(2), "-mp", free_ports(4)]
        local, pbx = hosts
        target = f"{pbx}:{sip_port}"
        self._process = _sipp(folder, text, target, "-s", number, "-m", 1, *options, *ports, local=local)

    def ended_well(self, seconds: float) -> bool:
        """Whether every step of the call went as written; waits for its end."""
        try:
            return self._process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False


def sweep(folder: Path, sip_port: int, number: str, calls: int, per_second: int, first_ms: int, last_ms: int) -> bool:
    """Calls that are each hung up 1 ms later than the one before, over and over; whether all went as written."""
    folder.mkdir(parents=True, exist_ok=True)
    span = last_ms - first_ms + 1
    times = [str(first_ms + call % span) for call in range(calls)]
    (folder / "times.csv").write_text("\n".join(["SEQUENTIAL", *times, ""]))
    take = """<nop><action>
    <assignstr assign_to="text" value="[field0]"/><todouble assign_to="ms" variable="text"/>
  </action></nop>
  <pause variable="ms"/>"""
    scenario = (HERE / "sipp" / "caller.xml").read_text().replace("@STEPS@", f"{take}\n  {HANGUP.xml}")
    options: list[str | Path | int] = ["-key", "from", ALICE, "-key", "identity", "X-Identity: none"]
    options += ["-inf", "times.csv", "-timer_resol", 1]
    ports: list[str | Path | int] = ["-p", free_ports(2), "-mp", free_ports(4)]
    target = f"127.0.0.1:{sip_port}"
    process = _sipp(folder, scenario, target, "-s", number, "-m", calls, "-r", per_second, *options, *ports)
    try:
        return process.wait(calls / per_second + 60) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


class Callers:
    """Calls of one kind, so many a second: scenario `caller`, `caller_fails` or `caller_cancels`."""

    def __init__(
        self,
        folder: Path,
        sip_port: int,
        number: str,
        scenario: str = "caller",
        steps: tuple[Step, ...] = (),
        calls: int = 1,
        per_second: int = 1,
    ) -> None:
        self.folder = folder
        text = (HERE / "sipp" / f"{scenario}.xml").read_text()
        text = text.replace("@STEPS@", "\n  ".join(step.xml for step in steps))
        options: list[str | Path | int] = ["-key", "from", ALICE, "-key", "identity", "X-Identity: none"]
        options += ["-p", free_ports(2), "-mp", free_ports(4), "-m", calls, "-r", per_second, "-l", 20000]
        options += ["-timer_resol", 1, "-trace_stat", "-stf", "statistics", "-fd", 1]
        target = f"127.0.0.1:{sip_port}"
        self._process = _sipp(folder, text, target, "-s", number, *options, messages=calls == 1)

    def ended_well(self, seconds: float) -> bool:
        """Whether every call went as written; waits for the end of all."""
        try:
            return self._process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            self.kill()
            return False

    def statistics(self) -> dict[str, str]:
        """SIPp's last line of statistics, by the names of its columns."""
        head, *lines = (self.folder / "statistics").read_text().splitlines()
        return dict(zip(head.split(";"), lines[-1].split(";")))

    def kill(self) -> None:
        """Ends it at once, without a BYE."""
        self._process.kill()
        self._process.wait()


class Callee:
    """Takes every call as its scenario says, and remembers the INVITEs; `callee` answers."""

    def __init__(
        self, folder: Path, scenario: str = "callee", messages: bool = True, local: str = "127.0.0.1", port: int | None = None
    ) -> None:
        self.port = port or free_ports(2)
        self._messages = folder / "messages"
        text = (HERE / "sipp" / f"{scenario}.xml").read_text()
        self._process = _sipp(folder, text, "-p", self.port, "-mp", free_ports(4), messages=messages, local=local)
        time.sleep(0.1)
        if self._process.poll() is not None:
            raise Missing(f"SIPp does not start, see {folder}")

    def invites(self, case: str) -> list[str]:
        """The whole INVITEs of a case; the user part of their URI is `CASE.WHERE`."""
        if not self._messages.exists():
            return []
        return invites(self._messages.read_text("utf-8", "replace"), f"{case}.")

    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def invites(messages: str, user: str = "") -> list[str]:
    """The whole INVITEs in SIPp's messages to users whose names begin so."""
    wanted = re.compile(rf"^(INVITE sip:{re.escape(user)}.*?)(?=^-{{20}}|\Z)", re.M | re.S)
    # An INVITE that SIPp got twice counts once.
    return list(dict.fromkeys(wanted.findall(messages)))
