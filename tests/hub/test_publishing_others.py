"""Publishing does no harm to what somebody else has put into the repository, and a published round can be mended.

Over a loopback Hub with the real clients; functions at the top run in the client's process (see hub_fixtures.py).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from loopback_hub import Fault, Hub
from small_collection import documents, pairs
from test_publishing import NAMES, as_list, body_of, head_of, provenance_of, rows_at, table

import hfneg
from hfneg.runs.folder import mined as mined_folder

Client = Callable[..., Any]


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three small mined folders over one corpus."""
    folder = tmp_path_factory.mktemp("rounds")
    rows = pairs().select([0, 1, 2, 5])
    for n in (1, 2, 3):
        recipe = hfneg.Recipe(k=5, sampler=hfneg.TakeRandom(2, seed=n))
        hfneg.mine(rows, documents(60), recipe, out=folder / str(n), missing="add", **NAMES)
    return [folder / str(n) for n in (1, 2, 3)]


def with_readme(hub: Hub, name: str, head: dict[str, Any], files: dict[str, Any] | None = None) -> str:
    """A repository of somebody else's; its commit."""
    hub.create(name)
    return hub.put(name, {"README.md": f"---\n{yaml.safe_dump(head)}---\nmine\n", **(files or {})})


def loaded(name: str, config: str, split: str = "train", revision: str | None = None) -> list[dict[str, Any]]:
    from datasets import load_dataset

    found: list[dict[str, Any]] = load_dataset(name, config, split=split, revision=revision).to_list()
    return found


# Configs and files of others.


@pytest.mark.parametrize("config", ["corpus", "queries", "ledger"])
@pytest.mark.parametrize("where", ["configs", "dataset_info"])
def test_a_config_of_theirs_named_like_ours(
    rounds: list[Path], client: Client, hub: Hub, config: str, where: str
) -> None:
    """Refused before anything is sent, and it still opens what it opened."""
    name = f"org/own-{config}-{where}".replace("_", "-")
    entry: dict[str, Any] = {"config_name": config}
    entry |= {"data_files": "own.parquet"} if where == "configs" else {"features": [{"name": "a", "dtype": "int64"}]}
    commit = with_readme(hub, name, {where: [entry]}, {"own.parquet": table(a=["1"])})
    with pytest.raises(hfneg.PublishError, match=f"has a config '{config}' that hfneg did not write"):
        client(hfneg.publish, rounds[0], name, audit=False)
    assert hub.repository(name).branches["main"] == commit
    assert not [line for line in hub.log if line.startswith(("PUT", "POST"))]
    if where == "configs":
        assert client(loaded, name, config) == [{"a": "1"}]


def test_a_round_of_theirs(rounds: list[Path], client: Client, hub: Hub) -> None:
    """What is called like a round takes its number: ours is the next; asked for by number it is refused."""
    own = {"config_name": "round-001", "data_files": "own.parquet"}
    with_readme(hub, "org/own-round", {"configs": [own]}, {"own.parquet": table(a=["1"]), "round-003/notes.txt": "n"})
    with pytest.raises(hfneg.PublishError, match="has a config 'round-001' that hfneg did not write"):
        client(hfneg.publish, rounds[0], "org/own-round", round=1, audit=False)
    done = client(hfneg.publish, rounds[0], "org/own-round", audit=False)
    assert (done.round, done.tag) == (4, "round-004")
    assert head_of(hub, "org/own-round")["configs"][0] == own
    assert client(loaded, "org/own-round", "round-001") == [{"a": "1"}]


