"""What the web server answers, and what becomes of it."""

from __future__ import annotations

from ..case import STANDARD, Case, Expect
from ..sip import keys, wait
from ..web import Answer
from .common import ACK, FAILED, IVR, NAK, SUCCESS, UNREACHABLE

_HTML = "<!DOCTYPE html><html><body><h1>status=ACK&destination=215</h1></body></html>"
_JSON = '{"status":"ACK","destination":215,"ticket":"T-7","unused":[1]}'

# Two webhooks, each with its own variable, and a condition on both.
_TWO = """
exten => _X.,1,Gosub(switchhook-webhook,s,1(@NAME@,,@SECONDS@))
 same => n,Set(FIRST=${WEBHOOK_RESULT})
 same => n,Gosub(switchhook-webhook,s,1(@NAME@-second,,@SECONDS@))
 same => n,GotoIf($["${FIRST}"="SUCCESS" & "${CRM_A}"="gold" & "${CRM_B}"="open"]?both)
 same => n,Gosub(seen,s,1(not-both))
 same => n,Dial(PJSIP/${DESK}/sip:${CASE}.not-both@127.0.0.1:${CALLEE},20,${TALK})
 same => n,Hangup()
 same => n(both),Gosub(seen,s,1(both))
 same => n,Dial(PJSIP/${DESK}/sip:${CASE}.both@127.0.0.1:${CALLEE},20,${TALK})
 same => n,Hangup()
"""

# The daemon is gone between the first question and the second.
_TWO_THEN_DOWN = _TWO.replace("FIRST=", "SWITCHHOOK=127.0.0.1:1)\n same => n,Set(FIRST=")


def _two(name: str, about: str, branch: str, second: str) -> Case:
    return Case(
        name,
        about,
        Expect((branch,), {"CrmA": "gold", "CrmB": second, "Result": "SUCCESS", "Destination": "", "Left": "0"}, ({}, {})),
        {"variables": {"level": "CRM_A"}},
        {"second": {"variables": {"desk": "CRM_B"}}},
        {"": Answer("status=ACK&destination=215&level=gold")},
        {"second": {"": Answer(f"status=ACK&desk={second}")}},
        dialplan=_TWO,
        seconds=15,
    )


