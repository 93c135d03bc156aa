"""Calls through the lab's PBX, side by side, and a table of what each of them did and was to do.

The exit code is 0 only if all of them came out right.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, "/tests/real")
sys.dont_write_bytecode = True

from harness.sip import Caller, Step, keys, require_sipp, wait  # noqa: E402
from telephones import MESSAGES, rung  # noqa: E402

VIP, OFFICE, SLOW, GONE, WILD = (f"02012345{at:02}" for at in range(1, 6))
TOLD = Path("/seen/told")
EVENTS = ("call", "ringing", "connected", "disconnected")
# The name that a caller's own telephone sends.
NAME = "Alice Example"
# How long the two talk, and how long a whole call may take.
TALK, PATIENCE = 2, 90
# How long an event may take after what it tells of.
SOON = 15

_RUN = random.randrange(1000)
# Between two calls' beginnings, as if they came from eight people.
_APART = 0.25
# Behind the prompt's beginning: a key pressed while a call is put through is lost.
_PROMPT = wait(1)


@dataclass(frozen=True)
class Call:
    """One call and what must become of it: the telephone that rings, and the name that it shows."""

    about: str
    number: str
    reaches: str
    shows: str = NAME
    steps: tuple[Step, ...] = ()


CALLS = [
    Call("The right code", VIP, "201", "Jansen & Zn", (_PROMPT, keys("0042"))),
    Call("A wrong code, then the right one", VIP, "202", "Zoë Müller", (_PROMPT, keys("9999"), wait(3), keys("0043"))),
    Call("Two wrong codes", VIP, "100", NAME, (_PROMPT, keys("9999"), wait(3), keys("8888"))),
    Call("Nothing typed", VIP, "100"),
    Call("A name for the caller's number", OFFICE, "201", "Bakery Example"),
    Call("A web server that is too slow", SLOW, "100"),
    Call("A web server that is not there", GONE, "100"),
    Call("A web server that answers dialplan", WILD, "100"),
]


@dataclass(frozen=True)
class Seen:
    """What became of a call: telephones that rang with the names they showed, events, and whether SIPp was content."""

    rang: list[tuple[str, str]]
    told: list[str]
    well: bool


def number_of(at: int) -> str:
    """The number of the caller who makes a call of the list. In each run they are others: runs do not mix."""
    return f"020765{_RUN:03}{at + 1}"


def main() -> int:
    arguments = _arguments()
    require_sipp()
    print(f"{len(CALLS)} calls to {arguments.pbx}, side by side. They take about 20 seconds.")
    started, told_before = time.monotonic(), len(_lines(TOLD))
    rung_before = len(_rung())
    pbx = socket.gethostbyname(arguments.pbx)
    with ThreadPoolExecutor(len(CALLS)) as pool:
        well = list(pool.map(lambda at: _make(at, pbx), range(len(CALLS))))
    rang = _rung()[rung_before:]
    told = _told(told_before) if arguments.pbx == "asterisk" else None
    seen = [_seen(at, rang, told, went) for at, went in enumerate(well)]
    wrong = [list(problems(call, one, told is not None)) for call, one in zip(CALLS, seen)]
    print("\n" + "\n".join(_table(seen, wrong, told is not None)))
    for call, texts in zip(CALLS, wrong):
        for text in texts:
            print(f"{call.about}: {text}")
    count = sum(not texts for texts in wrong)
    everything = "Every call came out as it should." if count == len(CALLS) else f"{count} of {len(CALLS)} calls came out as they should."
    print(f"\n{everything} They took {time.monotonic() - started:.0f} s.")
    return 0 if count == len(CALLS) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pbx", nargs="?", default="asterisk", choices=["asterisk", "freeswitch"], help="which one is called")
    return parser.parse_args()


def _make(at: int, pbx: str) -> bool:
    """Makes a call; whether each step of it went as written."""
    time.sleep(at * _APART)
    call, own = CALLS[at], socket.gethostbyname(socket.gethostname())
    who = f'"{NAME}" <sip:{number_of(at)}@{own}>'
    folder = Path("/tmp/calls") / str(at)
    return Caller(folder, 5060, call.number, call.steps, who, f"X-Talk: {TALK}", (own, pbx)).ended_well(PATIENCE)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _rung() -> list[tuple[str, str, str]]:
    return rung(MESSAGES.read_text("utf-8", "replace")) if MESSAGES.exists() else []


def _told(before: int) -> list[dict[str, str]]:
    """The events since then, once every call has had its end or the time is over."""
    until = time.monotonic() + SOON
    while True:
        # What was told twice counts once: a call's `seq` names an event.
        events = {(event["calluniqueid"], event["seq"]): event for event in map(json.loads, _lines(TOLD)[before:])}
        ended = {event["callfrom"] for event in events.values() if event["event"] == "disconnected"}
        if ended >= set(map(number_of, range(len(CALLS)))) or time.monotonic() > until:
            return sorted(events.values(), key=lambda event: int(event["seq"]))
        time.sleep(0.2)


def _seen(at: int, rang: list[tuple[str, str, str]], told: list[dict[str, str]] | None, well: bool) -> Seen:
    own = number_of(at)
    telephones = [(telephone, name) for telephone, number, name in rang if number == own]
    return Seen(telephones, [event["event"] for event in told or [] if event["callfrom"] == own], well)


def problems(call: Call, seen: Seen, followed: bool) -> Iterator[str]:
    """Everything that is not as it should be."""
    if seen.rang != [(call.reaches, call.shows)]:
        yield f"reached {_shown(seen.rang)}; it was to reach {_shown([(call.reaches, call.shows)])}"
    elif not seen.well:
        yield "the caller's side of the call did not go as written"
    if followed and tuple(seen.told) != EVENTS:
        yield f"the web server was told {' '.join(seen.told) or 'nothing'}; it was to be told {' '.join(EVENTS)}"


def _shown(rang: list[tuple[str, str]]) -> str:
    return " and ".join(f"{telephone}, {name}" for telephone, name in rang) or "nobody"


def _table(seen: list[Seen], wrong: list[list[str]], followed: bool) -> Iterator[str]:
    rows = [("", "CALL", "DIALS", "WAS TO REACH, SHOWING", "REACHED, SHOWING", "EVENTS TOLD" if followed else "")]
    for call, one, texts in zip(CALLS, seen, wrong):
        wanted, got = _shown([(call.reaches, call.shows)]), _shown(one.rang)
        rows.append(("WRONG" if texts else "right", call.about, call.number, wanted, got, " ".join(one.told)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


if __name__ == "__main__":
    sys.exit(main())