def test_files_of_theirs_beside_ours(rounds: list[Path], client: Client, hub: Hub) -> None:
    """Even with the columns of ours they are in no config of ours, are not read, and stay."""
    theirs = table(document_id=["0"], text=["something else"])
    files = {
        "corpus/theirs.parquet": theirs,
        "queries/theirs.parquet": table(a=["x"]),
        "round-001/ids/x.parquet": theirs,
    }
    with_readme(hub, "org/beside", {"license": "mit"}, files)
    done = client(hfneg.publish, rounds[0], "org/beside", round=1, audit=False)
    client(hfneg.publish, rounds[1], "org/beside", audit=False)
    named = {
        path
        for entry in head_of(hub, "org/beside")["configs"]
        for part in entry["data_files"]
        for path in as_list(part["path"])
    }
    assert not named & files.keys()
    assert not any("*" in path for path in named)
    for path, content in files.items():
        assert hub.repository("org/beside").content("main", path) == content
    assert "something else" not in {row["text"] for row in client(loaded, "org/beside", "corpus")}
    assert len(client(loaded, "org/beside", "round-001")) == done.configs[0].rows


@pytest.mark.parametrize(
    "path", ["corpus/round-001-00000.parquet", "round-001/provenance.json", "round-001/ids/train-00000.parquet"]
)
def test_a_file_of_theirs_in_the_place_of_ours(rounds: list[Path], client: Client, hub: Hub, path: str) -> None:
    """Refused, and left as it is."""
    name = "org/in-place-" + path.replace("/", "-").partition(".")[0]
    with_readme(hub, name, {"license": "mit"}, {path: b"{}"})
    with pytest.raises(hfneg.PublishError, match=f"has a file {path} that hfneg did not write"):
        client(hfneg.publish, rounds[0], name, round=1, audit=False)
    assert hub.repository(name).content("main", path) == b"{}"


def test_files_that_the_owner_put_into_ours(rounds: list[Path], client: Client, hub: Hub) -> None:
    """A config of ours to which somebody added files is theirs from then on: not overwritten by the next round."""
    client(hfneg.publish, rounds[0], "org/added", audit=False)
    head = head_of(hub, "org/added")
    (entry,) = [entry for entry in head["configs"] if entry["config_name"] == "corpus"]
    entry["data_files"][0]["path"] = [entry["data_files"][0]["path"], "extra.parquet"]
    extra = {"extra.parquet": table(document_id=["x"], text=["y"])}
    hub.put("org/added", {"README.md": f"---\n{yaml.safe_dump(head)}---\n", **extra})
    with pytest.raises(hfneg.PublishError, match="has a config 'corpus' that hfneg did not write, or whose files"):
        client(hfneg.publish, rounds[1], "org/added", audit=False)


def test_a_loading_script(rounds: list[Path], client: Client, hub: Hub) -> None:
    """`datasets` opens nothing beside one: refused before anything is sent."""
    hub.create("org/scripted")
    commit = hub.put("org/scripted", {"scripted.py": "import datasets\n", "other.py": "x = 1\n"})
    with pytest.raises(hfneg.PublishError, match=r"loading script \(scripted.py\)"):
        client(hfneg.publish, rounds[0], "org/scripted", audit=False)
    assert hub.repository("org/scripted").branches["main"] == commit


@pytest.mark.parametrize("own", [{"data_files": "own/*.csv"}, {"data_dir": "own"}])
def test_configs_of_another_kind_of_file(rounds: list[Path], client: Client, hub: Hub, own: dict[str, str]) -> None:
    """`datasets` reads all configs of a card as it reads the first: refused, since ours could not be loaded."""
    name = f"org/own-kind-{next(iter(own)).replace('_', '-')}"
    commit = with_readme(hub, name, {"configs": [{"config_name": "own", **own}]}, {"own/a.csv": "a\n1\n"})
    with pytest.raises(hfneg.PublishError, match=r"has a config 'own' of \.csv files.*ours, which are parquet"):
        client(hfneg.publish, rounds[0], name, audit=False)
    assert hub.repository(name).branches["main"] == commit
    assert client(loaded, name, "own") == [{"a": 1}]


