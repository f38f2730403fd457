"""`mine`: the whole way from pairs to a folder of hard negatives, resumable."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hfneg.base import store
from hfneg.data.corpora import as_corpus
from hfneg.data.origins import origins
from hfneg.data.splits import anchors_of, prepared, splits_of
from hfneg.errors import SettingError
from hfneg.models.weights import require_models
from hfneg.pipeline.mine import Mine
from hfneg.pipeline.recipe import Recipe
from hfneg.pipeline.shortcuts import recipe_of
from hfneg.pipeline.unfound import say_where_most
from hfneg.runs import bars, closing, work
from hfneg.runs.bars import Bars
from hfneg.runs.executors.base import Executor
from hfneg.runs.executors.local import LocalExecutor
from hfneg.runs.folder import mined as mined_folder, rows, statistics as statistics_of
from hfneg.runs.folder.plan import Plan
from hfneg.runs.folder.provenance import models_of
from hfneg.runs.folder.summary import searched_deeper, summarize
from hfneg.runs.folder.work_area import RunFolder, clear, taken
from hfneg.runs.hub_counts import Cuts, write_cuts
from hfneg.runs.identity import folder_in_store, identity_of, refuse_streams
from hfneg.runs.notebook import InNotebook
from hfneg.runs.units import Choose, CountHubs, Deeper, Encode, Examine, Found, Parts, SearchPart, Span
from hfneg.runs.work import ChosenParts

if TYPE_CHECKING:
    import datasets

log = logging.getLogger(__name__)

WORTH_SAYING = 100_000_000  # bytes of disk
RUNNING = 30_000_000
"""Candidates that one unit of search holds at once (12 bytes each, several times over)."""


@store.disk_full_is_said()
def mine(
    pairs: Any,
    corpus: Any = None,
    recipe: Recipe | str | Path | None = None,
    *,
    model: Any = None,
    teacher: Any = None,
    n: int | None = None,
    k: int | None = None,
    out: str | Path | None = None,
    anchor: str | None = None,
    positive: str | None = None,
    hidden: str | None = None,
    positives_are: Literal["auto", "text", "id"] = "auto",
    missing: Literal["add", "refuse", "skip"] | None = None,
    given: Literal["first", "ignore"] = "first",
    symmetric: bool = False,
    remine: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    wait: bool = False,
    devices: str | Sequence[str] | None = None,
    executor: Executor | None = None,
) -> datasets.Dataset | datasets.DatasetDict:
    """Mine hard negatives for `pairs` from `corpus`.

    ::

        mined = hfneg.mine(pairs, model="sentence-transformers/all-MiniLM-L6-v2")
        mined = hfneg.mine(pairs, corpus, Recipe(k=50), anchor="query", positive="answer", out="mined/")

    Args:
        pairs: `Dataset`, `DatasetDict`, `IterableDataset`, a frame of pandas or polars, a list of dictionaries, a path
            or Hub id, or what `load_pairs` made of any of them.
        corpus: `Corpus`, or any of these (columns ``text`` and, where there, ``_id`` or ``id``, ``title``), list of
            texts, path of a BEIR folder; None: what comes with `pairs`, else the positives themselves.
        recipe: `Recipe`, the path of its YAML, or the name of one that comes with hfneg (``"hybrid"``); None: BM25,
            with a `model` both, with a `teacher` what it puts near positives left out, and no anchor short.
        model, teacher: a name, folder or object, for the recipe's `Dense` and its teacher.
        n, k: negatives per anchor (the sampler's), candidates per source.
        out: the folder to write; what lies in it is told in docs/long-jobs.md. None: one in the store, named by a
            digest of data and recipe; the same call finds it again, or goes on with it.
        anchor, positive: columns of `pairs`; where they are left out, by their usual names.
        hidden: a column of further relevant documents (ids or texts) that mining must not know of; how many
            of them became negatives is counted, which measures the false negatives.
        positives_are, missing, given, symmetric: as for `Anchors`.
        remine: replace columns that an earlier mining left.
        resume: go on with a run that was cut off; a finished one is returned as it is.
        overwrite: replace what an earlier run left in `out`.
        wait: for the end of another process that works in `out`, which is refused else.
        devices: one worker process per device, see `LocalExecutor`.
        executor: where units run; `LocalExecutor(devices)` unless given.

    Returns:
        The rows of `pairs`, one to one, columns as in docs/datasets.md; opened from `out`, which is their attribute
        `folder`. A `DatasetDict` where `pairs` is one.

    Raises:
        InputError and its kinds before anything is written; OutputExistsError, ResumeError, InUseError for `out`.
    """
    with contextlib.ExitStack() as stack:
        if out is not None:
            stack.enter_context(taken(out, resume=resume, overwrite=overwrite, wait=wait))
        steps = recipe_of(recipe, model=model, teacher=teacher, n=n, k=k)
        require_models(*steps.retrievers, *steps.filters, steps.teacher)
        executor = _executor(executor, devices)
        found = prepared(pairs, anchor, positive, hidden, remine, missing)
        if out is None:
            refuse_streams(found.rows)
        corpus = found.corpus if corpus is None else corpus
        came_from = origins(found.rows, corpus)
        hidden = hidden or found.hidden
        anchors = anchors_of(found, as_corpus(corpus), positives_are, missing, given, symmetric)
        splits = splits_of(found.rows, anchors)
        transform = steps.transform(anchors, remine=remine)
        identity = identity_of(transform, steps, anchors, splits, hidden)
        if out is None:
            out = folder_in_store(identity, found.anchor, found.positive)
            stack.enter_context(taken(out, resume=resume or not overwrite, overwrite=overwrite, wait=True))
        run = RunFolder(out, identity)
        if overwrite:
            clear(out)
        run.begin()
        if not run.complete:
            try:
                _Run(run, transform, steps, splits, hidden, executor, came_from).work()
            finally:
                run.leave_if_idle()
        statistics_of.leave(run.out)
        closing.say(run.out)
        opened = mined_folder.open_rows(Path(out), several=isinstance(found.rows, Mapping))
        opened._repr_html_ = InNotebook(Path(out))
        return opened


class _Run:
    """One run in its folder, stage by stage; each stage does only what is not there yet."""

    def __init__(
        self,
        folder: RunFolder,
        transform: Mine,
        recipe: Recipe,
        splits: dict[str, Any],
        hidden: str | None,
        executor: Executor,
        came_from: list[dict[str, str]],
    ) -> None:
        self.folder, self.transform, self.recipe, self.came_from = folder, transform, recipe, came_from
        self.executor, self.anchors = executor, transform.anchors
        several = len(splits) > 1
        self.plan = Plan(
            anchors=transform.anchors,
            policy=transform.select.policy,
            names=transform.retrieve.names,
            recipe=recipe.to_yaml(),
            short=repr(recipe.short),
            splits=splits,
            rows={name: self.anchors.rows_of_split(name if several else None) for name in splits},
            hidden=hidden,
        )
        self.parts = Parts(len(self.anchors))
        self.bars = Bars(bars.titles(transform))

    def work(self) -> None:
        """From nothing, or from wherever an earlier run was cut off, to the finished folder."""
        plan = self.plan
        self._say_size()
        selections = work.choose(self.folder, plan, self._choose)
        counts = work.write_rows(self.folder, plan, selections, self.bars)
        facts = {
            "exact": all(getattr(r, "exact", True) for r in self.recipe.retrievers),
            "models": models_of(self.recipe),
            "datasets": self.came_from,
        }
        if self.recipe.deeper is not None:
            facts["deeper"] = searched_deeper(self.transform.deeper, selections)
        summary = summarize(plan, selections, counts, self.folder.folder("finished", "ledger"), facts)
        say_where_most(self.transform.retrieve, selections.unfound)
        work.finish(self.folder, plan, summary)

    def _say_size(self) -> None:
        """The peak disk, before anything is written (about: texts compress)."""
        plan, retrieve = self.plan, self.transform.retrieve
        data = sum(plan.rows[name] * rows.row_bytes(of, self.anchors, plan.n) for name, of in plan.splits.items())
        sources = len(retrieve.names)
        candidates = len(self.anchors) * retrieve.k * sources * (30 + 8 * sources)
        if data + candidates >= WORTH_SAYING:
            log.info("needs up to %.1f GB of disk in %s", (data + candidates) / 1e9, self.folder.out)

    def _search(self) -> Found:
        """The first search: all sources, all anchors."""
        names = self.transform.retrieve.names
        found = Found(self.transform, tuple(self._search_source(i, self.parts) for i in range(len(names))))
        return replace(found, cuts=self._count_hubs(found))

    def _search_deeper(self, first: Found) -> Deeper:
        """The policy over what there is, then a second search for the anchors that are short, all in one pass."""
        examined = self.folder.folder("judged")
        unit, missing = Examine(first, examined), self.parts.missing(examined, ".npz")
        self._run(unit, missing, "Examining", " anchors", len(self.anchors), self._size)
        short, names = replace(self.parts, short=examined), self.transform.retrieve.names
        folders = (self._search_source(i, short, self.transform.deeper) for i in range(len(names)))
        deeper = Deeper(first, examined, Found(self.transform, tuple(folders)))
        return replace(deeper, found=replace(deeper.found, cuts=self._count_hubs(deeper, first.cuts)))

    def _search_source(self, position: int, parts: Parts, k: int | None = None) -> Path:
        """All parts of one source; with `k` of a deeper search."""
        retrieve = self.transform.retrieve
        name, deeper = retrieve.names[position], k is not None
        folder = self.folder.folder("deeper" if deeper else "search", name)
        missing = parts.missing(folder, ".npz")
        if missing:
            if not deeper:
                self._encode(retrieve.indexes[position], name)
            block = getattr(retrieve.retrievers[position], "block", 4096)
            spans = parts.spans(missing, min(block, RUNNING // (k or retrieve.k)), self.executor.workers)
            total = parts.size(Span(0, len(parts)))
            unit = SearchPart(self.transform, position, folder, parts, k)
            self._run(unit, spans, bars.searching(name, deeper=deeper), " anchors", total, parts.size)
        return folder

    def _count_hubs(self, lists: Found | Deeper, first: Path | None = None) -> Path | None:
        """Where `Hubs` asks for it: which anchors may use the documents of many lists."""
        hubs = self.transform.select.policy.hub_limits
        if not hubs:
            return None
        name = "deeper" if first is not None else "first"
        folder, cuts = self.folder.folder("tallies", name), self.folder.folder("hubs", name)
        missing = self.parts.missing(folder, ".npy")
        title = bars.counting_hubs(deeper=first is not None)
        self._run(CountHubs(lists, folder), missing, title, " anchors", len(self.anchors), self._size)
        if not Cuts.there(cuts):
            most = min(hubs) if first is None else Cuts(first).left
            write_cuts(sorted(folder.glob("*.npy")), most, len(self.anchors.corpus), cuts)
        return cuts

    def _size(self, part: int) -> int:
        return len(self.parts.numbers(part))

    def _encode(self, index: Any, name: str) -> None:
        """The vectors that a dense index needs, part by part, before they are searched."""
        if not hasattr(index, "query_vectors"):
            return
        for vectors, what in ((index.vectors, "documents"), (index.query_vectors(self.anchors), "anchors")):
            missing = vectors.missing_parts()

            def size(part: int, vectors: Any = vectors) -> int:
                start, stop = vectors.bounds(part)
                return int(stop - start)

            self._run(Encode(vectors), missing, bars.encoding(what, name), " texts", len(vectors), size)

    def _choose(self, chosen: ChosenParts) -> int:
        """All parts of ledger and selection."""
        found = self._search()
        deeper = None if self.transform.deeper is None else self._search_deeper(found)
        unit = Choose(found, deeper, chosen)
        self._run(unit, unit.missing(self.parts), bars.SELECTING, " anchors", len(self.anchors), self._size)
        return len(self.parts)

    def _run(self, unit: Any, units: list[Any], title: str, what: str, total: int, size: Any) -> None:
        self.bars.run(self.executor, unit, units, title, what, total, size)


def _executor(given: Executor | None, devices: str | Sequence[str] | None) -> Executor:
    if given is not None and not (hasattr(given, "run") and hasattr(given, "workers")):
        raise SettingError(f"executor={given!r}: expected None or an executor such as LocalExecutor(['cuda:0'])")
    return LocalExecutor(devices) if given is None else given
