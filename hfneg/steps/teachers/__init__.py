"""Teachers. A new one is a short file here, its line below, and a test."""

from hfneg.steps.teachers.base import SCALES, OnScored, Received, Teacher
from hfneg.steps.teachers.bi_encoder import BiEncoderTeacher
from hfneg.steps.teachers.cascade import Cascade
from hfneg.steps.teachers.cross_encoder import CrossEncoderTeacher
from hfneg.steps.teachers.endpoint import EndpointTeacher
from hfneg.steps.teachers.ensemble import Ensemble, MeanOfTeachers, MinOfTeachers
from hfneg.steps.teachers.function import FunctionTeacher
from hfneg.steps.teachers.judge import JudgeTeacher

TEACHERS: list[type[Teacher]] = [
    CrossEncoderTeacher,
    BiEncoderTeacher,
    EndpointTeacher,
    JudgeTeacher,
    FunctionTeacher,
    MeanOfTeachers,
    MinOfTeachers,
    Cascade,
]

__all__ = [
    "SCALES",
    "TEACHERS",
    "BiEncoderTeacher",
    "Cascade",
    "CrossEncoderTeacher",
    "EndpointTeacher",
    "Ensemble",
    "FunctionTeacher",
    "JudgeTeacher",
    "MeanOfTeachers",
    "MinOfTeachers",
    "OnScored",
    "Received",
    "Teacher",
]
