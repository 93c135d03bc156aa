"""What a case is, and its part of the dialplan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .asterisk import Event
from .daemon import Value
from .sip import ALICE, Step
from .web import Answer, Answers, Request

# The five lines of the manual, each branch told to the test and ringing the callee.
# @NAME@ is the webhook's name, @SECONDS@ the guard's.
STANDARD = """
exten => _X.,1,Gosub(switchhook-webhook,s,1(@NAME@,,@SECONDS@))
 same => n,GotoIf($["${WEBHOOK_RESULT}"="SUCCESS"]?ok)
 same => n,Gosub(seen,s,1(failed))
 same => n,Dial(PJSIP/${DESK}/sip:${CASE}.failed@127.0.0.1:${CALLEE},20,${TALK})
 same => n,Hangup()
 same => n(ok),Gosub(seen,s,1(ok))
 same => n,Gosub(switchhook-destination,s,1(phones))
 same => n,Gosub(seen,s,1(no-destination))
 same => n,Dial(PJSIP/${DESK}/sip:${CASE}.no-destination@127.0.0.1:${CALLEE},20,${TALK})
 same => n,Hangup()
"""

# A dialplan that asks nothing and rings: what stands before it changes the caller's name.
NAME_ONLY = """
 same => n,Gosub(seen,s,1(here))
 same => n,Dial(PJSIP/${DESK}/sip:${CASE}.here@127.0.0.1:${CALLEE},20,${TALK})
 same => n,Hangup()
"""

_REPORTED = {
    "Result": "WEBHOOK_RESULT",
    "Reason": "WEBHOOK_REASON",
    "Status": "WEBHOOK_STATUS",
    "Destination": "WEBHOOK_DESTINATION",
    "Callername": "WEBHOOK_CALLERNAME",
    "HttpStatus": "WEBHOOK_HTTP_STATUS",
    "Call": "WEBHOOK_CALL",
    "Code": "WEBHOOK_CODE",
    "CrmA": "CRM_A",
    "CrmB": "CRM_B",
    "CrmResult": "CRM_RESULT",
    "ChannelIs": "CHANNEL(state)",
    "Left": "TIMEOUT(absolute)",
    "Exit": "AGIEXITONHANGUP",
    "Depth": "DEPTH",
}

# What every call goes through before and behind its case's own dialplan.
_COMMON = """
[phones]
include => ends
exten => _2XX,1,Set(DEPTH=<${STACK_PEEK(1,l,1)}>)
 same => n,Gosub(seen,s,1(${EXTEN}))
 same => n,Dial(PJSIP/${DESK}/sip:${CASE}.${EXTEN}@127.0.0.1:${CALLEE},20,${TALK})
 same => n,Hangup()

[seen]
exten => s,1,UserEvent(Seen,Case: ${CASE},At: ${ARG1}@REPORTED@)
 same => n,Return()

[ends]
exten => h,1,Set(DEPTH=${STACK_PEEK(1,l,1)})
 same => n,UserEvent(End,Case: ${CASE}@REPORTED@)
"""


@dataclass(frozen=True)
class Disturb:
    """Something is done to the daemon of this case alone."""

    how: Literal["kill", "freeze", "never start"]
    when: Literal["before", "prompt", "request"] = "before"


@dataclass(frozen=True)
class Outcome:
    """What was seen of one call."""

    path: tuple[str, ...]
    events: list[Event]
    end: Event | None
    invites: list[str]
    requests: list[Request]
    caller_well: bool
    seconds: float


@dataclass(frozen=True)
class Expect:
    """What must be seen; what is not named here is not looked at."""

    # The branches and extensions the call came through; the callee was rung from the last.
    path: tuple[str, ...]
    # Of the first event of the path, or of the end where there is no path; keys as in _REPORTED.
    variables: Mapping[str, str] = field(default_factory=dict)
    # How many requests, and some parameters of each; None: not looked at.
    requests: tuple[Request, ...] | None = None
    # Headers of the INVITE that the callee got, without tags and parameters; "" is a header not there.
    headers: Mapping[str, str] = field(default_factory=dict)
    # Texts that stand nowhere in that INVITE.
    hidden: tuple[str, ...] = ()
    # Anything else: None, or what is wrong.
    also: Callable[[Outcome], str | None] | None = None


@dataclass(frozen=True)
class Case:
    """One call and what must become of it."""

    name: str
    about: str
    expect: Expect
    # The webhook of the case's name: its keys without the URL. More webhooks by their suffix.
    webhook: Mapping[str, Value] = field(default_factory=dict)
    more_webhooks: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    answers: Answers = field(default_factory=lambda: {"": Answer("status=ACK&destination=215")})
    more_answers: Mapping[str, Answers] = field(default_factory=dict)
    url: str = "?code={code}&did={did}&callerid={callerid}&callername={callername}"
    web_listens: bool = True
    steps: tuple[Step, ...] = ()
    caller: str = ALICE
    identity: str = ""
    # Dialplan lines before the case's own, in the context that calls come in by.
    before: str = ""
    dialplan: str = STANDARD
    seconds: int = 60
    desk: Literal["phone", "trunk"] = "phone"
    talks_on: bool = False
    disturb: Disturb | None = None
    # About how long the call takes: the longest are started first.
    takes: float = 3

    def webhooks(self, web: str) -> dict[str, dict[str, Value]]:
        """All webhooks of the case, complete; `web` is the web server's host and port."""
        tables = {self.name: self.webhook}
        tables |= {f"{self.name}-{suffix}": table for suffix, table in self.more_webhooks.items()}
        return {name: {"url": f"http://{web}/{name}{self.url}", **table} for name, table in tables.items()}

    def all_answers(self) -> dict[str, Answers]:
        """By path, what the web server answers."""
        return {self.name: self.answers, **{f"{self.name}-{suffix}": a for suffix, a in self.more_answers.items()}}


def dialplan(cases: list[Case], numbers: Mapping[str, str], daemons: Mapping[str, int]) -> str:
    """All cases' dialplan: a case is called by its number, `daemons` are the ports of own daemons."""
    reported = "".join(f",{key}: ${{URIENCODE(${{{name}}})}}" for key, name in _REPORTED.items())
    entries, contexts = [], []
    for case in cases:
        lines = [f"CASE={case.name}", f"DESK={case.desk}", f"TALK={'' if case.talks_on else 'S(1)'}"]
        if case.name in daemons:
            lines.append(f"SWITCHHOOK=127.0.0.1:{daemons[case.name]}")
        first, *others = [f"Set({line})" for line in lines]
        entries.append(f"exten => {numbers[case.name]},1,{first}\n")
        entries.extend(f" same => n,{line}\n" for line in others)
        entries.append(f" same => n,UserEvent(Asked,Case: {case.name})\n")
        entries.append(case.before.strip("\n") + "\n" if case.before else "")
        entries.append(f" same => n,Goto({case.name},${{EXTEN}},1)\n")
        own = case.dialplan.replace("@NAME@", case.name).replace("@SECONDS@", str(case.seconds))
        contexts.append(f"\n[{case.name}]\ninclude => ends\n{own.strip()}\n")
    return "[from-caller]\ninclude => ends\n" + "".join(entries) + "".join(contexts) + _COMMON.replace("@REPORTED@", reported)
