"""Recipes: what is written can be read back, and what cannot be read says why."""

from __future__ import annotations

import json
import pickle
import re
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, strategies as st
from properties import examples

import hfneg
from hfneg.errors import RecipeError, SettingError
from hfneg.pipeline import recipes
from hfneg.pipeline.recipe import SLOTS, Recipe
from hfneg.pipeline.recipe_text import STEPS, parse_step
from hfneg.steps.data_file import DataFile
from hfneg.steps.filters import Agreement, Band, BelowPositives, Filter, FirstOfDuplicates, Hubs, Margin, RankWindow
from hfneg.steps.fusion import RRF, RoundRobin, WeightedSum
from hfneg.steps.guard import Guard
from hfneg.steps.promote import Promote
from hfneg.steps.retrievers import BM25, RandomDocuments
from hfneg.steps.retrievers.bm25 import METHODS
from hfneg.steps.samplers import TakeRandom, TakeSimANS, TakeTop
from hfneg.steps.short import Fill, Keep, Relax
from hfneg.steps.step import Step
from hfneg.steps.teachers import Cascade, EndpointTeacher, JudgeTeacher, MeanOfTeachers, MinOfTeachers

RECIPES = sorted(recipes.FOLDER.glob("*.yaml"))
few = examples(60)

whole = st.integers(1, 10**9)
seeds = st.integers(0, 2**31)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
above = st.floats(0, 1e300)
names = st.text(min_size=1, max_size=8)
by = st.sampled_from(["score", "bm25", "it's"]) | names


def band(low: float | None, high: float | None, by: str) -> Band:
    if low is None and high is None:
        low = 0.0
    if low is not None and high is not None:
        low, high = min(low, high), max(low, high)
    return Band(low, high, by=by)


