"""Rounds: mine, train, mine again; with real models, small ones, whose weights really change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from datasets import Dataset, load_dataset
from sentence_transformers import SentenceTransformer
from training_small import PAIRS, TEXTS, static_model
from typer.testing import CliRunner

import hfneg
from hfneg import cli
from hfneg.base import columns, store
from hfneg.errors import (
    ColumnError,
    InputError,
    NonFiniteError,
    OutputExistsError,
    RecipeError,
    ResumeError,
    SettingError,
    TrainingError,
)
from hfneg.models import encoder as encoding

NAMES = {"anchor": "query", "positive": "answer"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "base"
    static_model(0).save_pretrained(str(folder))
    return str(folder)


def trained(round: hfneg.Round) -> SentenceTransformer:
    """A training of one step: other weights, the same ones whenever the same round is trained."""
    model = SentenceTransformer(round.model, device="cpu")
    generator = torch.Generator().manual_seed(round.number)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.3 * torch.randn(weights.shape, generator=generator)
    return model


def recipe(base: str, **slots: Any) -> hfneg.Recipe:
    return hfneg.Recipe(**{"retrievers": hfneg.Dense(base), "k": 12, "sampler": hfneg.TakeTop(4), **slots})


def run(base: str, out: Path, **given: Any) -> list[hfneg.Round]:
    settings = {"recipe": recipe(base), "model": base, "train": trained, "n": 3, **NAMES, **given}
    return list(hfneg.rounds(PAIRS, TEXTS, out=out, **settings))


def negatives(done: hfneg.Round) -> list[list[str]]:
    return [list(texts) for texts in done.mined[columns.NEGATIVES]]


def similar(model: str, query: str, texts: list[str]) -> Any:
    encoder = SentenceTransformer(model, device="cpu")
    return encoder.encode(texts, normalize_embeddings=True) @ encoder.encode(query, normalize_embeddings=True)


def test_each_round_is_mined_with_the_checkpoint_before_it(base: str, tmp_path: Path) -> None:
    """The scores in round k are those of checkpoint k: no vector of an earlier one is left in use. Rounds know number,
    parent, checkpoint and metrics, also read back from disk."""
    done = []
    for round in hfneg.rounds(PAIRS, TEXTS, recipe(base), model=base, out=tmp_path / "rounds", **NAMES):
        assert not round.trained
        round.finish(trained(round), loss=1.0 / round.number)
        done.append(round)
    assert [round.number for round in done] == [1, 2, 3]
    assert [round.parent for round in done] == [None, *(str(round.folder) for round in done[:2])]
    assert len({round.checkpoint for round in done}) == 3
    assert done[1].model == done[0].next_model == str(tmp_path / "rounds" / "round-001" / "checkpoint")
    for round in done:
        for row in round.mined.select(range(5)):
            scores = similar(round.model, row["query"], row[columns.NEGATIVES])
            assert scores == pytest.approx(row[columns.NEGATIVE_SCORES], abs=1e-5)
    assert negatives(done[0]) != negatives(done[1]) != negatives(done[2])
    again = list(hfneg.rounds(PAIRS, TEXTS, recipe(base), model=base, out=tmp_path / "rounds", resume=True, **NAMES))
    assert [(round.number, round.metrics, round.next_checkpoint) for round in again] == [
        (round.number, {"loss": 1.0 / round.number}, round.next_checkpoint) for round in done
    ]


def test_a_round_is_published_under_its_number(base: str, tmp_path: Path) -> None:
    """The repository of the second round names it, its checkpoint's digest and its parent's."""
    first, second = run(base, tmp_path / "rounds", n=2)
    second.publish("org/name", dry_run=tmp_path / "look", license="mit")
    head = yaml.safe_load((tmp_path / "look" / "README.md").read_text().split("---\n")[1])["hfneg"]
    assert (head["round"], head["tag"]) == (2, "round-002")
    assert head["mined_after"] == {"round": 1, "checkpoint": first.checkpoint}
    assert second.summary["mining_round"] == {"round": 2, "checkpoint": second.checkpoint}
    assert (tmp_path / "look" / "round-002" / "ids").is_dir()


def test_every_vector_is_made_anew_and_old_ones_are_deleted(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each round encodes all documents and anchors; the vectors of a trained checkpoint go when its round is over."""
    monkeypatch.setenv(store.ENVIRONMENT_VARIABLE, str(tmp_path / "store"))
    texts: list[int] = []
    real = encoding.Encoder.encode

    def encode(self: Any, given: Any, *args: Any, **kwargs: Any) -> Any:
        texts.append(len(given))
        return real(self, given, *args, **kwargs)

    monkeypatch.setattr(encoding.Encoder, "encode", encode)
    counts = []
    folders = []
    for round in hfneg.rounds(PAIRS, TEXTS, recipe(base), model=base, out=tmp_path / "rounds", n=4, **NAMES):
        counts.append(sum(texts))
        folders.append(len(list((tmp_path / "store" / "vectors").glob("[0-9a-f]*"))))
        round.finish(trained(round))
        texts.clear()
    summary = round.summary
    assert counts == [summary["documents"] + summary["anchors"]] * 4
    assert folders == [2, 4, 6, 6]  # the base model's stay; of the others those of two rounds at most


