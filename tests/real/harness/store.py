"""Calls while the store is broken: its disk full, another program holding it, its file corrupt."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from .asterisk import Missing
from .daemon import Daemon
from .events import RTP, Following
from .web import Answer, Web

_NUMBER = "31207770000"
# Asked in the middle of the call; only who is told SUCCESS reaches the telephone.
_DIALPLAN = f"""exten => {_NUMBER},1,Gosub(switchhook-webhook,s,1(plain))
 same => n,ExecIf($["${{WEBHOOK_RESULT}}"="SUCCESS"]?Dial(@callee@,20))
 same => n,Hangup(17)"""
_CALLS = 40
_PER_SECOND = 20
_TALK = 0.5
# The daemon tries a store that fails every ten seconds at the longest, and tells what waited within one more.
_RECOVERED = 30
# SQLite lets its log grow to 4 MB before it takes it into the database.
_DISK = "size=32m"


def store(binary: Path, version: str, root: Path, folder: Path) -> tuple[bool, str]:
    """Every way to break it, on one version; whether all was right, and what was seen as text."""
    with ExitStack() as started:
        web = Web({"plain": {"": Answer("status=ACK")}})
        started.callback(web.stop)
        disk = _small_disk(folder / "disk")
        started.callback(_unmount, disk)
        webhook = {"plain": {"url": f"http://127.0.0.1:{web.port}/plain?callerid={{callerid}}"}}
        database = disk / "switchhook.db"
        following = Following(
            binary, version, root, folder, ["disconnected"], RTP, dialplan=_DIALPLAN, webhooks=webhook, store=database
        )
        started.callback(following.stop)
        calls = _Calls(following)
        lines = [*calls.well("before")]
        lines += _broken(calls, database, "disk full", _full, "the store cannot be written; calls go on")
        lines += _broken(calls, database, "database held by another program", _held, "the store cannot be written; calls go on")
        lines += _kept(calls, database)
        lines += _broken(calls, database, "file corrupt at the next start", _corrupt, "the store is corrupt: it was moved aside")
        lines += calls.well("after")
        lines += _told(calls)
    right = not any(line.startswith("wrong") for line in lines)
    return right, "\n".join([f"Asterisk {version}, the store broken:", *(f"  {line}" for line in lines)])


class _Calls:
    """Routed and followed calls, so many at a time."""

    def __init__(self, following: Following) -> None:
        self.following = following
        self.made = 0

    def well(self, name: str) -> Iterator[str]:
        """Makes some; whether each reached the telephone."""
        callers = self.following.callers(name.replace(" ", "-"), _NUMBER, _TALK, _CALLS, _PER_SECOND)
        callers.ended_well(60)
        self.made += _CALLS
        statistics = callers.statistics()
        well, failed = statistics["SuccessfulCall(C)"], statistics["FailedCall(C)"]
        right = (well, failed) == (str(_CALLS), "0")
        yield f"{'right' if right else 'wrong'}: {name}: {well} of {_CALLS} calls reached the telephone"

    def told(self) -> int:
        """Calls of which the receiver was told the end."""
        return len({event["calluniqueid"] for event in self.following.receiver.events(event="disconnected")})

    def all_told(self) -> bool:
        """Waits until the receiver was told of every call."""
        return self.following.receiver.wait_until(lambda: self.told() >= self.made, _RECOVERED)


def _broken(
    calls: _Calls, database: Path, name: str, how: Callable[[Daemon, Path], Callable[[], None]], alarm: str
) -> Iterator[str]:
    """Breaks the store, makes calls, mends it; nothing of those calls may be missing afterwards."""
    daemon = calls.following.daemon
    if not calls.all_told():
        yield f"wrong: {name}: {calls.told()} of {calls.made} calls were told before"
    said = len(daemon.log.read_text("utf-8", "replace"))
    mend = how(daemon, database)
    yield from calls.well(name)
    if not daemon.wait_for_log(alarm, _RECOVERED, said):
        yield f"wrong: {name}: the log does not say {alarm!r}, see {daemon.log}"
    mend()
    told = calls.all_told()
    yield f"{'right' if told else 'wrong'}: {name}: afterwards {calls.told()} of {calls.made} calls are told"


def _full(_: Daemon, database: Path) -> Callable[[], None]:
    fill = database.parent / "fill"
    with fill.open("wb", buffering=0) as file:
        for size in (65536, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    return fill.unlink


def _held(_: Daemon, database: Path) -> Callable[[], None]:
    held = sqlite3.connect(database, isolation_level=None, timeout=10)
    held.execute("BEGIN EXCLUSIVE")
    held.execute("CREATE TABLE held (x)")

    def mend() -> None:
        held.execute("ROLLBACK")
        held.close()

    return mend


def _corrupt(daemon: Daemon, database: Path) -> Callable[[], None]:
    daemon.kill()
    for path in (database, database.with_name(f"{database.name}-wal")):
        with path.open("r+b") as file:
            file.write(b"corrupt." * (path.stat().st_size // 8 + 1))
    daemon.start()
    return lambda: None


def _kept(calls: _Calls, database: Path) -> Iterator[str]:
    """The journals of every call, also of those that had to wait."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        (kept,) = db.execute("SELECT count(*) FROM calls WHERE result = 'SUCCESS'").fetchone()
    yield f"{'right' if kept == calls.made else 'wrong'}: {kept} of {calls.made} calls are in the journal"


def _told(calls: _Calls) -> Iterator[str]:
    calls.all_told()
    events = calls.following.receiver.events(event="disconnected")
    twice = [call for call, count in Counter(event["calluniqueid"] for event in events).items() if count > 1]
    right = not twice and len(events) == calls.made
    yield f"{'right' if right else 'wrong'}: {len(events)} ends of {calls.made} calls were told, {len(twice)} calls twice"


def _small_disk(folder: Path) -> Path:
    folder.mkdir(parents=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", _DISK, "tmpfs", folder], capture_output=True, text=True)
    if made.returncode != 0:
        raise Missing(f"a small disk cannot be mounted, this needs root: {made.stderr.strip()}")
    os.chmod(folder, 0o700)
    return folder


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "-l", folder], check=False)
