"""The cases: one call each. Order does not matter, they run side by side."""

from __future__ import annotations

from ..case import Case
from .answers import ANSWERS
from .callers import CALLERS
from .codes import CODES
from .faults import FAULTS

CASES: list[Case] = [*CODES, *ANSWERS, *CALLERS, *FAULTS]