retrievers = st.one_of(
    st.builds(
        BM25,
        k1=st.floats(0.001, 1e6),
        b=st.floats(0, 1),
        method=st.sampled_from(METHODS),
        delta=above,
        language=st.sampled_from([None, "english", "german"]),
    ),
    st.builds(RandomDocuments, seed=seeds),
)
fusions = st.one_of(
    st.builds(RRF, k=st.integers(0, 10**6), weights=st.dictionaries(names, above)),
    st.builds(WeightedSum, weights=st.dictionaries(names, above)),
    st.builds(RoundRobin, quotas=st.dictionaries(names, whole)),
)
filters = st.one_of(
    st.builds(lambda skip, more: RankWindow(skip, skip + more if more else None), seeds, seeds),
    st.builds(band, st.none() | numbers, st.none() | numbers, by),
    st.builds(Margin, relative=st.floats(0, 0.999), by=by, against=st.sampled_from(["min", "mean", "max"])),
    st.builds(Margin, absolute=above, by=by, noisy=st.none() | st.floats(0.01, 0.99)),
    st.builds(BelowPositives, st.floats(0, 1)),
    st.builds(Hubs, whole),
    st.builds(FirstOfDuplicates, st.floats(0.5, 1)),
    st.builds(lambda share: Agreement(Margin(relative=share)), st.floats(0, 0.999)),
)
samplers = st.one_of(
    st.builds(TakeTop, whole),
    st.builds(TakeRandom, whole, seed=seeds),
    st.builds(TakeSimANS, whole, a=above, b=numbers, by=by, seed=seeds),
)
guards = st.builds(Guard, near_duplicate=st.none() | st.floats(0.5, 1.0))
promotions = st.builds(
    Promote, whole, above, st.sampled_from(["min", "mean", "max"]), st.none() | st.floats(0, 1), st.none() | numbers
)
endpoints = st.builds(
    EndpointTeacher,
    url=st.sampled_from(["http://127.0.0.1:8080", "https://rerank.example"]),
    id=names,
    truncate=st.booleans(),
    timeout=st.floats(0.1, 1e6),
    scale=st.sampled_from([None, "probability", "logit"]),
)
judges = st.builds(
    JudgeTeacher,
    url=st.sampled_from(["http://127.0.0.1:8080", "https://judge.example"]),
    model=names,
    answers=st.sampled_from(["graded", "yes_no"]),
    positives=st.booleans(),
    unreadable=st.none() | st.floats(0, 1),
    temperature=st.none() | above,
    extra=st.dictionaries(names, st.integers() | st.booleans() | st.lists(numbers, max_size=2), max_size=2),
    max_pairs=st.none() | whole,
)
cascades = st.builds(lambda cheap, costly: Cascade([cheap, costly], between=(0.1, 2)), judges, judges)
teachers = st.recursive(
    st.one_of(endpoints, judges, cascades),
    lambda inner: st.builds(
        lambda kind, members: kind(members),
        st.sampled_from([MeanOfTeachers, MinOfTeachers]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=4,
)
shorts = st.one_of(st.builds(Keep), st.builds(Relax), st.builds(Fill, seed=seeds))
files = st.builds(DataFile, st.just(__file__))
every_step = st.one_of(retrievers, fusions, filters, samplers, guards, endpoints, promotions, shorts, files, judges)


@examples(200)
@given(every_step)
def test_the_repr_of_a_step_is_that_step(step: Any) -> None:
    """repr parses back to an equal step, for any settings, as does the same as a YAML mapping; so does a pickle."""
    assert parse_step(repr(step)) == step
    plain = {name: repr(value) if isinstance(value, Step) else value for name, value in step.settings().items()}
    mapping = {type(step).__name__: plain}
    assert parse_step(yaml.safe_load(yaml.safe_dump(mapping))) == step
    assert pickle.loads(pickle.dumps(step)) == step


def test_every_step_is_covered() -> None:
    """The properties above and below draw every step there is, but those that need a model or a function."""
    drawn = {
        BM25,
        RandomDocuments,
        RRF,
        WeightedSum,
        RoundRobin,
        RankWindow,
        Band,
        Margin,
        BelowPositives,
        Agreement,
        Promote,
        Hubs,
        FirstOfDuplicates,
        Keep,
        Relax,
        Fill,
        DataFile,
    }
    drawn |= {TakeTop, TakeRandom, TakeSimANS, Guard, EndpointTeacher, MeanOfTeachers, MinOfTeachers}
    drawn |= {JudgeTeacher, Cascade}
    models = {"Dense", "OtherCluster", "NearAnchorPositives", "PositiveSimilarity"}
    models |= {"CrossEncoderTeacher", "BiEncoderTeacher", "FunctionTeacher"}
    assert {step.__name__ for step in drawn} | models >= set(STEPS)


@few
@given(
    st.lists(retrievers, min_size=1, max_size=2, unique_by=type),
    st.integers(1, 10**6),
    fusions,
    guards,
    st.none() | teachers,
    st.lists(filters, max_size=3),
    samplers,
    st.none() | promotions,
    st.none() | whole,
    shorts,
)
def test_yaml_round_trip(
    sources: Any,
    k: int,
    fusion: Any,
    guard: Any,
    teacher: Any,
    dropped: Any,
    sampler: Any,
    promote: Any,
    more: int | None,
    short: Any,
) -> None:
    """to_yaml, from_yaml: an equal recipe, and the same text again; an empty slot has no line."""
    sampler = replace(sampler, n=1 + sampler.n % k)
    windows = [step for step in dropped if isinstance(step, RankWindow)]
    short = Fill() if windows or isinstance(fusion, RoundRobin) else short  # else some leave too few
    recipe = Recipe(
        retrievers=sources,
        k=k,
        fusion=fusion,
        teacher=teacher,
        guard=guard,
        filters=dropped,
        promote=promote,
        sampler=sampler,
        deeper=None if more is None else k + more,
        short=short,
    )
    text = recipe.to_yaml()
    assert Recipe.from_yaml(text) == recipe
    assert Recipe.from_yaml(text).to_yaml() == text
    assert list(yaml.safe_load(text)) == [slot for slot in SLOTS if getattr(recipe, slot) is not None]


@pytest.mark.parametrize(
    "text",
    [
        "Margin(relative=0.05, by='bm25')",
        {"Margin": {"relative": 0.05, "by": "bm25"}},
        " Margin( by='bm25',relative=5e-2 )",
    ],
)
def test_forms_of_a_step(text: Any) -> None:
    """As in Python, as a mapping, with any spaces: the same step."""
    assert parse_step(text) == Margin(relative=0.05, by="bm25")


def test_short_forms() -> None:
    """A bare name is a step with its defaults, one value is its first setting, a lone step is a list of one."""
    assert parse_step("BM25") == parse_step({"BM25": None}) == BM25()
    assert parse_step("TakeTop(5)") == parse_step({"TakeTop": 5}) == TakeTop(5)
    recipe = Recipe.from_yaml("retrievers: BM25(k1=0.9)\nfilters: RankWindow(5)\nsampler: {TakeTop: 3}\n")
    assert recipe == Recipe(retrievers=BM25(k1=0.9), filters=RankWindow(5), sampler=TakeTop(3))
    assert Recipe.from_yaml("") == Recipe()


def test_numbers_with_an_exponent_are_numbers() -> None:
    """1e-3 is a number in YAML 1.2 and in a setting, though not to PyYAML."""
    assert Recipe.from_yaml("filters: {Margin: {absolute: 1e-3}}").filters == (Margin(absolute=0.001),)
    assert Recipe(filters=Margin(absolute=1.0)).with_settings(["filters.margin.absolute=2E+1"]).filters == (
        Margin(absolute=20.0),
    )


def test_numbers_of_numpy_are_written_as_numbers() -> None:
    """A threshold that NumPy computed is written so that it can be read back."""
    recipe = Recipe(filters=[Margin(absolute=np.float64(0.25)), Band(low=np.quantile([1.0, 2.0], 0.5))])
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_that_is_shipped_loads(path: Path, monkeypatch: Any) -> None:
    """The YAML files are read, and written again mean the same. (Their models are not loaded: no network.)"""
    monkeypatch.setattr("hfneg.steps.retrievers.dense.Dense.__post_init__", lambda self: None)
    recipe = Recipe.load(path)
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe


def test_there_are_recipes() -> None:
    """The parametrised test above has something to load."""
    assert len(RECIPES) >= 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("retriever: BM25()", "no slot 'retriever'.*Did you mean 'retrievers'"),
        ("sampler: TakeTp(n=7)", "no step 'TakeTp'.*Did you mean 'TakeTop'"),
        ("sampler: TakeTop(m=7)", "no setting 'm'; it has n"),
        ("filters: [Margin(relatve=0.1)]", "Did you mean 'relative'"),
        ("filters: [Margin(relative=0.1]", "is no valid YAML|is no step"),
        ("sampler: TakeTop(n=print(1))", "no step 'print'"),
        ("sampler: TakeTop(n=1 + 1)", "with plain values"),
        ("sampler: __import__('os').system('true')", "is no step|no step|import path"),
        ("sampler: 7", "7 is no step"),
        ("sampler: [TakeTop]", "is no step"),
        ("sampler: Margin(relative=0.1)", "slot 'sampler'"),
        ("filters: [TakeTop(3)]", "slot 'filters"),
        ("k: many", "slot 'k'"),
        ("k: 0", "slot 'k'"),
        ("k: 1.5", "slot 'k'"),
        ("- BM25", "a mapping of slots"),
        ("a: [", "no valid YAML"),
        ("fusion: RRF(weights={'bm25': 2.0})", "in quotes"),
        ("filters: [Margin(relative=0.1, by='bm25')]", "in quotes"),
        ("sampler: TakeTop()", "TakeTop"),
        ("sampler: TakeTop(1, 2, 3)", "TakeTop"),
        ("sampler: my_module.Mine(n=3)", "trust=True"),
        ("retrievers: []", "retrievers?"),
        ("retrievers: [BM25, BM25]", "both called 'bm25'"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, message: str) -> None:
    """Each refusal names the slot, step or setting, with the near miss, and nothing of the text is ever executed."""
    with pytest.raises((RecipeError, SettingError), match=message):
        Recipe.from_yaml(text)


def test_files_that_are_not_there_and_components_that_do_not_exist() -> None:
    """The path and the import path are in the message."""
    with pytest.raises(RecipeError, match=r"'nowhere\.yaml'"):
        Recipe.load("nowhere.yaml")
    for name in ("no_such_module.Mine", "json.NoSuchThing"):
        with pytest.raises(RecipeError, match=f"cannot load the component '{name}'"):
            Recipe.from_yaml(f"sampler: {name}(n=3)", trust=True)
    with pytest.raises(RecipeError, match="slot 'sampler'"):
        Recipe.from_yaml("sampler: json.JSONDecoder()", trust=True)


BASE = Recipe(
    retrievers=[BM25(), RandomDocuments()],
    filters=[RankWindow(5), Margin(relative=0.1), Margin(absolute=0.2)],
    sampler=TakeTop(7),
)


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ("k=200", {"k": 200}),
        ("sampler.n=5", {"sampler": TakeTop(5)}),
        ("sampler=TakeRandom(n=3, seed=1)", {"sampler": TakeRandom(3, seed=1)}),
        ("fusion.k=10", {"fusion": RRF(k=10)}),
        ("fusion=RoundRobin(quotas={'bm25': 3})", {"fusion": RoundRobin(quotas={"bm25": 3})}),
        ("guard.near_duplicate=null", {"guard": Guard(near_duplicate=None)}),
        ("retrievers.bm25.k1=0.9", {"retrievers": (BM25(k1=0.9), RandomDocuments())}),
        ("retrievers.BM25.language=null", {"retrievers": (BM25(language=None), RandomDocuments())}),
        ("retrievers.random.seed=4", {"retrievers": (BM25(), RandomDocuments(seed=4))}),
        ("retrievers.1.seed=4", {"retrievers": (BM25(), RandomDocuments(seed=4))}),
        ("retrievers=[BM25]", {"retrievers": (BM25(),)}),
        ("retrievers=[BM25(k1=0.9, b=0.4), RandomDocuments]", {"retrievers": (BM25(k1=0.9, b=0.4), RandomDocuments())}),
        ("filters={Margin: {relative: 0.5}}", {"filters": (Margin(relative=0.5),)}),
        ("filters=[{Margin: {relative: 0.5}}]", {"filters": (Margin(relative=0.5),)}),
        ("filters=[]", {"filters": ()}),
        ("filters=[Band(low=0.5)]", {"filters": (Band(low=0.5),)}),
        ("filters.rank_window.skip=9", {"filters": (RankWindow(9), *BASE.filters[1:])}),
        ("filters.RankWindow.skip=9", {"filters": (RankWindow(9), *BASE.filters[1:])}),
        ("filters.2.absolute=0.5", {"filters": (*BASE.filters[:2], Margin(absolute=0.5))}),
        ("filters.margin.relative=0.5", {"filters": (BASE.filters[0], Margin(relative=0.5), BASE.filters[2])}),
    ],
)
def test_with_settings(setting: str, changed: dict[str, Any]) -> None:
    """One setting changes what it names and nothing else; the recipe itself stays."""
    before = BASE.to_yaml()
    assert BASE.with_settings([setting]) == Recipe(**{**{name: getattr(BASE, name) for name in SLOTS}, **changed})
    assert BASE.to_yaml() == before


