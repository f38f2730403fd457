"""The progress bars of a run: one per stage, numbered, so that it is seen how many are left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hfneg.base import progress
from hfneg.pipeline.mine import Mine
from hfneg.runs.executors.base import Executor

SELECTING, WRITING = "Selecting", "Writing rows"
REDRAWN_SECONDS = 0.2  # at most so often, for pairs alone


def titles(transform: Mine) -> list[str]:
    """The stages of mining with this transform, in their order."""
    retrieve, policy = transform.retrieve, transform.select.policy
    hubs = bool(policy.hub_limits)
    found = []
    for name, index in zip(retrieve.names, retrieve.indexes, strict=True):
        if hasattr(index, "query_vectors"):
            found += [encoding("documents", name), encoding("anchors", name)]
        found.append(searching(name))
    found += [counting_hubs()] * hubs
    if transform.deeper is not None:
        found += ["Examining", *(searching(name, deeper=True) for name in retrieve.names)]
        found += [counting_hubs(deeper=True)] * hubs
    return [*found, SELECTING, WRITING]


def encoding(what: str, source: str) -> str:
    return f"Encoding {what} ({source})"


def searching(source: str, *, deeper: bool = False) -> str:
    return f"Searching {source}{' deeper' * deeper}"


def counting_hubs(*, deeper: bool = False) -> str:
    return f"Counting hubs{' deeper' * deeper}"


class Bars:
    """The bars of a run whose stages have these `titles`; a stage that an earlier run has finished keeps its number."""

    def __init__(self, titles: Sequence[str]) -> None:
        self.titles = list(titles)

    @contextmanager
    def bar(self, title: str, unit: str, total: int, done: int = 0) -> Iterator[Any]:
        """The bar of a stage, of which `done` items are done already."""
        from datasets.utils import tqdm

        label = f"{title} ({self.titles.index(title) + 1} of {len(self.titles)})"
        with tqdm(total=total, initial=done, desc=label, unit=unit, unit_scale=True) as bar:
            yield bar

    def run(
        self,
        executor: Executor,
        work: Callable[[Any], None],
        units: Sequence[Any],
        title: str,
        unit: str,
        total: int,
        size: Callable[[Any], int],
    ) -> None:
        """Units through the executor behind a bar that begins where an earlier run stopped.

        It moves within a unit as far as the work says `progress.advance`, and shows the pairs that a teacher has scored
        for it: how many will be asked for is not known before, because no more are asked for than are needed.
        """
        if not units:
            return
        left = sum(size(item) for item in units)
        shown, pairs, drawn = 0.0, 0, 0.0  # of the unit under way; of the stage; when the bar was last redrawn
        with self.bar(title, unit, total, total - left) as bar:

            def advance(items: float) -> None:
                nonlocal shown
                bar.update(int(shown + items) - int(shown))
                shown += items

            def scored(more: int) -> None:
                nonlocal pairs, drawn
                pairs += more
                bar.set_postfix_str(f"{pairs:,} pairs scored", refresh=False)
                if time.monotonic() - drawn > REDRAWN_SECONDS:
                    drawn = time.monotonic()
                    bar.refresh()

            def done(item: Any) -> None:
                nonlocal shown
                bar.update(size(item) - int(shown))
                shown = 0.0

            with progress.listening(advance, scored):
                executor.run(work, units, done)
