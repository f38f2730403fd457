"""Rounds go on from a checkpoint that is as it was saved, whatever a kill or a disk has made of the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformerTrainer
from test_rounds import base, negatives, run, trained  # noqa: F401
from test_rounds_in_one_run import SETTINGS, SameRows, undisturbed, weights  # noqa: F401

import hfneg
from hfneg.errors import InUseError, OutputExistsError, SettingError, TrainingError
from hfneg.training import parts


def killed(base: str, out: Path, at: str, count: int) -> bool:  # noqa: F811
    """Rounds in a process that kills itself with SIGKILL before the `count`-th file of a checkpoint of the trainer is
    written, counted from `at` (the folder's name); whether it came that far."""
    code = f"import test_rounds_damaged as t; t.die_at({base!r}, {str(out)!r}, {at!r}, {count})"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode != 0


def die_at(base: str, out: str, at: str, count: int) -> None:  # noqa: F811
    """See `killed`: each stage of saving is one file or more; the marker is written last."""
    left = count
    trainer = SentenceTransformerTrainer

    def counted(work: Callable[..., Any], place: Callable[..., str]) -> Callable[..., Any]:
        def saving(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            if at in place(*args, **kwargs):
                left -= 1
                if left == 0:
                    path = Path(place(*args, **kwargs))
                    if path.is_dir() and (path / "model.safetensors").is_file():
                        os.truncate(path / "model.safetensors", 10)  # as a save over the first one leaves it
                    os.kill(os.getpid(), signal.SIGKILL)
            return work(*args, **kwargs)

        return saving

    trainer._save = counted(trainer._save, lambda self, output_dir=None, **kwargs: str(output_dir))  # type: ignore
    trainer._save_optimizer_and_scheduler = counted(  # type: ignore[method-assign]
        trainer._save_optimizer_and_scheduler, lambda self, place: place
    )
    trainer._save_rng_state = counted(trainer._save_rng_state, lambda self, place: place)  # type: ignore
    parts.mark = counted(parts.mark, str)
    run(base, Path(out), train=SameRows(model=base, **SETTINGS), resume=Path(out).exists())


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_killed_in_every_step_of_a_save(
    count: int,
    base: str,  # noqa: F811
    undisturbed: list[hfneg.Round],  # noqa: F811
    tmp_path: Path,
) -> None:
    """SIGKILL before each file of the checkpoint that ends round 2, its model cut short: a trusted one is left, and the
    weights of an undisturbed run come out. There is no second save over the first: the fifth step never comes."""
    out = tmp_path / "rounds"
    assert killed(base, out, "checkpoint-15", count)
    folder = out / "round-002" / "training"
    assert parts.last_checkpoint(folder) == folder / "checkpoint-10"
    done = run(base, out, train=SameRows(model=base, **SETTINGS), resume=True)
    assert torch.equal(weights(done[-1].next_model), weights(undisturbed[-1].next_model))
    assert not list(out.rglob("*.partial"))


def test_a_checkpoint_is_saved_once(base: str, tmp_path: Path) -> None:  # noqa: F811
    """The end of a part and the end of the epoch that it ends are one save: nothing is written over."""
    assert not killed(base, tmp_path / "rounds", "checkpoint-15", 5)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "trainer_state.json", parts.MARKER])
@pytest.mark.parametrize("how", ["cut short", "gone"])
def test_a_file_of_the_last_checkpoint_is_damaged(
    name: str,
    how: str,
    base: str,  # noqa: F811
    undisturbed: list[hfneg.Round],  # noqa: F811
    tmp_path: Path,
) -> None:
    """It is not trusted, whatever the file; the round is trained from where the one before has ended."""
    out = tmp_path / "rounds"
    train = SameRows(model=base, **SETTINGS)
    rounds = hfneg.rounds(*data(), recipe_of(base), model=base, out=out, train=stops_in_round_2(train), **NAMES)
    with pytest.raises(KeyboardInterrupt):
        list(rounds)
    (checkpoint,) = (out / "round-002" / "training").glob("checkpoint-*")
    damage(checkpoint / name if (checkpoint / name).exists() else next(checkpoint.rglob(name)), how)
    done = run(base, out, train=train, resume=True)
    assert torch.equal(weights(done[-1].next_model), weights(undisturbed[-1].next_model))


def damage(path: Path, how: str) -> None:
    if how == "gone":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 2)


def data() -> tuple[Any, Any]:
    from training_small import PAIRS, TEXTS

    return PAIRS, TEXTS


def recipe_of(base: str) -> Any:  # noqa: F811
    from test_rounds import recipe

    return recipe(base)


NAMES = {"anchor": "query", "positive": "answer"}


def stops_in_round_2(train: Any) -> Any:
    """The same training, which is interrupted when round 2 is trained and not yet recorded."""

    class Stopping(type(train)):  # type: ignore[misc]
        def __call__(self, round: hfneg.Round) -> Any:
            model = super().__call__(round)
            if round.number == 2:
                raise KeyboardInterrupt
            return model

    return Stopping(**train.model_dump())


