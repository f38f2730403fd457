"""A loop that goes on from a round on the Hub, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from loopback_hub import Hub
from test_rounds import NAMES, base, recipe, run, trained  # noqa: F401
from training_small import PAIRS, TEXTS

import hfneg


def publish_and_go_on(first: str, model: str, name: str, out: str) -> tuple[int, str | None, str]:
    """Runs in the process that talks to the Hub: (number, parent, digest of what mined) of the round behind it."""
    hfneg.publish(first, name, round=1, license="mit")
    (second,) = hfneg.rounds(
        PAIRS, TEXTS, recipe(model), model=model, out=out, start=f"{name}@round-001", n=1, train=trained, **NAMES
    )
    second.publish(name, license="mit")
    return second.number, second.parent, second.checkpoint


def test_a_published_round_is_gone_on_from(
    base: str,  # noqa: F811
    tmp_path: Path,
    client: Callable[..., Any],
    hub: Hub,
) -> None:
    """Numbers go on behind the published one, its checkpoint mines, and the new round is published beside it."""
    (first,) = run(base, tmp_path / "first", n=1)
    name = "anna/gone-on-from"
    found = client(publish_and_go_on, str(first.mined_folder), first.next_model, name, str(tmp_path / "more"))
    assert found == (2, f"{name}@round-001", first.next_checkpoint)
    assert sorted(hub.repository(name).tags) == ["round-001", "round-002"]