def test_teacher_scores_are_kept_over_rounds(base: str, tmp_path: Path) -> None:
    """A pair that an earlier round has had scored is answered by the store, and the summary says how many were."""
    asked: list[tuple[str, str]] = []

    def judge(anchors: list[str], texts: list[str]) -> list[float]:
        asked.extend(zip(anchors, texts, strict=True))
        return [0.5] * len(texts)

    teacher = hfneg.FunctionTeacher(judge, id="rounds-1", scale="from_zero")
    done = run(base, tmp_path / "rounds", recipe=recipe(base, teacher=teacher, filters=hfneg.Band(high=0.9)))
    assert len(asked) == len(set(asked))
    assert done[1].summary["teacher"]["pairs_from_store"] >= len(PAIRS.unique("answer")) / 2


@pytest.mark.parametrize("at", ["mining", "training", "saving"])
def test_cut_off_in_round_two_and_gone_on(at: str, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of mining, training or saving: the same rounds come out as undisturbed, and what was finished is
    not done again."""
    expected = run(base, tmp_path / "undisturbed")
    trainings = []

    def train(round: hfneg.Round) -> Any:
        trainings.append(round.number)
        if at == "training" and trainings == [1, 2]:
            raise KeyboardInterrupt
        model = trained(round)
        if at == "saving" and trainings == [1, 2]:
            monkeypatch.setattr(type(model), "save_pretrained", interrupted)
        return model

    def interrupted(self: Any, folder: str, **_: Any) -> None:
        Path(folder).mkdir()
        (Path(folder) / "half").write_text("")
        raise KeyboardInterrupt

    if at == "mining":
        from hfneg.runs import units

        real = units.Choose.__call__

        def choose(self: Any, part: int) -> None:
            if trainings == [1] and not cut:
                cut.append(part)
                raise KeyboardInterrupt
            real(self, part)

        cut: list[int] = []
        monkeypatch.setattr(units.Choose, "__call__", choose)
    with pytest.raises(KeyboardInterrupt):
        run(base, tmp_path / "rounds", train=train)
    monkeypatch.undo()
    done = run(base, tmp_path / "rounds", train=train, resume=True)
    assert trainings.count(1) == 1
    assert [round.checkpoint for round in done] == [round.checkpoint for round in expected]
    assert [negatives(round) for round in done] == [negatives(round) for round in expected]
    assert not list((tmp_path / "rounds").rglob("*.partial"))


def test_more_rounds_later(base: str, tmp_path: Path) -> None:
    """resume with a larger n goes on behind the last round."""
    run(base, tmp_path / "rounds", n=1)
    assert [round.number for round in run(base, tmp_path / "rounds", n=2, resume=True)] == [1, 2]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_round_of_another_folder_is_gone_on_from(elsewhere: bool, base: str, tmp_path: Path) -> None:
    """Numbers go on, the parent is named, and its checkpoint mines, also where the folder was moved to."""
    first = run(base, tmp_path / "first", n=1)[0]
    folder = first.folder
    if elsewhere:
        folder = (tmp_path / "first").rename(tmp_path / "moved") / first.folder.name
    (second,) = hfneg.rounds(
        PAIRS, TEXTS, recipe(base), out=tmp_path / "more", start=folder, n=1, train=trained, **NAMES
    )
    assert (second.number, second.parent, second.checkpoint) == (2, str(folder), first.next_checkpoint)
    assert second.diff is not None


def test_a_round_that_was_not_trained_is_no_start(base: str, tmp_path: Path) -> None:
    """It has no checkpoint to go on with; another folder is not begun."""
    next(iter(hfneg.rounds(PAIRS, TEXTS, recipe(base), model=base, out=tmp_path / "first", **NAMES)))
    with pytest.raises(SettingError, match="mined and not trained; resume"):
        run(base, tmp_path / "more", start=tmp_path / "first" / "round-001")
    with pytest.raises(SettingError, match=r"neither the folder of a round .* nor the id of a published one"):
        run(base, tmp_path / "more", start=tmp_path / "first" / "round-009")
    assert not (tmp_path / "more").exists()


# Trainings that go wrong.


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda round: None, TrainingError, "round 1: the training returned no checkpoint"),
        (lambda round: 3, TrainingError, "round 1: the training returned a int"),
        (lambda round: "/no/such/folder", SettingError, "/no/such/folder"),
    ],
)
def test_no_checkpoint(result: Callable[[Any], Any], error: Any, message: str, base: str, tmp_path: Path) -> None:
    """Said at once; the mined round stays and can be trained again."""
    with pytest.raises(error, match=message):
        run(base, tmp_path / "rounds", train=result)
    assert len(run(base, tmp_path / "rounds", resume=True)) == 3


def test_the_next_round_needs_the_end_of_this_one(base: str, tmp_path: Path) -> None:
    """A loop whose body does not finish its round is told what to do."""
    with pytest.raises(TrainingError, match=r"round 1 was not finished: say round.finish\(checkpoint\)"):
        for _ in hfneg.rounds(PAIRS, TEXTS, recipe(base), model=base, out=tmp_path / "rounds", **NAMES):
            pass


def test_an_unchanged_checkpoint_ends_the_loop_and_says_so(
    base: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another round would mine the same."""
    with caplog.at_level("WARNING", "hfneg"):
        done = run(base, tmp_path / "rounds", train=lambda round: round.model)
    assert len(done) == 1
    assert done[0].unchanged
    assert "left the weights as they were" in caplog.text


def test_a_diverged_model_is_not_used(base: str, tmp_path: Path) -> None:
    """NaN weights: the round ends before the next is mined, the last good round stands."""

    def diverged(round: hfneg.Round) -> Any:
        model = trained(round)
        if round.number == 2:
            with torch.no_grad():
                next(iter(model.parameters()))[:] = float("nan")
        return model

    with pytest.raises(NonFiniteError, match=r"round 2: the training has diverged.*round 2 stands"):
        run(base, tmp_path / "rounds", train=diverged)
    assert not (tmp_path / "rounds" / "round-003").exists()
    done = run(base, tmp_path / "rounds", resume=True)
    assert [round.number for round in done] == [1, 2, 3]


# Inputs that do not fit.


def test_other_inputs_are_not_gone_on_with(base: str, tmp_path: Path) -> None:
    """Recipe, data or model changed: refused with the difference, and nothing of the old rounds is touched."""
    run(base, tmp_path / "rounds", n=1)
    with pytest.raises(ResumeError, match=r"recipe changed.*k: 12.*k: 15"):
        run(base, tmp_path / "rounds", recipe=recipe(base, k=15), resume=True)
    with pytest.raises(ResumeError, match=r"rows changed"):
        list(
            hfneg.rounds(
                PAIRS.select(range(20)),
                TEXTS,
                recipe(base),
                model=base,
                out=tmp_path / "rounds",
                train=trained,
                resume=True,
                **NAMES,
            )
        )
    other = tmp_path / "other"
    static_model(5).save_pretrained(str(other))
    with pytest.raises(ResumeError, match="was mined with the checkpoint"):
        list(
            hfneg.rounds(
                PAIRS,
                TEXTS,
                recipe(base),
                model=str(other),
                out=tmp_path / "rounds",
                train=trained,
                resume=True,
                **NAMES,
            )
        )
    with pytest.raises(OutputExistsError, match="resume=True goes on"):
        run(base, tmp_path / "rounds")
    assert len(run(base, tmp_path / "rounds", n=1, resume=True)) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 0}, "n must be"),
        ({"model": None}, "say which model mines the first round"),
        ({"pool": "all"}, "pool must be"),
        ({"student": "sparse"}, "one Dense retriever"),
        ({"recipe": hfneg.Recipe()}, "one Dense retriever"),
        ({"resume": True, "overwrite": True}, "both asked for"),
    ],
)
def test_settings_are_checked_before_any_work(given: Any, message: str, base: str, tmp_path: Path) -> None:
    """When `rounds` is called, not when the first round is asked for."""
    with pytest.raises(SettingError, match=message):
        hfneg.rounds(PAIRS, TEXTS, out=tmp_path / "rounds", **{"model": base, "recipe": recipe(base), **NAMES, **given})
    assert not (tmp_path / "rounds").exists()


