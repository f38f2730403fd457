"""The file of pairs to be judged: texts, ids, stratum and weight, and an empty column for the judgment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hfneg.base import store
from hfneg.base.arrays import Ints, Mask, Numbers
from hfneg.data.files import spreadsheets
from hfneg.errors import OutputError, OutputExistsError, SettingError
from hfneg.review.calibrate.findings import Sample, Stratum
from hfneg.review.calibrate.frame import Frame
from hfneg.review.calibrate.matching import Names
from hfneg.review.calibrate.strata import Strata

NAMES = "anchor_id, document_id, anchor, document, relevance (empty), stratum, weight"


def check(out: str | Path | None, overwrite: bool) -> Path:
    """The file to write. Raises SettingError, OutputError, OutputExistsError before any work."""
    if out is None or Path(out).suffix.lower() not in WRITERS:
        raise SettingError(
            f"out={str(out) if out is not None else None!r}: a sample needs a file to write, with the suffix "
            f"{', '.join(WRITERS)}"
        )
    path = Path(out)
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} is there already, perhaps with judgments in it; give another file")
    return path


def write(
    path: Path,
    frame: Frame,
    layers: Strata,
    inside: Mask,
    taken: Ints,
    names: Names,
    labels: Numbers | None = None,
) -> Sample:
    """The pairs at `taken`, in that order, with those of `labels` (float64 [n], NaN not judged) that are known."""
    sizes = np.bincount(layers.of[inside], minlength=len(layers))
    given = np.bincount(layers.of[taken], minlength=len(layers))
    ids = names.ids()
    table = pa.table(
        {
            "anchor_id": [ids.get(number, "") for number in frame.numbers[taken].tolist()],
            "document_id": names.anchors.corpus.ids(frame.rows[taken]),
            "anchor": names.anchors.texts(frame.numbers[taken]).to_pylist(),
            "document": names.anchors.corpus.texts(frame.rows[taken]).to_pylist(),
            "relevance": _known(taken, labels),
            "stratum": [layers.name(i) for i in layers.of[taken].tolist()],
            "weight": sizes[layers.of[taken]] / given[layers.of[taken]],
        }
    )
    store.replace_file(path, lambda partial: WRITERS[path.suffix.lower()](table, partial))
    strata = [Stratum(layers.name(i), int(sizes[i]), int(given[i]), 0) for i in range(len(layers)) if sizes[i]]
    return Sample(str(path), len(taken), tuple(strata), 0 if labels is None else int((~np.isnan(labels[taken])).sum()))


def _known(taken: Ints, labels: Numbers | None) -> pa.Array:
    if labels is None:
        return pa.nulls(len(taken), pa.int8())
    return pa.array([None if np.isnan(value) else int(value) for value in labels[taken].tolist()], pa.int8())


def _parquet(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path)


def _lines(table: pa.Table, path: Path) -> None:
    import json

    with path.open("w", encoding="utf-8") as file:
        for row in table.to_pylist():
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


Writer = Callable[[pa.Table, Path], Any]
WRITERS: dict[str, Writer] = {".jsonl": _lines, ".csv": spreadsheets.write, ".parquet": _parquet}
