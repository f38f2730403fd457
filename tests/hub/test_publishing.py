"""Publishing over a loopback Hub with the real clients: what a reader finds, and that nothing is half there.

Functions named ``...ed`` or ``...ing`` at the top run in the client's process (see hub_fixtures.py).
"""

from __future__ import annotations

import hashlib
import html
import io
import json
import os
import re
import shutil
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hub_fixtures import BERT, READER, STRANGER
from hypothesis import given, strategies as st
from loopback_hub import Fault, Hub
from small_collection import documents, pairs, values

import hfneg
from hfneg.hub.push import Published

FIRST = hfneg.Recipe(
    retrievers=[hfneg.BM25(), hfneg.RandomDocuments()],
    k=20,
    filters=[hfneg.RankWindow(skip=1)],
    sampler=hfneg.TakeTop(4),
)
SECOND = hfneg.Recipe(k=30, sampler=hfneg.TakeRandom(3, seed=7))
NAMES = {"anchor": "query", "positive": "answer"}
Client = Callable[..., Any]


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two mined folders over one corpus: BM25 and random documents, then BM25 alone, drawn at random."""
    folder = tmp_path_factory.mktemp("mined")
    hfneg.mine(pairs(), documents(), FIRST, out=folder / "one", hidden="relevant", **NAMES)
    hfneg.mine(pairs(), documents(), SECOND, out=folder / "two", **NAMES)
    return folder / "one", folder / "two"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mined folder of four anchors, quick to push."""
    out = tmp_path_factory.mktemp("small") / "mined"
    rows = pairs().select([0, 1, 2, 5])
    hfneg.mine(rows, documents(60), hfneg.Recipe(k=5, sampler=hfneg.TakeTop(2)), out=out, missing="add", **NAMES)
    return out


@pytest.fixture(scope="module")
def published(rounds: tuple[Path, Path], hub_client: Any, hub_server: Hub) -> tuple[str, Published, Published]:
    """Both rounds in one repository, the first with triplets."""
    name = "org/two-rounds"

    def push(folder: Path, **options: Any) -> Published:
        done: Published = hub_client.submit(hfneg.publish, folder, name, **options).result(timeout=120)
        return done

    return name, push(rounds[0], formats=["triplets"]), push(rounds[1])


