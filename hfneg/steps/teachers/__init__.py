"""Teachers. A new one is a short file here, its line below, and a test."""

from hfneg.steps.teachers.base import SCALES, OnScored, Received, Teacher
from hfneg.steps.teachers.bi_encoder import BiEncoderTeacher
from hfneg.steps.teachers.cross_encoder import CrossEncoderTeacher
from hfneg.steps.teachers.endpoint import EndpointTeacher
from hfneg.steps.teachers.ensemble import Ensemble, MeanOfTeachers, MinOfTeachers
from hfneg.steps.teachers.function import FunctionTeacher

TEACHERS: list[type[Teacher]] = [
    CrossEncoderTeacher,
    BiEncoderTeacher,
    EndpointTeacher,
    FunctionTeacher,
    MeanOfTeachers,
    MinOfTeachers,
]

__all__ = [
    "SCALES",
    "TEACHERS",
    "BiEncoderTeacher",
    "CrossEncoderTeacher",
    "EndpointTeacher",
    "Ensemble",
    "FunctionTeacher",
    "MeanOfTeachers",
    "MinOfTeachers",
    "OnScored",
    "Received",
    "Teacher",
]
