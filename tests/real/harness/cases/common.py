"""What several cases share."""

from __future__ import annotations

from ..daemon import Value
from ..web import Answer

ACK = Answer("status=ACK&destination=215")
NAK = Answer("status=NAK")
# One code is right.
BY_CODE = {"": NAK, "1234": ACK}

FAILED = {"Result": "FAILED", "Destination": "", "Callername": ""}
SUCCESS = {"Result": "SUCCESS", "Reason": "ok", "Status": "ACK", "HttpStatus": "200"}
UNREACHABLE = {**FAILED, "Reason": "unreachable", "Status": "", "HttpStatus": "", "Code": ""}
# The caller hung up: nobody told the dialplan anything, and h finds no trace of the guard.
HUNG_UP = {"Result": "", "Destination": "", "Exit": "", "Depth": ""}

# Half a minute of speech: whoever hears its end was not able to interrupt it.
LONG_PROMPT = "demo-congrats"
LONG_SECONDS = 25

IVR: dict[str, Value] = {
    "timeout": "2s",
    "attempts": 2,
    "min_digits": 4,
    "max_digits": 8,
    "start_prompt": "vm-password",
    "error_prompt": "vm-incorrect",
    "timeout_prompt": "vm-sorry",
    "lockout": False,
}
LONG_IVR: dict[str, Value] = {**IVR, "start_prompt": LONG_PROMPT}
