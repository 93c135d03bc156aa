"""Ports on 127.0.0.1 that nobody uses."""

from __future__ import annotations

import random
import socket
import threading

# Below the range from which Linux takes ports for outgoing connections (32768 and up).
_FIRST, _LAST = 20000, 32000
_TRIES = 10_000
_given: set[int] = set()
_lock = threading.Lock()


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports, even, free for TCP and UDP, given out once."""
    for _ in range(_TRIES):
        first = random.randrange(_FIRST, _LAST - count, 2)
        wanted = range(first, first + count)
        with _lock:
            if _given.isdisjoint(wanted) and all(map(_is_free, wanted)):
                _given.update(wanted)
                return first
    raise OSError(f"no {count} free ports between {_FIRST} and {_LAST}")