def tree_of(folder: Path) -> dict[str, str]:
    """Every file by content and time."""
    return {
        str(path.relative_to(folder)): f"{hashlib.md5(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def head_of(hub: Hub, name: str, revision: str = "main") -> dict[str, Any]:
    """The YAML of the README."""
    text = hub.repository(name).content(revision, "README.md").decode()
    head: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return head


def provenance_of(hub: Hub, name: str, number: int = 1) -> dict[str, Any]:
    """The facts of a round, from its file."""
    facts: dict[str, Any] = json.loads(hub.repository(name).content("main", f"round-{number:03d}/provenance.json"))
    return facts


def table(**columns: list[str]) -> bytes:
    """As a parquet file."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def as_list(paths: Any) -> list[str]:
    return paths if isinstance(paths, list) else [paths]


def body_of(hub: Hub, name: str, revision: str = "main") -> str:
    return hub.repository(name).content(revision, "README.md").decode().split("---\n", 2)[2]


# What a reader finds.


def texts_from_ids(name: str, config: str | None, revision: str | None) -> list[dict[str, Any]]:
    """The rows of a round with their ids replaced by the texts that `queries` and `corpus` hold."""
    from datasets import load_dataset

    rows = load_dataset(name, config, split="train", revision=revision)
    queries = {row["query_id"]: row["text"] for row in load_dataset(name, "queries", split="train", revision=revision)}
    corpus = {row["document_id"]: row["text"] for row in load_dataset(name, "corpus", split="train", revision=revision)}
    return [
        {
            "query": queries[row["query_id"]],
            "answer": corpus[row["positive_id"]],
            "hard_negatives": [corpus[name] for name in row["negative_ids"]],
            "hard_negative_scores": row["negative_scores"],
            "hard_negative_sources": row["negative_sources"],
            "positive_scores": [row["positive_score"]],
        }
        for row in rows
    ]


def rows_of(folder: Path) -> list[dict[str, Any]]:
    from datasets import load_dataset

    return list(load_dataset(str(folder), split="train"))


@pytest.mark.parametrize(
    ("which", "config", "revision"),
    [(1, None, None), (1, "round-002", None), (0, "round-001", None), (0, None, "round-001"), (1, None, "round-002")],
)
def test_ids_stand_for_the_mined_rows(
    published: tuple[str, Published, Published],
    rounds: tuple[Path, Path],
    client: Client,
    which: int,
    config: str | None,
    revision: str | None,
) -> None:
    """Row by row, text by text and score by score, by config and by tag; the newest round is the default."""
    found = client(texts_from_ids, published[0], config, revision)
    expected = rows_of(rounds[which])
    assert len(found) == len(expected)
    for here, there in zip(found, expected, strict=True):
        assert here == {name: there[name] for name in here}


def other_ways(name: str) -> dict[str, Any]:
    """The ledger, a stream, and a text format."""
    from datasets import get_dataset_config_names, load_dataset

    stream = load_dataset(name, "round-001", split="train", streaming=True)
    return {
        "ledger": values(load_dataset(name, "ledger", split="anchors")),
        "old ledger": values(load_dataset(name, "round-001-ledger", split="anchors")),
        "named": load_dataset(name, "round-001-ledger", split="anchors").select_columns(["rows", "positive_rows"])[:],
        "streamed": list(stream),
        "loaded": load_dataset(name, "round-001", split="train").to_list(),
        "triplets": load_dataset(name, "round-001-triplets", split="train").to_list(),
        "documents": load_dataset(name, "round-001-documents", split="train").to_list(),
        "configs": get_dataset_config_names(name),
    }


def test_ledger_stream_and_formats(
    published: tuple[str, Published, Published], rounds: tuple[Path, Path], client: Client
) -> None:
    """ "ledger" is the newest round's; a stream gives the same rows; a format is what `hfneg.formats` gives."""
    from datasets import load_dataset

    found = client(other_ways, published[0])
    assert found["ledger"] == values(load_dataset(str(rounds[1]), "ledger", split="anchors"))
    assert found["old ledger"] == values(load_dataset(str(rounds[0]), "ledger", split="anchors"))
    assert found["streamed"] == found["loaded"]
    mined = load_dataset(str(rounds[0]), split="train")
    assert found["triplets"] == hfneg.formats.triplets(mined, **NAMES).to_list()
    corpus = hfneg.Anchors(pairs(), hfneg.Corpus.from_texts(documents()), **NAMES).corpus
    ids = {row["row"]: row["document_id"] for row in found["documents"]}
    assert set(ids) == {row for lists in found["named"].values() for rows in lists for row in rows}
    plain = {row: name for row, name in ids.items() if not name.startswith("text-")}
    assert list(plain.values()) == corpus.ids(list(plain))
    assert len(plain) == len(ids) - 1, "one positive was added"
    assert found["configs"] == ["corpus", "ledger", "queries", *sorted(found["configs"][3:])]


def test_each_text_is_published_once(published: tuple[str, Published, Published], hub: Hub, tmp_path: Path) -> None:
    """The second round brings only documents and anchors that the first has not; exactly those named are there."""
    name = published[0]
    seen: dict[str, list[str]] = {"corpus": [], "queries": []}
    for path in hub.repository(name).at("main").files:
        folder = path.split("/")[0]
        if folder in seen:
            (tmp_path / "file").write_bytes(hub.repository(name).content("main", path))
            seen[folder] += pq.read_table(tmp_path / "file").column(0).to_pylist()
    assert all(len(ids) == len(set(ids)) for ids in seen.values())
    counts = {config.name: config.rows for config in published[2].configs}
    assert {folder: len(ids) for folder, ids in seen.items()} == {name: counts[name] for name in seen}


def test_one_commit_and_its_tag(published: tuple[str, Published, Published], hub: Hub) -> None:
    """Each round is one commit with data and card, and the tag names it."""
    name, first, second = published
    repository = hub.repository(name)
    assert [commit.oid for commit in repository.history("main")][:2] == [second.commit, first.commit]
    assert len(repository.history("main")) == 3, "the commit that the Hub makes itself, and one per round"
    assert repository.tags == {"round-001": first.commit, "round-002": second.commit}
    for commit in (first.commit, second.commit):
        paths = set(repository.at(str(commit)).files)
        for config in head_of(hub, name, str(commit))["configs"]:
            for entry in config["data_files"]:
                assert {*as_list(entry["path"])} <= paths, f"{entry['path']} is not there"


def test_the_card_says_where_it_came_from(
    published: tuple[str, Published, Published], rounds: tuple[Path, Path], hub: Hub
) -> None:
    """The key hfneg holds what the summary says, both rounds are listed, and the parent is the commit before."""
    name, first, _ = published
    told, facts = head_of(hub, name)["hfneg"], provenance_of(hub, name, 2)
    summary = hfneg.open_summary(rounds[1])
    shared = [key for key in told if key not in ("rounds", "provenance")]
    assert {key: told[key] for key in shared} == {key: facts[key] for key in shared}
    assert told["provenance"] == "round-002/provenance.json"
    assert {"recipe", "seed", "models", "datasets", "corpus", "versions"} <= set(shared)
    assert (facts["round"], facts["tag"], facts["parent"]) == (2, "round-002", first.commit)
    assert hfneg.Recipe.from_yaml(facts["recipe"]) == SECOND
    assert facts["seed"] == {"TakeRandom": 7}
    assert facts["verdicts"] == summary["verdicts"]
    assert facts["counts"]["negatives"] == summary["negatives"]
    assert (facts["version"], set(facts["versions"]) >= {"python", "datasets", "numpy"}) == (hfneg.__version__, True)
    report = hfneg.audit(str(rounds[1]))
    assert facts["audit"]["ok"] is report.ok
    assert [(entry["round"], entry["tag"]) for entry in told["rounds"]] == [(1, "round-001"), (2, "round-002")]
    assert told["rounds"][0]["content"] != told["rounds"][1]["content"]
    defaults = [config["config_name"] for config in head_of(hub, name)["configs"] if config.get("default")]
    assert defaults == ["round-002"]
    assert all("content " in config["description"] for config in head_of(hub, name)["configs"])


def test_the_card_is_readable(published: tuple[str, Published, Published], hub: Hub) -> None:
    """How it was mined step by step, what was dropped, five rows, a picture that is there, and the sources."""
    name = published[0]
    body = body_of(hub, name, "round-001")
    for said in (
        "`RankWindow(skip=1",
        "Okapi BM25",
        "rank_window",
        "Cormack",
        "1.6% of the negatives, counted row by row",
    ):
        assert said in body, said
    assert len(re.findall(r"^\| positive \|", body, re.MULTILINE)) == 5
    picture = re.search(r"!\[.*\]\((.*)\)", body)
    assert picture is not None
    svg = hub.repository(name).content("round-001", picture.group(1)).decode()
    assert re.findall(r">(\w+) \(([\d,]+)\)<", svg)[1:] == [("negatives", "124"), ("rejected", "51")]
    assert "Cormack" not in body_of(hub, name), "one source needs no fusion"


def test_the_card_of_several_rounds(
    published: tuple[str, Published, Published], rounds: tuple[Path, Path], hub: Hub
) -> None:
    """Named after the repository, with its size; a line per round, and what every column and code means."""
    name = published[0]
    head, body = head_of(hub, name), body_of(hub, name)
    called = name.rpartition("/")[2]
    assert (head["pretty_name"], head["size_categories"]) == (called, ["n<1K"])
    assert f"# {called}: hard negatives, round 2\n" in body
    lines = re.findall(r"^\| (\d) \| (.*?) \| ([\d,]+) \| (.*?) \| `(.*?)` \|$", body, re.MULTILINE)
    assert [(number, tag) for number, _, _, _, tag in lines] == [("1", "round-001"), ("2", "round-002")]
    for (_, recipe, negatives, _, _), folder in zip(lines, rounds, strict=True):
        summary = hfneg.open_summary(folder)
        assert negatives == f"{summary['negatives']:,}"
        assert html.unescape(recipe).startswith("BM25(")
    assert "1.6% (hidden positives)" in lines[0][3]
    assert "## Rounds" not in body_of(hub, name, "round-001"), "one round needs no table"
    rows = pq.read_schema(io.BytesIO(hub.repository(name).content("main", "round-002/ids/train-00000.parquet")))
    assert re.findall(r"^\| `(\w+)` \| [^|]*\|$", body.split("## Columns")[1], re.MULTILINE) == rows.names
    codes = dict(re.findall(r"^\| (\d+) \| `(\w+)` \|", body, re.MULTILINE))
    assert codes.items() <= hfneg.open_summary(rounds[1])["verdict_codes"].items()
    assert codes["0"] == "selected"


def test_languages(rounds: tuple[Path, Path], client: Client, hub: Hub, tmp_path: Path) -> None:
    """Those that are given, else what the sources' cards say, else none; what the README says stays unless given."""
    name = "org/speaks"
    client(hfneg.publish, rounds[0], name, audit=False)
    assert "language" not in head_of(hub, name)
    second = client(hfneg.publish, rounds[0], name, language=["en", "de"], audit=False)
    assert (second.changes, head_of(hub, name)["language"]) == (("language",), ["en", "de"])
    assert not client(hfneg.publish, rounds[0], name, audit=False).new
    assert not client(hfneg.publish, rounds[0], name, language=["en", "de"], audit=False).new
    with pytest.raises(hfneg.SettingError, match="language='english': expected a code such as 'en'"):
        hfneg.publish(rounds[0], name, language="english")


def test_the_snippets_of_a_folders_card_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They load and train as they stand, but for the folder's path, also where positives are ids."""
    model = tiny_model(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    corpus = documents(40)
    ids = [{"_id": f"d{i}", "text": text} for i, text in enumerate(corpus)]
    rows = {
        "text": [{"query": text, "answer": text + " slab"} for text in corpus[:6]],
        "id": [{"query": text + " slab", "answer": f"d{i}"} for i, text in enumerate(corpus[:6])],
    }
    for kind, listed in rows.items():
        out = tmp_path / kind
        recipe = hfneg.Recipe(k=8, sampler=hfneg.TakeTop(2), short=hfneg.Fill(seed=0))
        hfneg.mine(listed, ids, recipe, out=out, missing="add" if kind == "text" else None, **NAMES)
        text = (out / "README.md").read_text()
        assert "# Hard negatives: query to answer\n" in text
        legend = re.findall(r"^\| `(\w+)` \| [^|]*\|$", text.split("## Columns")[1], re.MULTILINE)
        assert legend == pq.read_schema(next((out / "data").glob("*.parquet"))).names
        codes = [code.replace("PATH", str(out)) for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
        columns, _ = snippets_run(codes, model, tmp_path)
        assert columns[:2] == ["query", "answer"]


def reading(name: str, revision: str | None = None, round: int | None = None) -> tuple[int, str, str]:
    found = hfneg.read_card(name, revision, round=round)
    return found.round, found.recipe, found.commit


def test_read_card(published: tuple[str, Published, Published], client: Client, hub: Hub) -> None:
    """By tag, by number, of the head; a card without provenance, a round or a repository that is not there: errors."""
    name, first, second = published
    assert client(reading, name) == (2, SECOND.to_yaml(), second.commit)
    assert client(reading, f"{name}@round-001") == (1, FIRST.to_yaml(), first.commit)
    assert client(reading, name, None, 1) == (1, FIRST.to_yaml(), second.commit)
    hub.create("org/somebody")
    hub.put("org/somebody", {"README.md": "---\nlicense: mit\n---\nHello"})
    for asked, said in (
        (("org/somebody",), "no provenance"),
        (("org/nowhere",), "no dataset"),
        ((name, "round-009"), "no dataset .* at revision 'round-009'"),
        ((name, None, 7), "no round 7; it has 1, 2"),
    ):
        with pytest.raises(hfneg.PublishError, match=said):
            client(reading, *asked)


# Pushing again, and with others.


def test_an_unchanged_folder_makes_no_commit(
    published: tuple[str, Published, Published], rounds: tuple[Path, Path], client: Client, hub: Hub
) -> None:
    """Either round, pushed again, finds itself; tags and head stay."""
    name, first, second = published
    before = dict(hub.repository(name).tags), hub.repository(name).branches["main"]
    for folder, was in ((rounds[1], second), (rounds[0], first)):
        again = client(hfneg.publish, folder, name)
        assert (again.new, again.round, again.tag, again.commit) == (False, was.round, was.tag, was.commit)
    assert (hub.repository(name).tags, hub.repository(name).branches["main"]) == before


def rows_at(name: str, config: str, revision: str) -> int:
    from datasets import load_dataset

    return len(load_dataset(name, config, split="train", revision=revision))


def test_a_format_can_be_added_later(rounds: tuple[Path, Path], client: Client, hub: Hub) -> None:
    """One more config in a second commit with a tag of its own; the round, its tag and its other files stay, and what
    the card says to load is there at the tag that it names."""
    first = client(hfneg.publish, rounds[0], "org/later", audit=False)
    second = client(hfneg.publish, rounds[0], "org/later", formats=["tuples"], audit=False)
    assert (second.new, second.round, second.changes) == (True, 1, ("format tuples",))
    assert hub.repository("org/later").tags == {"round-001": first.commit, "round-001.1": second.commit}
    assert 'revision="round-001.1"' in body_of(hub, "org/later")
    assert 'revision="round-001"' not in body_of(hub, "org/later")
    assert client(rows_at, "org/later", "round-001-tuples", "round-001.1") == len(pairs())
    before, after = (hub.repository("org/later").at(str(done.commit)).files for done in (first, second))
    assert {path for path in after if after[path] != before.get(path)} == {
        "README.md",
        "round-001/provenance.json",
        "round-001/tuples/train-00000.parquet",
    }
    third = client(hfneg.publish, rounds[0], "org/later", formats=["rows", "tuples"], audit=False)
    listed = [config["name"] for config in provenance_of(hub, "org/later")["configs"]]
    assert {"round-001-rows", "round-001-tuples"} <= set(listed) == {config.name for config in third.configs}
    assert third.ignored == ("format tuples: published already",)
    again = client(hfneg.publish, rounds[0], "org/later", formats=["tuples"], audit=False)
    assert (again.new, again.commit, again.tag) == (False, third.commit, "round-001.2")


def test_what_somebody_wrote_is_kept(rounds: tuple[Path, Path], client: Client, hub: Hub) -> None:
    """Text before and behind, keys, tags, a config and its being the default, over two rounds."""
    name = "org/theirs"
    hub.create(name)
    head = {"license": "cc-by-4.0", "tags": ["mine"], "custom": {"deep": [1, 2]}, "pretty_name": "Theirs"}
    head["configs"] = [{"config_name": "default", "data_files": "own.parquet"}]
    text = f"---\n{yaml.safe_dump(head)}---\n# My words\n\nabove\n"
    hub.put(name, {"README.md": text, "own.parquet": table(a=["1"])})
    client(hfneg.publish, rounds[0], name, audit=False)
    now = hub.repository(name).content("main", "README.md").decode()
    assert now.split("---\n", 2)[2].startswith("# My words\n\nabove\n")
    hub.put(name, {"README.md": now + "\nbelow\n"})
    client(hfneg.publish, rounds[1], name, audit=False)
    body, after = body_of(hub, name), head_of(hub, name)
    assert body.startswith("# My words\n\nabove\n")
    assert body.endswith("<!-- hfneg:end -->\n\nbelow\n")
    assert re.findall(r"hfneg:begin|^# .*", body.split("## How")[0], re.MULTILINE) == [
        "# My words",
        "hfneg:begin",
        "# Theirs: hard negatives, round 2",
    ]
    assert {key: after[key] for key in ("license", "custom", "pretty_name")} == {
        key: head[key] for key in ("license", "custom", "pretty_name")
    }
    assert after["tags"][:2] == ["mine", "hard-negatives"]
    assert after["configs"][0] == head["configs"][0]
    assert not any(config.get("default") for config in after["configs"]), "theirs was the default"
    assert client(rows_at, name, None, "main") == 1
    assert client(rows_at, name, "round-002", "main") == sum(hfneg.open_summary(rounds[1])["rows"].values())


def said_while(folder: Path, name: str, **options: Any) -> list[str]:
    """The warnings of a push, in the client's process."""
    import logging

    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("hfneg")
    log.addHandler(handler)
    try:
        hfneg.publish(folder, name, audit=False, **options)
    finally:
        log.removeHandler(handler)
    return said


def test_data_that_no_config_names(small: Path, client: Client, hub: Hub) -> None:
    """Theirs was loaded by default, and is not any more: said once, with what to do."""
    hub.create("org/unnamed")
    hub.put("org/unnamed", {"data/own.csv": "a,b\n1,2\n"})
    (warning,) = [line for line in client(said_while, small, "org/unnamed") if "data/own.csv" in line]
    assert "add one for it" in warning
    assert not any("own.csv" in line for line in client(said_while, small, "org/unnamed", formats=["triplets"]))


def two_at_once(folders: list[Path], name: str) -> list[tuple[int, str]]:
    """Both pushes begin together, each with a token of its own."""
    import concurrent.futures

    barrier = threading.Barrier(2)

    def push(folder: Path, token: str | None) -> tuple[int, str]:
        barrier.wait()
        done = hfneg.publish(folder, name, audit=False, token=token)
        return done.round, str(done.commit)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(push, folders, [None, BERT]))


def test_two_pushers_lose_nothing(rounds: tuple[Path, Path], client: Client, hub: Hub) -> None:
    """Pushed at the same time both rounds are there, each whole, tagged, and in the card."""
    name = "org/crowd"
    done = client(two_at_once, list(rounds), name)
    assert sorted(number for number, _ in done) == [1, 2]
    repository = hub.repository(name)
    assert repository.tags == {f"round-{number:03d}": commit for number, commit in done}
    assert [entry["round"] for entry in head_of(hub, name)["hfneg"]["rounds"]] == [1, 2]
    for (number, _), folder in zip(done, rounds, strict=True):
        found = client(texts_from_ids, name, f"round-{number:03d}", None)
        assert [row["hard_negatives"] for row in found] == [row["hard_negatives"] for row in rows_of(folder)]


def test_a_commit_in_between(rounds: tuple[Path, Path], client: Client, hub: Hub) -> None:
    """Somebody writes the README after ours was read and before our commit: both are there."""
    name = "org/between"
    hub.create(name)
    hub.plan(Fault(match="POST .*/commit/", run=lambda: hub.put(name, {"README.md": "in between\n"})))
    done = client(hfneg.publish, rounds[0], name, audit=False)
    assert sum("/commit/" in line for line in hub.log) == 2, "the first was refused"
    assert body_of(hub, name).startswith("in between\n")
    assert head_of(hub, name)["hfneg"]["round"] == done.round == 1
    assert len(hub.repository(name).history("main")) == 3


# What goes wrong on the way.


@pytest.mark.parametrize("status", [409, 412, 429, 500, 503])
def test_a_passing_failure_of_the_commit(small: Path, client: Client, hub: Hub, status: int) -> None:
    """Answered once, it is tried again: one commit, tagged."""
    name = f"org/status-{status}"
    hub.plan(Fault(match="POST .*/commit/", status=status))
    done = client(hfneg.publish, small, name, audit=False)
    assert done.new
    assert hub.repository(name).tags == {"round-001": done.commit}
    assert len(hub.repository(name).history("main")) == 2


def pushing(folder: Path, name: str) -> str:
    """What went wrong, or "done"."""
    try:
        hfneg.publish(folder, name, audit=False)
    except hfneg.PublishError as error:
        return str(error)
    return "done"


def whole(hub: Hub, name: str) -> bool:
    """Nothing of the round is there, or all of it; False for nothing."""
    repository = hub.repositories.get(("dataset", name))
    if repository is None or "README.md" not in repository.at("main").files:
        assert repository is None or set(repository.at("main").files) == {".gitattributes"}
        assert repository is None or not repository.tags
        return False
    paths = set(repository.at("main").files)
    for config in head_of(hub, name)["configs"]:
        assert {*as_list(config["data_files"][0]["path"])} <= paths
    return True


REQUESTS = 25
"""At least as many as a first push makes."""


def test_how_many_requests_a_push_makes(small: Path, client: Client, hub: Hub) -> None:
    """The parametrised cuts below reach each of them."""
    client(hfneg.publish, small, "org/counted", audit=False)
    assert 8 <= len(hub.log) <= REQUESTS, "\n".join(hub.log)


@pytest.mark.parametrize(("at", "after"), [(at, bool(at % 2)) for at in range(REQUESTS)])
def test_a_connection_cut_at_any_request(small: Path, client: Client, hub: Hub, at: int, after: bool) -> None:
    """Cut once it goes on; cut from there on it is an error, all or nothing is there, and another run completes it."""
    name = f"org/cut-{at}-{after}"
    before = tree_of(small)
    hub.plan(Fault(at=at, after=after), *(Fault(at=n) for n in range(at + 1, 400)))
    said = client(pushing, small, name)
    assert "run it again" in said or (said == "done" and at >= len(hub.log) - 1)
    whole(hub, name)
    hub.plan(Fault(at=at % 5))
    done = client(hfneg.publish, small, name, audit=False)
    assert whole(hub, name)
    assert hub.repository(name).tags == {"round-001": done.commit}
    assert len(hub.repository(name).history("main")) == 2, "one commit, whatever was lost"
    assert tree_of(small) == before, "the mined folder is as it was"


# What is refused.


def without_token(folder: Path, name: str) -> None:
    import huggingface_hub

    token = os.environ.pop("HF_TOKEN")
    try:
        assert huggingface_hub.get_token() is None
        hfneg.publish(folder, name)
    finally:
        os.environ["HF_TOKEN"] = token


def test_rights(small: Path, client: Client, hub: Hub) -> None:
    """No token, a wrong one, one that may only read, one of somebody else: AccessError, and nothing is made."""
    with pytest.raises(hfneg.AccessError, match="no token"):
        client(without_token, small, "org/no-rights")
    assert hub.log == [], "nothing was sent"
    for token, said in (
        ("hf_wrong", "does not accept the token"),
        (READER, "rosa may only read"),
        (STRANGER, "write rights"),
    ):
        with pytest.raises(hfneg.AccessError, match=said):
            client(hfneg.publish, small, "org/no-rights", token=token, audit=False)
    assert ("dataset", "org/no-rights") not in hub.repositories
    hub.create("org/rights-there")
    with pytest.raises(hfneg.AccessError, match="write rights"):
        client(hfneg.publish, small, "org/rights-there", token=STRANGER, audit=False)
    assert not whole(hub, "org/rights-there")


@pytest.mark.parametrize("kind", ["model", "space"])
def test_a_repository_of_another_kind(small: Path, client: Client, hub: Hub, kind: str) -> None:
    """The name of a model or a Space is refused, and no dataset of that name is made."""
    name = f"org/a-{kind}"
    hub.create(name, kind)
    with pytest.raises(hfneg.PublishError, match=f"is a {kind} on the Hub, not a dataset"):
        client(hfneg.publish, small, name, audit=False)
    assert ("dataset", name) not in hub.repositories


def test_a_tag_or_a_round_with_other_content(
    published: tuple[str, Published, Published], rounds: tuple[Path, Path], small: Path, client: Client, hub: Hub
) -> None:
    """Refused before anything is uploaded; the error says what would do."""
    name = published[0]
    head = hub.repository(name).branches["main"]
    with pytest.raises(hfneg.PublishError, match=r"round 1 of .* other content; leave round= out .* \(3\)"):
        client(hfneg.publish, rounds[1], name, round=1, audit=False)
    with pytest.raises(hfneg.PublishError, match=r"tag 'round-001' .* other content"):
        client(hfneg.publish, rounds[1], name, tag="round-001", audit=False)
    hub.create("org/tagged")
    hub.repository("org/tagged").tags["v1"] = hub.put("org/tagged", {"a.txt": "a"})
    with pytest.raises(hfneg.PublishError, match=r"tag 'v1' .* other content"):
        client(hfneg.publish, small, "org/tagged", tag="v1", audit=False)
    assert hub.repository(name).branches["main"] == head
    assert not [line for line in hub.log if line.startswith(("PUT", "POST"))]


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"repo": "no slash"}, hfneg.SettingError, "expected the id of a dataset"),
        ({"repo": "a/b/c"}, hfneg.SettingError, "expected the id of a dataset"),
        ({"round": 0}, hfneg.SettingError, "whole number from 1 up"),
        ({"tag": "a b"}, hfneg.SettingError, "expected a name like"),
        ({"formats": ["triplet"]}, hfneg.SettingError, "no format 'triplet' .* Did you mean 'triplets'"),
        ({"folder": "empty"}, hfneg.InputError, "is no mined folder"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    small: Path, client: Client, hub: Hub, tmp_path: Path, options: Any, kind: type, said: str
) -> None:
    """Typed errors, and not one request."""
    given = {"folder": small, "repo": "org/bad", **options}
    given["folder"] = tmp_path if given["folder"] == "empty" else given["folder"]
    with pytest.raises(kind, match=said):
        client(hfneg.publish, **given)
    assert hub.log == []


