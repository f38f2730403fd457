"""`reproduce`: run the recipe of a published round again on its sources, and say whether the same comes out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from hfneg.base import store
from hfneg.errors import InputError, PublishError, RecipeError, SettingError, near_miss
from hfneg.hub.id_texts import NamedTexts
from hfneg.hub.ids import IdRows
from hfneg.hub.inputs import data_of, name_of
from hfneg.hub.reading import Provenance, read_card
from hfneg.hub.repository import errors
from hfneg.hub.round_files import round_name
from hfneg.pipeline.recipe import Recipe, as_mined
from hfneg.runs import closing
from hfneg.runs.folder import mined as mined_folder, provenance
from hfneg.runs.folder.card.paths import SERVER
from hfneg.runs.folder.form import Summary
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.folder.reopen import reopen_anchors
from hfneg.runs.mine import mine

LOCAL = re.compile(r"local:([^'\"\s,)]+)")
TOLERANCE = 1e-5

Status = Literal["identical", "equal within tolerance", "different"]


@dataclass(frozen=True)
class Reproduction:
    """What came out.

    Attributes:
        status: "identical": every byte of rows and ledger; "equal within tolerance": the same negatives in the same
            order, and no score differs by more than `tolerance`; else "different".
        repo, commit, round: what was made again.
        rows: how many published rows were compared.
        same_ids: the share of rows with the same negatives in the same order.
        same_negatives: the share of published negatives that are negatives of their row again.
        largest_difference: of a score of the same pair; None where there is none.
        versions: library -> (then, now), of those that differ.
        inputs_differ: which of anchors, rows, models, teacher are not the same.
    """

    status: Status
    repo: str
    commit: str
    round: int
    rows: int
    same_ids: float
    same_negatives: float
    largest_difference: float | None
    tolerance: float
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    inputs_differ: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.status != "different"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@store.disk_full_is_said()
def reproduce(
    repo: str,
    *,
    out: str | Path,
    revision: str | None = None,
    round: int | None = None,
    pairs: Any = None,
    corpus: Any = None,
    models: Mapping[str, str] | None = None,
    trust: bool = False,
    tolerance: float = TOLERANCE,
    resume: bool = False,
    overwrite: bool = False,
    token: str | None = None,
) -> Reproduction:
    """Make a published round again: ``hfneg.reproduce("org/name@round-002", out="again/")``.

    Reads the card, loads the sources at the revisions it names, runs the recipe into `out`, and compares.

    Args:
        repo: ``org/name@round-002``, or the id alone for the newest round.
        out: where to mine; a mined folder is left there.
        revision, round, token: as for `read_card`.
        pairs, corpus: the data, where it did not come from the Hub: as for `mine`, or a path.
        models: name -> folder of models that were never published; the recipe has them as ``local:NAME``. Each must
            match the digest in the card. A server in a private network is ``local:server``: "server" -> its url.
        trust: load components that the recipe names by import path.
        tolerance: by how much a score may differ.
        resume, overwrite: as for `mine`.

    Raises PublishError (no such card), InputError and RecipeError before any work: data or models that are not there,
    or are not what the card says.
    """
    if not isinstance(tolerance, int | float) or isinstance(tolerance, bool) or not tolerance >= 0:
        raise SettingError(f"reproduce(tolerance={tolerance!r}): expected a number, 0 or more")
    card = read_card(repo, revision, round=round, token=token)
    recipe = _recipe(card, models or {}, trust)
    _check_models(card, recipe)
    loaded = data_of(card, pairs, corpus)
    reading = dict(card.facts.get("reading", {}))
    if "negative" in reading:
        loaded = replace(loaded, negatives=tuple(reading.pop("negative")))
    with closing.told_elsewhere():
        mine(
            loaded,
            None,
            recipe,
            out=out,
            positives_are=card.facts.get("positives_are") or loaded.positives_are,
            **{"missing": "add", **reading},
            hidden=(card.facts.get("inputs") or {}).get("hidden"),
            resume=resume,
            overwrite=overwrite,
        )
    return _compared(card, Path(out), tolerance)


# What it was made of.


def _recipe(card: Provenance, models: Mapping[str, str], trust: bool) -> Recipe:
    """The recipe with the models that were given in the places of those that lay in a folder."""
    wanted = sorted(set(LOCAL.findall(card.recipe)))
    unknown = [name for name in models if name not in wanted]
    if unknown:
        raise InputError(
            f"models={unknown[0]!r}: the recipe of {name_of(card)} has no local model of this name; it "
            f"has {', '.join(wanted) or 'none'}.{near_miss(unknown[0], wanted)}"
        )
    missing = [name for name in wanted if name not in models]
    if missing:
        digests = {str(model.get("model")): model.get("digest") for model in card.facts.get("models", [])}
        name = missing[0]
        if re.fullmatch(rf"{SERVER}(-\d+)?", name):
            raise InputError(
                f"{name_of(card)} has a teacher behind a server whose address is not published: give that of "
                f"one that serves the same model, models={{{name!r}: 'http://host:8080'}} (--model {name}=URL)"
            )
        raise InputError(
            f"{name_of(card)} was mined with the model {name!r}, which is not on the Hub: give its folder, "
            f"models={{{name!r}: path}} (--model {name}=PATH); its digest is {digests.get(name)}"
        )
    text = LOCAL.sub(lambda match: models[match.group(1)], card.recipe)
    try:
        return Recipe.from_yaml(as_mined(text), trust=trust)
    except RecipeError as error:
        raise RecipeError(f"the recipe of {name_of(card)}: {error}") from None


def _check_models(card: Provenance, recipe: Recipe) -> None:
    """Each model is the one that the card names."""
    there = [(model.get("step"), model.get("digest")) for model in card.facts.get("models", [])]
    here = [(model.get("step"), model.get("digest")) for model in provenance.models_of(recipe)]
    for (step, expected), (_, found) in zip(there, here, strict=False):
        if expected and found and expected != found:
            raise InputError(
                f"the model of {step} is another one than {name_of(card)} was mined with: its digest is "
                f"{found}, the card says {expected}; give the same checkpoint (and tokenizer and prompts)"
            )


# What came out.


def _compared(card: Provenance, out: Path, tolerance: float) -> Reproduction:
    summary = mined_folder.open_summary(out)
    here, there = summary["versions"], card.facts.get("versions", {})
    versions = {name: (there[name], here[name]) for name in there if name in here and there[name] != here[name]}
    facts: dict[str, Any] = {"repo": card.repo, "commit": card.commit, "round": card.round, "tolerance": tolerance}
    differ = _inputs_that_differ(card, summary)
    if card.facts["content"] == mined_folder.content_digest(out):
        rows = sum(summary["rows"].values())
        return Reproduction(
            "identical",
            **facts,
            rows=rows,
            same_ids=1.0,
            same_negatives=1.0,
            largest_difference=0.0,
            versions=versions,
            inputs_differ=differ,
        )
    tally = _Tally()
    with store.scratch_folder() as work:
        for theirs, ours in _rows_of_both(card, out, summary, work):
            tally.add(theirs, ours)
    equal = tally.rows == tally.same and (tally.largest or 0.0) <= tolerance
    return Reproduction(
        "equal within tolerance" if equal else "different",
        **facts,
        rows=tally.rows,
        same_ids=tally.same / max(tally.rows, 1),
        same_negatives=tally.kept / max(tally.negatives, 1),
        largest_difference=tally.largest,
        versions=versions,
        inputs_differ=differ,
    )


def _inputs_that_differ(card: Provenance, summary: Summary) -> list[str]:
    then = dict(card.facts.get("inputs") or {})
    now = summary["identity"]
    found = [name for name in ("anchors", "rows") if name in then and then[name] != now.get(name)]
    teacher = card.facts.get("teacher", {}).get("digest"), summary.get("teacher", {}).get("digest")
    return [*found, *(["teacher"] if teacher[0] != teacher[1] else [])]


def _rows_of_both(card: Provenance, out: Path, summary: Summary, work: Path) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Blocks of the published rows and of ours, as ids and scores, in the same order."""
    import datasets

    name = round_name(card.round)
    anchors = reopen_anchors(MinedLedger(out))
    writer = IdRows(
        out, summary, anchors, NamedTexts("query_id", work / "q", name), NamedTexts("document_id", work / "d", name)
    )
    for split in summary["rows"]:
        path = work / f"{split}.parquet"
        writer.write(split, path)
        with errors(card.repo):
            loaded = datasets.load_dataset(card.repo, name, revision=card.commit, split=split)
        published = loaded.with_format("arrow")
        ours = pq.ParquetFile(path)
        if ours.metadata.num_rows != len(published):
            raise PublishError(
                f"split {split!r} has {ours.metadata.num_rows} rows here and {len(published)} in {card.repo}: the "
                "pairs are not the ones that it was mined from"
            )
        start = 0
        for batch in ours.iter_batches(10_000):
            yield published[start : start + len(batch)], pa.Table.from_batches([batch])
            start += len(batch)


class _Tally:
    """Rows and negatives that agree."""

    def __init__(self) -> None:
        self.rows = self.same = self.negatives = self.kept = 0
        self.largest: float | None = None

    def add(self, theirs: pa.Table, ours: pa.Table) -> None:
        """One block of both."""
        names = ("query_id", "positive_id", "negative_ids", "negative_scores")
        for one, other in zip(theirs.select(names).to_pylist(), ours.select(names).to_pylist(), strict=True):
            own = {**dict(zip(other["negative_ids"], other["negative_scores"], strict=True))}
            pair = one["query_id"] == other["query_id"] and one["positive_id"] == other["positive_id"]
            self.rows += 1
            self.same += pair and one["negative_ids"] == other["negative_ids"]
            self.negatives += len(one["negative_ids"])
            for id, score in zip(one["negative_ids"], one["negative_scores"], strict=True):
                if pair and id in own:
                    self.kept += 1
                    self.largest = max(self.largest or 0.0, abs(score - own[id]))
