"""The name and the number that the callee sees."""

from __future__ import annotations

from ..case import NAME_ONLY, STANDARD, Case, Expect
from ..web import Answer
from .common import ACK, FAILED, NAK, SUCCESS

# No text keeps its quotation marks on the way to a PBX.
_NAME = 'Zoë Müller & Söhne "GmbH"'
_NAME_KEPT = "Zoë Müller & Söhne GmbH"

_REAL_NAME, _REAL_NUMBER = "Erika Example", "0612345678"
_REAL = (_REAL_NAME, _REAL_NUMBER)
_OPEN = f'"{_REAL_NAME}" <sip:{_REAL_NUMBER}@127.0.0.1>'
# How a trunk delivers a withheld number: anonymous, and the truth for the PBX alone.
_ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'
_WITHHELD = f'P-Asserted-Identity: "{_REAL_NAME}" <sip:{_REAL_NUMBER}@127.0.0.1>\r\nPrivacy: id'


_DID_GIVEN = STANDARD.replace("@NAME@,,", "@NAME@,31205550123,")


def _alice(name: str) -> dict[str, str]:
    return {"From": f'"{name}" <sip:0201234567@127.0.0.1>'}


def _suppressed(name: str, about: str, desk: str, withheld: bool, failed: bool) -> Case:
    """However the caller came in, and whatever the web server said: nothing of the caller shows."""
    return Case(
        name,
        about,
        Expect(
            ("failed",) if failed else ("ok", "215"),
            {**FAILED, "Reason": "nak"} if failed else SUCCESS,
            ({"callerid": "", "callername": ""} if withheld else {"callerid": _REAL_NUMBER, "callername": _REAL_NAME},),
            {"From": _ANONYMOUS},
            _REAL,
        ),
        {"caller_id": "suppressed"},
        answers={"": NAK if failed else ACK},
        desk="trunk" if desk == "trunk" else "phone",
        caller=_ANONYMOUS if withheld else _OPEN,
        identity=_WITHHELD if withheld else "",
    )


def _name_only(name: str, about: str, arguments: str, shown: str, before: str = "") -> Case:
    return Case(
        name,
        about,
        Expect(("here",), {}, headers=_alice(shown)),
        before=before,
        dialplan=f"exten => _X.,1,Gosub(switchhook-callername,s,1({arguments})){NAME_ONLY}",
    )


