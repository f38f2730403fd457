"""What a run's result depends on, and the folder in the store that is named by it."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hfneg import __version__
from hfneg.base import store
from hfneg.base.files import checksums
from hfneg.base.store import layout
from hfneg.data.anchors import Anchors
from hfneg.errors import SettingError
from hfneg.pipeline.mine import Mine
from hfneg.pipeline.recipe import Recipe
from hfneg.runs.folder import rows, work_area


def identity_of(
    transform: Mine, recipe: Recipe, anchors: Anchors, splits: Mapping[str, Any], hidden: str | None
) -> dict[str, Any]:
    """Everything the result depends on, so that a run is only ever resumed with the same of it."""
    from datasets.fingerprint import Hasher

    try:
        fingerprint = Hasher.hash(transform)
    except (TypeError, AttributeError, pickle.PicklingError) as error:  # a lock, a socket, an open file
        raise SettingError(
            f"the recipe cannot be pickled ({error}), so that a resumed run could not be told from another: give your "
            "own retriever or filter a __getstate__ that leaves out what cannot be pickled"
        ) from error
    return {
        "format": 1,
        "recipe": recipe.to_yaml(),
        "anchors": anchors.digest,
        "transform": fingerprint,
        "rows": {name: rows.content_digest(split) for name, split in splits.items()},
        "hidden": hidden,
    }


def refuse_streams(pairs: Any) -> None:
    """Raise SettingError for rows of which no digest can name a folder."""
    splits = pairs.values() if isinstance(pairs, Mapping) else (pairs,)
    if not all(hasattr(split, "num_rows") for split in splits):
        raise SettingError(
            "pairs is a stream, whose content cannot name a folder in the store; say where to: out='mined/'"
        )


def folder_in_store(identity: Mapping[str, Any], anchor: str, positive: str) -> Path:
    """Where a run of this identity lies in the store, or will lie; what is damaged there is set aside.

    Another version of hfneg has folders of its own: it may choose otherwise.
    """
    digest = store.digest_of(__version__, identity, anchor, positive)
    store.made_root()
    folder = store.artefact(layout.MINED, digest)
    fault = work_area.fault_in(folder)
    if fault is None and (folder / checksums.MANIFEST).exists() and not work_area.RunFolder(folder, {}).complete:
        fault = checksums.Fault(folder / work_area.SUMMARY, "it is not there, or not as it was written")
    if fault is not None:
        store.set_aside(fault, folder)
    return folder
