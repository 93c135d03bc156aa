"""The daemon is not there, dies, or hangs; and the guard that is for this hurts nobody."""

from __future__ import annotations

from ..case import Case, Disturb, Expect, Outcome
from ..sip import HANGUP, wait, keys
from ..web import Answer
from .common import ACK, BY_CODE, FAILED, HUNG_UP, IVR, LONG_IVR, NAK, SUCCESS, UNREACHABLE

# The guard's time in these cases, and a talk that is longer.
_GUARD, _TALK = 3, 6


def _in_time(outcome: Outcome) -> str | None:
    """The caller was in the failed branch soon after the guard's time, not much later."""
    return f"took {outcome.seconds:.0f} s" if outcome.seconds > _GUARD + 8 else None


def _talked(outcome: Outcome) -> str | None:
    return None if outcome.seconds > _TALK else f"the talk ended after {outcome.seconds:.1f} s"


def _limit_is_back(outcome: Outcome) -> str | None:
    left = float(outcome.events[0]["Left"])
    return None if 90 < left < 99.5 else f"{left} s are left of a limit of 100 s"


_SLOW_WEB = {"": Answer(ACK.body, delay=5)}

FAULTS = [
    Case(
        "daemon-down",
        "the daemon is not running",
        Expect(("failed",), {**UNREACHABLE, "ChannelIs": "Ring", "Left": "0", "Exit": ""}, (), also=_in_time),
        disturb=Disturb("never start"),
    ),
    Case(
        "daemon-killed-in-prompt",
        "the daemon is killed while a prompt plays",
        Expect(("failed",), UNREACHABLE, also=_in_time),
        {"ivr": LONG_IVR},
        disturb=Disturb("kill", "prompt"),
    ),
    Case(
        "daemon-killed-web-thinks",
        "the daemon is killed while the web server thinks",
        Expect(("failed",), UNREACHABLE, ({},), also=_in_time),
        {"timeout": "9s"},
        answers=_SLOW_WEB,
        disturb=Disturb("kill", "request"),
    ),
    Case(
        "daemon-frozen",
        "the daemon is frozen when the call comes",
        Expect(("failed",), {**UNREACHABLE, "Left": "0", "Exit": ""}, (), also=_in_time),
        seconds=_GUARD,
        disturb=Disturb("freeze"),
        takes=6,
    ),
    Case(
        "daemon-frozen-in-prompt",
        "the daemon freezes while a prompt plays",
        Expect(("failed",), {**UNREACHABLE, "Left": "0"}, also=_in_time),
        {"ivr": LONG_IVR},
        seconds=_GUARD,
        disturb=Disturb("freeze", "prompt"),
        takes=6,
    ),
    Case(
        "daemon-frozen-web-thinks",
        "the daemon freezes while the web server thinks",
        Expect(("failed",), {**UNREACHABLE, "Left": "0"}, ({},), also=_in_time),
        {"timeout": "9s"},
        answers=_SLOW_WEB,
        seconds=_GUARD,
        disturb=Disturb("freeze", "request"),
        takes=6,
    ),
    Case(
        "daemon-frozen-hangup",
        "the caller hangs up while the daemon is frozen: the dialplan's h runs",
        Expect((), HUNG_UP, ()),
        before=" same => n,Answer()",
        seconds=20,
        steps=(wait(2), HANGUP),
        disturb=Disturb("freeze"),
    ),
    Case(
        "guard-talk-success",
        "somebody who talks past the guard's time after a success is left alone",
        Expect(("ok", "215"), {**SUCCESS, "Left": "0"}, also=_talked),
        seconds=_GUARD,
        steps=(wait(_TALK), HANGUP),
        talks_on=True,
        takes=8,
    ),
    Case(
        "guard-talk-failed",
        "the same after a failure",
        Expect(("failed",), {**FAILED, "Reason": "nak", "Left": "0"}, also=_talked),
        answers={"": NAK},
        seconds=_GUARD,
        steps=(wait(_TALK), HANGUP),
        talks_on=True,
        takes=8,
    ),
    Case(
        "guard-talk-unreachable",
        "the same after the guard itself has fired",
        Expect(("failed",), {**UNREACHABLE, "Left": "0"}, also=_talked),
        seconds=2,
        steps=(wait(_TALK), HANGUP),
        talks_on=True,
        disturb=Disturb("freeze"),
        takes=10,
    ),
    Case(
        "guard-restores",
        "a time limit and AGIEXITONHANGUP are as they were, less the time that has passed",
        Expect(("ok", "215"), {**SUCCESS, "Exit": "no"}, ({"code": "1234"},), also=_limit_is_back),
        {"ivr": IVR},
        answers=BY_CODE,
        before=" same => n,Set(TIMEOUT(absolute)=100)\n same => n,Set(AGIEXITONHANGUP=no)",
        steps=(wait(1), keys("1234#")),
    ),
    Case(
        "guard-under-a-limit",
        "a time limit nearer than the guard's still ends the call where the dialplan says",
        Expect(("failed",), UNREACHABLE, also=_in_time),
        before=" same => n,Answer()\n same => n,Set(TIMEOUT(absolute)=3)",
        seconds=60,
        disturb=Disturb("freeze"),
        takes=6,
    ),
]
