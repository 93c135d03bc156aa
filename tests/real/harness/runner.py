"""Runs cases against one version of Asterisk, and judges what was seen."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .asterisk import Asterisk, Event
from .case import Case, Outcome, dialplan
from .daemon import Daemon, Value
from .ports import free_ports
from .sip import Callee, Caller
from .web import Web

# Calls of one version at the same time.
_SIDE_BY_SIDE = 24
# Longer than the longest case.
_PATIENCE = 75
# How long a daemon may need to come to its prompt.
_TO_THE_PROMPT = 1.5


@dataclass(frozen=True)
class Verdict:
    """What became of a case; `wrong` is empty when all was right."""

    case: Case
    version: str
    wrong: list[str]
    outcome: Outcome
    logs: list[Path]


class Bench:
    """An Asterisk, a web server, a callee and a daemon, for all cases of one version."""

    def __init__(self, binary: Path, version: str, root: Path, folder: Path, cases: list[Case]) -> None:
        self._binary, self._version, self._folder, self._cases = binary, version, folder, cases
        self._numbers = {case.name: f"3120555{number:04}" for number, case in enumerate(cases, 1000)}
        self._own_ports = {case.name: free_ports(2) for case in cases if case.disturb}
        self._dead_port = free_ports(2)
        self._web = Web({path: answers for case in cases for path, answers in case.all_answers().items()})
        shared = [case for case in cases if not case.disturb]
        plan = dialplan(cases, self._numbers, self._own_ports)
        with ExitStack() as started:
            started.callback(self._web.stop)
            self._daemon = Daemon(binary, folder / "daemon", self._webhooks(shared))
            started.callback(self._daemon.stop)
            self._callee = Callee(folder / "callee")
            started.callback(self._callee.stop)
            self._asterisk = Asterisk(version, root, folder / "asterisk", plan, self._daemon.port, self._callee.port)
            started.callback(self._asterisk.stop)
            self._started = started.pop_all()

    def run(self) -> Iterator[Verdict]:
        """The verdicts, as they come."""
        longest_first = sorted(self._cases, key=lambda case: -case.takes)
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            calls = [pool.submit(self._call, case) for case in longest_first]
            for call in as_completed(calls):
                yield call.result()

    def problems(self) -> list[str]:
        """What is wrong with the bench itself, once all calls are over."""
        alive = {"Asterisk": self._asterisk.is_running(), "the daemon": self._daemon.is_running()}
        return [f"{name} {self._version} has died" for name, running in alive.items() if not running]

    def stop(self) -> None:
        """Ends everything that was started here, the last first."""
        self._started.close()

    def _webhooks(self, cases: list[Case]) -> dict[str, dict[str, Value]]:
        tables: dict[str, dict[str, Value]] = {}
        for case in cases:
            port = self._web.port if case.web_listens else self._dead_port
            tables |= case.webhooks(f"127.0.0.1:{port}")
        return tables

    def _call(self, case: Case) -> Verdict:
        daemon = None
        if case.disturb and case.disturb.how != "never start":
            own = self._folder / "cases" / case.name / "daemon"
            daemon = Daemon(self._binary, own, self._webhooks([case]), self._own_ports[case.name])
            if case.disturb.when == "before":
                self._disturb(case, daemon)
        started = time.monotonic()
        folder = self._folder / "cases" / case.name / "caller"
        caller = Caller(folder, self._asterisk.sip_port, self._numbers[case.name], case.steps, case.caller, case.identity)
        try:
            if daemon and case.disturb and case.disturb.when != "before":
                self._disturb(case, daemon)
            well = caller.ended_well(_PATIENCE)
            end = self._asterisk.wait_for(lambda event: _is(event, "End", case), 5)
        finally:
            if daemon:
                daemon.kill()
        outcome = self._outcome(case, end, well, started)
        logs = [folder, self._asterisk.log, daemon.log if daemon else self._daemon.log]
        return Verdict(case, self._version, judge(case, outcome), outcome, logs)

    def _disturb(self, case: Case, daemon: Daemon) -> None:
        """Does to the daemon what the case wants, when it wants it."""
        assert case.disturb
        if case.disturb.when != "before":
            self._asterisk.wait_for(lambda event: _is(event, "Asked", case), 10)
        if case.disturb.when == "prompt":
            time.sleep(_TO_THE_PROMPT)
        if case.disturb.when == "request":
            until = time.monotonic() + 10
            while not self._web.requests(case.name) and time.monotonic() < until:
                time.sleep(0.05)
        if case.disturb.how == "kill":
            daemon.kill()
        else:
            daemon.freeze()

    def _outcome(self, case: Case, end: Event | None, well: bool, started: float) -> Outcome:
        seen = [event for event in self._asterisk.named("Seen") if event["Case"] == case.name]
        requests = [request for path in case.all_answers() for request in self._web.requests(path)]
        path = tuple(event["At"] for event in seen)
        finished = float(end["ReceivedAt"]) if end else time.monotonic()
        invites = self._callee.invites(case.name)
        return Outcome(path, seen, end, invites, requests, well, finished - started)


def _is(event: Event, name: str, case: Case) -> bool:
    return event.get("UserEvent") == name and event.get("Case") == case.name


def judge(case: Case, outcome: Outcome) -> list[str]:
    """Everything that is not as expected."""
    return [*_judge_path(case, outcome), *_judge_requests(case, outcome), *_judge_invite(case, outcome)]


def _judge_path(case: Case, outcome: Outcome) -> Iterator[str]:
    expect = case.expect
    if outcome.path != expect.path:
        yield f"went {_shown(outcome.path)}, expected {_shown(expect.path)}"
    if outcome.end is None:
        yield "the call has no end"
    if not outcome.caller_well:
        yield "the caller's call did not go as written"
    reported = outcome.events[0] if outcome.events else outcome.end
    if reported is None:
        return
    # Wherever the call went on, it must have left nothing behind on the Gosub stack.
    for event in outcome.events:
        if event["Depth"] not in ("", "<>"):
            yield f"a return address is left on the stack: {event['Depth']}"
    for key, value in expect.variables.items():
        if reported[key] != value:
            yield f"{key} is {reported[key]!r}, expected {value!r}"
    if expect.also and (problem := expect.also(outcome)):
        yield problem


def _judge_requests(case: Case, outcome: Outcome) -> Iterator[str]:
    wanted, got = case.expect.requests, outcome.requests
    if wanted is None:
        return
    if len(got) != len(wanted):
        yield f"{len(got)} requests, expected {len(wanted)}"
    for number, (request, parameters) in enumerate(zip(got, wanted), 1):
        for key, value in parameters.items():
            if request.get(key) != value:
                yield f"request {number} has {key}={request.get(key)!r}, expected {value!r}"


def _judge_invite(case: Case, outcome: Outcome) -> Iterator[str]:
    expect = case.expect
    rung = [invite.partition("@")[0].partition(".")[2] for invite in outcome.invites]
    if rung != list(expect.path[-1:]):
        yield f"the callee was rung for {_shown(rung)}, expected {_shown(expect.path[-1:])}"
    for invite in outcome.invites:
        for name, value in expect.headers.items():
            found = _header(invite, name)
            if found != value:
                yield f"the callee got {name}: {found or 'nothing'}, expected {value or 'nothing'}"
        yield from (f"the callee got {text!r}" for text in expect.hidden if text in invite)


def _header(invite: str, name: str) -> str:
    found = re.search(rf"^{name}: *(.*?)\s*$", invite, re.M)
    return re.sub(r"(>);.*", r"\1", found[1]) if found else ""


def _shown(path: tuple[str, ...] | list[str]) -> str:
    return " → ".join(path) or "nowhere"