# The pool of the last round.


def test_only_documents_of_the_last_lists_are_encoded(base: str, tmp_path: Path) -> None:
    """pool="previous": round 2 searches what round 1's ledger names, and says how much it misses at least roughly:
    the estimate is the true number where all documents outside are probed."""
    first, second = run(
        base, tmp_path / "rounds", n=2, pool="previous", recipe=recipe(base, k=3, sampler=hfneg.TakeTop(3))
    )
    named = {row for rows in ledger(first, "rows") + ledger(first, "positive_rows") for row in rows}
    assert first.pool is None
    assert second.pool is not None
    assert second.pool["searched"] == second.summary["documents"] == len(named) < first.summary["documents"]
    whole = hfneg.Corpus(first.summary["corpus"])
    texts = whole.texts(range(len(whole))).to_pylist()
    model = SentenceTransformer(second.model, device="cpu")
    vectors = model.encode(texts, normalize_embeddings=True)
    outside = sorted(set(range(len(whole))) - named)
    missed = [
        int((vectors[outside] @ query > (vectors[rows] @ query).min()).sum())
        for query, rows in zip(
            model.encode(ledger(first, "anchor"), normalize_embeddings=True), ledger(first, "rows"), strict=True
        )
        if rows
    ]
    assert second.pool["missed_per_anchor"] == pytest.approx(np.mean(missed), rel=0.05)


