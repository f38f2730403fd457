"""The rows of the table: where the negatives of a training come from. All give `n` per anchor, or say how many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import hfneg
from hfneg.formats import margin_mse, tuples

PLAIN = """
retrievers: [{retriever}]
k: {k}
filters: [{filters}]
sampler: {sampler}
short: Fill()
"""

REFRESHES = 6
"""Times that the rows of many rounds mine in one training."""


@dataclass(frozen=True)
class Arm:
    """One row: `name`, the recipe (None: not hfneg's), how often is mined, whether the teacher's scores are learned.

    `by`: who mines. "miner": the given model, and the student from the second round on; "student": the student in all
    rounds; "callback": the student, by a callback inside the training.
    """

    name: str
    recipe: str | None = None
    rounds: int = 1
    distil: bool = False
    peer: dict[str, Any] | None = None
    by: Literal["miner", "student", "callback"] = "miner"


TOKENS = 128
"""Of a pair, for the teacher, ours and the peer's."""


def arms(miner: str, teacher: str | None, n: int, dtype: str | None = None) -> list[Arm]:
    """The rows. `miner` is the model that mines, `teacher` a cross-encoder or None (its rows are left out), which
    computes in `dtype`."""

    def plain(retriever: str, sampler: str, filters: str = "", k: int = 100) -> str:
        return PLAIN.format(retriever=retriever, k=k, filters=filters, sampler=sampler)

    dense = f"\"Dense(model='{miner}')\""
    turns = "fusion: RoundRobin()\n"
    # by turns, of ranks 4 and on of both: of 5 negatives 3 are hard and 2 random
    mixed = plain(f'{dense}, "RandomDocuments()"', f"TakeTop(n={n})", '"RankWindow(skip=6)"') + turns
    near = '"RankWindow(skip=5, stop=60)", "Margin(relative=0.05)"'
    found = [
        Arm("(a) in-batch only"),
        Arm("(b) random", plain("RandomDocuments()", f"TakeTop(n={n})")),
        Arm("(c) BM25 top", plain("BM25()", f"TakeTop(n={n})")),
        Arm("(d) dense top, unfiltered", plain(dense, f"TakeTop(n={n})")),
        Arm("(e) mine_hard_negatives, default", peer={}),
        Arm("(f) mine_hard_negatives, 5% margin", peer={"range_max": 100, "relative_margin": 0.05}),
        Arm("(f) mine_hard_negatives, skip 10", peer={"range_min": 10, "range_max": 100}),
        Arm("(f) mine_hard_negatives, random of the top 50", peer={"range_max": 50, "sampling_strategy": "random"}),
        Arm("(g) hfneg, one round: random of ranks 6 to 60", plain(dense, f"TakeRandom(n={n})", near)),
        Arm("(n) hfneg, one round: hard and random", mixed),
        Arm("(l) hfneg, the student's own, hard and random, six rounds", mixed, rounds=REFRESHES, by="student"),
        Arm("(m) hfneg, the same inside one training (HardNegativeRefresh)", mixed, rounds=REFRESHES, by="callback"),
    ]
    if teacher is not None:
        precision = "" if dtype is None else f", dtype='{dtype}'"
        # logits: MarginMSE learns differences of them, and BelowPositives takes any scale
        settings = f"model='{teacher}', scale='logit', max_length={TOKENS}{precision}"
        scored = f'teacher: "CrossEncoderTeacher({settings})"\n'
        below = '"RankWindow(skip=4)", "BelowPositives(quantile=0.25)"'
        taught = plain(f'{dense}, "RandomDocuments()"', f"TakeTop(n={n})", below) + turns + scored
        found += [
            Arm(
                "(k) mine_hard_negatives, cross-encoder 5% margin",
                peer={"range_max": 50, "relative_margin": 0.05, "cross_encoder": teacher, "dtype": dtype},
            ),
            Arm("(h) hfneg with teacher, hard and random", taught),
            Arm("(i) hfneg with teacher, two rounds", taught, rounds=2),
            Arm("(i) hfneg with teacher, three rounds", taught, rounds=3),
            Arm("(j) hfneg, distillation", taught, distil=True),
            Arm("(o) hfneg with teacher inside one training, hard and random", taught, rounds=REFRESHES, by="callback"),
        ]
    return found


def mined(arm: Arm, data: Any, folder: Path, model: str, miner: str, n: int) -> Any:
    """Training rows of hfneg's arms, mined once per model that mines: anchor, positive, negative_1 .. negative_n."""
    assert arm.recipe is not None
    recipe = hfneg.Recipe.from_yaml(arm.recipe)
    if model != miner:
        recipe = recipe.with_settings([f"retrievers.dense.model={model}"])
    rows = hfneg.mine(data.pairs, data.corpus, recipe, anchor="query", positive="positive", out=folder, resume=True)
    return margin_mse(rows, n=n) if arm.distil else tuples(rows, n=n)


def peers(arm: Arm, data: Any, miner: str, n: int, vectors: Path) -> Any:
    """What `mine_hard_negatives` gives, as training rows; rows with too few negatives are dropped by it.

    It keeps its `vectors` by texts and a model name that is empty for a folder's: one folder for each miner, please.
    """
    from sentence_transformers import CrossEncoder, SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    settings = dict(arm.peer or {})
    dtype = settings.pop("dtype", None)
    if "cross_encoder" in settings:
        loading = {} if dtype is None else {"dtype": dtype}
        settings["cross_encoder"] = CrossEncoder(settings["cross_encoder"], max_length=TOKENS, model_kwargs=loading)
    return mine_hard_negatives(
        data.pairs.select_columns(["query", "positive"]),
        SentenceTransformer(miner),
        anchor_column_name="query",
        positive_column_name="positive",
        corpus=data.texts,
        num_negatives=n,
        output_format="n-tuple",
        cache_folder=str(vectors),
        verbose=False,
        **settings,
    )