@pytest.mark.parametrize(
    "own", [{"data_files": "**/*.parquet"}, {"data_files": [{"split": "train", "path": ["corpus/*"]}]},
            {"data_dir": "corpus"}]
)  # fmt: skip
def test_patterns_of_theirs_that_take_in_our_files(
    rounds: list[Path], client: Client, hub: Hub, own: dict[str, Any]
) -> None:
    """Refused: their config would open our texts too, or nothing any more. One that names other files is no matter."""
    name = f"org/own-pattern-{len(str(own))}"
    for place, entry in ((name, own), (f"{name}-beside", {"data_files": "corpus/own*"})):
        with_readme(hub, place, {"configs": [{"config_name": "own", **entry}]}, {"corpus/own.parquet": table(a=["1"])})
    with pytest.raises(
        hfneg.PublishError, match=r"has a config 'own' whose patterns would take in .*\(corpus/round-001"
    ):
        client(hfneg.publish, rounds[0], name, audit=False)
    assert client(loaded, name, "own") == [{"a": "1"}]
    client(hfneg.publish, rounds[0], f"{name}-beside", audit=False)
    assert client(loaded, f"{name}-beside", "own") == [{"a": "1"}]
    assert client(loaded, f"{name}-beside", "round-001")


def test_configs_beside_the_readme(rounds: list[Path], client: Client, hub: Hub) -> None:
    """In a file that `datasets` takes instead of the README's head: refused. Without configs it is no matter."""
    for name, text in (
        ("org/aside", "configs: [{config_name: corpus, data_files: a.parquet}]\n"),
        ("org/by-the-way", "x: 1\n"),
    ):
        hub.create(name)
        hub.put(name, {".huggingface.yaml": text, "a.parquet": table(a=["1"])})
    with pytest.raises(hfneg.PublishError, match=r"has configs in \.huggingface\.yaml"):
        client(hfneg.publish, rounds[0], "org/aside", audit=False)
    assert client(loaded, "org/aside", "corpus") == [{"a": "1"}]
    client(hfneg.publish, rounds[0], "org/by-the-way", audit=False)
    assert client(loaded, "org/by-the-way", "round-001")


@pytest.mark.parametrize("config", [["corpus"], 1, {"a": "b"}])
def test_a_config_whose_name_is_no_text(rounds: list[Path], client: Client, hub: Hub, config: Any) -> None:
    """Said, and nothing is sent."""
    name = f"org/own-name-{type(config).__name__}"
    with_readme(hub, name, {"configs": [{"config_name": config, "data_files": "a.parquet"}]})
    with pytest.raises(hfneg.PublishError, match="which is no text; mend it first"):
        client(hfneg.publish, rounds[0], name, audit=False)


def test_a_provenance_that_is_too_deep(rounds: list[Path], client: Client, hub: Hub) -> None:
    """Somebody else's, like any that hfneg did not write: the round takes the next number."""
    with_readme(hub, "org/deep", {"license": "mit"}, {"round-001/provenance.json": "[" * 50_000})
    assert client(hfneg.publish, rounds[0], "org/deep", audit=False).round == 2


def test_their_default_is_not_called_ours(rounds: list[Path], client: Client, hub: Hub) -> None:
    """The card does not say that `load_dataset` without a name opens the round, where it opens theirs."""
    own = {"config_name": "own", "data_files": "own.parquet", "default": True}
    with_readme(hub, "org/own-default", {"configs": [own]}, {"own.parquet": table(a=["1"])})
    client(hfneg.publish, rounds[0], "org/own-default", audit=False)
    assert "opens the newest round" not in body_of(hub, "org/own-default")
    client(hfneg.publish, rounds[0], "org/our-default", audit=False)
    assert "opens the newest round" in body_of(hub, "org/our-default")


# READMEs of others.


