"""Runs in processes of their own, killed on the way, and what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from places import SUPPORT
from small_collection import bits

SCRIPT = SUPPORT / "mine_in_parts.py"


PAUSE = 0.01


def result(out: Path) -> dict[str, Any]:
    """Everything in a finished folder: parquet files as bits by name, the others as text."""
    files = sorted(path for path in out.rglob("*") if path.is_file())
    found: dict[str, Any] = {}
    for path in files:
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            found[str(path.relative_to(out))] = {name: bits(table[name]) for name in table.column_names}
        else:
            found[str(path.relative_to(out))] = path.read_text()
    return found


@dataclass
class Run:
    """One `mine_in_parts.py` and all that it says; every later one on the same folder resumes."""

    folder: Path
    recipe: str
    devices: list[str] | None = None
    said: list[list[str]] = field(default_factory=list)  # of each process started: its lines
    errors: list[str] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.folder / "mined"

    def start(self, until: Callable[[str], bool] = lambda line: False, kill: str = "parent") -> int:
        """Run until a line meets `until`, then SIGKILL the parent or the worker that said it; its exit code.

        Returns when stdout is closed by all who hold it, so no worker is left.
        """
        job = {
            "out": str(self.out),
            "recipe": self.recipe,
            "devices": self.devices,
            "resume": True,
            "pause": PAUSE,
            "hidden": "relevant",
        }
        env = {**os.environ, "HFNEG_JOB": json.dumps(job), "HFNEG_STORE": str(self.folder / "store")}
        lines: list[str] = []
        self.said.append(lines)
        with subprocess.Popen(
            [sys.executable, str(SCRIPT)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            killed = False
            for line in process.stdout:
                who, _, what = line.strip().partition(" ")
                lines.append(what)
                if not killed and until(what):
                    os.kill(process.pid if kill == "parent" else int(who), signal.SIGKILL)
                    killed = True
            assert process.stderr is not None
            self.errors.append(process.stderr.read())
        return process.returncode

    def units(self, word: str) -> Counter[str]:
        """How often each unit was said to begin or to end, over all processes."""
        return Counter(
            line.removeprefix(f"{word} ") for lines in self.said for line in lines if line.startswith(f"{word} ")
        )

    def check_no_work_twice(self, kills: int) -> None:
        """A unit that ended is never begun again; only those in flight at a kill are."""
        ended, begun = self.units("end"), self.units("begin")
        assert max(ended.values()) == 1
        assert sum(begun.values()) - len(begun) <= kills
        finished: set[str] = set()
        for lines in self.said:
            assert not finished & {line.removeprefix("begin ") for line in lines if line.startswith("begin ")}
            finished |= {line.removeprefix("end ") for line in lines if line.startswith("end ")}


def nth(stage: str, n: int) -> Callable[[str], bool]:
    """True at the n-th unit of a stage that begins."""
    seen: list[str] = []

    def met(line: str) -> bool:
        if line.startswith(f"begin {stage}"):
            seen.append(line)
        return len(seen) == n

    return met
