"""Anchors for which a source has found no document at all: counted for each source, and said where they are most."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from hfneg.base.arrays import Ints
from hfneg.data.anchors import Anchors
from hfneg.steps.block.block import Block

log = logging.getLogger(__name__)


LOOKED_AT = 1_000
"""Anchors that are looked at to say why."""


def unfound(block: Block) -> Ints:
    """int64 [sources]: the anchors in whose lists no document is of this source."""
    found = [len(np.unique(block.owners[block.sources >> i & 1 > 0])) for i in range(len(block.names))]
    return len(block.numbers) - np.array(found, dtype=np.int64)


def say_where_most(retrieve: Any, counts: Sequence[int] | Ints, numbers: Ints | None = None) -> bool:
    """A warning for each source that has found nothing for most of the anchors `numbers` (None: all); True if any has.

    `counts` are those of `unfound`, over these anchors. Why is asked of the source's index, if it can tell.
    """
    numbers = np.arange(len(retrieve.anchors)) if numbers is None else numbers
    most = [i for i, count in enumerate(counts) if 2 * count > len(numbers)]
    for i in most:
        why = _why(retrieve.indexes[i], retrieve.anchors, numbers[:LOOKED_AT])
        log.warning("%s has found no document for %d of %d anchors%s", retrieve.names[i], counts[i], len(numbers), why)
    return bool(most)


def _why(index: Any, anchors: Anchors, numbers: Ints) -> str:
    tell = getattr(index, "why_nothing", None)
    said = None if tell is None else tell(anchors.texts(numbers).to_pylist())
    return f": {said}" if said else ""