def test_a_readme_written_anew_loses_no_round(rounds: list[Path], client: Client, hub: Hub) -> None:
    """Rounds, configs and provenance are there again after the next push; until then they are read from their own
    files."""
    name = "org/rewritten"
    done = [client(hfneg.publish, folder, name, audit=False) for folder in rounds[:2]]
    hub.put(name, {"README.md": "---\nlicense: mit\n---\n# All mine\n"})
    for n, tag in ((1, "round-001"), (2, None)):
        assert client(recipe_of, name, None if tag is None else n) == hfneg.open_summary(rounds[n - 1])["recipe"]
    third = client(hfneg.publish, rounds[2], name, audit=False)
    assert third.round == 3
    head = head_of(hub, name)
    assert [(line["round"], line["tag"]) for line in head["hfneg"]["rounds"]] == [
        (1, "round-001"),
        (2, "round-002"),
        (3, "round-003"),
    ]
    assert head["license"] == "mit"
    assert body_of(hub, name).startswith("# All mine\n")
    for n in (1, 2):
        assert client(rows_at, name, f"round-{n:03d}", "main") == done[n - 1].configs[0].rows
    hub.put(name, {"README.md": "# Mine again\n"})
    again = client(hfneg.publish, rounds[0], name, audit=False)
    assert (again.round, again.new, again.changes) == (1, True, ("rounds that the README has lost",))
    assert [line["round"] for line in head_of(hub, name)["hfneg"]["rounds"]] == [1, 2, 3]
    assert client(rows_at, name, "round-003", "main") == third.configs[0].rows


def recipe_of(name: str, number: int | None) -> str:
    return hfneg.read_card(name, round=number).recipe


def test_windows_lines_stay(rounds: list[Path], client: Client, hub: Hub) -> None:
    """Through two rounds: every line ends as the owner's do, and the owner's words are there to the letter."""
    theirs = "---\r\n# who\r\nlicense: mit  # agreed\r\ntags:\r\n- a  # first\r\n---\r\n# Mine\r\n\r\nwords\r\n"
    hub.create("org/windows")
    hub.put("org/windows", {"README.md": theirs.encode()})
    for folder in rounds[:2]:
        client(hfneg.publish, folder, "org/windows", audit=False)
    text = hub.repository("org/windows").content("main", "README.md").decode()
    assert text.count("\n") == text.count("\r\n")
    assert text.startswith("---\r\n# who\r\nlicense: mit  # agreed\r\ntags:\r\n- a  # first\r\n- hard-negatives\r\n")
    assert "\r\n---\r\n# Mine\r\n\r\nwords\r\n" in text
    assert client(rows_at, "org/windows", "round-001", "main")


# Mending a round.


def recorded(folder: Path, to: Path, **facts: Any) -> Path:
    """A copy of a mined folder in which something was recorded, as `hfneg calibrate --record` does."""
    shutil.copytree(folder, to)
    mined_folder.record(to, **facts)
    return to


def test_a_rate_that_was_measured_later(rounds: list[Path], client: Client, hub: Hub, tmp_path: Path) -> None:
    """One more commit with the card alone and a tag of its own; the old tag stays; a push without the rate does not
    take it away."""
    name, rate = "org/measured", "12% of the negatives are relevant"
    first = client(hfneg.publish, rounds[0], name, audit=False)
    measured = recorded(rounds[0], tmp_path / "measured", calibration=rate)
    second = client(hfneg.publish, measured, name, audit=False)
    assert (second.new, second.round, second.tag, second.changes) == (True, 1, "round-001.1", ("calibration",))
    repository = hub.repository(name)
    assert repository.tags == {"round-001": first.commit, "round-001.1": second.commit}
    before, after = (repository.at(str(done.commit)).files for done in (first, second))
    assert {path for path in after if after[path] != before.get(path)} == {"README.md", "round-001/provenance.json"}
    assert rate in body_of(hub, name)
    assert rate not in body_of(hub, name, "round-001")
    assert 'revision="round-001.1"' in body_of(hub, name)
    for folder in (measured, rounds[0]):
        again = client(hfneg.publish, folder, name, audit=False)
        assert (again.new, again.tag, again.commit) == (False, "round-001.1", second.commit)
    assert rate in body_of(hub, name)
    assert client(card_facts, f"{name}@round-001.1")["calibration"] == rate
    assert "calibration" not in client(card_facts, f"{name}@round-001")


