"""Teachers. A new one is a short file here, its line below, and a test."""

from hfneg.teachers.base import SCALES, OnScored, Received, Teacher
from hfneg.teachers.bi_encoder import BiEncoderTeacher
from hfneg.teachers.cross_encoder import CrossEncoderTeacher
from hfneg.teachers.endpoint import EndpointTeacher
from hfneg.teachers.ensemble import Ensemble, MeanOfTeachers, MinOfTeachers
from hfneg.teachers.function import FunctionTeacher

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
