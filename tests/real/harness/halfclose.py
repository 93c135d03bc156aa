"""Many calls that are hung up around the moment at which the daemon answers.

The daemon writes all variables at once, the result last. Whatever a caller does at that moment:
when WEBHOOK_RESULT is there, everything is there.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from .asterisk import Asterisk, Event
from .daemon import Daemon, Value
from .sip import sweep
from .web import Answer, Web

VARIABLES = 64
# Answer() waits so long for a caller that sends no RTP; then the web server takes its time.
_ANSWER_MS, _DELAY_MS = 500, 100
# Callers hang up from some ms before the daemon's answer to some ms after it.
_FIRST_MS, _LAST_MS = _ANSWER_MS + _DELAY_MS - 20, _ANSWER_MS + _DELAY_MS + 60
_CALLS_PER_SECOND = 30

_NAMES = [f"HC_{number:02}" for number in range(1, VARIABLES + 1)]
_RESULTS = ("REASON", "STATUS", "DESTINATION", "CALLERNAME", "HTTP_STATUS", "CALL")

# One character a variable: 1 where it is set, for every value is one character long.
_VARIABLES_SET = "".join(f"${{LEN(${{{name}}})}}" for name in _NAMES)
_RESULTS_SET = "".join(f"$[${{LEN(${{WEBHOOK_{name}}})}}>0]" for name in _RESULTS)
_REPORT = {
    "Result": "${WEBHOOK_RESULT}",
    "Reason": "${WEBHOOK_REASON}",
    "Variables": _VARIABLES_SET,
    "Results": _RESULTS_SET,
    "Name": "${URIENCODE(${CALLERID(name)})}",
}
_DIALPLAN = f"""
[from-caller]
exten => halfclose,1,Answer()
 same => n,Gosub(switchhook-webhook,s,1(half-close,,10))
 same => n,Wait(10)
exten => h,1,UserEvent(HalfClose,{",".join(f"{key}: {value}" for key, value in _REPORT.items())})
"""


def _class_of(event: Event) -> str:
    result, reason = event["Result"], event["Reason"]
    everything = event["Variables"] == "1" * VARIABLES and event["Results"] == "1" * len(_RESULTS)
    nothing = event["Variables"] == "0" * VARIABLES
    if result == "FAILED" and reason == "unreachable":
        return "no result, the dialplan said so"
    if result == "":
        return "no result, nothing set" if nothing else "no result, some variables set"
    if result == "SUCCESS" and everything and event["Name"] == "Half Close":
        return "complete"
    return "BROKEN: a result, but not everything"


def half_close(binary: Path, version: str, root: Path, folder: Path, calls: int) -> tuple[bool, str]:
    """Makes the calls on one version; whether all was right, and the counts as text."""
    answer = {"status": "ACK", "destination": "215", "callername": "Half Close"}
    answer |= {name.lower(): "x" for name in _NAMES}
    web = Web({"half-close": {"": Answer(json.dumps(answer), delay=_DELAY_MS / 1000, content_type="application/json")}})
    webhook: dict[str, Value] = {
        "url": f"http://127.0.0.1:{web.port}/half-close",
        "caller_name": {"mode": "webhook"},
        "variables": {name.lower(): name for name in _NAMES},
    }
    with ExitStack() as started:
        started.callback(web.stop)
        daemon = Daemon(binary, folder / "daemon", {"half-close": webhook})
        started.callback(daemon.stop)
        # No call is ever put through here: there is no callee.
        asterisk = Asterisk(version, root, folder / "asterisk", _DIALPLAN, daemon.port, callee_port=0)
        started.callback(asterisk.stop)
        well = sweep(folder / "callers", asterisk.sip_port, "halfclose", calls, _CALLS_PER_SECOND, _FIRST_MS, _LAST_MS)
        asterisk.wait_for_count("HalfClose", calls, 10)
        classes = Counter(_class_of(event) for event in asterisk.named("HalfClose"))
    lines = [f"  {count:6}  {name}" for name, count in sorted(classes.items())]
    seen = sum(classes.values())
    problems = [name for name in classes if name.startswith("BROKEN")]
    if seen != calls or not well:
        problems.append(f"{seen} of {calls} calls reported; SIPp's errors are in {folder}/callers")
    if not classes["complete"] or not seen - classes["complete"]:
        problems.append("the calls did not straddle the answer: nothing is shown")
    return not problems, "\n".join([f"Asterisk {version}, {seen} calls:", *lines, *(f"  wrong: {p}" for p in problems)])
