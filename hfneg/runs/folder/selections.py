"""What the selecting stage leaves for all anchors: small arrays, in parts, then gathered into mapped files."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base.arrays import Codes, Ints
from hfneg.base.files import disk
from hfneg.base.files.part_files import finish, is_finished, load_arrays
from hfneg.base.lists import Lists
from hfneg.data.anchors import Anchors
from hfneg.steps.block.negatives import Negatives

PER_NEGATIVE = {"rows": np.int64, "scores": np.float32, "sources": np.uint8, "negative_verdicts": np.uint8}
PER_POSITIVE = {"positive_scores": np.float32}
TAUGHT = {"teacher_scores": np.float32, "positive_teacher_scores": np.float32}  # per negative, per positive
PROMOTED = {"promoted": np.int64}  # lists of their own
DONE = "done"


def arrays_of(chosen: Negatives, codes: Codes, calls: Ints) -> dict[str, Any]:
    """What is kept of one part: its negatives, how many candidates have which verdict (`codes`), and `calls`, the pairs
    that were asked of the teacher and of the store."""
    arrays = {
        "indptr": chosen.rows.indptr,
        "rows": chosen.rows.flat,
        "scores": chosen.scores,
        "sources": chosen.sources,
        "negative_verdicts": chosen.verdicts,
        "positive_scores": chosen.positive_scores,
        "verdicts": np.bincount(codes, minlength=256),
        "calls": calls,
    }
    if chosen.teacher_scores is not None and chosen.positive_teacher_scores is not None:
        arrays["teacher_scores"] = chosen.teacher_scores
        arrays["positive_teacher_scores"] = chosen.positive_teacher_scores
    if chosen.promoted is not None:
        arrays["promoted_indptr"], arrays["promoted"] = chosen.promoted.indptr, chosen.promoted.flat
    return arrays


class Selections:
    """The selections of all anchors, as mapped arrays, so that RAM does not grow with them.

    Attributes:
        verdicts: int64 [256], candidates per verdict.
        calls: int64 [3], pairs that were asked of the teacher, that the score store answered, and that a member of a
            cascade was spared.
        shortfall: int64 [7]: anchors searched deeper, candidates that this added, pairs asked and from the store for
            it; anchors short after it, pairs asked and from the store to complete those.
        unfound: int64 [sources]: anchors for which the source has found no document.
    """

    def __init__(self, folder: Path, anchors: Anchors) -> None:
        self._anchors = anchors
        names = ("indptr", "promoted_indptr", *PER_NEGATIVE, *PER_POSITIVE, *TAUGHT, *PROMOTED)
        self._arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names if (folder / f"{name}.npy").exists()
        }
        self.verdicts: Ints = np.load(folder / "verdicts.npy")
        self.calls: Ints = np.load(folder / "calls.npy")
        self.shortfall: Ints = np.load(folder / "shortfall.npy")
        self.unfound: Ints = np.load(folder / "unfound.npy")

    @classmethod
    def gather(cls, folder: Path, parts: int, gathered: Path, anchors: Anchors, *, taught: bool) -> Selections:
        """Append the parts, in order, to one file per array."""
        dtypes: dict[str, Any] = {**PER_NEGATIVE, **PER_POSITIVE, **(TAUGHT if taught else {})}
        dtypes |= PROMOTED if "promoted" in load_arrays(folder / f"{0:06d}.npz") else {}
        promoted = [np.zeros(1, dtype=np.int64)]
        lengths, verdicts = [np.zeros(1, dtype=np.int64)], np.zeros(256, np.int64)
        calls, shortfall, unfound = np.zeros(3, np.int64), np.zeros(7, np.int64), np.zeros(1, np.int64)
        with contextlib.ExitStack() as stack:
            files = {name: stack.enter_context((gathered / f"{name}.raw").open("wb")) for name in dtypes}
            for part in range(parts):
                arrays = load_arrays(folder / f"{part:06d}.npz")
                lengths.append(np.diff(arrays["indptr"]))
                promoted += [np.diff(arrays["promoted_indptr"])] if "promoted" in dtypes else []
                verdicts += arrays["verdicts"]
                calls[: len(arrays["calls"])] += arrays["calls"]  # two of a run that an earlier version began
                shortfall += arrays["shortfall"]
                unfound = unfound + arrays["unfound"]
                for name, dtype in dtypes.items():
                    files[name].write(arrays[name].astype(dtype).tobytes())
        disk.save_array(gathered / "indptr.npy", np.cumsum(np.concatenate(lengths)))
        if "promoted" in dtypes:
            disk.save_array(gathered / "promoted_indptr.npy", np.cumsum(np.concatenate(promoted)))
        disk.save_array(gathered / "verdicts.npy", verdicts)
        disk.save_array(gathered / "calls.npy", calls)
        disk.save_array(gathered / "shortfall.npy", shortfall)
        disk.save_array(gathered / "unfound.npy", unfound)
        for name, dtype in dtypes.items():
            _as_npy(gathered, name, dtype)
        return cls(gathered, anchors)

    @property
    def lengths(self) -> Ints:
        """int64: how many negatives each anchor got."""
        lengths: Ints = np.diff(self._arrays["indptr"])
        return lengths

    def take(self, numbers: Ints) -> Negatives:
        """The negatives of some anchors."""
        indptr = self._arrays["indptr"]
        starts, ends = indptr[numbers], indptr[numbers + 1]

        def per_negative(name: str) -> Any:
            return Lists.gather(self._arrays[name], starts, ends).flat if name in self._arrays else None

        def per_positive(name: str) -> Any:
            return self._anchors.of_positives(self._arrays[name], numbers).flat if name in self._arrays else None

        return Negatives(
            numbers=numbers,
            rows=Lists.gather(self._arrays["rows"], starts, ends),
            scores=per_negative("scores"),
            sources=per_negative("sources"),
            verdicts=per_negative("negative_verdicts"),
            positive_scores=per_positive("positive_scores"),
            teacher_scores=per_negative("teacher_scores"),
            positive_teacher_scores=per_positive("positive_teacher_scores"),
            promoted=self._promoted(numbers),
        )

    def _promoted(self, numbers: Ints) -> Lists | None:
        if "promoted" not in self._arrays:
            return None
        indptr = self._arrays["promoted_indptr"]
        return Lists.gather(self._arrays["promoted"], indptr[numbers], indptr[numbers + 1])


def mark_gathered(gathered: Path) -> None:
    """Both are finished: what `Selections.gather` has left, and the compacted ledger in the same work area."""
    work = gathered.parent
    finish(gathered / DONE, work, [*gathered.glob("*.npy"), *work.glob("finished/ledger/*.parquet")])


def are_gathered(gathered: Path) -> bool:
    """Whether both are finished and whole; what is not is set aside."""
    return is_finished(gathered / DONE, gathered.parent)


def _as_npy(folder: Path, name: str, dtype: Any) -> None:
    """A raw file as .npy, through a map, not through RAM."""
    raw = folder / f"{name}.raw"
    size = raw.stat().st_size // np.dtype(dtype).itemsize
    disk.save_array(folder / f"{name}.npy", np.memmap(raw, dtype=dtype, mode="r") if size else np.empty(0, dtype=dtype))
    raw.unlink()
