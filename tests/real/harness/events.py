"""What is told of calls: kinds of calls, and calls over which a program dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .asterisk import Asterisk, Missing
from .daemon import Daemon, Value
from .ports import free_ports
from .receiver import Receiver, Told
from .sip import HANGUP, Callee, Callers, wait

# The account of contrib/asterisk/manager.conf.
_ACCOUNT = {"username": "switchhook", "secret": "change-this-secret"}
_CALLEES = ("callee", "busy", "rejects", "rings")
_EVERY = ["call", "ringing", "connected", "transferred", "disconnected", "cdr"]
_CALLER = "0201234567"
# Asterisk passes over a port that is taken. A port is held for seconds after its call when the machine is busy.
RTP = range(10000, 20000)
# How long an event may take after what it tells of.
_SOON = 10
# A restarted daemon: its connect, the comparison, and the time in which a missing channel is doubted.
_COMPARED = 15


@dataclass(frozen=True)
class Kind:
    """One kind of call. `dial` names callees as @callee@; the events are `EVENT CALLTO EXTENSION DISPOSITION`."""

    name: str
    dial: str
    events: tuple[str, ...]
    caller: Literal["caller", "caller_fails", "caller_cancels"] = "caller"
    transfer_to: str = ""


KINDS = [
    Kind("answered", "@callee@,20", ("call", "ringing", "connected", "disconnected answered", "cdr answered")),
    Kind("busy", "@busy@,20", ("call", "disconnected busy", "cdr busy"), "caller_fails"),
    Kind("rejected", "@rejects@,20", ("call", "ringing", "disconnected rejected", "cdr rejected"), "caller_fails"),
    Kind("no-answer", "@rings@,2", ("call", "ringing", "disconnected no_answer", "cdr no_answer"), "caller_fails"),
    Kind("cancelled", "@rings@,20", ("call", "ringing", "disconnected cancelled", "cdr cancelled"), "caller_cancels"),
    Kind(
        "parallel-ring",
        "@rings@&@callee@,20",
        ("call", "ringing", "ringing", "connected", "disconnected answered", "cdr answered"),
    ),
    Kind(
        "blind-transfer",
        "@callee@,20",
        (
            "call",
            "ringing",
            "connected",
            "transferred",
            "ringing",
            "connected",
            "disconnected answered",
            "cdr answered",
        ),
        transfer_to="transferred",
    ),
]


def _dialplan(ports: dict[str, int], more: str) -> str:
    lines = ["[from-caller]"]
    for number, kind in _numbered():
        lines += [f"exten => {number},1,Dial({kind.dial})", " same => n,Hangup(17)"]
    lines += [f"exten => transferred,1,Dial(PJSIP/trunk/sip:callee@127.0.0.1:{ports['callee']},20)", more, ""]
    plan = "\n".join(lines)
    for name, port in ports.items():
        plan = plan.replace(f"@{name}@", f"PJSIP/phone/sip:{name}@127.0.0.1:{port}")
    return plan


def _numbered() -> Iterator[tuple[str, Kind]]:
    return ((f"3120666{at:04}", kind) for at, kind in enumerate(KINDS, 1000))


class Following:
    """An Asterisk whose calls are followed by a daemon that tells a receiver."""

    def __init__(
        self,
        binary: Path,
        version: str,
        root: Path,
        folder: Path,
        told: list[str],
        rtp: range,
        dialplan: str = "",
        webhooks: Mapping[str, Mapping[str, Value]] | None = None,
        store: Path | None = None,
    ) -> None:
        """`told`: the events that the receiver is told; `dialplan`: more of it, with callees as @callee@."""
        self.version, self.folder = version, folder
        messages = len(told) > 1
        fastagi = free_ports(2)
        with ExitStack() as started:
            self.receiver = Receiver()
            started.callback(self.receiver.stop)
            ports = {}
            for name in _CALLEES:
                callee = Callee(folder / name, name, messages)
                started.callback(callee.stop)
                ports[name] = callee.port
            plan = _dialplan(ports, dialplan)
            self.asterisk = Asterisk(version, root, folder / "asterisk", plan, fastagi, 0, rtp)
            started.callback(self.asterisk.stop)
            sections: dict[str, Mapping[str, Value]] = {
                "asterisk.main": {**_ACCOUNT, "ami": f"127.0.0.1:{self.asterisk.ami_port}", "trunks": ["PJSIP/caller-*"]},
                "subscription.all": {
                    "method": "POST",
                    "url": f"http://127.0.0.1:{self.receiver.port}/events",
                    "events": told,
                    "directions": ["in", "out", "internal"],
                },
            }
            if store:
                sections["store"] = {"url": f"sqlite://{store}"}
            self.daemon = Daemon(binary, folder / "daemon", webhooks or {}, fastagi, sections)
            started.callback(self.daemon.stop)
            self._started = started.pop_all()
        if not self.daemon.wait_for_log("following calls", 10):
            self.stop()
            raise Missing(f"the daemon does not follow Asterisk {version}, see {self.daemon.log}")

    def callers(self, name: str, number: str, seconds: float = 1, calls: int = 1, per_second: int = 1) -> Callers:
        """Callers who talk so long."""
        steps = (wait(seconds), HANGUP)
        return Callers(self.folder / "callers" / name, self.asterisk.sip_port, number, "caller", steps, calls, per_second)

    def stop(self) -> None:
        """Ends everything, the last first."""
        self._started.close()


def events(binary: Path, version: str, root: Path, folder: Path) -> tuple[bool, str]:
    """Everything on one version; whether all was right, and what was seen as text."""
    following = Following(binary, version, root, folder, _EVERY, RTP)
    try:
        lines = [*_rights(following), *_kinds(following)]
        lines += _daemon_killed(following)
        lines += _asterisk_killed(following)
        lines += _one_end_each(following.receiver)
    finally:
        following.stop()
    right = not any(line.startswith("wrong") for line in lines)
    return right, "\n".join([f"Asterisk {version}, events:", *(f"  {line}" for line in lines)])


def _rights(following: Following) -> Iterator[str]:
    """The account sees the list of channels, and can do nothing to a call or to Asterisk."""
    originate = "Originate\r\nChannel: Local/transferred@from-caller\r\nApplication: Wait"
    doings = [originate, "Hangup\r\nChannel: /.*/", "Command\r\nCommand: core show version", "UserEvent\r\nUserEvent: x"]
    seen, *refused = following.asterisk.answers(_ACCOUNT, ["CoreShowChannels", *doings])
    right = seen == "Channels will follow" and set(refused) == {"Permission denied"}
    yield f"{'right' if right else 'wrong'}: the account's rights: {seen}; {Counter(refused).most_common()}"


def _kinds(following: Following) -> Iterator[str]:
    with ThreadPoolExecutor() as pool:
        for found in pool.map(lambda numbered: _kind(following, *numbered), _numbered()):
            yield from found


def _kind(following: Following, number: str, kind: Kind) -> list[str]:
    receiver, folder = following.receiver, following.folder / "callers" / kind.name
    steps = (wait(3), HANGUP) if kind.caller == "caller" else ()
    caller = Callers(folder, following.asterisk.sip_port, number, kind.caller, steps)
    if kind.transfer_to:
        _transfer(following, number, kind.transfer_to)
    well = caller.ended_well(30)
    receiver.wait_for(1, _SOON, event="cdr", did=number)
    told = receiver.events(did=number)
    seen = tuple(f"{event['event']} {event['disposition']}".strip() for event in told)
    wrong = []
    if not well:
        wrong.append(f"the caller's call did not go as written, see {folder}")
    if seen != kind.events:
        wrong.append(f"told {seen}, expected {kind.events}")
    if odd := [event for event in told if event["callfrom"] != _CALLER or event["direction"] != "in"]:
        wrong.append(f"not from {_CALLER}, or not in: {odd}")
    if odd := [event for event in told if event["synthetic"] != "false"]:
        wrong.append(f"found out and not seen: {odd}")
    return [f"wrong: {kind.name}: {text}" for text in wrong] or [f"right: {kind.name}"]


def _transfer(following: Following, number: str, extension: str) -> None:
    """The callee's owner sends the caller on, once they talk."""
    following.receiver.wait_for(1, _SOON, event="connected", did=number)
    names = following.asterisk.cli("core show channels concise").splitlines()
    # Channel!Context!Extension!…: the callee's is the one that the caller's Dial has made.
    called = [line.split("!") for line in names if line.startswith("PJSIP/phone-")]
    calls = {event["calluniqueid"] for event in following.receiver.events(did=number)}
    for channel in called:
        if following.asterisk.linked_id(channel[0]) in calls:
            following.asterisk.action("BlindTransfer", Channel=channel[0], Context="from-caller", Exten=extension)