def test_what_is_refused_leaves_no_repository(client: Client, hub: Hub, tmp_path: Path) -> None:
    """Where a new round cannot be published, not even an empty repository is made for it."""
    recipe = hfneg.Recipe(k=5, sampler=hfneg.TakeTop(2), teacher=hfneg.FunctionTeacher(asked, id="at /home/anna/x"))
    hfneg.mine(pairs().select(range(4)), documents(40), recipe, out=tmp_path / "mined", missing="add", **NAMES)
    with pytest.raises(hfneg.PublishError, match="a local path"):
        client(hfneg.publish, tmp_path / "mined", "org/never", audit=False)
    assert ("dataset", "org/never") not in hub.repositories


def test_private(small: Path, client: Client, hub: Hub) -> None:
    """A new repository is private where asked; a public one is never taken for it."""
    client(hfneg.publish, small, "org/private", private=True, audit=False)
    assert hub.repository("org/private").private
    hub.create("org/open")
    with pytest.raises(hfneg.PublishError, match="already and public"):
        client(hfneg.publish, small, "org/open", private=True, audit=False)
    assert not whole(hub, "org/open")


def test_a_readme_that_cannot_be_read_is_left_alone(small: Path, client: Client, hub: Hub) -> None:
    """Its YAML is broken, so nothing of it could be kept: an error, and it is as it was."""
    hub.create("org/broken")
    head = hub.put("org/broken", {"README.md": "---\na: [1\n---\nwords"})
    with pytest.raises(hfneg.InputError, match="mend it first"):
        client(hfneg.publish, small, "org/broken", audit=False)
    assert hub.repository("org/broken").branches["main"] == head