CALLERS = [
    Case(
        "name-webhook",
        "the web server's name, not encoded, with & and quotation marks",
        Expect(("ok", "215"), {**SUCCESS, "Callername": _NAME_KEPT}, headers=_alice(_NAME_KEPT)),
        {"caller_name": {"mode": "webhook"}},
        answers={"": Answer(f"status=ACK&callername={_NAME}&destination=215")},
        url="",
    ),
    Case(
        "name-webhook-comma",
        "a comma and dialplan syntax in the name stay text",
        Expect(("ok", "215"), SUCCESS, headers=_alice("Bakker, J. {EXTEN} (x)")),
        {"caller_name": {"mode": "webhook"}},
        answers={"": Answer("status=ACK&callername=Bakker, J. ${EXTEN} (x)&destination=215")},
        url="",
    ),
    Case(
        "name-webhook-empty",
        "an empty name changes nothing",
        Expect(("ok", "215"), {**SUCCESS, "Callername": ""}, headers=_alice("Alice Example")),
        {"caller_name": {"mode": "webhook"}},
        answers={"": Answer("status=ACK&callername=&destination=215")},
        url="",
    ),
    Case(
        "name-prepend",
        "a text before the caller's name",
        Expect(("ok", "215"), SUCCESS, headers=_alice("VIP: Alice Example")),
        {"caller_name": {"mode": "prepend", "text": "VIP: "}},
    ),
    Case(
        "name-replace",
        "a text instead of the caller's name",
        Expect(("ok", "215"), SUCCESS, headers=_alice(_NAME_KEPT)),
        {"caller_name": {"mode": "replace", "text": _NAME}},
    ),
    Case(
        "name-not-in-failed-branch",
        "the name is changed on success only",
        Expect(("failed",), {**FAILED, "Reason": "nak"}, headers=_alice("Alice Example")),
        {"caller_name": {"mode": "replace", "text": "VIP"}},
        answers={"": NAK},
    ),
    _name_only(
        "name-prepend-outside",
        "prepend without a webhook, comma and trailing blank kept",
        "prepend,Sales, Ltd: ",
        "Sales, Ltd: Alice Example",
    ),
    _name_only("name-replace-outside", "replace without a webhook", f"replace,{_NAME}", _NAME_KEPT),
    _name_only("name-prepend-once", "a name that begins with the text is left alone", "prepend,Alice", "Alice Example"),
    _name_only(
        "name-outside-daemon-down",
        "without the daemon the name stays as it is",
        "replace,Nobody",
        "Alice Example",
        before=" same => n,Set(SWITCHHOOK=127.0.0.1:1)",
    ),
    Case(
        "name-after-webhook",
        "a name set between webhook and destination leaves the destination",
        Expect(("ok", "215"), {**SUCCESS, "Destination": "215"}, headers=_alice("VIP: Alice Example")),
        dialplan=STANDARD.replace(
            " same => n(ok),", " same => n(ok),Gosub(switchhook-callername,s,1(prepend,VIP: ))\n same => n,"
        ),
    ),
    Case(
        "name-is-no-argument",
        "a caller name that looks like an AGI argument is a name",
        Expect(("ok", "215"), SUCCESS, ({"callername": "Bob, did=666", "callerid": "0201234567", "did": "31205550123"},)),
        caller='"Bob, did=666" <sip:0201234567@127.0.0.1>',
        dialplan=_DID_GIVEN,
    ),
    Case(
        "number-caller",
        "the caller's number",
        Expect(("ok", "215"), SUCCESS, headers={"From": _OPEN, "P-Asserted-Identity": _OPEN, "Privacy": ""}),
        {"caller_id": "caller"},
        caller=_OPEN,
        desk="trunk",
    ),
    Case(
        "number-called",
        "the number that was called instead of the caller's; the name stays",
        Expect(
            ("ok", "215"),
            SUCCESS,
            headers={"From": f'"{_REAL_NAME}" <sip:31205550123@127.0.0.1>'},
            hidden=(_REAL_NUMBER,),
        ),
        {"caller_id": "called"},
        caller=_OPEN,
        desk="trunk",
        dialplan=_DID_GIVEN,
    ),
    Case(
        "number-called-withheld",
        "the number that was called, for a caller who withholds the own: no trace of the caller",
        Expect(("ok", "215"), SUCCESS, ({"callerid": "", "callername": ""},), {"From": "<sip:31205550123@127.0.0.1>"}, _REAL),
        {"caller_id": "called"},
        caller=_ANONYMOUS,
        identity=_WITHHELD,
        desk="trunk",
        dialplan=_DID_GIVEN,
    ),
    Case(
        "number-withheld",
        "a withheld number is empty for the web server, and stays withheld for a phone",
        Expect(("ok", "215"), SUCCESS, ({"callerid": "", "callername": ""},), {"From": _ANONYMOUS}, _REAL),
        caller=_ANONYMOUS,
        identity=_WITHHELD,
    ),
    _suppressed("number-suppressed-phone", "suppressed, to a phone", "phone", False, False),
    _suppressed("number-suppressed-trunk", "suppressed, to an endpoint with send_pai and trust_id_outbound", "trunk", False, False),
    _suppressed("number-suppressed-withheld", "suppressed, for a caller who withholds the number already", "trunk", True, False),
    _suppressed("number-suppressed-failed", "suppressed holds in the failed branch too", "trunk", False, True),
]
