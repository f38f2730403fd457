"""Hard negatives for retrievers and embedding models, as transforms for ``Dataset.map``.

>>> import hfneg
>>> corpus = hfneg.Corpus.from_texts(["Faults slip.", "Waves travel.", "Rocks melt."])
>>> anchors = hfneg.Anchors([{"q": "What slips?", "a": "Faults slip."}], corpus, anchor="q", positive="a")
>>> transform = hfneg.Retrieve(anchors, hfneg.BM25(), k=2)

Names are loaded at first use: ``import hfneg`` loads neither torch nor faiss.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "hfneg.anchors": ["Anchors"],
    "hfneg.auditing": ["audit"],
    "hfneg.calibration": ["calibrate"],
    "hfneg.calibrating.leak": ["LeakRate", "leak_rate"],
    "hfneg.corpus": ["Corpus"],
    "hfneg.errors": [
        "AccessError",
        "ColumnError",
        "DamagedError",
        "DiskFullError",
        "DocumentError",
        "EmptyInputError",
        "EndpointError",
        "HfnegError",
        "InUseError",
        "InputError",
        "MissingExtraError",
        "NeedsTeacher",
        "NonFiniteError",
        "OutOfMemoryError",
        "OutputError",
        "OutputExistsError",
        "PositiveError",
        "ProcessError",
        "PublishError",
        "RecipeError",
        "ResumeError",
        "RetrieverError",
        "SettingError",
        "StoreError",
        "TeacherError",
        "TrainingError",
        "WorkerDiedError",
    ],
    "hfneg.examining": ["examine"],
    "hfneg.data_file": ["DataFile"],
    "hfneg.diffing": ["diff"],
    "hfneg.executors.local": ["LocalExecutor"],
    "hfneg.filters": [
        "Agreement",
        "Band",
        "BelowPositives",
        "Filter",
        "FirstOfDuplicates",
        "Hubs",
        "Margin",
        "NearAnchorPositives",
        "OtherCluster",
        "PositiveSimilarity",
        "RankWindow",
    ],
    "hfneg.fusion": ["RRF", "RoundRobin", "WeightedSum"],
    "hfneg.guard": ["Guard"],
    "hfneg.data.beir": ["load_beir"],
    "hfneg.data.loading": ["load_pairs"],
    "hfneg.looping": ["Round", "mix_rounds", "rounds"],
    "hfneg.looping.refresh": ["HardNegativeRefresh"],
    "hfneg.looping.training": ["Training"],
    "hfneg.mined_folder": ["open_summary"],
    "hfneg.mining": ["mine"],
    "hfneg.pipeline": ["Mine"],
    "hfneg.previewing": ["Preview", "preview"],
    "hfneg.promotion": ["Promote"],
    "hfneg.publishing": ["publish", "read_card"],
    "hfneg.recipe": ["Recipe"],
    "hfneg.reporting": ["report"],
    "hfneg.reselecting": ["reselect"],
    "hfneg.reproducing": ["Reproduction", "reproduce"],
    "hfneg.retrieve": ["Retrieve"],
    "hfneg.retrievers": ["BM25", "Dense", "RandomDocuments", "Retriever", "candidates_from"],
    "hfneg.sampling": ["Sampler", "TakeRandom", "TakeSimANS", "TakeTop"],
    "hfneg.select": ["Select"],
    "hfneg.short": ["Fill", "Keep", "Relax"],
    "hfneg.teachers": [
        "BiEncoderTeacher",
        "CrossEncoderTeacher",
        "EndpointTeacher",
        "FunctionTeacher",
        "MeanOfTeachers",
        "MinOfTeachers",
        "Teacher",
    ],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, "__version__", "formats"])

if TYPE_CHECKING:
    from hfneg import formats as formats
    from hfneg.anchors import Anchors as Anchors
    from hfneg.auditing import audit as audit
    from hfneg.calibrating.leak import LeakRate as LeakRate
    from hfneg.calibrating.leak import leak_rate as leak_rate
    from hfneg.calibration import calibrate as calibrate
    from hfneg.corpus import Corpus as Corpus
    from hfneg.data.beir import load_beir as load_beir
    from hfneg.data.loading import load_pairs as load_pairs
    from hfneg.data_file import DataFile as DataFile
    from hfneg.diffing import diff as diff
    from hfneg.errors import AccessError as AccessError
    from hfneg.errors import ColumnError as ColumnError
    from hfneg.errors import DamagedError as DamagedError
    from hfneg.errors import DiskFullError as DiskFullError
    from hfneg.errors import DocumentError as DocumentError
    from hfneg.errors import EmptyInputError as EmptyInputError
    from hfneg.errors import EndpointError as EndpointError
    from hfneg.errors import HfnegError as HfnegError
    from hfneg.errors import InputError as InputError
    from hfneg.errors import InUseError as InUseError
    from hfneg.errors import MissingExtraError as MissingExtraError
    from hfneg.errors import NeedsTeacher as NeedsTeacher
    from hfneg.errors import NonFiniteError as NonFiniteError
    from hfneg.errors import OutOfMemoryError as OutOfMemoryError
    from hfneg.errors import OutputError as OutputError
    from hfneg.errors import OutputExistsError as OutputExistsError
    from hfneg.errors import PositiveError as PositiveError
    from hfneg.errors import ProcessError as ProcessError
    from hfneg.errors import PublishError as PublishError
    from hfneg.errors import RecipeError as RecipeError
    from hfneg.errors import ResumeError as ResumeError
    from hfneg.errors import RetrieverError as RetrieverError
    from hfneg.errors import SettingError as SettingError
    from hfneg.errors import StoreError as StoreError
    from hfneg.errors import TeacherError as TeacherError
    from hfneg.errors import TrainingError as TrainingError
    from hfneg.errors import WorkerDiedError as WorkerDiedError
    from hfneg.examining import examine as examine
    from hfneg.executors.local import LocalExecutor as LocalExecutor
    from hfneg.filters import Agreement as Agreement
    from hfneg.filters import Band as Band
    from hfneg.filters import BelowPositives as BelowPositives
    from hfneg.filters import Filter as Filter
    from hfneg.filters import FirstOfDuplicates as FirstOfDuplicates
    from hfneg.filters import Hubs as Hubs
    from hfneg.filters import Margin as Margin
    from hfneg.filters import NearAnchorPositives as NearAnchorPositives
    from hfneg.filters import OtherCluster as OtherCluster
    from hfneg.filters import PositiveSimilarity as PositiveSimilarity
    from hfneg.filters import RankWindow as RankWindow
    from hfneg.fusion import RRF as RRF
    from hfneg.fusion import RoundRobin as RoundRobin
    from hfneg.fusion import WeightedSum as WeightedSum
    from hfneg.guard import Guard as Guard
    from hfneg.looping import Round as Round
    from hfneg.looping import mix_rounds as mix_rounds
    from hfneg.looping import rounds as rounds
    from hfneg.looping.refresh import HardNegativeRefresh as HardNegativeRefresh
    from hfneg.looping.training import Training as Training
    from hfneg.mined_folder import open_summary as open_summary
    from hfneg.mining import mine as mine
    from hfneg.pipeline import Mine as Mine
    from hfneg.previewing import Preview as Preview
    from hfneg.previewing import preview as preview
    from hfneg.promotion import Promote as Promote
    from hfneg.publishing import publish as publish
    from hfneg.publishing import read_card as read_card
    from hfneg.recipe import Recipe as Recipe
    from hfneg.reporting import report as report
    from hfneg.reproducing import Reproduction as Reproduction
    from hfneg.reproducing import reproduce as reproduce
    from hfneg.reselecting import reselect as reselect
    from hfneg.retrieve import Retrieve as Retrieve
    from hfneg.retrievers import BM25 as BM25
    from hfneg.retrievers import Dense as Dense
    from hfneg.retrievers import RandomDocuments as RandomDocuments
    from hfneg.retrievers import Retriever as Retriever
    from hfneg.retrievers import candidates_from as candidates_from
    from hfneg.sampling import Sampler as Sampler
    from hfneg.sampling import TakeRandom as TakeRandom
    from hfneg.sampling import TakeSimANS as TakeSimANS
    from hfneg.sampling import TakeTop as TakeTop
    from hfneg.select import Select as Select
    from hfneg.short import Fill as Fill
    from hfneg.short import Keep as Keep
    from hfneg.short import Relax as Relax
    from hfneg.teachers import BiEncoderTeacher as BiEncoderTeacher
    from hfneg.teachers import CrossEncoderTeacher as CrossEncoderTeacher
    from hfneg.teachers import EndpointTeacher as EndpointTeacher
    from hfneg.teachers import FunctionTeacher as FunctionTeacher
    from hfneg.teachers import MeanOfTeachers as MeanOfTeachers
    from hfneg.teachers import MinOfTeachers as MinOfTeachers
    from hfneg.teachers import Teacher as Teacher


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name]), name)
    if name == "formats":
        return importlib.import_module("hfneg.formats")
    from hfneg.errors import near_miss

    known = {each.lower(): each for each in __all__}
    meant = known.get(name.lower())
    hint = f" Did you mean {meant!r}?" if meant is not None else near_miss(name, __all__)
    raise AttributeError(f"module 'hfneg' has no attribute {name!r}.{hint}")


def __dir__() -> list[str]:
    return __all__