ANSWERS = [
    Case(
        "ack-destination",
        "ACK with a destination; without a code to type the call is not answered",
        Expect(("ok", "215"), {**SUCCESS, "Destination": "215", "ChannelIs": "Ring"}, ({"code": ""},)),
    ),
    Case(
        "ack-no-destination",
        "ACK without a destination falls through",
        Expect(("ok", "no-destination"), {**SUCCESS, "Destination": ""}),
        answers={"": Answer("status=ACK")},
        url="",
    ),
    Case(
        "ack-unknown-destination",
        "a number that the context does not have falls through",
        Expect(("ok", "no-destination"), {**SUCCESS, "Destination": "999"}),
        answers={"": Answer("status=ACK&destination=999")},
        url="",
    ),
    Case(
        "ack-json",
        "JSON, a number as the destination, a variable saved",
        Expect(("ok", "215"), {**SUCCESS, "Destination": "215", "CrmA": "T-7"}),
        {"variables": {"ticket": "CRM_A"}},
        answers={"": Answer(_JSON, content_type="application/json")},
        url="",
    ),
    Case(
        "save-as",
        "save_as: the text itself is the result, and no dialplan",
        Expect(("ok", "no-destination"), {"Result": "SUCCESS", "Status": "", "CrmResult": "open until 17:00, then [1+1]"}),
        {"save_as": "CRM_RESULT"},
        answers={"": Answer("open until 17:00, then $[1+1]")},
        url="",
    ),
    Case(
        "nak",
        "NAK without a code to type is a failure",
        Expect(("failed",), {**FAILED, "Reason": "nak", "Status": "NAK", "HttpStatus": "200"}, ({},)),
        answers={"": NAK},
    ),
    Case(
        "err",
        "ERR without a code to type is a failure",
        Expect(("failed",), {**FAILED, "Reason": "err", "Status": "ERR", "HttpStatus": "200"}, ({},)),
        answers={"": Answer("status=ERR")},
    ),
    Case(
        "err-ends-attempts",
        "ERR ends the attempts at once",
        Expect(("failed",), {**FAILED, "Reason": "err", "Status": "ERR"}, ({"code": "1234"},)),
        {"ivr": IVR},
        answers={"": Answer("status=ERR")},
        steps=(wait(1), keys("1234#")),
    ),
    Case(
        "web-down",
        "nobody listens where the web server should be",
        Expect(("failed",), {**FAILED, "Reason": "connect", "Status": "", "HttpStatus": ""}, ()),
        web_listens=False,
    ),
    Case(
        "web-slow",
        "the web server is slower than the timeout",
        Expect(("failed",), {**FAILED, "Reason": "timeout", "Status": "", "HttpStatus": ""}, ({},)),
        {"timeout": "1s"},
        answers={"": Answer(ACK.body, delay=3)},
        takes=5,
    ),
    Case(
        "web-500",
        "500, whatever the body says",
        Expect(("failed",), {**FAILED, "Reason": "http_status", "HttpStatus": "500"}, ({},)),
        answers={"": Answer(ACK.body, 500)},
    ),
    Case(
        "web-401-nak",
        "401 with status=NAK is not a wrong code: no second attempt",
        Expect(("failed",), {**FAILED, "Reason": "http_status", "HttpStatus": "401"}, ({"code": "1234"},)),
        {"ivr": IVR},
        answers={"": Answer(NAK.body, 401)},
        steps=(wait(1), keys("1234#")),
    ),
    Case(
        "web-html",
        "an HTML page is no answer",
        Expect(("failed",), {**FAILED, "Reason": "bad_answer", "HttpStatus": "200"}, ({},)),
        answers={"": Answer(_HTML, content_type="text/html")},
    ),
    Case(
        "web-1-mb",
        "an answer of 1 MB is no answer",
        Expect(("failed",), {**FAILED, "Reason": "bad_answer"}, ({},)),
        answers={"": Answer("status=ACK&destination=215&pad=" + "x" * 1_000_000)},
    ),
    Case(
        "destination-injected",
        "a destination that would ring somebody else as well is refused",
        Expect(("failed",), {**FAILED, "Reason": "destination_refused", "Status": "ACK"}, ({},)),
        answers={"": Answer("status=ACK&destination=500%26PJSIP/x")},
    ),
    Case(
        "webhook-unknown",
        "a webhook that is not configured",
        Expect(("failed",), {**FAILED, "Reason": "unknown_webhook"}, ()),
        dialplan=STANDARD.replace("@NAME@", "no-such-webhook"),
    ),
    Case(
        "did-given",
        "the number that was called, as the dialplan gives it",
        Expect(("ok", "215"), SUCCESS, ({"did": "31205550123"},)),
        dialplan=STANDARD.replace("@NAME@,,", "@NAME@,31205550123,"),
    ),
    Case(
        "did-is-no-argument",
        "a called number with a comma in it starts no argument of its own",
        Expect(("ok", "215"), SUCCESS, ({"did": "31205550123callerid666", "callerid": "0201234567"},)),
        dialplan=STANDARD.replace("@NAME@,,", "@NAME@,31205550123\\,callerid=666,"),
    ),
    _two("two-webhooks", "two webhooks, a condition on what both saved", "both", "open"),
    Case(
        "two-webhooks-then-down",
        "nothing of the first answer is left when the second never comes",
        Expect(("not-both",), UNREACHABLE, ({},)),
        dialplan=_TWO_THEN_DOWN,
        seconds=15,
    ),
    _two("two-webhooks-other", "the same, and the second says no", "not-both", "closed"),
]
