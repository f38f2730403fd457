"""What was mined from somebody's dataset goes nowhere that its terms do not allow, unless that was decided on purpose.

Over a loopback Hub with the real clients; functions at the top run in the client's process (see hub_fixtures.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hub_fixtures import STRANGER
from loopback_hub import Fault, Hub
from small_collection import documents, pairs
from test_publishing import NAMES, body_of, head_of, provenance_of, said_while, source_of_pairs

import hfneg
from hfneg.hub.licences import KNOWN, check_licence, forbidden
from hfneg.runs.folder import mined as mined_folder

Client = Callable[..., Any]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mined folder of four anchors, quick to push."""
    out = tmp_path_factory.mktemp("small") / "mined"
    rows = pairs().select([0, 1, 2, 5])
    hfneg.mine(rows, documents(60), hfneg.Recipe(k=5, sampler=hfneg.TakeTop(2)), out=out, missing="add", **NAMES)
    return out


def mined_from(small: Path, folder: Path, *ids: str) -> Path:
    """The same folder, as if its pairs and its corpus came from these datasets."""
    shutil.copytree(small, folder)
    roles = zip(("pairs", "corpus"), ids, strict=False)
    mined_folder.record(folder, datasets=[{"role": role, "id": name, "revision": "0" * 40} for role, name in roles])
    return folder


def source(hub: Hub, name: str, *, private: bool = False, gated: bool = False, **head: Any) -> str:
    """A dataset with this card; its id."""
    hub.create(name, private=private).gated = gated
    hub.put(name, {"README.md": f"---\n{yaml.safe_dump(head)}---\n"} if head else {"data.csv": "a\n1\n"})
    return name


def refused(client: Client, hub: Hub, folder: Path, name: str, said: str, **options: Any) -> None:
    """A PublishError that says this; what is there stays as it was."""
    there = hub.repositories.get(("dataset", name))
    before = there.branches["main"] if there else None
    with pytest.raises(hfneg.PublishError, match=said):
        client(hfneg.publish, folder, name, audit=False, **options)
    there = hub.repositories.get(("dataset", name))
    assert (there.branches["main"] if there else None) == before
    assert not [line for line in hub.log if line.startswith("PUT") or "/commit/" in line or "create" in line]


def test_a_private_source(small: Path, client: Client, hub: Hub, tmp_path: Path) -> None:
    """Not into a public repository without a question, new or there already; into a private one as it is."""
    name = source(hub, "org/secret-source", private=True, license="mit")
    folder = mined_from(small, tmp_path / "mined", name)
    refused(
        client, hub, folder, "org/of-secret", f"{name}, which .* is private, and this repository is public.*--terms-ok"
    )
    hub.create("org/of-secret-open")
    hub.plan()
    refused(client, hub, folder, "org/of-secret-open", "is private, and this repository is public", license="mit")
    client(hfneg.publish, folder, "org/of-secret-closed", private=True, audit=False)
    assert hub.repository("org/of-secret-closed").private
    client(hfneg.publish, folder, "org/of-secret-open", terms_ok=True, audit=False)
    body, facts = body_of(hub, "org/of-secret-open"), provenance_of(hub, "org/of-secret-open")
    assert "decided to publish it:" in body
    assert f"| `{name}` | `mit` | private |" in body
    (accepted,) = facts["terms"]["accepted"]
    assert "is private, and this repository is public" in accepted
    assert "decided to publish" not in body_of(hub, "org/of-secret-closed"), "nothing stood against it"


def test_terms_that_changed_since(small: Path, client: Client, hub: Hub, tmp_path: Path) -> None:
    """A round that is there as it is to be is looked at too: a warning, each time, unless it was accepted."""
    name = source(hub, "org/opened-source", private=True, license="mit")
    folder = mined_from(small, tmp_path / "mined", name)
    assert not client(said_while, folder, "org/opened", private=True)
    hub.repository("org/opened").private = False
    for _ in range(2):
        (line,) = client(said_while, folder, "org/opened")
        assert "round 1 is in org/opened already, and since then: org/opened-source" in line
        assert "is private, and this repository is public" in line
    assert not client(said_while, folder, "org/opened", terms_ok=True)