def _daemon_killed(following: Following) -> Iterator[str]:
    """The daemon dies in the middle of 50 calls and comes back after half of them have ended."""
    receiver, number = following.receiver, _number("answered")
    before = {event["calluniqueid"] for event in receiver.events()}
    short = following.callers("killed-short", number, 4, 25, 25)
    long = following.callers("killed-long", number, 25, 25, 25)
    fresh = lambda **wanted: [e for e in receiver.events(**wanted) if e["calluniqueid"] not in before]
    if not receiver.wait_until(lambda: len(fresh(event="connected")) == 50, _SOON):
        yield f"wrong: {len(fresh(event='connected'))} of 50 calls connected"
    following.daemon.kill()
    ended = [event for event in fresh(event="disconnected")]
    well = short.ended_well(30)
    following.daemon.start()
    receiver.wait_until(lambda: len(fresh(event="disconnected")) == 25, _COMPARED)
    found = [event["synthetic"] for event in fresh(event="disconnected")]
    well = long.ended_well(60) and well
    receiver.wait_until(lambda: len(fresh(event="cdr")) == 50, _SOON)
    ends = Counter(event["synthetic"] for event in fresh(event="disconnected"))
    if ended or found != ["true"] * 25 or ends != {"true": 25, "false": 25} or not well:
        yield f"wrong: daemon killed: {len(ended)} ended before, {found} found, in all {dict(ends)}, calls well: {well}"
    else:
        yield "right: daemon killed in 50 calls: 25 ends found at the next start, 25 seen"