def card_facts(repo: str) -> dict[str, Any]:
    return dict(hfneg.read_card(repo).facts)


def test_another_licence_and_an_audit_later(rounds: list[Path], client: Client, hub: Hub) -> None:
    """Each is a change of the card; what is asked for in vain is named."""
    name = "org/licensed"
    client(hfneg.publish, rounds[0], name, audit=False)
    second = client(hfneg.publish, rounds[0], name, license="mit", audit=False)
    assert (second.new, second.tag, second.changes) == (True, "round-001.1", ("license",))
    assert head_of(hub, name)["license"] == "mit"
    third = client(hfneg.publish, rounds[0], name, license="mit", tag="round-001")
    assert (third.tag, third.changes) == ("round-001.2", ("audit",))
    assert third.ignored == ("tag round-001: it stays at the commit that it names",)
    assert "audit" in provenance_of(hub, name)
    fourth = client(hfneg.publish, rounds[0], name, audit=False)
    assert (fourth.new, fourth.commit) == (False, third.commit)


def test_an_older_round_is_mended(rounds: list[Path], client: Client, hub: Hub, tmp_path: Path) -> None:
    """Its own provenance changes, and one line of the card; what the card tells of the newest stays."""
    name = "org/older"
    for folder in rounds[:2]:
        client(hfneg.publish, folder, name, audit=False)
    body = body_of(hub, name)
    measured = recorded(rounds[0], tmp_path / "measured", calibration="some")
    done = client(hfneg.publish, measured, name, formats=["triplets"], audit=False)
    assert (done.round, done.tag, done.changes) == (1, "round-001.1", ("format triplets", "calibration"))
    assert body_of(hub, name) == body
    head = head_of(hub, name)
    assert [(line["round"], line["tag"]) for line in head["hfneg"]["rounds"]] == [(1, "round-001.1"), (2, "round-002")]
    assert head["hfneg"]["round"] == 2
    assert client(rows_at, name, "round-001-triplets", done.tag) == client(rows_at, name, "round-001-triplets", "main")
    assert client(card_facts, f"{name}@round-001.1")["calibration"] == "some"
    assert client(card_facts, name)["round"] == 2


def test_a_format_is_added_without_the_store(rounds: list[Path], client: Client, hub: Hub, tmp_path: Path) -> None:
    """From a machine that has lost the corpus: the ids that are published stay as they are."""
    first = client(hfneg.publish, rounds[0], "org/elsewhere", audit=False)
    second = client(publish_with_store, rounds[0], "org/elsewhere", str(tmp_path / "empty"))
    assert second.changes == ("format triplets",)
    before, after = (hub.repository("org/elsewhere").at(str(done.commit)).files for done in (first, second))
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == {"README.md", "round-001/provenance.json", "round-001/triplets/train-00000.parquet"}


def publish_with_store(folder: Path, name: str, store: str) -> Any:
    import os

    before = os.environ["HFNEG_STORE"]
    os.environ["HFNEG_STORE"] = store
    try:
        return hfneg.publish(folder, name, formats=["triplets"], audit=False)
    finally:
        os.environ["HFNEG_STORE"] = before