def ledger(done: hfneg.Round, column: str) -> list[Any]:
    from datasets import load_dataset

    return list(load_dataset(str(done.mined_folder), "ledger", split="anchors")[column])


# Mixing.


def mixable(ids: list[list[str]], name: str = "a") -> Dataset:
    return Dataset.from_dict(
        {
            "query": [f"q{i}" for i in range(len(ids))],
            "answer": ["p"] * len(ids),
            columns.NEGATIVES: [[f"text {id}" for id in row] for row in ids],
            columns.NEGATIVE_IDS: ids,
            columns.NEGATIVE_SCORES: [[float(i) for i in range(len(row))] for row in ids],
            columns.NEGATIVE_SOURCES: [[name] * len(row) for row in ids],
        }
    )


def test_rounds_are_mixed_by_decay() -> None:
    """Seven of three rounds at one half are 4, 2 and 1; nothing twice; what one lacks the newest fill up; other
    columns stay aligned."""
    old, middle = mixable([["x", "y"], []]), mixable([["b", "c", "d"], ["k"]], "b")
    new = mixable([["a", "b", "e", "f", "g", "h"], ["k", "l"]], "c")
    mixed = hfneg.mix_rounds([old, middle, new], 7, 0.5)
    assert mixed[columns.NEGATIVE_IDS][:] == [["a", "b", "e", "f", "c", "d", "x"], ["k", "l"]]
    assert mixed["hard_negative_rounds"][:] == [[3, 3, 3, 3, 2, 2, 1], [3, 3]]
    assert mixed[columns.NEGATIVES][0][4] == "text c"
    assert mixed[columns.NEGATIVE_SOURCES][0] == ["c"] * 4 + ["b"] * 2 + ["a"]
    assert hfneg.mix_rounds([old, middle, new], 7, 0)[columns.NEGATIVE_IDS][0][:6] == ["a", "b", "e", "f", "g", "h"]


def test_what_cannot_be_mixed() -> None:
    """Other rows, no rounds, settings that make no sense."""
    with pytest.raises(ColumnError, match="must be the same rows"):
        hfneg.mix_rounds([mixable([["a"]]), mixable([["a"], ["b"]])])
    with pytest.raises(InputError, match="at least one"):
        hfneg.mix_rounds([])
    with pytest.raises(SettingError, match="decay from 0 to 1"):
        hfneg.mix_rounds([mixable([["a"]])], decay=2)


# hfneg rounds: with the trainer.


def written(folder: Path, base: str, **training: Any) -> Path:
    slots = {
        "retrievers": [f"Dense(model={base!r})"],
        "k": 12,
        "sampler": "TakeTop(n=3)",
        "training": {"model": base, "rounds": 2, "batch_size": 8, "learning_rate": 0.05, **training},
    }
    path = folder / "rounds.yaml"
    path.write_text(yaml.safe_dump(slots))
    return path


def files(folder: Path) -> tuple[Path, Path]:
    """The pairs and the corpus, as a command takes them."""
    data, corpus = folder / "pairs.jsonl", folder / "corpus.txt"
    # TripletLoss of sentence-transformers 5 has no gradient where anchor and positive are one text
    PAIRS.filter(lambda row: row["query"] != row["answer"]).to_json(data)
    corpus.write_text("\n".join(dict.fromkeys(text.strip() for text in TEXTS)))
    return data, corpus