@pytest.mark.parametrize(
    ("given", "meant"),
    [("cc0", "cc0-1.0"), ("GPLv3", "gpl-3.0"), ("gpl3", "gpl-3.0"), ("bsd 3", "bsd-3-clause"),
     ("cc-by-nc", "cc-by-nc-4.0"),
     ("apache", "apache-2.0"), ("mit,", "mit"), (["mit"], None), ({"a": 1}, None)],
)  # fmt: skip
def test_near_misses(given: Any, meant: str | None) -> None:
    """The licence that is meant, not one that only has as many letters; what is no text is refused as well."""
    with pytest.raises(hfneg.SettingError, match=f"Did you mean '{meant}'" if meant else "knows no licence"):
        check_licence(given)


def test_a_gated_source(small: Path, client: Client, hub: Hub, tmp_path: Path) -> None:
    """Refused whatever licence is said, until that it is gated was accepted; a source that became gated later too."""
    name = source(hub, "org/gate", gated=True, license="mit")
    folder = mined_from(small, tmp_path / "mined", name)
    for options in ({}, {"license": "mit"}, {"private": True}):
        refused(client, hub, folder, "org/of-gate", "org/gate, .* is gated", **options)
    hub.repository(name).gated = False
    client(hfneg.publish, folder, "org/of-gate", audit=False)
    hub.repository(name).gated = True
    assert not client(hfneg.publish, folder, "org/of-gate", audit=False).new, "nothing new goes out"
    hub.plan()
    refused(client, hub, folder, "org/of-gate", "is gated", formats=["triplets"])
    client(hfneg.publish, folder, "org/of-gate", formats=["triplets"], terms_ok=True, audit=False)
    assert "| `org/gate` | `mit` | gated |" in body_of(hub, "org/of-gate")


def test_a_stricter_licence(small: Path, client: Client, hub: Hub, tmp_path: Path) -> None:
    """A repository that is there allows what the source forbids: refused, with both licences named; accepted, it keeps
    its licence and says what was decided."""
    name = source(hub, "org/no-trade", license="cc-by-nc-4.0")
    folder = mined_from(small, tmp_path / "mined", name)
    hub.create("org/free")
    hub.put("org/free", {"README.md": "---\nlicense: mit\n---\nmine\n"})
    said = r"org/no-trade, .* 'cc-by-nc-4.0', which does not allow commercial use; this would be under 'mit'"
    hub.plan()
    refused(client, hub, folder, "org/free", said)
    refused(client, hub, folder, "org/free-new", said, license="mit")
    client(hfneg.publish, folder, "org/free", terms_ok=True, audit=False)
    assert head_of(hub, "org/free")["license"] == "mit"
    assert "commercial use" in body_of(hub, "org/free").split("decided to publish it:")[1]
    client(hfneg.publish, folder, "org/not-free", audit=False)
    assert head_of(hub, "org/not-free")["license"] == "cc-by-nc-4.0"
    assert "decided" not in body_of(hub, "org/not-free")


def test_another_licence_later(small: Path, client: Client, hub: Hub, tmp_path: Path) -> None:
    """A licence is the whole repository's: what the rounds before were mined from counts when it changes."""
    first = mined_from(small, tmp_path / "one", source(hub, "org/early", license="cc-by-nc-4.0"))
    client(hfneg.publish, first, "org/grown", audit=False)
    recipe = hfneg.Recipe(k=4, sampler=hfneg.TakeRandom(2, seed=1))
    hfneg.mine(pairs().select([0, 1, 2, 5]), documents(60), recipe, out=tmp_path / "two", missing="add", **NAMES)
    hub.plan()
    refused(client, hub, tmp_path / "two", "org/grown", "org/early, .*commercial use", license="mit")
    refused(client, hub, first, "org/grown", "org/early, .*commercial use", license="mit")
    client(hfneg.publish, tmp_path / "two", "org/grown", audit=False)
    assert head_of(hub, "org/grown")["license"] == "cc-by-nc-4.0"


