"""Settings that are checked when they are given: what was said, what was expected, and a way out."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from hfneg.errors import SettingError, near_miss

MOST = 2**62
"""The largest whole number of a setting other than a seed: what NumPy can still add to."""

SEED_BITS = 3_000
SHOWN = 200  # characters of a value in a message


def is_whole(given: Any, least: int = 0) -> bool:
    """Whether it is a whole number (no bool) from `least` up to MOST."""
    return isinstance(given, int) and not isinstance(given, bool) and least <= given <= MOST


def is_seed(given: Any) -> bool:
    """Whether it is a whole number from 0 up; one of a thousand digits is none that anybody could write down."""
    return isinstance(given, int) and not isinstance(given, bool) and given >= 0 and given.bit_length() <= SEED_BITS


def is_number(given: Any) -> bool:
    """Whether it is a finite number (no bool)."""
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


def check(condition: bool, step: object, setting: str, given: Any, expected: str) -> None:
    """Raise SettingError naming the step, the value given and what was expected."""
    if not condition:
        said = f"{type(step).__name__}({setting}={shown(given)})"
        raise SettingError(f"{said}: {setting} must be {expected}{_hint(given)}")


def check_choice(step: object, setting: str, given: Any, allowed: Collection[str]) -> None:
    """Raise SettingError unless `given` is one of `allowed`, with the near miss."""
    if not isinstance(given, str) or given not in allowed:
        raise SettingError(
            f"{type(step).__name__}({setting}={shown(given)}): {setting} must be one of "
            f"{', '.join(map(repr, sorted(allowed)))}.{near_miss(str(given), allowed)}"
        )


def shown(given: Any) -> str:
    """A value for a message: its repr, cut where it is long."""
    try:
        text = repr(given)
    except ValueError:  # Python writes down no number of more than 4,300 digits
        return f"a number of {given.bit_length():,} bits"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _hint(given: Any) -> str:
    """A way out where it is a right number of the wrong kind."""
    if type(given).__module__ == "numpy" and getattr(given, "shape", None) == ():
        return f", as plain Python writes it: {type(given).__name__} has .item()"
    return f", up to {MOST}" if isinstance(given, int) and given > MOST else ""