def test_files_that_are_gone_come_back(rounds: list[Path], client: Client, hub: Hub) -> None:
    """The card names no file that its owner deleted; the same folder, pushed again, brings it back."""
    name, gone = "org/deleted", ["round-001/ids/train-00000.parquet", "round-001/triplets/train-00000.parquet"]
    client(hfneg.publish, rounds[0], name, formats=["triplets"], audit=False)
    before = hub.repository(name).at("main").files
    hub.repository(name).commit("main", None, "away with it", "", "somebody", dict.fromkeys(gone))
    client(hfneg.publish, rounds[1], name, audit=False)
    assert not {"round-001", "round-001-triplets"} & {entry["config_name"] for entry in head_of(hub, name)["configs"]}
    assert client(rows_at, name, "round-002", "main")
    done = client(hfneg.publish, rounds[0], name, audit=False)
    assert (done.tag, done.changes) == ("round-001.1", ("files that were gone",))
    for path in gone:
        assert hub.repository(name).at("main").files[path].etag() == before[path].etag()
    assert client(rows_at, name, "round-001", "main") == client(rows_at, name, "round-001", "round-001")


def test_another_licence_takes_the_name_of_the_old_along(rounds: list[Path], client: Client, hub: Hub) -> None:
    """The name and the link of a licence that is none of the Hub's do not stay behind."""
    with_readme(hub, "org/house", {"license": "other", "license_name": "house-1.0", "license_link": "LICENSE"})
    client(hfneg.publish, rounds[0], "org/house", audit=False)
    assert head_of(hub, "org/house")["license_name"] == "house-1.0"
    client(hfneg.publish, rounds[0], "org/house", license="mit", audit=False)
    head = head_of(hub, "org/house")
    assert {key: head[key] for key in head if key.startswith("license")} == {"license": "mit"}


def test_an_older_round_brings_no_secret_either(rounds: list[Path], client: Client, hub: Hub, tmp_path: Path) -> None:
    """Its provenance file is looked at like that of the newest."""
    for folder in rounds[:2]:
        client(hfneg.publish, folder, "org/no-secrets", audit=False)
    told = recorded(rounds[0], tmp_path / "told", calibration="by /home/anna/judge.py")
    with pytest.raises(hfneg.PublishError, match="a local path"):
        client(hfneg.publish, told, "org/no-secrets", audit=False)


@pytest.mark.parametrize("text", ["[]", "{", '{"format": 1, "round": 1}', '{"format": 99, "round": 1}'])
def test_a_provenance_file_that_is_none(rounds: list[Path], client: Client, hub: Hub, text: str) -> None:
    """Somebody else's stays where it is and ours is another round; one of a newer hfneg is an error."""
    name = f"org/not-ours-{len(text)}-{text.count('9')}"
    with_readme(hub, name, {"license": "mit"}, {"round-001/provenance.json": text})
    if "99" in text:
        with pytest.raises(hfneg.PublishError, match="newer hfneg"):
            client(hfneg.publish, rounds[0], name, audit=False)
    else:
        assert client(hfneg.publish, rounds[0], name, audit=False).round == 2
    assert hub.repository(name).content("main", "round-001/provenance.json").decode() == text


# What is said when it does not end well.


@pytest.mark.parametrize("status", [403, 400, 500])
def test_a_tag_that_is_refused(rounds: list[Path], client: Client, hub: Hub, status: int) -> None:
    """The round is there and the error says so; run again it makes the tag, and no other commit."""
    name = f"org/untagged-{status}"
    hub.plan(Fault(match="POST .*/tag/", status=status, times=100))
    with pytest.raises(
        hfneg.PublishError, match=rf"Round 1 is whole in {name}, and its tag 'round-001' is missing; run"
    ):
        client(hfneg.publish, rounds[0], name, audit=False)
    hub.plan()
    done = client(hfneg.publish, rounds[0], name, audit=False)
    assert (done.new, hub.repository(name).tags) == (False, {"round-001": done.commit})
    assert len(hub.repository(name).history("main")) == 2


