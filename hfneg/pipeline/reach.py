"""How many negatives an anchor can get at most by a recipe's settings alone, whatever the data."""

from __future__ import annotations

from collections.abc import Sequence

from hfneg.errors import RecipeError
from hfneg.steps.filters import Filter, RankWindow
from hfneg.steps.fusion import Fusion
from hfneg.steps.short import Relax, Short


def refuse_too_few(
    n: int,
    names: Sequence[str],
    k: int,
    deeper: int | None,
    fusion: Fusion,
    filters: Sequence[Filter],
    short: Short,
) -> None:
    """Raise RecipeError where `n` negatives are asked for and no anchor with one positive can get as many.

    `k` counts candidates of each source besides the known positives, so that what a rank window skips may be a positive
    once. `Relax` takes back what the window drops, `Fill` adds from the whole corpus.
    """
    if short.draws:
        return
    quotas = {name: fusion.quota(name) for name in names}
    depth = deeper or k
    reach = sum(min(depth, quota or depth) for quota in quotas.values())
    skip, stop = _window(filters)
    most = reach if isinstance(short, Relax) else max(0, min(reach, min(reach + 1, stop) - skip))
    if most >= n:
        return
    said = f"k={k}" if deeper is None else f"k={k} and deeper={deeper}"
    parts = [f"{said} and {len(names)} source{'s' * (len(names) > 1)} give at most {reach} candidates"]
    parts += [f"{fusion!r} allows no more of them"] if any(quotas.values()) else []
    if most < reach:
        ends = "the last" if stop > reach else f"rank {stop}"
        parts.append(f"of these the rank window leaves ranks {skip + 1} to {ends}")
    raise RecipeError(
        f"the sampler is to take n={n} negatives, but an anchor with one positive can get {most} at most: "
        f"{'; '.join(parts)}. Ask for fewer (sampler.n={max(most, 1)}), search more (a larger k, quota or deeper), "
        "widen the window, or say "
        "short: Fill() to make up for them with random documents"
    )


def _window(filters: Sequence[Filter]) -> tuple[int, int]:
    """(ranks skipped, last rank) that every rank window lets through."""
    windows = [step for step in filters if isinstance(step, RankWindow)]
    unbounded = 2**62
    return (
        max((step.skip for step in windows), default=0),
        min((unbounded if step.stop is None else step.stop for step in windows), default=unbounded),
    )
