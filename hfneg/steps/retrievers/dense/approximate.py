"""Approximate dense search: a FAISS index finds candidates, their stored vectors score them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base import store
from hfneg.base.arrays import Ints
from hfneg.base.files.checksums import Fault
from hfneg.errors import SettingError
from hfneg.models.encoder import Vectors32
from hfneg.steps.retrievers.base import Scores
from hfneg.steps.retrievers.dense.exact import DenseIndex

FORMAT = 1
FILE = "index.faiss"
SEED = 0
TRAINING_ROWS = 262_144
EXTRA = 32  # candidates beyond k, because quantised scores order them roughly


class ApproximateIndex(DenseIndex):
    """What `faiss.index_factory` makes of ``Dense(index=...)``, trained on a seeded sample and stored.

    Which documents are found is up to FAISS; their scores, and the order among them, are those of the
    exact search.
    """

    _faiss: Any = None

    @property
    def digest(self) -> str:
        """Names the stored index: its string, the vectors in it, and FAISS's version."""
        import faiss

        return store.digest_of(FORMAT, self.settings.index, self.vectors.digest, faiss.__version__, SEED, TRAINING_ROWS)

    def _search(self, queries: Vectors32, k: int) -> tuple[Scores, Ints]:
        found = self._open().search(queries, min(k + EXTRA, len(self.vectors)))[1].astype(np.int64)
        scores = self.score(queries, found)
        scores[found < 0] = -np.inf
        order = np.lexsort((found, -scores), axis=1)[:, :k]
        out_scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        out_rows = np.full((len(queries), k), -1, dtype=np.int64)
        out_scores[:, : order.shape[1]] = np.take_along_axis(scores, order, axis=1)
        out_rows[:, : order.shape[1]] = np.take_along_axis(found, order, axis=1)
        return out_scores, out_rows

    def _open(self) -> Any:
        """The index, built if the store has none, mapped where FAISS can (inverted lists, flat codes)."""
        if self._faiss is None:
            self._empty()  # a wrong string is refused before anything is encoded
            self.vectors.build()
            self._faiss = self._read()
            self._set_parameters(self._faiss)
        return self._faiss

    def _read(self) -> Any:
        folder = store.build("faiss", self.digest, self._fill)
        try:
            return _read(str(folder / FILE))
        except RuntimeError as error:  # of an earlier version, without checksums
            store.set_aside(Fault(folder / FILE, str(error).splitlines()[0]), folder)
            return _read(str(store.build("faiss", self.digest, self._fill) / FILE))

    def _fill(self, folder: Path) -> None:
        import faiss

        index = self._empty()
        rng = np.random.default_rng(SEED)
        sample = rng.permutation(len(self.vectors))[:TRAINING_ROWS]
        try:
            index.train(self.vectors.rows(np.sort(sample)))
        except RuntimeError as error:
            raise self._refused(error, f"{len(self.vectors)} documents may be too few for it") from error
        for part in range(self.vectors.n_parts):
            index.add(self.vectors.part(part))
        with (folder / FILE).open("wb") as file:  # FAISS's own does not look whether the end got to the disk
            writer: Any = faiss.PyCallbackIOWriter(file.write)  # type: ignore[attr-defined]
            faiss.write_index(index, writer)

    def _empty(self) -> Any:
        import faiss

        try:
            index: Any = faiss.index_factory(
                self.vectors.dimensions, self.settings.index or "", faiss.METRIC_INNER_PRODUCT
            )
            self._set_parameters(index)
        except RuntimeError as error:
            raise self._refused(error, 'give one such as "IVF1024,Flat" or "HNSW32"') from error
        return index

    def _refused(self, error: Exception, advice: str) -> SettingError:
        lines = [line for line in str(error).splitlines() if line.strip()] or ["no reason given"]
        return SettingError(f"FAISS refuses {self.settings!r} for {len(self.vectors)} documents ({lines[0]}): {advice}")

    def _set_parameters(self, index: Any) -> None:
        """Ours first (FAISS's own nprobe is 1, which finds little), then the user's."""
        import faiss

        space: Any = faiss.ParameterSpace()
        for name, value in _defaults(index).items():
            space.set_index_parameter(index, name, value)
        if self.settings.search_parameters:
            space.set_index_parameters(index, self.settings.search_parameters)


def _defaults(index: Any) -> dict[str, int]:
    import faiss

    inner: Any = faiss.try_extract_index_ivf(index)
    inner = faiss.downcast_index(index if inner is None else inner)
    if hasattr(inner, "nprobe"):
        return {"nprobe": max(8, inner.nlist // 16)}
    return {"efSearch": 128} if hasattr(inner, "hnsw") else {}


def _read(path: str) -> Any:
    import faiss

    mapped = getattr(faiss, "IO_FLAG_MMAP_IFC", 0)  # of newer versions
    try:
        return faiss.read_index(path, mapped | faiss.IO_FLAG_READ_ONLY)
    except RuntimeError:  # a kind that FAISS cannot map
        return faiss.read_index(path)