def test_another_corpus_in_the_same_repository(client: Client, hub: Hub, tmp_path: Path) -> None:
    """An id that stands for another text there is refused; the round that is there stays whole."""
    texts = documents()
    for name, corpus in (("one", texts), ("two", texts[::-1])):
        hfneg.mine(pairs(), corpus, hfneg.Recipe(k=10), out=tmp_path / name, **NAMES)
    client(hfneg.publish, tmp_path / "one", "org/corpora", audit=False)
    with pytest.raises(hfneg.PublishError, match=r"document_id '.*' has two different texts"):
        client(hfneg.publish, tmp_path / "two", "org/corpora", audit=False)
    assert [entry["round"] for entry in head_of(hub, "org/corpora")["hfneg"]["rounds"]] == [1]


# Sources and licences.


def mined_from_the_hub(name: str, out: Path) -> list[dict[str, str]]:
    """Pairs and corpus loaded from the Hub, mapped over, and mined."""
    from datasets import load_dataset

    pairs = load_dataset(name, "default", split="train").map(lambda row: {"query": row["query"].strip()})
    corpus = load_dataset(name, "docs", split="train")
    recipe = hfneg.Recipe(k=10, sampler=hfneg.TakeTop(2))
    hfneg.mine(pairs, hfneg.Corpus.from_dataset(corpus, text="text"), recipe, out=out, **NAMES)
    found: list[dict[str, str]] = hfneg.open_summary(out)["datasets"]
    return found