def test_a_lone_step_of_a_list_needs_no_name() -> None:
    """With one retriever its settings can be reached directly."""
    assert Recipe().with_settings(["retrievers.k1=0.9", "k=9"]) == Recipe(retrievers=[BM25(k1=0.9)], k=9)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("k", "slot.key=value"),
        ("sampelr.n=5", "Did you mean 'sampler'"),
        ("sampler.m=5", "no setting 'm'"),
        ("sampler.n=0", "whole number"),
        ("k.x=3", "k"),
        ("retrievers.k1=0.9", "say which step of retrievers"),
        ("retrievers.bm52.k1=0.9", "Did you mean 'bm25'"),
        ("retrievers.bm25.k1.x=0.9", "say which step"),
        ("sampler=[", "no valid YAML"),
        ("retrievers.9.seed=1", "no step '9'"),
    ],
)
def test_settings_that_name_nothing(setting: str, message: str) -> None:
    """The message says what is there."""
    with pytest.raises((RecipeError, SettingError), match=message):
        BASE.with_settings([setting])


# A filter and a retriever of one's own.


@dataclass(frozen=True)
class Short(Filter):
    """Keeps short documents."""

    length: int = 20
    verdict = "long"

    def keep(self, pool: Any) -> Any:
        return pool.corpus.sizes(pool.rows) <= self.length


