"""k-means over the stored vectors of a corpus: which cluster each document is in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hfneg.base import store
from hfneg.base.files import disk
from hfneg.data.corpus import Corpus
from hfneg.models.encoder import Encoder, refuse_forked_child
from hfneg.models.vectors import Vectors

FORMAT = 1
SAMPLE_PER_CLUSTER = 256  # what FAISS itself trains on at most

Labels = npt.NDArray[np.int32]


def cluster_labels(corpus: Corpus, encoder: Encoder, clusters: int, seed: int) -> Labels:
    """int32 [len(corpus)], mapped: the number of each document's cluster; clustered once and kept.

    Raises ProcessError in a forked child when it is not there yet.
    """
    vectors = Vectors(corpus, encoder, "document")
    digest = store.digest_of(FORMAT, vectors.digest, clusters, seed)

    def fill(folder: Path) -> None:
        refuse_forked_child("cluster the corpus")
        disk.save_array(folder / "labels.npy", _labels(vectors, clusters, seed))

    labels: Labels = np.load(store.build("clusters", digest, fill) / "labels.npy", mmap_mode="r")
    return labels


def _labels(vectors: Vectors, clusters: int, seed: int) -> Labels:
    """Train on a seeded sample, assign part by part; RAM holds the sample and one part."""
    import faiss

    vectors.build()
    size = min(len(vectors), clusters * SAMPLE_PER_CLUSTER)
    sample = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:size])
    start = (seed + 1) % (1 << 31)  # FAISS takes no more
    kmeans = faiss.Kmeans(vectors.dimensions, clusters, niter=20, seed=start, spherical=True, min_points_per_centroid=1)
    kmeans.train(vectors.rows(sample))
    labels = np.empty(len(vectors), dtype=np.int32)
    for part in range(vectors.n_parts):
        start, stop = vectors.bounds(part)
        labels[start:stop] = kmeans.index.search(np.ascontiguousarray(vectors.part(part)), 1)[1][:, 0]
    return labels
