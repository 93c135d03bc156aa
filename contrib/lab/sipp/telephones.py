"""The lab's telephones: SIPp takes every call, and each one is a line on the standard output."""

from __future__ import annotations

import re
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, "/tests/real")
sys.dont_write_bytecode = True

from harness.sip import Callee, invites  # noqa: E402

PORT = 5060
MESSAGES = Path("/seen/telephones/messages")


def rung(messages: str) -> list[tuple[str, str, str]]:
    """Of each call until now: which telephone it reached, the caller's number, and the name that was shown."""
    calls = []
    for invite in invites(messages):
        caller = re.search(r'^From: *(?:"(.*?)" *)?<sip:([^@>]*)', invite, re.M)
        telephone = invite.removeprefix("INVITE sip:").partition("@")[0]
        name, number = (caller[1] or "", caller[2]) if caller else ("", "")
        calls.append((telephone, number, name.replace('\\"', '"')))
    return calls


def is_up() -> bool:
    """Whether SIPp holds its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((socket.gethostname(), PORT))
        except OSError:
            return True
    return False


def main() -> int:
    if sys.argv[1:] == ["--is-up"]:
        return 0 if is_up() else 1
    # The calls of an earlier run are not these telephones'.
    MESSAGES.unlink(missing_ok=True)
    telephones = Callee(MESSAGES.parent, local=socket.gethostbyname(socket.gethostname()), port=PORT)
    print("Telephones 201 and 202 and the reception, 100, take calls.")
    shown = 0
    while telephones.is_running():
        calls = rung(MESSAGES.read_text("utf-8", "replace")) if MESSAGES.exists() else []
        for telephone, number, name in calls[shown:]:
            print(f"{telephone} rings and shows: {name or 'no name'}, {number}")
        shown = len(calls)
        time.sleep(0.2)
    return 1


if __name__ == "__main__":
    sys.exit(main())