@pytest.mark.parametrize(
    ("head", "carried"),
    [
        ({"license": ["mit", "cc-by-4.0"]}, {"license": ["mit", "cc-by-4.0"]}),
        ({"license": ["mit"]}, {"license": "mit"}),
        (
            {"license": "other", "license_name": "house-1.0", "license_link": "https://example.org/terms"},
            {"license": "other", "license_name": "house-1.0", "license_link": "https://example.org/terms"},
        ),
        ({"license": "unknown"}, {}),
        ({"tags": ["license"]}, {}),
    ],
    ids=["list", "list of one", "other", "unknown", "none"],
)
def test_licences_are_carried_over_as_they_are(
    small: Path, client: Client, hub: Hub, tmp_path: Path, head: dict[str, Any], carried: dict[str, Any]
) -> None:
    """Several, or one with a name and a link of its own; where there is none the card says so, and nothing is lost when
    it is pushed again."""
    name = f"org/carried-{len(str(head))}-{len(str(carried))}"
    folder = mined_from(small, tmp_path / "mined", source(hub, f"{name}-source", **head))
    for formats in ([], ["triplets"]):
        client(hfneg.publish, folder, name, formats=formats, audit=False)
        found = head_of(hub, name)
        assert {key: found[key] for key in found if key.startswith("license")} == carried
        assert ("No licence was given" in body_of(hub, name)) == (not carried)


def test_sources_that_differ(small: Path, client: Client, hub: Hub, tmp_path: Path) -> None:
    """Which licence it is has to be said; one that forbids nothing of what either allows is taken."""
    ids = source(hub, "org/by", license="cc-by-4.0"), source(hub, "org/by-nc", license="cc-by-nc-4.0")
    folder = mined_from(small, tmp_path / "mined", *ids)
    refused(client, hub, folder, "org/of-both", r"org/by under 'cc-by-4.0', org/by-nc under 'cc-by-nc-4.0'; say under")
    refused(client, hub, folder, "org/of-both", "org/by-nc, .*commercial use", license="cc-by-4.0")
    client(hfneg.publish, folder, "org/of-both", license="cc-by-nc-4.0", audit=False)
    assert head_of(hub, "org/of-both")["license"] == "cc-by-nc-4.0"


def test_a_source_that_cannot_be_seen(small: Path, client: Client, hub: Hub, tmp_path: Path) -> None:
    """Gone, or private for this token: its terms are not known; a public repository asks, a private one says so."""
    folder = mined_from(small, tmp_path / "mined", "org/gone-for-good")
    refused(client, hub, folder, "org/of-gone", "org/gone-for-good, .* cannot be seen with this token")
    said = client(said_while, folder, "org/of-gone-closed", private=True)
    assert any("org/gone-for-good" in line and "not known" in line for line in said)
    assert "| `org/gone-for-good` | not known | not to be seen |" in body_of(hub, "org/of-gone-closed")
    source(hub, "org/hidden-from-stan", private=True)
    folder = mined_from(small, tmp_path / "two", "org/hidden-from-stan")
    hub.plan()
    refused(client, hub, folder, "stan/of-hidden", "cannot be seen with this token", token=STRANGER)


def test_a_source_that_the_hub_fails_to_tell_of(small: Path, client: Client, hub: Hub, tmp_path: Path) -> None:
    """A failing server is no answer: tried again, and without one nothing is published."""
    name = source(hub, "org/flaky-source", license="mit")
    folder = mined_from(small, tmp_path / "mined", name)
    hub.plan(Fault(match="datasets/org/flaky-source", status=500, times=100))
    refused(client, hub, folder, "org/of-flaky", "Nothing of org/of-flaky was changed; run it again")
    hub.plan(Fault(match="datasets/org/flaky-source", status=503))
    client(hfneg.publish, folder, "org/of-flaky", audit=False)
    assert head_of(hub, "org/of-flaky")["license"] == "mit"


def mined_from_stream(name: str, other: str, out: Path) -> list[dict[str, str]]:
    """Pairs of a stream, and a corpus put together from two datasets."""
    from datasets import concatenate_datasets, load_dataset

    stream = load_dataset(name, "default", split="train", streaming=True)
    stream = stream.map(lambda row: {"query": row["query"].strip()}).filter(lambda row: bool(row["query"]))
    parts = [load_dataset(each, "docs", split="train") for each in (name, other)]
    corpus = hfneg.Corpus.from_dataset(concatenate_datasets(parts), text="text")
    hfneg.mine(stream, corpus, hfneg.Recipe(k=10, sampler=hfneg.TakeTop(2)), out=out, **NAMES)
    found: list[dict[str, str]] = hfneg.open_summary(out)["datasets"]
    return found