class Reverse:
    """Finds the last documents first."""

    def search(self, texts: list[str], k: int) -> tuple[Any, Any]:
        rows = np.tile(np.arange(7, 7 - k, -1), (len(texts), 1))
        return np.tile(np.arange(k, 0, -1.0), (len(texts), 1)), np.maximum(rows, -1)


OWN = textwrap.dedent("""
    from dataclasses import dataclass

    import numpy as np

    from hfneg import Filter


    @dataclass(frozen=True)
    class Short(Filter):
        length: int = 20
        verdict = "long"

        def keep(self, pool):
            return pool.corpus.sizes(pool.rows) <= self.length


    @dataclass(frozen=True)
    class Reverse:
        first: int = 7

        def search(self, texts, k):
            rows = np.tile(np.arange(self.first, self.first - k, -1), (len(texts), 1))
            return np.tile(np.arange(k, 0, -1.0), (len(texts), 1)), np.maximum(rows, -1)
""")

LONG = "plates move and that is a long text"
DOCUMENTS = ["faults slip", "waves travel", "rocks melt", LONG, "magma", "ash", "lava", "x"]
PAIRS = {"q": ["What slips?", "What melts?"], "a": ["faults slip", "rocks melt"]}
EXPECTED = [["x", "lava", "ash", "magma"]] * 2


