"""Run by tests as a process of its own: `hfneg.mine` in small units that say when they begin and end.

The job comes as JSON in HFNEG_JOB: ``out``, ``recipe`` (YAML), and optionally ``devices``, ``resume``, ``pause``
(seconds that each unit waits in its middle), ``query_rows`` (anchors per part of vectors). Spawned workers run
this file too, so they work in the same parts.
Each line on stdout is "PID begin UNIT", "PID end UNIT" or "PID load model", written at once and whole.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from small_collection import HashEncoder, documents, pairs

import hfneg
from hfneg.models import encoder as encoding, vectors
from hfneg.runs import hub_counts, mine as mining, units
from hfneg.runs.folder import ledger, rows
from hfneg.runs.folder.work_area import RunFolder

JOB = json.loads(os.environ["HFNEG_JOB"])

units.PART = 4
hfneg.BM25.block = hfneg.Dense.block = 8
vectors.PART_ROWS.update(document=64, query=JOB.get("query_rows", 16))
rows.BATCH = 5
rows.SHARD_BYTES = 4_000


def say(line: str) -> None:
    os.write(1, f"{os.getpid()} {line}\n".encode())


def loaded(self: encoding.Encoder, source: str, **where: Any) -> HashEncoder:
    """Any model folder stands for the hash encoder."""
    say("load model")
    return HashEncoder()


encoding.Encoder._load = loaded  # type: ignore[method-assign]


def told(owner: Any, method: str, name: Callable[..., str]) -> None:
    """Make `owner.method` say when it begins and ends."""
    work = getattr(owner, method)

    def run(*args: Any, **kwargs: Any) -> Any:
        unit = name(*args)
        say(f"begin {unit}")
        time.sleep(JOB.get("pause", 0.0))
        result = work(*args, **kwargs)
        say(f"end {unit}")
        return result

    setattr(owner, method, run)


told(vectors.Vectors, "_write_part", lambda self, i: f"encode/{self.role}/{i}")
told(
    units.SearchPart,
    "__call__",
    lambda self, span: f"{'deeper' if self.k else 'search'}/{self.position}/{span.first}-{span.last}",
)
told(units.Examine, "__call__", lambda self, part: f"examine/{part}")
told(units.CountHubs, "__call__", lambda self, part: f"tally/{self.folder.name}/{part}")
told(hub_counts, "write_cuts", lambda tallies, most, documents, folder: f"cuts/{folder.name}")
mining.write_cuts = hub_counts.write_cuts
told(units.Choose, "__call__", lambda self, part: f"choose/{part}")
told(ledger, "compact", lambda parts, folder: "compact")
told(rows.RowWriter, "write", lambda self, shard, *rest: f"rows/{shard.name}")
told(RunFolder, "finish", lambda self, summary: "finish")

if __name__ == "__main__":
    mined = mining.mine(
        pairs(),
        documents(),
        hfneg.Recipe.from_yaml(JOB["recipe"], trust=True),
        anchor="query",
        positive="answer",
        out=Path(JOB["out"]),
        hidden=JOB.get("hidden"),
        devices=JOB.get("devices"),
        resume=JOB.get("resume", False),
    )
    say(f"done {len(mined)}")
