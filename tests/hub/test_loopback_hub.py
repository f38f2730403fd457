"""The loopback Hub does to the real clients what the real one does, so that tests over it are worth something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_fixtures import ANNA, READER, STRANGER
from loopback_hub import Fault, Hub


def rows_of(n: int = 5) -> Any:
    import datasets

    return datasets.Dataset.from_dict({"number": list(range(n)), "text": [f"row {i}" for i in range(n)]})


def push_and_load(name: str) -> dict[str, Any]:
    """`datasets` as its users use it: push, load, by revision, streaming, a second config, a card."""
    from datasets import load_dataset
    from huggingface_hub import DatasetCard, HfApi

    api = HfApi()
    first = rows_of(5).push_to_hub(name)
    api.create_tag(name, tag="v1", revision=first.oid, repo_type="dataset")
    rows_of(7).push_to_hub(name)
    rows_of(3).push_to_hub(name, config_name="other")
    card = DatasetCard.load(name)
    return {
        "head": len(load_dataset(name, "default", split="train")),
        "tagged": len(load_dataset(name, revision="v1", split="train")),
        "sha": api.dataset_info(name, revision="v1").sha,
        "streamed": [row["text"] for row in load_dataset(name, "other", split="train", streaming=True)],
        "configs": [config["config_name"] for config in card.data.configs],
        "commit": first.oid,
        "history": len(api.list_repo_commits(name, repo_type="dataset")),
        "refs": [ref.name for ref in api.list_repo_refs(name, repo_type="dataset").tags],
        "files": api.list_repo_files(name, repo_type="dataset"),
    }


def test_datasets_and_hub_clients_work_as_they_are(client: Callable[..., Any], hub: Hub) -> None:
    """push_to_hub, load_dataset by tag and streaming, configs, cards, tags, listings."""
    seen = client(push_and_load, "org/plain")
    assert (seen["head"], seen["tagged"]) == (7, 5)
    assert seen["streamed"] == ["row 0", "row 1", "row 2"]
    assert seen["configs"] == ["default", "other"]
    assert seen["sha"] == seen["commit"]
    assert seen["refs"] == ["v1"]
    assert set(seen["files"]) == set(hub.repository("org/plain").at("main").files)


def commit_on(name: str, parent: str | None, token: str = ANNA, path: str = "a.txt", text: str = "a") -> str:
    from huggingface_hub import CommitOperationAdd, HfApi

    try:
        operation = CommitOperationAdd(path, text.encode())
        api = HfApi(token=token)
        return api.create_commit(name, [operation], commit_message="m", repo_type="dataset", parent_commit=parent).oid
    except Exception as error:
        return f"{type(error).__name__} {getattr(getattr(error, 'response', None), 'status_code', '')}"


def test_a_stale_parent_is_refused(client: Callable[..., Any], hub: Hub) -> None:
    """412, and nothing is committed; an unchanged file makes no commit."""
    hub.create("org/stale")
    first = hub.put("org/stale", {"b.txt": "b"})
    second = client(commit_on, "org/stale", first)
    assert hub.repository("org/stale").at("main").oid == second
    assert client(commit_on, "org/stale", first, path="c.txt") == "HfHubHTTPError 412"
    assert client(commit_on, "org/stale", second) == second
    assert len(hub.repository("org/stale").history("main")) == 3


def test_rights(client: Callable[..., Any], hub: Hub) -> None:
    """A wrong token is 401, a reader's or a stranger's 403; a private repository is not there for strangers."""
    hub.create("org/rights")
    assert client(commit_on, "org/rights", None, "hf_wrong") == "HfHubHTTPError 401"
    assert client(commit_on, "org/rights", None, READER) == "HfHubHTTPError 403"
    assert client(commit_on, "org/rights", None, STRANGER) == "HfHubHTTPError 403"
    hub.create("org/hidden", private=True)
    assert client(commit_on, "org/hidden", None, STRANGER) == "RepositoryNotFoundError 404"
    assert client(commit_on, "org/nowhere", None) == "RepositoryNotFoundError 404"


def fetch(name: str, token: str, kind: str = "dataset") -> str:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "a.txt", repo_type=kind, token=token)).read_text()
    except Exception as error:
        return type(error).__name__


def test_a_gated_repository(client: Callable[..., Any], hub: Hub) -> None:
    """Its files are for members only."""
    hub.create("org/gated").gated = True
    hub.put("org/gated", {"a.txt": "inside"})
    assert client(fetch, "org/gated", STRANGER) == "GatedRepoError"
    assert client(fetch, "org/gated", ANNA) == "inside"


def test_models_and_datasets_are_apart(client: Callable[..., Any], hub: Hub) -> None:
    """The same name may stand for a model and a dataset."""
    hub.create("org/two", "model")
    assert client(fetch, "org/two", ANNA) == "RepositoryNotFoundError"
    hub.put("org/two", {"a.txt": "of the model"}, kind="model")
    assert client(fetch, "org/two", ANNA, "model") == "of the model"


@pytest.mark.parametrize(("after", "committed"), [(False, 1), (True, 2)])
def test_a_cut_connection(client: Callable[..., Any], hub: Hub, after: bool, committed: int) -> None:
    """Cut before the work nothing happened; cut after it only the answer is lost."""
    name = f"org/cut-{after}"
    hub.create(name)
    hub.plan(Fault(match="/commit/", after=after))
    assert "Error" in client(commit_on, name, None)
    assert len(hub.repository(name).history("main")) == committed


def test_a_planned_status(client: Callable[..., Any], hub: Hub) -> None:
    """At the n-th request, once."""
    hub.create("org/status")
    hub.plan(Fault(match="POST .*/commit/", status=409))
    assert client(commit_on, "org/status", None) == "HfHubHTTPError 409"
    assert len(client(commit_on, "org/status", None)) == 40