def mined(transform: Any) -> list[list[str]]:
    from datasets import Dataset

    rows: list[list[str]] = Dataset.from_dict(PAIRS).map(transform, batched=True)["hard_negatives"][:]
    return rows


def test_one_s_own_filter_and_retriever_through_map() -> None:
    """A filter of five lines and a retriever of one method work like ours, alone, staged and in a recipe."""
    from datasets import Dataset

    corpus = hfneg.Corpus.from_texts(DOCUMENTS)
    anchors = hfneg.Anchors(Dataset.from_dict(PAIRS), corpus, anchor="q", positive="a")
    recipe = Recipe(retrievers=Reverse(), k=5, filters=Short(), sampler=TakeTop(4))
    assert mined(recipe.transform(anchors)) == EXPECTED
    retrieve = hfneg.Retrieve(anchors, Reverse(), k=5)
    select = hfneg.Select(anchors, filters=[Short()], sampler=TakeTop(4), keep_candidates=True)
    staged = Dataset.from_dict(PAIRS).map(retrieve, batched=True).map(select, batched=True)
    assert staged["hard_negatives"][:] == EXPECTED
    names = select.policy.verdict_names
    assert [names[code] for code in staged["candidate_verdicts"][0]] == ["selected"] * 4 + ["long"]
    assert staged["hard_negative_sources"][0] == ["reverse"] * 4