def _asterisk_killed(following: Following) -> Iterator[str]:
    """Asterisk dies in the middle of 20 calls, and comes back without them."""
    receiver, number = following.receiver, _number("answered")
    before = {event["calluniqueid"] for event in receiver.events()}
    fresh = lambda **wanted: [e for e in receiver.events(**wanted) if e["calluniqueid"] not in before]
    callers = following.callers("asterisk-killed", number, 60, 20, 20)
    if not receiver.wait_until(lambda: len(fresh(event="connected")) == 20, _SOON):
        yield f"wrong: {len(fresh(event='connected'))} of 20 calls connected"
    following.asterisk.kill()
    callers.kill()
    following.asterisk.start_again()
    receiver.wait_until(lambda: len(fresh(event="cdr")) == 20, 2 * _COMPARED)
    ends = [event["synthetic"] for event in fresh(event="disconnected")]
    after = following.callers("after", number)
    well = after.ended_well(30) and receiver.wait_until(lambda: len(fresh(event="cdr")) == 21, _SOON)
    last = [event["synthetic"] for event in fresh(event="disconnected")][len(ends) :]
    if ends != ["true"] * 20 or last != ["false"] or not well:
        yield f"wrong: Asterisk killed: ends {ends}, then {last}, the call after it well: {well}"
    else:
        yield "right: Asterisk killed in 20 calls: 20 ends found when it was back, and the next call is seen"


def _number(name: str) -> str:
    return next(number for number, kind in _numbered() if kind.name == name)


def _one_end_each(receiver: Receiver) -> Iterator[str]:
    """Over everything that was told: one `disconnected` and one `cdr` for each call, last of all, without a gap."""
    calls: dict[str, list[Told]] = {}
    for event in receiver.events():
        calls.setdefault(event["calluniqueid"], []).append(event)
    for call, told in calls.items():
        told.sort(key=lambda event: int(event["seq"]))
        names = [event["event"] for event in told]
        numbers = [int(event["seq"]) for event in told]
        if names.count("disconnected") != 1 or names[-2:] != ["disconnected", "cdr"] or numbers != list(range(1, len(told) + 1)):
            yield f"wrong: {call} was told as {names} with {numbers}"
    yield f"right: {len(calls)} calls were told, each with one end"


def events_load(binary: Path, version: str, root: Path, folder: Path, rate: int, seconds: int) -> tuple[bool, str]:
    """So many calls a second for so long: what SIPp could do, and one `disconnected` for each call."""
    calls = rate * seconds
    following = Following(binary, version, root, folder, ["disconnected"], RTP)
    try:
        callers = following.callers("load", _number("answered"), 0.5, calls, rate)
        callers.ended_well(seconds * 4 + 60)
        statistics = callers.statistics()
        made = following.asterisk.calls_processed()
        following.receiver.wait_for(made, 30, event="disconnected")
        told = following.receiver.events(event="disconnected")
    finally:
        following.stop()
    ids = Counter(event["calluniqueid"] for event in told)
    ends = Counter(f"{event['disposition']}, {'found' if event['synthetic'] == 'true' else 'seen'}" for event in told)
    took = statistics["ElapsedTime(C)"]
    lines = [
        f"Asterisk {version}, {rate} calls/s for {seconds} s:",
        f"  SIPp: {statistics['SuccessfulCall(C)']} of {calls} calls well, {statistics['FailedCall(C)']} failed, {took}",
        f"  Asterisk: {made} calls; told: {len(ids)} calls, {len(told)} ends: {dict(ends)}",
    ]
    if not len(ids) == len(told) == made:
        return False, "\n".join([*lines, "  wrong: not one end for each call"])
    if statistics["SuccessfulCall(C)"] != str(calls):
        return False, "\n".join([*lines, "  one end for each call; but this machine cannot make so many: not shown"])
    return True, "\n".join([*lines, "  right: one end for each call"])