def test_streams_and_parts_have_sources_too(client: Client, hub: Hub, tmp_path: Path) -> None:
    """A private dataset is not lost because it was streamed, or because another stood before it."""
    commits = [source_of_pairs(hub, name, "mit") for name in ("org/stream", "org/second")]
    found = client(mined_from_stream, "org/stream", "org/second", tmp_path / "mined")
    assert [(s["role"], s["id"], s["revision"]) for s in found] == [
        ("pairs", "org/stream", commits[0]),
        ("corpus", "org/stream", commits[0]),
        ("corpus", "org/second", commits[1]),
    ]
    hub.repository("org/second").private = True
    refused(client, hub, tmp_path / "mined", "org/of-parts", "org/second, .* is private")
    client(hfneg.publish, tmp_path / "mined", "org/of-parts", terms_ok=True, audit=False)
    assert "--corpus CORPUS" in body_of(hub, "org/of-parts"), "no single dataset is its corpus"
    with pytest.raises(hfneg.HfnegError, match="was mined from corpus that did not come"):
        client(hfneg.reproduce, "org/of-parts", out=tmp_path / "again")


@pytest.mark.parametrize(
    ("of", "under", "said"),
    [
        ("mit", ["cc-by-nc-4.0"], None),
        ("cc-by-4.0", ["apache-2.0"], None),
        ("cc-by-sa-3.0", ["cc-by-sa-4.0"], None),
        ("cc-by-sa-4.0", ["cc-by-4.0"], "same licence"),
        ("gpl-3.0", ["cc-by-sa-4.0"], "same licence"),
        ("cc-by-nc-4.0", ["cc-by-nc-sa-4.0"], None),
        ("cc-by-nc-4.0", ["mit", "cc-by-nc-4.0"], None),
        ("cc-by-nc-sa-4.0", ["cc-by-nc-4.0"], "same licence"),
        ("cc-by-nc-sa-4.0", ["cc-by-sa-4.0"], "commercial"),
        ("cc-by-nd-4.0", ["cc-by-nd-4.0"], "derived"),
        ("llama2", ["llama2"], None),
        ("llama2", ["mit"], "terms of its own"),
        ("other", ["mit"], "does not know"),
        ("quite-new-1.0", ["mit"], "does not know"),
        ("quite-new-1.0", ["quite-new-1.0"], None),
    ],
)
def test_what_a_licence_forbids(of: str, under: list[str], said: str | None) -> None:
    """By families: commercial use, derived works, another licence, and what is not known."""
    found = forbidden(of, under)
    assert (found is None) == (said is None)
    assert said is None or said in str(found)


# Licences that are none.


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("CC-BY-4.0", "'cc-by-4.0'"),
        ("Apache 2.0", "'apache-2.0'"),
        ("MIT License", "'mit'"),
        ("cc_by_sa_4.0", "'cc-by-sa-4.0'"),
        ("cc-by-nc", "'cc-by-nc-"),
        ("my own", "say 'other'"),
        ("", "say 'other'"),
    ],
)
def test_a_licence_that_the_hub_does_not_know(
    small: Path, client: Client, hub: Hub, tmp_path: Path, name: str, hint: str
) -> None:
    """Refused before anything is sent, with what was meant; in a dry run too, which writes nothing."""
    with pytest.raises(hfneg.errors.SettingError, match=f"knows no licence .*{hint}"):
        client(hfneg.publish, small, "org/licence", license=name, audit=False)
    assert hub.log == []
    with pytest.raises(hfneg.errors.SettingError, match=f"knows no licence .*{hint}"):
        hfneg.publish(small, "org/licence", license=name, dry_run=tmp_path / "dry")
    assert not (tmp_path / "dry").exists()


def test_every_known_licence_is_taken() -> None:
    """And none, which is the README's or the sources'."""
    for name in (*KNOWN, None):
        check_licence(name)


def test_a_head_that_the_hub_refuses(small: Path, client: Client, hub: Hub) -> None:
    """Asked before the repository is made: a PublishError with the Hub's words, and no repository."""
    hub.plan(Fault(match="validate-yaml", status=400, times=100))
    refused(client, hub, small, "org/headless", "the Hub refuses what was to be sent to org/headless")
    assert ("dataset", "org/headless") not in hub.repositories
    hub.create("org/bad-head")
    hub.put("org/bad-head", {"README.md": "---\nlicense: CC-BY-4.0\n---\n"})
    hub.plan()
    refused(client, hub, small, "org/bad-head", 'refuses .*"license" must be one of the known licences, not CC-BY-4.0')
