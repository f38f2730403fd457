"""`Plan`: what a mined folder is made of, whichever way its candidates come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hfneg.data.anchors import Anchors
from hfneg.pipeline.policy import Policy


@dataclass(frozen=True)
class Plan:
    """What rows and summary are written from, besides what was decided.

    Attributes:
        anchors, policy: of the run.
        names: the sources.
        recipe: its text.
        short: what it says of short anchors, as the recipe names it.
        splits: the user's rows, by split, without columns of ours.
        rows: how many, by split.
        hidden: a column of relevant documents that mining must not know of.
    """

    anchors: Anchors
    policy: Policy
    names: tuple[str, ...]
    recipe: str
    short: str
    splits: Mapping[str, Any]
    rows: Mapping[str, int]
    hidden: str | None

    @property
    def n(self) -> int:
        """Negatives wanted per anchor."""
        return self.policy.sampler.n
