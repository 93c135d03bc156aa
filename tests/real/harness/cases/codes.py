"""Callers who type, or do not."""

from __future__ import annotations

from ..case import Case, Expect, Outcome
from ..sip import HANGUP, Step, keys, wait
from ..web import Answer
from .common import ACK, BY_CODE, FAILED, HUNG_UP, IVR, LONG_IVR, LONG_PROMPT, LONG_SECONDS, SUCCESS


def _quickly(outcome: Outcome) -> str | None:
    return f"took {outcome.seconds:.0f} s" if outcome.seconds > LONG_SECONDS else None


def _has_call_id(outcome: Outcome) -> str | None:
    return None if outcome.events and outcome.events[0]["Call"] else "WEBHOOK_CALL is empty"


def _slowly(code: str) -> tuple[Step, ...]:
    return tuple(step for digit in code for step in (keys(digit), wait(0.8)))


CODES = [
    Case(
        "code-right",
        "the code is right: answered, asked, and the phone rings",
        Expect(
            ("ok", "215"),
            {**SUCCESS, "Destination": "215", "Code": "", "ChannelIs": "Up", "Left": "0", "Exit": ""},
            ({"code": "1234", "callerid": "0201234567", "callername": "Alice Example"},),
            also=_has_call_id,
        ),
        {"ivr": IVR},
        answers=BY_CODE,
        steps=(wait(1), keys("1234#")),
    ),
    Case(
        "code-wrong-then-right",
        "a wrong code, then the right one",
        Expect(("ok", "215"), {**SUCCESS, "Destination": "215"}, ({"code": "9999"}, {"code": "1234"})),
        {"ivr": IVR},
        answers=BY_CODE,
        steps=(wait(1), keys("9999#"), wait(2.5), keys("1234#")),
        takes=9,
    ),
    Case(
        "code-wrong-to-the-end",
        "every code is wrong",
        Expect(("failed",), {**FAILED, "Reason": "nak", "Status": "NAK"}, ({"code": "9999"}, {"code": "0000"})),
        {"ivr": IVR},
        answers=BY_CODE,
        steps=(wait(1), keys("9999#"), wait(2.5), keys("0000#")),
        takes=11,
    ),
    Case(
        "code-none",
        "nothing is pressed",
        Expect(("failed",), {**FAILED, "Reason": "no_input", "Status": ""}, ()),
        {"ivr": IVR},
        takes=12,
    ),
    Case(
        "code-barge-in",
        "keys interrupt a prompt of half a minute, and the first one counts",
        Expect(("ok", "215"), SUCCESS, ({"code": "1234"},), also=_quickly),
        {"ivr": LONG_IVR},
        answers=BY_CODE,
        steps=(wait(2), keys("1234#")),
    ),
    Case(
        "code-hash-alone",
        "# alone is a wrong code, and makes no request",
        Expect(("failed",), {**FAILED, "Reason": "nak", "Status": "", "HttpStatus": ""}, ()),
        {"ivr": {**IVR, "attempts": 1}},
        steps=(wait(1.5), keys("#")),
    ),
    Case(
        "code-too-short",
        "a code that is too short makes no request",
        Expect(("failed",), {**FAILED, "Reason": "nak", "Status": "", "HttpStatus": ""}, ()),
        {"ivr": {**IVR, "attempts": 1}},
        steps=(wait(1.5), keys("12#")),
    ),
    Case(
        "code-leading-zeros",
        "twelve digits with zeros before them, no # needed",
        Expect(("ok", "215"), SUCCESS, ({"code": "001234567890"},)),
        {"ivr": {**IVR, "max_digits": 12}},
        steps=(wait(1.5), keys("001234567890")),
        takes=8,
    ),
    Case(
        "code-shown",
        "a menu choice is no secret: WEBHOOK_CODE has it",
        Expect(("ok", "215"), {**SUCCESS, "Code": "7"}, ({"code": "7"},)),
        {"ivr": {**IVR, "secret": False, "lockout": False, "min_digits": 1, "max_digits": 1}},
        steps=(wait(1.5), keys("7")),
    ),
    Case(
        "code-typed-slowly",
        "three attempts, more than a second between the keys; the third is right",
        Expect(("ok", "215"), SUCCESS, ({"code": "9999"}, {"code": "8888"}, {"code": "1234"})),
        {"ivr": {**IVR, "attempts": 3, "max_digits": 4}},
        answers=BY_CODE,
        steps=(wait(1), *_slowly("9999"), wait(2), *_slowly("8888"), wait(2), *_slowly("1234")),
        takes=25,
    ),
    Case(
        "code-key-in-error-prompt",
        "a key pressed in the error prompt is the first digit of the next code",
        Expect(("ok", "215"), SUCCESS, ({"code": "9999"}, {"code": "1234"}), also=_quickly),
        {"ivr": {**IVR, "error_prompt": LONG_PROMPT}},
        answers=BY_CODE,
        steps=(wait(1), keys("9999#"), wait(1.5), keys("1"), wait(0.6), keys("234#")),
        takes=9,
    ),
    Case(
        "code-key-after-the-last",
        "a key in the error prompt after the last attempt changes nothing",
        Expect(("failed",), {**FAILED, "Reason": "nak"}, ({"code": "9999"},)),
        {"ivr": {**IVR, "attempts": 1}},
        answers=BY_CODE,
        steps=(wait(1), keys("9999#"), wait(0.3), keys("1")),
    ),
    Case(
        "code-prompt-missing",
        "a sound file that is not there: the code is taken in silence",
        Expect(("ok", "215"), SUCCESS, ({"code": "1234"},)),
        {"ivr": {**IVR, "attempts": 1, "start_prompt": "no-such-sound"}},
        answers=BY_CODE,
        steps=(wait(0.5), keys("1234#")),
    ),
    Case(
        "code-error-prompt-missing",
        "an error prompt that is not there: the next attempt is not lost",
        Expect(("ok", "215"), SUCCESS, ({"code": "9999"}, {"code": "1234"})),
        {"ivr": {**IVR, "error_prompt": "no-such-sound"}},
        answers=BY_CODE,
        steps=(wait(1), keys("9999#"), wait(1), keys("1234#")),
        takes=9,
    ),
    Case(
        "code-answered-already",
        "the dialplan has answered before it asks",
        Expect(("ok", "215"), {**SUCCESS, "ChannelIs": "Up"}, ({"code": "1234"},)),
        {"ivr": IVR},
        answers=BY_CODE,
        before=" same => n,Answer()",
        steps=(wait(1), keys("1234#")),
    ),
    Case(
        "hangup-in-prompt",
        "the caller hangs up in the prompt",
        Expect((), HUNG_UP, ()),
        {"ivr": LONG_IVR},
        steps=(wait(2), HANGUP),
    ),
    Case(
        "hangup-typing",
        "the caller hangs up between two keys",
        Expect((), HUNG_UP, ()),
        {"ivr": IVR},
        steps=(wait(1), keys("12"), HANGUP),
    ),
    Case(
        "hangup-web-thinks",
        "the caller hangs up while the web server thinks",
        Expect((), HUNG_UP, ({"code": "1234"},)),
        {"ivr": IVR, "timeout": "9s"},
        answers={"": Answer(ACK.body, delay=6)},
        steps=(wait(1), keys("1234#"), wait(1), HANGUP),
        takes=8,
    ),
]
