"""The processes of a distributed training: who encodes what, and waiting for one another. One process without it."""

from __future__ import annotations

import sys
from typing import Any

from hfneg.data.anchors import Anchors


def _distributed() -> Any:
    """``torch.distributed`` where a group was made, else None."""
    torch = sys.modules.get("torch")
    group = None if torch is None else torch.distributed
    return group if group is not None and group.is_available() and group.is_initialized() else None


def first() -> bool:
    """Whether this process publishes."""
    group = _distributed()
    return group is None or group.get_rank() == 0


def wait() -> None:
    """Until all processes are here."""
    group = _distributed()
    if group is not None:
        group.barrier()


def encode_parts(index: Any, anchors: Anchors) -> None:
    """This process's share of the vectors an index needs; parts are dealt out in turn."""
    group = _distributed()
    rank, size = (0, 1) if group is None else (group.get_rank(), group.get_world_size())
    for vectors in (index.vectors, index.query_vectors(anchors)):
        for i in vectors.missing_parts():
            if i % size == rank:
                vectors.build_part(i)