def source_of_pairs(hub: Hub, name: str, licence: str) -> str:
    hub.create(name)
    configs = [{"config_name": c, "data_files": f"{c}.jsonl"} for c in ("default", "docs")]
    rows = [{"query": row["query"], "answer": row["answer"]} for row in pairs().to_list()]
    return hub.put(
        name,
        {
            "README.md": f"---\n{yaml.safe_dump({'license': licence, 'language': 'en', 'configs': configs})}---\n",
            "default.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
            "docs.jsonl": "".join(json.dumps({"text": text}) + "\n" for text in documents()),
        },
    )


def test_sources_are_named_and_their_licence_carried_over(client: Client, hub: Hub, tmp_path: Path) -> None:
    """Id and commit of pairs and corpus are in the card, under the licence that they are under."""
    commit = source_of_pairs(hub, "org/source", "cc-by-sa-4.0")
    found = client(mined_from_the_hub, "org/source", tmp_path / "mined")
    assert [(s["role"], s["id"], s["revision"]) for s in found] == [
        ("pairs", "org/source", commit),
        ("corpus", "org/source", commit),
    ]
    client(hfneg.publish, tmp_path / "mined", "org/derived", audit=False)
    head = head_of(hub, "org/derived")
    assert (head["license"], head["source_datasets"]) == ("cc-by-sa-4.0", ["org/source"])
    assert head["language"] == ["en"]
    assert "# Hard negatives for org/source: query to answer\n" in (tmp_path / "mined" / "README.md").read_text()
    assert head["hfneg"]["datasets"] == found
    assert {source["split"] for source in found} == {"train"}
    assert commit in body_of(hub, "org/derived")


# The snippets of the card.


def tiny_model(folder: Path) -> str:
    """Static embeddings of the collection's words."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from small_collection import WORDS
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["[UNK]", *WORDS])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    module = StaticEmbedding(tokenizer, embedding_dim=8)
    SentenceTransformer(modules=[module], device="cpu").save_pretrained(str(folder))
    return str(folder)


def snippets_run(codes: list[str], model: str, folder: Path) -> tuple[list[str], str]:
    """The card's Python, one after the other, with another model; (the columns trained on, the model's own card)."""
    import transformers

    os.chdir(folder)
    transformers.utils.logging.disable_progress_bar()
    names: dict[str, Any] = {}
    for code in codes:
        code = code.replace("sentence-transformers/all-MiniLM-L6-v2", model)
        exec(compile(code, "card", "exec", dont_inherit=True), names)
    return list(names["train"][0]), (folder / "trained" / "README.md").read_text()


@pytest.mark.skipif(
    int(version("sentence-transformers").split(".")[0]) < 6, reason="resolve_ids came with sentence-transformers 6"
)
@pytest.mark.parametrize("revision", ["round-001", "round-002"])
def test_the_snippets_of_the_card_run(
    published: tuple[str, Published, Published], client: Client, hub: Hub, tmp_path: Path, revision: str
) -> None:
    """They load and train as they stand; the trained model's card names the dataset and its commit."""
    name = published[0]
    body = body_of(hub, name, revision)
    codes = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    assert len(codes) == 2
    columns, card = client(snippets_run, codes, client(tiny_model, tmp_path / "tiny"), tmp_path)
    n = {"round-001": 4, "round-002": 3}[revision]
    assert columns == ["query", "positive", *(f"negative_{i + 1}" for i in range(n))]
    assert name in card
    assert hub.repository(name).tags[revision] in card


# Without the Hub.