@pytest.mark.parametrize(
    ("which", "name"),
    [(1, "model.safetensors"), (3, "model.safetensors"), (3, "config_sentence_transformers.json"), (1, "modules.json")],
)
def test_the_rounds_own_checkpoint_is_damaged(
    which: int,
    name: str,
    base: str,  # noqa: F811
    undisturbed: list[hfneg.Round],  # noqa: F811
) -> None:
    """The model that a round has left is cut short: the round is trained again, and all ends as it was."""
    out, last = undisturbed[0].folder.parent, weights(undisturbed[-1].next_model).clone()
    damage(out / f"round-00{which}" / "checkpoint" / name, "cut short")
    done = run(base, out, train=SameRows(model=base, **SETTINGS), resume=True)
    assert [round.next_checkpoint for round in done] == [round.next_checkpoint for round in undisturbed]
    assert torch.equal(weights(done[-1].next_model), last)


def test_overwriting_rounds_keeps_what_others_put_there(base: str, tmp_path: Path) -> None:  # noqa: F811
    """Notes, a model of somebody's own and folders that are no round stay; the rounds are new ones."""
    out = tmp_path / "rounds"
    first = run(base, out, n=2)
    kept = [out / "notes.txt", out / "round-notes" / "a", out / "round-001" / "mine" / "model", out / "round-002" / "x"]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    again = run(base, out, n=1, overwrite=True)
    assert [path.read_text() for path in kept] == ["mine"] * len(kept)
    assert [path.name for path in (out / "round-002").iterdir()] == ["x"]
    assert negatives(again[0]) == negatives(first[0])
    (out / "round-001" / "mined" / "data" / "mine.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="files that hfneg did not write"):
        run(base, out, n=1, overwrite=True)
    assert (out / "round-001" / "checkpoint").is_dir()


def test_the_output_of_somebodys_own_trainer_is_kept(base: str, tmp_path: Path) -> None:  # noqa: F811
    """Where hfneg would save the round's model: it is neither replaced nor deleted, the training can be finished with a
    folder, and the rounds that follow begin with that one."""
    out, elsewhere = tmp_path / "rounds", tmp_path / "elsewhere"

    def own(round: hfneg.Round) -> Any:
        mine = round.folder / "checkpoint" / "checkpoint-500" / "optimizer.pt"
        mine.parent.mkdir(parents=True)
        mine.write_text("mine")
        with pytest.raises(OutputExistsError, match=r"optimizer\.pt was not written by hfneg"):
            round.finish(trained(round))
        trained(round).save_pretrained(str(elsewhere))
        return elsewhere

    (first,) = run(base, out, n=1, train=own)
    assert first.next_model == str(elsewhere)
    (second,) = run(base, tmp_path / "more", model=None, n=1, start=first.folder)
    assert (second.number, second.model) == (2, str(elsewhere))
    assert (out / "round-001" / "checkpoint" / "checkpoint-500" / "optimizer.pt").read_text() == "mine"


@pytest.mark.parametrize("place", ["checkpoint/notes.txt", "training/checkpoint-5/model.safetensors"])
def test_overwriting_rounds_refuses_files_among_ours(place: str, base: str, tmp_path: Path) -> None:  # noqa: F811
    """Before anything is deleted."""
    first = run(base, tmp_path / "rounds", n=2)
    mine = tmp_path / "rounds" / "round-001" / place
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"(notes\.txt|checkpoint-5) was not written by hfneg"):
        run(base, tmp_path / "rounds", n=1, overwrite=True)
    assert mine.read_text() == "mine"
    mine.unlink()
    assert [round.next_checkpoint for round in run(base, tmp_path / "rounds", n=2, resume=True)] == [
        round.next_checkpoint for round in first
    ]


def test_rounds_are_held_by_one_process(base: str, tmp_path: Path) -> None:  # noqa: F811
    """From the first to the last: a second start is refused, also one that would overwrite; a loop that was left is not
    in the way of the next."""
    out = tmp_path / "rounds"

    def second(round: hfneg.Round) -> Any:
        for how in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(InUseError, match="in use"):
                run(base, out, n=1, **how)
        return trained(round)

    assert len(run(base, out, n=2, train=second)) == 2
    for round in hfneg.rounds(*data(), recipe_of(base), model=base, out=out, n=3, resume=True, **NAMES):
        if round.number == 3:
            break
    assert len(run(base, out, n=3, resume=True)) == 3


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"devices": "cuda:99"}, "'cuda:99' cannot be used"),
        ({"device": "cpu"}, "rounds has no argument 'device'"),
        ({"out": "run[1]"}, r"reads '\['"),
    ],
)
def test_refused_before_a_folder_is_made(given: Any, says: str, base: str, tmp_path: Path) -> None:  # noqa: F811
    """Also what only `mine` would look at."""
    out = tmp_path / given.pop("out", "rounds")
    with pytest.raises((SettingError, hfneg.OutputError), match=says):
        run(base, out, **given)
    assert not out.exists()


def test_a_lost_checkpoint_of_the_round_before_is_said(base: str, tmp_path: Path) -> None:  # noqa: F811
    """Nothing is deleted then: it can be put back."""
    out = tmp_path / "rounds"
    train = SameRows(model=base, **SETTINGS)
    run(base, out, train=train, n=1)
    path = out / "round-001" / "training" / "checkpoint-7" / "optimizer.pt"
    content = path.read_bytes()
    damage(path, "cut short")
    with pytest.raises(TrainingError, match="that is as it was saved"):
        run(base, out, train=train, resume=True)
    path.write_bytes(content)
    assert len(run(base, out, train=train, resume=True)) == 3