def test_one_s_own_filter_and_retriever_through_mine_and_a_trusted_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By import path in a recipe file, with trust; mine's own recipe.yaml can be read back and gives the same rows."""
    from datasets import Dataset

    (tmp_path / "own_parts.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "own.yaml"
    file.write_text("retrievers: own_parts.Reverse(first=7)\nk: 5\nfilters: own_parts.Short()\nsampler: TakeTop(4)\n")
    with pytest.raises(RecipeError, match="trust=True"):
        Recipe.load(file)
    recipe = Recipe.load(file, trust=True)
    pairs, out = Dataset.from_dict(PAIRS), tmp_path / "mined"
    rows = hfneg.mine(pairs, DOCUMENTS, recipe, anchor="q", positive="a", out=out)
    assert rows["hard_negatives"][:] == EXPECTED
    assert json.loads((out / "summary.json").read_text())["verdicts"]["long"] == 2
    again = Recipe.load(out / "recipe.yaml", trust=True)
    assert again == recipe
    same = hfneg.mine(pairs, DOCUMENTS, again, anchor="q", positive="a", out=out, resume=True)
    assert same["hard_negatives"][:] == EXPECTED


def test_a_live_retriever_is_the_same_recipe_in_every_process() -> None:
    """Its text has no address, which would make a resumed run another run; and it cannot be read back."""
    text = Recipe(retrievers=Reverse()).to_yaml()
    assert text == Recipe(retrievers=Reverse()).to_yaml()
    assert "0x" not in text
    with pytest.raises(RecipeError, match="is no step"):
        Recipe.from_yaml(text, trust=True)
    with pytest.raises(RecipeError, match="no settings"):
        Recipe(retrievers=Reverse()).with_settings(["retrievers.first=3"])


@pytest.mark.parametrize(
    ("slots", "numbers"),
    [
        ({"k": 3, "sampler": TakeTop(10)}, ("n=10", "k=3", "3 at most")),
        ({"filters": RankWindow(stop=3), "sampler": TakeTop(10)}, ("n=10", "rank 3", "3 at most")),
        ({"filters": [RankWindow(skip=4), RankWindow(stop=9)], "sampler": TakeTop(6)}, ("ranks 5 to rank 9", "5 at")),
        ({"k": 50, "filters": RankWindow(skip=100)}, ("k=50", "ranks 101", "0 at most")),
        ({"k": 50, "filters": RankWindow(skip=45)}, ("n=7", "6 at most")),
        ({"k": 3, "deeper": 6}, ("k=3 and deeper=6", "6 at most")),
        ({"k": 3, "sampler": TakeRandom(7), "retrievers": [BM25(), RandomDocuments()]}, ("2 sources", "6 at most")),
        (
            {"retrievers": [BM25(), RandomDocuments()], "fusion": RoundRobin(quotas={"bm25": 2, "random": 4})},
            ("RoundRobin", "6 at most"),
        ),
        ({"k": 5, "short": Relax(), "sampler": TakeTop(6)}, ("5 at most",)),
    ],
)
def test_what_can_never_be_had_is_refused(slots: dict[str, Any], numbers: tuple[str, ...]) -> None:
    """Settings that leave every anchor short are refused when the recipe is built, in Python and YAML; the message says
    the numbers, and with the n that it names, or with random documents, the recipe is good."""
    with pytest.raises(RecipeError) as refused:
        Recipe(**slots)
    for number in numbers:
        assert number in str(refused.value)
    n = int(re.search(r"sampler\.n=(\d+)", str(refused.value)).group(1))  # type: ignore[union-attr]
    good = Recipe(**{**slots, "short": Fill()})
    if "0 at most" not in numbers:
        assert good.with_settings([f"sampler.n={n}", "short=Keep()"]).sampler.n == n
    bad = good.to_yaml().replace("Fill(seed=0)", repr(slots.get("short", Keep())))
    with pytest.raises(RecipeError, match="at most"):
        Recipe.from_yaml(bad)


def test_what_can_be_had_is_not_refused() -> None:
    """At the very numbers, with a deeper search, a second source, what is taken back, and settings whose order is that
    of the command line."""
    Recipe(k=7)
    Recipe(k=10, filters=RankWindow(skip=4))
    Recipe(filters=RankWindow(skip=3, stop=10))
    Recipe(k=3, deeper=7)
    Recipe(k=4, retrievers=[BM25(), RandomDocuments()])
    Recipe(k=9, filters=RankWindow(stop=2), short=Relax())
    changed = Recipe().with_settings(["filters=RankWindow(skip=150)", "k=300"])
    assert (changed.k, changed.filters) == (300, (RankWindow(skip=150),))
    assert Recipe().with_settings(["k=2", "sampler.n=2"]).sampler.n == 2