def test_a_dry_run_is_what_would_be_pushed(rounds: tuple[Path, Path], client: Client, hub: Hub, tmp_path: Path) -> None:
    """The same files with the same content, written here, nothing sent; `load_dataset` opens the folder."""
    from datasets import load_dataset

    done = hfneg.publish(rounds[0], "org/dry", formats=["rows"], dry_run=tmp_path / "dry")
    assert (done.commit, done.folder) == (None, tmp_path / "dry")
    assert hub.log == []
    client(hfneg.publish, rounds[0], "org/dry", formats=["rows"])
    pushed = hub.repository("org/dry")
    here = {str(path.relative_to(tmp_path / "dry")) for path in (tmp_path / "dry").rglob("*") if path.is_file()}
    assert here == set(pushed.at("main").files) - {".gitattributes"}
    for path in here:
        assert (tmp_path / "dry" / path).read_bytes() == pushed.content("main", path), path
    assert len(load_dataset(str(tmp_path / "dry"), "round-001", split="train")) == done.configs[0].rows


def test_a_dry_run_touches_nothing_of_the_users(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with files, a file, or a place inside of the mined folder is refused and stays as it is; an empty folder
    is filled, also where one stands in it or it is linked."""
    mined = tmp_path / "mined"
    shutil.copytree(small, mined)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    before = tree_of(tmp_path)
    for place, kind in (
        ("full", hfneg.OutputExistsError),
        ("file", hfneg.OutputExistsError),
        ("mined", hfneg.OutputExistsError),
        ("mined/look", hfneg.OutputError),
        ("file/look", hfneg.OutputError),
    ):
        with pytest.raises(kind):
            hfneg.publish(mined, "org/dry", dry_run=tmp_path / place, audit=False)
    assert tree_of(tmp_path) == before
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "link").symlink_to("linked")
    monkeypatch.chdir(tmp_path / "empty")
    for place, found in ((".", tmp_path / "empty"), ("../link", tmp_path / "linked"), ("../a/b", tmp_path / "a" / "b")):
        hfneg.publish(mined, "org/dry", dry_run=place, audit=False)
        assert (found / "README.md").is_file()
    assert (Path.cwd() / "README.md").is_file(), "the folder itself is the one it was"
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"mined", "full", "file", "empty", "linked", "link", "a"}, "and nothing else was left"


def card_of(folder: Path) -> tuple[dict[str, Any], str]:
    _, head, body = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), body


def mined_with_a_folder(folder: Path) -> str:
    """By a model in a folder, and published into another; the digest of the model."""
    recipe = hfneg.Recipe(
        retrievers=[hfneg.Dense(tiny_model(folder / "models" / "tiny-student"))], k=5, sampler=hfneg.TakeTop(2)
    )
    hfneg.mine(pairs().select(range(4)), documents(40), recipe, out=folder / "mined", missing="add", **NAMES)
    hfneg.publish(folder / "mined", "org/local", dry_run=folder / "dry")
    digest: str = recipe.retrievers[0].encoder.digest
    return digest


def test_no_path_of_this_machine_is_published(client: Client, tmp_path: Path) -> None:
    """A model folder is named by its last part and its digest, in the local card too; the recipe stays readable."""
    digest = client(mined_with_a_folder, tmp_path)
    for path in (tmp_path / "mined" / "README.md", *(tmp_path / "dry").rglob("*")):
        if path.is_file() and path.suffix != ".parquet":
            text = path.read_text()
            assert str(tmp_path) not in text, path
            assert "/models" not in text, path
    head, body = card_of(tmp_path / "dry")
    assert "Dense(model='local:tiny-student'" in head["hfneg"]["recipe"]
    assert head["hfneg"]["models"] == [{"step": "Dense", "model": "tiny-student", "local": True, "digest": digest}]
    assert f"| Dense | tiny-student | not known | `{digest[:16]}` |" in body


def asked(anchors: list[str], texts: list[str]) -> list[float]:
    return [float(len(text)) for text in texts]


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("hf_" + "x" * 30, "a token"),
        ("/home/anna/judge.py", "a local path"),
        ("C:\\Users\\anna\\judge", "a local path"),
    ],
)
def test_a_card_with_a_secret_is_refused(tmp_path: Path, secret: str, said: str) -> None:
    """Where a step's own settings hold one, nothing is written, and the error does not repeat a token."""
    teacher = hfneg.FunctionTeacher(asked, id=f"judge {secret}", scale="from_zero")
    recipe = hfneg.Recipe(k=5, teacher=teacher, filters=[hfneg.Margin(absolute=0.1)], sampler=hfneg.TakeTop(2))
    hfneg.mine(pairs().select(range(4)), documents(40), recipe, out=tmp_path / "mined", missing="add", **NAMES)
    with pytest.raises(hfneg.PublishError, match=said) as caught:
        hfneg.publish(tmp_path / "mined", "org/secret", dry_run=tmp_path / "dry")
    assert "x" * 30 not in str(caught.value)
    assert not (tmp_path / "dry").exists()


def test_a_secret_in_the_rows_is_not_shown(tmp_path: Path) -> None:
    """A row with a token is refused; where it is said to belong there it is published, and masked in the card."""
    token = "hf_" + "y" * 30
    rows = pairs().select(range(8)).map(lambda row, i: {"query": f"{token} {row['query']}"} if i == 1 else {},
                                        with_indices=True)  # fmt: skip
    hfneg.mine(rows, documents(40), hfneg.Recipe(k=7), out=tmp_path / "mined", missing="add", **NAMES)
    with pytest.raises(hfneg.PublishError, match=r"queries/.*, row 1 .*a token of Hugging Face \(hf_y\.\.\.\)"):
        hfneg.publish(tmp_path / "mined", "org/rows", dry_run=tmp_path / "dry", audit=False)
    assert not (tmp_path / "dry").exists()
    hfneg.publish(tmp_path / "mined", "org/rows", dry_run=tmp_path / "dry", audit=False, allow_secrets=True)
    _, body = card_of(tmp_path / "dry")
    assert token not in html.unescape(body)
    assert "*** " in html.unescape(body)
    assert "| positive |" in body


def test_without_the_store(rounds: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder mined on another machine: positives get ids by their texts; with the corpus it is as with the store."""
    from datasets import load_dataset

    hfneg.publish(rounds[0], "org/here", dry_run=tmp_path / "here", audit=False)
    monkeypatch.setenv("HFNEG_STORE", str(tmp_path / "empty"))
    hfneg.publish(rounds[0], "org/there", dry_run=tmp_path / "there", audit=False)
    corpus = hfneg.Corpus.from_texts(documents())
    hfneg.publish(rounds[0], "org/here", dry_run=tmp_path / "given", corpus=corpus, audit=False)

    def texts(folder: Path) -> list[Any]:
        found: list[Any] = texts_from_ids(str(folder), "round-001", None)
        return found

    assert texts(tmp_path / "there") == texts(tmp_path / "here")
    assert tree_without_times(tmp_path / "given") == tree_without_times(tmp_path / "here")
    ids = load_dataset(str(tmp_path / "there"), "round-001", split="train")["positive_id"]
    assert all(name.startswith("text-") for name in ids)
    assert not (tmp_path / "there" / "round-001" / "documents").exists()


def tree_without_times(folder: Path) -> dict[str, str]:
    return {path: line.split()[0] for path, line in tree_of(folder).items()}


def test_lists_of_positives_and_own_ids(tmp_path: Path) -> None:
    """A row of several positives becomes one row each; ids of anchors and documents are the user's own."""
    from datasets import Dataset, load_dataset

    texts = documents(60)
    docs = Dataset.from_dict({"_id": [f"d{i}" for i in range(60)], "text": texts})
    rows = Dataset.from_dict(
        {"query_id": [7, 8], "query": ["fault", "wave"], "answer": [["d1", "d2"], ["d3"]], "note": ["a", "b"]}
    )
    corpus = hfneg.Corpus.from_dataset(docs, id="_id")
    hfneg.mine(rows, corpus, hfneg.Recipe(k=9, sampler=hfneg.TakeTop(2)), out=tmp_path / "mined", **NAMES)
    hfneg.publish(tmp_path / "mined", "org/lists", dry_run=tmp_path / "dry", audit=False)
    mined = load_dataset(str(tmp_path / "mined"), split="train")
    found = load_dataset(str(tmp_path / "dry"), "round-001", split="train")
    assert found.select_columns(["query_id", "positive_id"]).to_list() == [
        {"query_id": "7", "positive_id": "d1"},
        {"query_id": "7", "positive_id": "d2"},
        {"query_id": "8", "positive_id": "d3"},
    ]
    assert found["negative_ids"][:] == [mined["hard_negative_ids"][i] for i in (0, 0, 1)]
    assert found["positive_score"][:] == [score for scores in mined["positive_scores"] for score in scores]
    queries = load_dataset(str(tmp_path / "dry"), "queries", split="train")
    assert queries.to_list() == [{"query_id": "7", "text": "fault"}, {"query_id": "8", "text": "wave"}]


def test_the_command(rounds: tuple[Path, Path], tmp_path: Path) -> None:
    """`hfneg push` prints each config with rows and size; a folder that is none is exit code 2."""
    from typer.testing import CliRunner

    from hfneg import cli

    line = ["push", str(rounds[0]), "org/name", "--format", "triplets", "--dry-run", str(tmp_path / "dry"), "-q"]
    shown = CliRunner().invoke(cli.app, line)
    assert shown.exit_code == 0, shown.output
    assert re.search(r"round-001-triplets +256 +\d+ kB", shown.output)
    assert "nothing was sent" in shown.output
    assert CliRunner().invoke(cli.app, ["push", str(tmp_path), "org/name"]).exit_code == 2


# Parts.


def test_named_against_a_dictionary(tmp_path: Path) -> None:
    """Ids in any blocks, repeated or known before: each new one is written once, in order of appearance."""
    import random

    from hfneg.hub import id_texts

    draw = random.Random(3)
    known = {f"d{i}": f"text {i}" for i in range(0, 300, 3)}
    pq.write_table(pa.table({"document_id": list(known), "text": list(known.values())}), tmp_path / "known.parquet")
    target = id_texts.NamedTexts("document_id", tmp_path / "corpus", "round-002")
    target.known(tmp_path / "known.parquet", "corpus/round-001.parquet")
    expected: dict[str, str] = {}
    for size in (1, 7, 0, 40, 3, 90, 200, 11):
        ids = [f"d{draw.randrange(300)}" for _ in range(size)]
        expected |= {name: f"text {name[1:]}" for name in ids if name not in known and name not in expected}
        target.add(pa.array(ids, pa.string()), pa.array([f"text {name[1:]}" for name in ids], pa.string()))
    target.close()
    rows = pa.concat_tables([pq.read_table(path) for path in target.paths]).to_pylist()
    assert {row["document_id"]: row["text"] for row in rows} == expected
    assert len(rows) == len(expected) == target.rows
    assert [row["document_id"] for row in rows] == list(expected)
    with pytest.raises(hfneg.PublishError, match="'d3' has two different texts"):
        target.add(pa.array(["d3"]), pa.array(["another"]))


def test_the_picture_shows_the_counts() -> None:
    """Groups of other ranges share one axis; each is drawn as shares of its own, and a group without values is not."""
    import numpy as np

    from hfneg.runs.folder.card import histogram_svg
    from hfneg.runs.folder.histogram import Histogram

    groups = {"negatives": Histogram(), "positives": Histogram(), "rejected": Histogram()}
    groups["negatives"].add(np.repeat([0.0, 0.5], [3, 1]))
    groups["positives"].add([7.9] * 10)
    svg = histogram_svg(groups, "a < b", "score")
    assert "a &lt; b" in svg
    assert re.findall(r">(\w+) \((\d+)\)<", svg) == [("negatives", "4"), ("positives", "10")]
    drawn = [[tuple(map(float, point.split(","))) for point in line.split()] for line in
             re.findall(r'points="([^"]*)"', svg)]  # fmt: skip
    base = max(y for _, y in drawn[0])
    heights = [[base - y for _, y in line[1:-1:2] if y < base] for line in drawn]
    assert len(heights[0]) == 2 and len(heights[1]) == 1  # noqa: PT018
    assert heights[0][0] == pytest.approx(3 * heights[0][1], abs=0.2)
    assert heights[0][0] == pytest.approx(0.75 * heights[1][0], abs=0.2)


HEAD = """---
# who did it
license: mit  # agreed on
# tags of theirs
tags:
- a   # the first
configs: {x: 1}

text: |
  # not a comment
  a line
# the end
---
body
"""


def test_comments_in_their_head_stay() -> None:
    """What is not changed stays as it was written, byte by byte; comments above and inside of what is changed too."""
    from hfneg.runs.folder.card import Readme

    theirs = Readme.parse(HEAD)
    assert theirs.text() == HEAD
    ours = theirs.with_head({"hfneg": {"version": 1}}, {"tags": ["b"]}, {"license": "other", "language": "en"})
    changed = "# tags of theirs\ntags:\n- a   # the first\n- b\nconfigs"
    added = "  a line\nlanguage: en\nhfneg:\n  version: 1\n# the end\n"
    assert ours.text() == HEAD.replace("# tags of theirs\ntags:\n- a   # the first\nconfigs", changed).replace(
        "  a line\n# the end\n", added
    )
    aliased = Readme.parse("---\na: &x [1]\nb: *x\n---\n").with_head({"a": [2]}, {}, {})
    assert Readme.parse(aliased.text()).head == {"a": [2], "b": [1]}


LISTS = """---
tags:   # of theirs
  # above
  - a   # the first

  # above b
  - b
language: [en,  # one
  de]  # two
configs:
- config_name: own  # theirs
  data_files: own.csv  # and this
  # the end of it
- config_name: ours
  data_files: old
---
"""


def test_comments_inside_of_lists_stay() -> None:
    """Where lists become longer or one entry changes, the others stay byte by byte, in either style."""
    from hfneg.runs.folder.card import Readme

    own = {"config_name": "own", "data_files": "own.csv"}
    new = {"configs": [own, {"config_name": "ours", "data_files": "new"}]}
    found = Readme.parse(LISTS).with_head(new, {"tags": ["c"], "language": ["fr"]}, {}).text()
    expected = LISTS.replace("  - b\n", "  - b\n  - c\n").replace("de]", 'de, "fr"]').replace(": old", ": new")
    assert found == expected


def test_windows_lines_and_what_stands_before_the_head() -> None:
    """A README of CRLF stays one, ours included; blank lines and a byte order mark hide no head, nor does a line that
    ends in dashes close one."""
    from hfneg.runs.folder.card import Readme

    crlf = LISTS.replace("\n", "\r\n") + "words\r\n"
    theirs = Readme.parse(crlf)
    assert theirs.text() == crlf
    ours = theirs.with_head({"hfneg": {"version": 1}}, {"tags": ["c"]}, {}).with_ours("one\ntwo").text()
    assert ours.count("\n") == ours.count("\r\n")
    assert Readme.parse(ours).head["tags"] == ["a", "b", "c"]
    for before in ("\n\n", " \n", "\ufeff", "\r\n\r\n"):
        found = Readme.parse(f"{before}---\nname: a---\n---\nwords")
        assert (found.head, found.body) == ({"name": "a---"}, "words")
        assert found.text().startswith("---\n")
    assert Readme.parse("---\na: 1\n---") == Readme({"a": 1}, "")
    mixed = "---\na: 1\n---\none\r\ntwo\n"
    assert Readme.parse(mixed).text() == mixed


@pytest.mark.parametrize("body", ["", "words\n", "# A\r\n\r\nwords", "<!-- hfneg:begin -->\nhalf", "---\nno head\n"])
def test_our_part_replaces_only_itself(body: str) -> None:
    """Put in, and put in again with something after it: the rest of the body stays to the letter."""
    from hfneg.runs.folder.card import Readme
    from hfneg.runs.folder.card.readme import END

    assert Readme({}, "").with_ours(f"one {END}").with_ours("two").body.count("hfneg:end") == 1, "no mark inside"
    once = Readme({}, body).with_ours("one").body
    assert once.startswith(body.rstrip("\n"))
    twice = Readme({}, once + "after").with_ours("two").body
    assert twice == once.replace("\none\n", "\ntwo\n") + "after"
    assert Readme.parse(Readme({"a": 1}, twice).text()) == Readme({"a": 1}, twice)


NASTY = [
    "a <b> & c &lt; d &amp;#35; e",
    "| cells | and `code` `` and ```fences```",
    "**bold** _under_ ~~gone~~ [link](http://x.y) ![picture](x.png) # no head",
    "$$x^2$$ :smile: \\| \\` <!-- hfneg:end --> &#35;",
    "line\none\r\n\ttab \u202eright to left\u202c \x07bell",
    "e\u0301 \U0001f469\u200d\U0001f4bb 日本語 العربية",
]


def test_texts_are_shown_as_they_are(tmp_path: Path) -> None:
    """Read by a Markdown reader the card's tables hold each text to the letter, white space and what cannot be seen
    aside; no text ends our part or opens a tag."""
    import html

    import datasets
    from markdown_it import MarkdownIt

    texts = [f"{text} {i}" for i, text in enumerate(NASTY * 3)]
    rows = datasets.Dataset.from_list([{"query": f"{text} asked", "answer": text} for text in texts])
    hfneg.mine(rows, texts, hfneg.Recipe(k=10, sampler=hfneg.TakeTop(3)), out=tmp_path / "mined", **NAMES)
    hfneg.publish(tmp_path / "mined", "org/nasty", dry_run=tmp_path / "dry", audit=False)
    for folder in ("mined", "dry"):
        _, body = card_of(tmp_path / folder)
        page = MarkdownIt("commonmark").enable("table").render(body)
        cells = [html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", page)]
        bold = [html.unescape(text) for text in re.findall(r"<strong>(.*?)</strong></p>", page)]
        hidden = str.maketrans("", "", "\u202e\u202c\x07")
        plain = {" ".join(text.translate(hidden).split()) for text in texts}
        shown = [cells[i + 1] for i, cell in enumerate(cells) if cell in ("positive", "negative")]
        assert len(shown) >= 15
        assert set(shown) <= plain
        assert {text.removesuffix(" asked") for text in bold} <= plain
        assert len(bold) == 5
        assert "<b>" not in page
        assert body.count("<!-- hfneg:end") == (1 if folder == "dry" else 0)


@given(text=st.text(alphabet="\\`*_[]|<>#&~$: abc;1-+.()!\"'=/@", min_size=1, max_size=30))
def test_each_character_is_escaped_once(text: str) -> None:
    """In a cell, in bold, and as code in a cell: what a Markdown reader shows is the text."""
    import html

    from markdown_it import MarkdownIt

    from hfneg.runs.folder.card.markdown import escaped, in_code_cell, one_line

    line = one_line(text)
    if line:
        for shown, around in ((escaped(text), ""), (in_code_cell(text), "code")):
            page = MarkdownIt("commonmark").enable("table").render(f"| x |\n|---|\n| {shown} |\n")
            cell = re.findall(r"<td>(.*)</td>", page)[0]
            cell = cell.removeprefix("<code>").removesuffix("</code>") if around else cell
            assert html.unescape(cell) == line


def test_each_number_says_what_it_counts(published: tuple[str, Published, Published], hub: Hub) -> None:
    """Rows and bytes of a shared config are those of all its files; the audit counts row by row."""
    name, first, second = published
    body = body_of(hub, name)
    lines = dict(re.findall(r"^\| `([\w-]+)` \| .* \| ([\d,]+) \| ", body, re.MULTILINE))
    for config, files in (("corpus", 2), ("queries", 1)):
        paths = [path for path in hub.repository(name).at("main").files if path.startswith(f"{config}/")]
        assert len(paths) == files, "the second round has no new anchors"
        contents = [hub.repository(name).content("main", path) for path in paths]
        rows = sum(pq.read_metadata(io.BytesIO(content)).num_rows for content in contents)
        assert lines[config] == str(rows)
        (found,) = [c for c in second.configs if c.name == config]
        assert (found.rows, found.size) == (rows, sum(map(len, contents)))
        assert found.new < found.size
    assert second.size < sum(config.size for config in second.configs)
    assert first.size == sum(config.size for config in first.configs)
    audit = provenance_of(hub, name, 2)["audit"]
    assert f"its {audit['rows']} rows, with {audit['negatives']} negatives counted row by row" in body


def test_what_to_give_to_make_it_again(rounds: tuple[Path, Path], tmp_path: Path) -> None:
    """What was not on the Hub is part of the command; a corpus that is only the positives is not."""
    hfneg.publish(rounds[0], "org/again", dry_run=tmp_path / "dry", audit=False)
    assert "$ hfneg reproduce org/again@round-001 --pairs PAIRS --corpus CORPUS\n" in card_of(tmp_path / "dry")[1]
    hfneg.mine(pairs(), recipe=hfneg.Recipe(k=7), out=tmp_path / "positives", **NAMES)
    hfneg.publish(tmp_path / "positives", "org/again", dry_run=tmp_path / "two", audit=False)
    body = card_of(tmp_path / "two")[1]
    assert "$ hfneg reproduce org/again@round-001 --pairs PAIRS\n" in body
    assert "loads the sources" not in body


def test_a_model_whose_name_a_shell_would_run() -> None:
    """What is to be copied from the card into a shell is quoted."""
    from hfneg.hub.card import _again

    facts = {"models": [{"model": "my model; rm -rf $HOME", "local": True}, {"model": "plain", "local": True}]}
    assert _again(facts) == ["--model 'my model; rm -rf $HOME=PATH'", "--model plain=PATH"]
