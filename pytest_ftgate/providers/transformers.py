"""Transformers in this process: a checkpoint, and LoRA adapters on one copy of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import MODEL_TYPE_TO_PEFT_MODEL_MAPPING, PeftConfig, PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from pytest_ftgate.adapters.conversion import check_peft
from pytest_ftgate.adapters.lora import WEIGHTS_FILE, adapter_sha256
from pytest_ftgate.errors import ConfigurationError, ProviderRejected
from pytest_ftgate.providers.base import Provider
from pytest_ftgate.providers.generation import (
    OUT_OF_MEMORY,
    ChatModel,
    answer_each,
    has_fast_16_bits,
    is_out_of_memory,
)
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter, Request
from pytest_ftgate.weights import check_checkpoint, weights_name
from pytest_ftgate.weights_file import DAMAGED

#: Requests in a batch, unless the variant declares its slots.
_BATCH_SIZE = 16
#: Where models and tokenizers come from: this machine, and never from code that they bring.
_SOURCE: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
#: Files that a folder with a tokenizer has.
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


class TransformersProvider(Provider):
    """One loaded model, and the adapters that its requests have needed so far."""

    def __init__(self, requests: Sequence[Request], environ: Mapping[str, str]) -> None:
        super().__init__(requests, environ)
        first = requests[0]
        self._model, self._options = first.model, dict(first.options)
        self.batch_size = max(request.runtime.get("slots", _BATCH_SIZE) for request in requests)
        self.concurrency = 2 * self.batch_size
        device = _device(str(first.runtime.get("device") or ""))
        self._chat = _load(Path(first.model), self._options.get("dtype"), device)
        #: Another base that distributions are compared with, once there is one.
        self._base: tuple[str, ChatModel] | None = None
        #: The model with its adapters, once there is one; and the chat template of each.
        self._peft: Any = None
        self._templates: dict[str, str | None] = {}
        # Adapters are switched for the whole model, so one thread does it all.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ftgate-transformers")

    def serves(self, request: Request) -> bool:
        """Return True for the same weights in the same type; adapters are added to them."""
        return request.model == self._model and dict(request.options) == self._options

    async def generate_many(self, requests: Sequence[Request]) -> Sequence[Reply | Exception]:
        """Return the replies to *requests*, which all have the same adapter.

        Raises:
            ProviderRejected: the adapter cannot be used, or memory is too small for it.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, requests)

    def _answer(self, requests: Sequence[Request]) -> Sequence[Reply | Exception]:
        try:
            return answer_each(requests, self._write, self._distributions)
        except ConfigurationError as error:
            raise ProviderRejected(str(error)) from error
        except RuntimeError as error:
            if is_out_of_memory(error):
                message = OUT_OF_MEMORY.format(device=self._chat.model.device)
                raise ProviderRejected(message) from error
            raise

    def _write(self, requests: Sequence[Request]) -> Sequence[Reply | Exception]:
        with self._using(requests[0].adapter) as template:
            return self._chat.generate(requests, template)

    def _distributions(self, request: Request) -> tuple[list[int], Any, Any]:
        with self._using(request.adapter) as template:
            tokens, tuned = self._chat.distributions(request, template)
        name = request.given.base if request.given else ""
        with self._using(None):
            chat = self._chat if name == self._model else self._base_at(name)
            return tokens, tuned, chat.distributions(request)[1]

    def _base_at(self, name: str) -> ChatModel:
        """Return the base that is another checkpoint than the model, loaded beside it."""
        if self._base is None or self._base[0] != name:
            loaded = _load(Path(name), self._options.get("dtype"), str(self._chat.model.device))
            if loaded.tokenizer.get_vocab() != self._chat.tokenizer.get_vocab():
                raise ConfigurationError(
                    f"{weights_name(name)} and {weights_name(self._model)} have different tokens, "
                    "so their distributions cannot be compared; name the base that the model was "
                    "trained from"
                )
            self._base = (name, loaded)
        return self._base[1]

    @contextmanager
    def _using(self, adapter: Adapter | None) -> Iterator[str | None]:
        """Apply *adapter* alone, or none; yield its chat template, if it has one of its own."""
        if adapter is None and self._peft is None:
            yield None
        elif adapter is None:
            with self._peft.disable_adapter():
                yield None
        else:
            name = f"{adapter.sha256[:16]}-{str(adapter.scale).replace('.', '_')}"
            if name not in self._templates:
                self._add(adapter, name)
            self._peft.set_adapter(name)
            yield self._templates[name]

    def _add(self, adapter: Adapter, name: str) -> None:
        folder = adapter.path
        if adapter_sha256(folder) != adapter.sha256:
            raise ConfigurationError(
                f"adapter {folder.name} has changed since the run began; start it again"
            )
        check_peft(folder, self._model)
        template = _own_template(folder, self._chat.tokenizer, self._model)
        base = self._chat.model if self._peft is None else None
        self._peft = _with_adapter(base, self._peft, folder, name)
        for module in self._peft.modules():
            scaling = getattr(module, "scaling", None)
            if isinstance(scaling, dict) and name in scaling:
                scaling[name] *= adapter.scale
        self._peft.eval()
        self._templates[name] = template

    async def close(self) -> None:
        """Wait for the thread, then release the model."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        del self._chat, self._peft, self._base
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def open_transformers(
    requests: Sequence[Request], environ: Mapping[str, str]
) -> TransformersProvider:
    """Load the model that *requests* name.

    Raises:
        ConfigurationError: the weights cannot be loaded, or the device is not there.
    """
    return TransformersProvider(requests, environ)


def _device(written: str) -> str:
    """Return the device to use: the one that the variant declares, or the best one.

    Raises:
        ConfigurationError: it is not there.
    """
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if not written:
        return "cuda" if has_cuda else "mps" if has_mps else "cpu"
    try:
        kind = torch.device(written).type
    except RuntimeError as error:
        raise ConfigurationError(f"device: {written} is none; write cuda, mps or cpu") from error
    if (kind == "cuda" and not has_cuda) or (kind == "mps" and not has_mps):
        raise ConfigurationError(
            f"device: {written}, but torch {torch.__version__} finds none here; write device: cpu, "
            "leave it out, or install a build of torch for it"
        )
    return written


def _load(path: Path, dtype: str | None, device: str) -> ChatModel:
    """Return the model at *path* on *device*.

    Raises:
        ConfigurationError: it cannot be loaded.
    """
    check_checkpoint(path)
    source = dict(_SOURCE)
    weights: dict[str, Any] = {"dtype": dtype or "auto", "use_safetensors": True}
    if path.is_file():
        # Otherwise the weights would stay packed.
        weights = {"dtype": dtype or "float32", "quantization_config": GgufConfig(dequantize=True)}
        source["gguf_file"] = path.name
    folder = path.parent if path.is_file() else path
    name = weights_name(str(path))
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, **source, **weights)
        tokenizer = AutoTokenizer.from_pretrained(folder, **source)
        model = model.to(device)
        if dtype is None and device == "cpu" and not has_fast_16_bits():
            model = model.float()
        return ChatModel(model.eval(), tokenizer)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error
    except SafetensorError as error:
        message = DAMAGED.format("a file of weights", _first_line(error))
        raise ConfigurationError(f"{name}: {message}") from error
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        if is_out_of_memory(error):
            raise ConfigurationError(f"{name}: {OUT_OF_MEMORY.format(device=device)}") from error
        message = _own_code(error) or f"transformers cannot load it: {_first_line(error)}"
        raise ConfigurationError(f"{name}: {message}") from error


def _own_code(error: Exception) -> str:
    """Return what to do about a repository that needs code of its own, or "".

    transformers advises to run that code.
    """
    if "trust_remote_code" not in str(error):
        return ""
    return (
        "it needs Python that its repository brings (auto_map), which is never run here; let a "
        "server run it (provider: openai-compatible), or name a model that transformers has itself"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _own_template(folder: Path, tokenizer: Any, model: str) -> str | None:
    """Return the chat template that was saved with an adapter, or None if there is none.

    Raises:
        ConfigurationError: it was trained with other tokens than the base has, or it cannot be
            loaded without code of its own.
    """
    if not any((folder / file).is_file() for file in _TOKENIZER_FILES):
        return None
    try:
        own = AutoTokenizer.from_pretrained(folder, **_SOURCE)
    except (OSError, ValueError, KeyError, ImportError) as error:
        message = _own_code(error) or f"its tokenizer cannot be loaded: {_first_line(error)}"
        raise ConfigurationError(f"adapter {folder.name}: {message}") from error
    mine, base = own.get_vocab(), tokenizer.get_vocab()
    other = sorted(
        token for token in mine.keys() | base.keys() if mine.get(token) != base.get(token)
    )
    if other:
        raise ConfigurationError(
            f"adapter {folder.name}: its tokenizer differs from that of {weights_name(model)} in "
            f"{len(other):,} tokens ({', '.join(map(repr, other[:3]))}); name the model that it "
            "was trained on, or merge the two"
        )
    template: str | None = own.chat_template
    return template


def _with_adapter(base: Any, peft: Any, folder: Path, name: str) -> Any:
    """Return the model with the adapter in *folder* as *name*.

    Raises:
        ConfigurationError: the file is broken, or its matrices do not fit the model.
    """
    try:
        if peft is None:
            config = PeftConfig.from_pretrained(folder)
            kind = MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(config.task_type, PeftModel)
            peft = kind(base, config, name)
        loaded = peft.load_adapter(folder, name, is_trainable=False)
    except SafetensorError as error:
        message = DAMAGED.format(f"{folder.name}/{WEIGHTS_FILE}", _first_line(error))
        raise ConfigurationError(message) from error
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        lines = str(error).strip().splitlines()
        detail = " ".join(lines[1].split()) if len(lines) > 1 else _first_line(error)
        raise ConfigurationError(
            f"adapter {folder.name} does not fit the model: {detail}; name the base that it was "
            "trained on"
        ) from error
    foreign = [*loaded.unexpected_keys, *(key for key in loaded.missing_keys if name in key)]
    if foreign:
        raise ConfigurationError(
            f"adapter {folder.name} does not fit the model: {len(foreign)} matrices have no "
            f"counterpart, such as {foreign[0]}; name the base that it was trained on"
        )
    return peft
