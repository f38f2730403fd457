"""The digest of a model in memory."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hfneg.base import store

FORMAT = 1


class LiveDigest:
    """The digest of a torch model in memory as it is at the moment of the call.

    Covers the tensors of its state (name, dtype, shape, bytes), its tokenizer, its modules' settings and
    its prompts; not its device and not whether it is in training mode. Everything is hashed again only
    where a quick look (an integer sum over the bits of every tensor, and torch's version counters) shows
    that something may have changed.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._look: object = None
        self._digest = ""

    def __call__(self) -> str:
        settings, tokenizer = _settings(self._model), _tokenizer(self._model)
        look = (settings, tokenizer, [_look(tensor) for tensor in self._model.state_dict().values()])
        if look != self._look:
            self._digest = self._full(settings, tokenizer)
            self._look = look
        return self._digest

    def _full(self, settings: str, tokenizer: str) -> str:
        state = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(self._model.state_dict().items()):
            state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            state.update(_bits(tensor).cpu().numpy())
        return store.digest_of(FORMAT, "live", state.hexdigest(), settings, _lasting(tokenizer))


def _bits(tensor: Any) -> Any:
    """The tensor's memory as a flat uint8 tensor."""
    import torch

    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _look(tensor: Any) -> tuple[int, int, int]:
    import torch

    bits = _bits(tensor)
    wide = bits.view(torch.int32) if bits.numel() % 4 == 0 and bits.storage_offset() % 4 == 0 else bits
    version = -1 if tensor.is_inference() else tensor._version
    return tensor.data_ptr(), version, int(wide.sum(dtype=torch.int64)) if wide.numel() else 0


def _settings(model: Any) -> str:
    """What shapes the output beside weights and tokenizer, as JSON."""
    modules = [
        {"repr": repr(module), "config": _module_config(module), "transformer": _transformer_config(module)}
        for module in (model.children() if hasattr(model, "children") else ())
    ]
    names = ("prompts", "default_prompt_name", "truncate_dim", "max_seq_length", "similarity_fn_name")
    return json.dumps(
        {"modules": modules, **{name: getattr(model, name, None) for name in names}},
        sort_keys=True,
        default=str,
    )


def _module_config(module: Any) -> Any:
    return module.get_config_dict() if hasattr(module, "get_config_dict") else None


def _transformer_config(module: Any) -> Any:
    inner = getattr(module, "auto_model", None) or getattr(module, "model", None)
    config: Any = getattr(inner, "config", None)
    if not hasattr(config, "to_dict"):
        return None
    return {key: value for key, value in config.to_dict().items() if key[0] != "_" and key != "transformers_version"}


def _tokenizer(model: Any) -> str:
    """A fast tokenizer as its JSON; another by its vocabulary and settings."""
    tokenizer: Any = getattr(model, "tokenizer", None)
    backend: Any = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if hasattr(backend, "to_str"):
        sides = (getattr(tokenizer, "padding_side", None), getattr(tokenizer, "truncation_side", None))
        return json.dumps([backend.to_str(), *sides])
    vocabulary = tokenizer.get_vocab() if hasattr(tokenizer, "get_vocab") else None
    return json.dumps([type(tokenizer).__name__, vocabulary, repr(tokenizer) if vocabulary else None], sort_keys=True)


def _lasting(tokenizer: str) -> str:
    """Without truncation and padding: every call of encode sets them anew (max_seq_length is in the settings)."""
    first, *others = json.loads(tokenizer)
    if first.startswith("{"):
        content = {key: value for key, value in json.loads(first).items() if key not in ("truncation", "padding")}
        first = json.dumps(content, sort_keys=True)
    return json.dumps([first, *others])