def command(*given: str) -> Any:
    return CliRunner().invoke(cli.app, ["rounds", *map(str, given)])


@pytest.mark.parametrize("training", [{}, {"loss": "TripletLoss", "mix": 0.5}])
def test_the_command_trains_for_real(training: Any, base: str, tmp_path: Path) -> None:
    """Two rounds with SentenceTransformerTrainer: weights change, the second is mined with the first's; a second call
    with --resume trains nothing."""
    data, corpus = files(tmp_path)
    given = (written(tmp_path, base, **training), data, "--corpus", corpus, "--out", tmp_path / "rounds", "-q")
    result = command(*given)
    assert result.exit_code == 0, result.output
    first, second = (json.loads((tmp_path / "rounds" / f"round-00{i}" / "round.json").read_text()) for i in (1, 2))
    assert second["checkpoint"] == first["next_checkpoint"] != first["checkpoint"]
    assert second["next_checkpoint"] != second["checkpoint"]
    assert Path(second["next_model"]).joinpath("modules.json").is_file()
    before = Path(second["next_model"]).stat().st_mtime_ns
    again = command(*given, "--resume")
    assert again.exit_code == 0, again.output
    assert Path(second["next_model"]).stat().st_mtime_ns == before
    assert "stayed" in again.output


def test_each_round_trains_in_an_order_of_its_own(base: str, tmp_path: Path) -> None:
    """Trained from the base on the same negatives (random ones of all documents), two rounds differ by the order of
    their batches alone; the same command again gives the same two checkpoints."""
    data, corpus = files(tmp_path)
    recipe = written(tmp_path, base, from_base=True)
    recipe.write_text(recipe.read_text().replace("k: 12", "k: 1000").replace("TakeTop(n=3)", "TakeRandom(n=3)"))
    made = []
    for name in ("once", "again"):
        assert command(recipe, data, "--corpus", corpus, "--out", tmp_path / name, "-q").exit_code == 0
        rounds = [json.loads((tmp_path / name / f"round-00{i}" / "round.json").read_text()) for i in (1, 2)]
        made.append([facts["next_checkpoint"] for facts in rounds])
        mined = [load_dataset(str(tmp_path / name / f"round-00{i}" / "mined"), split="train") for i in (1, 2)]
        assert mined[0]["hard_negative_ids"][:] == mined[1]["hard_negative_ids"][:]
    assert made[0] == made[1]
    assert len(set(made[0])) == 2


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"los": "x"}, "training has no setting 'los'.*Did you mean 'loss'"),
        ({"loss": "GISTLoss"}, "training.loss"),
        ({"batch_size": 0}, "training.batch_size"),
        ({"epochs": "many"}, "training.epochs"),
    ],
)
def test_a_training_section_that_makes_no_sense(training: Any, message: str, base: str, tmp_path: Path) -> None:
    """A typed error before any work, with the near miss."""
    from hfneg.training.trainer import load_training_recipe

    with pytest.raises(RecipeError, match=message):
        load_training_recipe(written(tmp_path, base, **training))
    with pytest.raises(RecipeError, match=message):
        hfneg.Training(model=base, **training)


def test_numbers_as_people_write_them(base: str, tmp_path: Path) -> None:
    """2e-5, a text to PyYAML, is a number here; --set changes the training as it changes the recipe."""
    from hfneg.training.trainer import load_training_recipe

    path = written(tmp_path, base)
    path.write_text(path.read_text().replace("learning_rate: 0.05", "learning_rate: 2e-5"))
    _, training = load_training_recipe(path)
    assert training.learning_rate == 2e-5
    data, corpus = files(tmp_path)
    given = (path, data, "--corpus", corpus, "--out", tmp_path / "rounds", "-q", "--rounds", "1")
    for setting, message in (("training.los=1", "Did you mean 'loss'"), ("training.epochs=no", "training.epochs")):
        result = command(*given, "--set", setting)
        assert result.exit_code == 2
        assert message in result.output.replace("\n", " ")
    result = command(*given, "--set", "training.epochs=2", "--set", "training.learning_rate=1e-3", "--set", "k=9")
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "rounds" / "rounds.json").read_text())
    assert (facts["training.epochs"], facts["training.learning_rate"]) == (2, 1e-3)
    assert "k: 9" in facts["recipe"]


def test_a_recipe_without_a_training_section(tmp_path: Path) -> None:
    """The message shows one."""
    path = tmp_path / "recipe.yaml"
    path.write_text("k: 5\n")
    result = command(path, "pairs.jsonl", "--out", tmp_path / "rounds")
    assert result.exit_code == 2
    assert "no section training" in result.output
