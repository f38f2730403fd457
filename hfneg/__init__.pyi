"""The public names of hfneg and where they live: the only list of them. `hfneg/__init__.py` reads it, too."""

from hfneg import formats as formats
from hfneg.data.anchors import Anchors as Anchors
from hfneg.data.corpus import Corpus as Corpus
from hfneg.data.files.beir import load_beir as load_beir
from hfneg.data.loading import load_pairs as load_pairs
from hfneg.errors import (
    AccessError as AccessError,
    BudgetError as BudgetError,
    ColumnError as ColumnError,
    DamagedError as DamagedError,
    DiskFullError as DiskFullError,
    DocumentError as DocumentError,
    EmptyInputError as EmptyInputError,
    EndpointError as EndpointError,
    HfnegError as HfnegError,
    InputError as InputError,
    InUseError as InUseError,
    MissingExtraError as MissingExtraError,
    NeedsTeacher as NeedsTeacher,
    NonFiniteError as NonFiniteError,
    OutOfMemoryError as OutOfMemoryError,
    OutputError as OutputError,
    OutputExistsError as OutputExistsError,
    PositiveError as PositiveError,
    ProcessError as ProcessError,
    PublishError as PublishError,
    RecipeError as RecipeError,
    ResumeError as ResumeError,
    RetrieverError as RetrieverError,
    SettingError as SettingError,
    StoreError as StoreError,
    TeacherError as TeacherError,
    TrainingError as TrainingError,
    WorkerDiedError as WorkerDiedError,
)
from hfneg.hub.publish import publish as publish
from hfneg.hub.reading import read_card as read_card
from hfneg.hub.reproduce import Reproduction as Reproduction, reproduce as reproduce
from hfneg.pipeline.mine import Mine as Mine
from hfneg.pipeline.recipe import Recipe as Recipe
from hfneg.pipeline.retrieve import Retrieve as Retrieve
from hfneg.pipeline.select import Select as Select
from hfneg.review.audit import audit as audit
from hfneg.review.calibrate.calibrate import calibrate as calibrate
from hfneg.review.calibrate.cascade import cascade_band as cascade_band
from hfneg.review.diff.diff import diff as diff
from hfneg.review.leak.leak import LeakRate as LeakRate, leak_rate as leak_rate
from hfneg.review.report import report as report
from hfneg.runs.examine import examine as examine
from hfneg.runs.executors.local import LocalExecutor as LocalExecutor
from hfneg.runs.folder.mined import open_summary as open_summary
from hfneg.runs.mine import mine as mine
from hfneg.runs.preview import Preview as Preview, preview as preview
from hfneg.runs.reselect import reselect as reselect
from hfneg.steps.data_file import DataFile as DataFile
from hfneg.steps.filters import (
    Agreement as Agreement,
    Band as Band,
    BelowPositives as BelowPositives,
    Filter as Filter,
    FirstOfDuplicates as FirstOfDuplicates,
    Hubs as Hubs,
    Margin as Margin,
    NearAnchorPositives as NearAnchorPositives,
    OtherCluster as OtherCluster,
    PositiveSimilarity as PositiveSimilarity,
    RankWindow as RankWindow,
)
from hfneg.steps.fusion import RRF as RRF, RoundRobin as RoundRobin, WeightedSum as WeightedSum
from hfneg.steps.guard import Guard as Guard
from hfneg.steps.papers import Paper as Paper
from hfneg.steps.promote import Promote as Promote
from hfneg.steps.retrievers import (
    BM25 as BM25,
    Dense as Dense,
    RandomDocuments as RandomDocuments,
    Retriever as Retriever,
    candidates_from as candidates_from,
)
from hfneg.steps.samplers import (
    Sampler as Sampler,
    TakeRandom as TakeRandom,
    TakeSimANS as TakeSimANS,
    TakeTop as TakeTop,
)
from hfneg.steps.short import Fill as Fill, Keep as Keep, Relax as Relax
from hfneg.steps.teachers import (
    BiEncoderTeacher as BiEncoderTeacher,
    Cascade as Cascade,
    CrossEncoderTeacher as CrossEncoderTeacher,
    EndpointTeacher as EndpointTeacher,
    FunctionTeacher as FunctionTeacher,
    JudgeTeacher as JudgeTeacher,
    MeanOfTeachers as MeanOfTeachers,
    MinOfTeachers as MinOfTeachers,
    Teacher as Teacher,
)
from hfneg.training.mix import mix_rounds as mix_rounds
from hfneg.training.refresh import HardNegativeRefresh as HardNegativeRefresh
from hfneg.training.round import Round as Round
from hfneg.training.rounds import rounds as rounds
from hfneg.training.trainer import Training as Training

__version__: str
__all__: list[str]