def test_a_change_that_does_not_arrive(rounds: list[Path], client: Client, hub: Hub) -> None:
    """The round is there as before, and the error says that the change is missing."""
    client(hfneg.publish, rounds[0], "org/unchanged", audit=False)
    hub.plan(Fault(match="POST .*/commit/", status=500, times=100))
    with pytest.raises(
        hfneg.PublishError, match=r"as before \(tag 'round-001'\), and what was to be changed is missing"
    ):
        client(hfneg.publish, rounds[0], "org/unchanged", license="mit", audit=False)


KINDS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "429": {"status": 429},
    "cut": {},
    "answer lost": {"after": True},
    "no answer": {"hang": True},
    "a page": {"body": b"<html><b>Log in first</b></html>"},
    "null": {"body": b"null"},
    "a list": {"body": b"[]"},
    "an object": {"body": b"{}"},
    "deep": {"body": b"[" * 50_000},
}


def pushing(folder: Path, name: str, **options: Any) -> str:
    """What went wrong, or "done"; with little patience."""
    from hfneg.hub import repository as hub

    before, hub.PATIENCE = hub.PATIENCE, 0.15
    try:
        hfneg.publish(folder, name, audit=False, **options)
    except hfneg.PublishError as error:
        return str(error)
    finally:
        hub.PATIENCE = before
    return "done"


def truly(said: str, hub: Hub, name: str) -> bool:
    """Whether what an error says is there is what is there."""
    there = hub.repositories.get(("dataset", name))
    files = there.at("main").files if there is not None else {}
    whole = "round-001/provenance.json" in files
    tagged = there is not None and "round-001" in there.tags
    if "cannot be seen now" in said:
        return True
    if "was not made" in said or f"nothing of {name} was changed" in said.lower():
        return there is None
    if "holds nothing of this round" in said:
        return there is not None and not whole
    return whole and ("is missing" in said) == (not tagged)


@pytest.fixture(scope="module")
def requests(rounds: list[Path], hub_client: Any, hub_server: Hub) -> dict[str, int]:
    """The requests of a first push as patterns, {name} for the repository's, and which one is the first like it."""
    hub_server.plan()
    hub_client.submit(hfneg.publish, rounds[0], "org/untroubled", audit=False).result(timeout=120)
    lines = [re.sub(r"[0-9a-f]{40,}", "[0-9a-f]+", line) for line in hub_server.log]
    assert len(lines) >= 20
    found = {line.replace("org/untroubled", "{name}"): at for at, line in reversed([*enumerate(lines)])}
    return {f"^{line}$": at for line, at in sorted(found.items(), key=lambda item: item[1])}


@pytest.mark.parametrize("kind", KINDS)
def test_a_hub_that_fails_at_each_request(
    kind: str, requests: dict[str, int], rounds: list[Path], client: Client, hub: Hub
) -> None:
    """One kind of request after the other, for good: it ends complete, or with an error that says truly what is there.
    Run again, with one request that fails once, it is complete, in one commit, with one tag."""
    failed = []
    for line, at in requests.items():
        name = f"org/failing-{kind.replace(' ', '-')}-{at}"
        hub.plan(Fault(match=line.replace("{name}", name), times=1000, **KINDS[kind]))
        said = client(pushing, rounds[0], name)
        if said != "done":
            failed.append(at)
            assert "run it again" in said, (line, said)
            assert truly(said, hub, name), (line, said)
        hub.plan(Fault(at=at // 2, **KINDS[kind]))
        if "body" in KINDS[kind]:  # what is no answer of a Hub may end a push at once
            client(pushing, rounds[0], name)
            hub.plan()
        assert client(pushing, rounds[0], name) == "done"
        repository = hub.repository(name)
        assert repository.tags == {"round-001": repository.branches["main"]}
        assert [line["round"] for line in head_of(hub, name)["hfneg"]["rounds"]] == [1]
        assert len(repository.history("main")) == 2, "one commit besides the Hub's own"
    assert len(failed) >= (7 if kind in ("500", "429", "cut", "no answer") else 4), failed
