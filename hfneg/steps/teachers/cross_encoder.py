"""`CrossEncoderTeacher`: a reranker as teacher."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hfneg.base.settings import check, check_choice
from hfneg.errors import SettingError
from hfneg.models.cross_encoding.batches import Forward, score_pairs, torch_forward
from hfneg.models.cross_encoding.first_token import first_token_alone
from hfneg.models.cross_encoding.openvino import openvino_forward, require_openvino
from hfneg.models.cross_encoding.packed import packed_weights
from hfneg.models.kinds import BARE, CROSS_ENCODER, refuse_but
from hfneg.models.weights import name_of
from hfneg.steps import papers
from hfneg.steps.teachers.base import Received
from hfneg.steps.teachers.model_teacher import ENGINE, ModelTeacher

SETTINGS = "config_sentence_transformers.json"
ENGINES = (ENGINE, "openvino")
OPENVINO_DTYPES = (None, "bfloat16", "float32")
HEADS = ("ForSequenceClassification", "ForCausalLM", "ForConditionalGeneration")
"""What the architecture's name ends in where the weights of a scoring head were saved."""


@dataclass(frozen=True, repr=False)
class CrossEncoderTeacher(ModelTeacher):
    """Scores by a CrossEncoder of sentence-transformers, which reads anchor and document together.

    >>> CrossEncoderTeacher("BAAI/bge-reranker-v2-m3", scale="probability")
    CrossEncoderTeacher(model='BAAI/bge-reranker-v2-m3', scale='probability')

    Raw scores are logits: what the model gives before its activation, whichever that is.

    Args:
        model: Hub id, folder, or a CrossEncoder in memory (runs in this process only). One label per pair.
        revision: of a Hub id.
        max_length: in tokens, anchor and document together. None: the model's own.
        batch_size: pairs per forward pass; a multiple of 8 makes a pair's score independent of the others' to the
            last bit. None: as many as suit the machine (512 tokens a core, 16,384 on a GPU). Halved where so
            many do not fit into memory. Not part of the digest (scores differ by about 1e-6).
        dtype: "bfloat16", "float16", "float32"; None: as saved ("float32" with engine="openvino"). On CPUs with
            bfloat16 "bfloat16" is several times as fast, and logits change in the third digit.
        scale: "probability" (sigmoid), "logit", or "from_zero" for a model trained to give 0 and up. None: the
            model's own activation decides (Sigmoid: probability, Identity: logit).
        prompt: put before the anchor, an instruction for models that take one. None: the model's own.
        engine: "torch", or "openvino" (needs the extra ``hfneg[openvino]``), which is faster on a CPU: the model is
            converted once, its scores are compared with torch's, and it is kept in the store.

    Torch runs on the device of the environment variable HFNEG_DEVICE, else on cuda where there is one.

    Raises:
        SettingError: no such folder, no reranker, more than one label, or an activation that says no scale; when
            scoring, a model that OpenVINO cannot convert.
        MissingExtraError: OpenVINO is not installed.
    """

    prompt: str | None = None
    engine: str = ENGINE

    kinds = ("CrossEncoder",)
    cites = (papers.RERANKING, papers.ROCKETQA)
    scales = ("probability", "logit", "from_zero")

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.prompt is None or isinstance(self.prompt, str), self, "prompt", self.prompt, "a text or None")
        check_choice(self, "engine", self.engine, ENGINES)
        if self.engine == "openvino":
            self._check_openvino()
        if self.held.name is None:
            self._check_loaded(self.model)
        elif self.held.is_folder:
            self._check_saved()

    @property
    def _engine(self) -> str:
        return self.engine

    def _digested(self) -> list[Any]:
        return [*super()._digested(), self.prompt]

    @cached_property
    def resolved_scale(self) -> str:
        """Of a saved model by its configuration files; nothing is loaded."""
        if self.scale is not None:
            return self.scale
        activation = self._activation()
        for ending, scale in (("Sigmoid", "probability"), ("Identity", "logit")):
            if activation.rpartition(".")[2] == ending:
                return scale
        raise SettingError(
            f"{self!r}: the model's activation is {activation}, which says no scale; pass scale='probability' (a "
            "sigmoid of its logits) or scale='logit'"
        )

    def _activation(self) -> str:
        if self.held.name is None:
            return type(self.held.model.activation_fn).__name__
        config = self.held.saved("config.json")
        given = (
            self.held.saved(SETTINGS).get("activation_fn")
            or (config.get("sentence_transformers") or {}).get("activation_fn")
            or config.get("sbert_ce_default_activation_function")
        )
        return str(given or "Sigmoid")  # what sentence-transformers takes for one label

    def _score(self, anchors: list[str], documents: list[str], done: Received) -> None:
        model = self._loaded()
        with self._ready(model), self._forward(model) as forward:
            score_pairs(
                model,
                anchors,
                documents,
                done,
                forward=forward,
                prompt=self._prompt_of(model),
                batch_size=self.batch_size,
                fits=self.held.fits,
            )

    @contextlib.contextmanager
    def _forward(self, model: Any) -> Iterator[Forward]:
        """The engine, as a function from tensors to logits."""
        if self.engine == "openvino":
            yield openvino_forward(model, self.held.weights, self.dtype)
        else:
            with first_token_alone(model), packed_weights(model):
                yield torch_forward(model)

    def _prompt_of(self, model: Any) -> str | None:
        if self.prompt is not None:
            return self.prompt
        name = getattr(model, "default_prompt_name", None)
        return model.prompts.get(name) if name else None

    def _load(self, source: str, **where: Any) -> Any:
        from sentence_transformers import CrossEncoder

        if self.engine == "openvino":
            where["device"] = "cpu"
        model = CrossEncoder(source, model_kwargs=self._model_kwargs, **where)
        self._check_loaded(model)
        return model

    @property
    def _load_dtype(self) -> str | None:
        return "float32" if self.engine == "openvino" else self.dtype

    # What is no teacher.

    def _check_openvino(self) -> None:
        require_openvino(f"{type(self).__name__}(engine='openvino')")
        check(
            self.dtype in OPENVINO_DTYPES,
            self,
            "dtype",
            self.dtype,
            "'bfloat16', 'float32' or None (float32) with engine='openvino'",
        )
        if self.held.name is None:
            device = str(self.model.device)
            check(device == "cpu", self, "model", f"a model on {device}", "on the CPU with engine='openvino'")

    def _check_saved(self) -> None:
        """Refuse a folder by its configuration files, before anything is loaded."""
        assert self.held.name is not None
        config = self.held.saved("config.json")
        architecture = str((config.get("architectures") or [""])[0])
        headed = (BARE,) if architecture.endswith(HEADS) else ()  # language models that rerank are saved bare
        refuse_but((CROSS_ENCODER, *headed), self.held.name, self.held.revision, "cross-encoder")
        if architecture.endswith(HEADS[0]):
            labels = config.get("id2label")
            self._check_labels(len(labels) if labels else 2)  # transformers leaves out its default, two

    def _check_loaded(self, model: Any) -> None:
        self._check_labels(model.num_labels)
        if len(model) == 1:
            self._check_head(getattr(getattr(model.model, "config", None), "architectures", None))

    def _check_head(self, architectures: list[str] | None) -> None:
        if architectures and not architectures[0].endswith(HEADS):
            self._refuse_kind(f"a {architectures[0]} without a scoring head (it would be random)")

    def _check_labels(self, labels: int) -> None:
        if labels != 1:
            raise SettingError(
                f"the model {name_of(self.model)!r} gives {labels} scores per pair (num_labels={labels}); a teacher "
                "gives one: use a reranker with num_labels=1, or choose a column with FunctionTeacher(lambda anchors, "
                "documents: model.predict(list(zip(anchors, documents)))[:, 1], id='...')"
            )

    def _refuse_kind(self, what: str) -> None:
        raise SettingError(
            f"the model {name_of(self.model)!r} is {what}, no cross-encoder; give a reranker, or judge by vectors with "
            "BiEncoderTeacher"
        )
