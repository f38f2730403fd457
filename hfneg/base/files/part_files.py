"""Files of a run that is under way: sealed, renamed into place, and compared with their seals before they are used.

What is found damaged when a run is gone on with is set aside and made again; what is damaged later, while the run
works, is an error that says to go on with it.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hfneg.base import store
from hfneg.base.files import checksums, disk
from hfneg.base.files.checksums import Fault
from hfneg.errors import DamagedError

log = logging.getLogger(__name__)

Facts = Mapping[str, Any]


def whole(paths: Sequence[Path]) -> list[bool]:
    """Which of the files are there as they were written; the damaged ones are set aside, with one warning."""
    faults = [checksums.seal_fault(path) if path.exists() else None for path in paths]
    give_up([fault for fault in faults if fault is not None])
    return [path.exists() for path in paths]


def give_up(faults: Sequence[Fault]) -> None:
    """Set damaged files aside, so that they are missing and are made again."""
    for fault in faults:
        if fault.path.exists():
            checksums.set_aside(fault.path)
    if faults:
        others = f", and {len(faults) - 1} more with it" if len(faults) > 1 else ""
        log.warning("%s%s; set aside as *.damaged and made again", faults[0], others)


def damaged(fault: Fault) -> DamagedError:
    """The error for a file that is damaged while a run works."""
    return DamagedError(f"{fault}; run again with resume=True: it is set aside and made again")


def _refuse_damaged(path: Path) -> None:
    if (fault := checksums.seal_fault(path)) is not None:
        raise damaged(fault)


def save_array(path: Path, values: Any) -> None:
    """As .npy."""

    _save(path, lambda partial: disk.save_array(partial, values))


def open_array(path: Path) -> Any:
    """What `save_array` has written, mapped. Raises DamagedError."""
    _refuse_damaged(path)
    return np.load(path, mmap_mode="r")


def save_arrays(path: Path, arrays: Facts) -> None:
    """As .npz."""

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            np.savez(file, **arrays)

    _save(path, write)


def load_arrays(path: Path) -> Any:
    """What `save_arrays` has written, in memory: name -> array. Raises DamagedError."""
    return np.load(io.BytesIO(_content(path)))


def save_table(path: Path, table: pa.Table) -> None:
    """As .parquet."""
    _save(path, lambda partial: pq.write_table(table, partial))


def load_table(path: Path) -> pa.Table:
    """What `save_table` has written. Raises DamagedError."""
    return pq.read_table(pa.BufferReader(_content(path)))


def save_facts(path: Path, facts: Facts) -> None:
    """As JSON with its checksum."""
    store.write_json(path, checksums.signed(facts))


def load_facts(path: Path) -> dict[str, Any] | None:
    """What `save_facts` has written; None where it is missing, or damaged and now set aside."""
    if not path.exists():
        return None
    try:
        return checksums.unsigned(json.loads(path.read_bytes()))
    except (OSError, ValueError, AttributeError) as error:
        give_up([Fault(path, str(error))])
        return None


def read_facts(path: Path, otherwise: str) -> dict[str, Any]:
    """What `save_facts` has written. Raises DamagedError, which says what to do `otherwise`."""
    try:
        return checksums.unsigned(json.loads(path.read_bytes()))
    except (OSError, ValueError, AttributeError) as error:
        raise DamagedError(f"{Fault(path, str(error))}; {otherwise}") from error


def finish(done: Path, root: Path, files: Iterable[Path]) -> None:
    """Say in the file `done` that a stage is finished, whose results are `files`, all below `root`."""
    checksums.write(done, root, files)


def is_finished(done: Path, root: Path) -> bool:
    """Whether it said so and all results are as they were; else the damaged ones are set aside, to be made again."""
    faults = list(checksums.faults(done, root))
    give_up(faults)
    if faults:
        done.unlink(missing_ok=True)
    return done.exists()


def _save(path: Path, write: Callable[[Path], Any]) -> None:
    def sealed(partial: Path) -> None:
        write(partial)
        checksums.seal(partial)

    store.replace_file(path, sealed)


def _content(path: Path) -> memoryview:
    _refuse_damaged(path)
    return memoryview(path.read_bytes())[: -checksums.SEAL_BYTES]
