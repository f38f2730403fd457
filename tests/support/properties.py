"""How many examples a property is tried with."""

from __future__ import annotations

from hypothesis import settings


def examples(count: int) -> settings:
    """`count` of them in `make test`; in proportion more under a profile that has more than 100 (conftest.py)."""
    chosen = settings.default
    assert chosen is not None
    return settings(max_examples=count * chosen.max_examples // 100)
