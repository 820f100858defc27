"""Transformers in this process: a checkpoint, and LoRA adapters on one copy of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from logging import LogRecord, getLogger
from pathlib import Path
from typing import Any

import torch
from peft import MODEL_TYPE_TO_PEFT_MODEL_MAPPING, PeftConfig, PeftModel
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GgufConfig,
)

from pytest_ftgate.adapters.conversion import check_peft
from pytest_ftgate.adapters.lora import WEIGHTS_FILE, adapter_sha256
from pytest_ftgate.adapters.tokens import (
    conflict_message,
    conflicts,
    model_vocabulary,
    token_names,
)
from pytest_ftgate.errors import ConfigurationError, ProviderRejected
from pytest_ftgate.providers.base import Provider
from pytest_ftgate.providers.generation import (
    TOO_LARGE,
    ChatModel,
    has_fast_16_bits,
    is_out_of_memory,
)
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter, Request
from pytest_ftgate.suite.providers import missing_package
from pytest_ftgate.weights import check_checkpoint, quantised_by, weights_name
from pytest_ftgate.weights_file import DAMAGED

#: Requests in a batch, unless the variant declares its slots.
_BATCH_SIZE = 16
#: Where models and tokenizers come from: this machine, and never from code that they bring.
_SOURCE: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
#: The options that each reply records, beside the type of the weights.
_FACTS = ("quantization", "attention", "device_map")
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
        self._chat = _load(Path(first.model), self._options, device)
        #: Another base that distributions are compared with, once there is one.
        #: The model with its adapters, once there is one; and as the chats of each.
        self._peft: Any = None
        self._tuned: dict[str, ChatModel] = {}
        # Adapters are switched for the whole model, so one thread does it all.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ftgate-transformers")

    @property
    def notice(self) -> str:  # type: ignore[override]
        """What a run shows of it: how many requests fit into memory at once."""
        return self._chat.batches.notice

    def serves(self, request: Request) -> bool:
        """Return True for the same weights, loaded alike; adapters are added to them."""
        return request.model == self._model and dict(request.options) == self._options

    async def generate_many(self, requests: Sequence[Request]) -> Sequence[Reply | Exception]:
        """Return the replies to *requests*, which all have the same adapter.

        Raises:
            ProviderRejected: the adapter cannot be used, or memory is too small for it.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, requests)

    def _answer(self, requests: Sequence[Request]) -> Sequence[Reply | Exception]:
        try:
            with _without_casts():
                return list(self._write(requests))
        except ConfigurationError as error:
            raise ProviderRejected(str(error)) from error
        except RuntimeError as error:
            if is_out_of_memory(error):
                message = TOO_LARGE.format(device=self._chat.model.device)
                raise ProviderRejected(message) from error
            raise

    def _write(self, requests: Sequence[Request]) -> Sequence[Reply | Exception]:
        with self._using(requests[0].adapter) as chat:
            return chat.generate(requests)

    @contextmanager
    def _using(self, adapter: Adapter | None) -> Iterator[ChatModel]:
        """Apply *adapter* alone, or none; yield the model with the tokenizer of its training."""
        if adapter is None:
            with self._peft.disable_adapter() if self._peft is not None else nullcontext():
                yield self._chat
            return
        name = f"{adapter.sha256[:16]}-{str(adapter.scale).replace('.', '_')}"
        if name not in self._tuned:
            self._add(adapter, name)
        self._peft.set_adapter(name)
        yield self._tuned[name]

    def _add(self, adapter: Adapter, name: str) -> None:
        folder = adapter.path
        if adapter_sha256(folder) != adapter.sha256:
            raise ConfigurationError(adapter.changed)
        check_peft(folder, self._model)
        # PEFT would leave the matrices of such parts as they were made, without an error.
        if any(value.is_meta for value in self._chat.model.parameters()):
            raise ConfigurationError(
                f"adapter {folder.name} cannot be put on parts of the model that device_map keeps "
                "outside of the GPUs; write load: {quantization: nf4}, or use more or larger GPUs"
            )
        tuned = _with_tokenizer(self._chat, folder, self._model)
        base = self._chat.model if self._peft is None else None
        self._peft = _with_adapter(base, self._peft, folder, name)
        for module in self._peft.modules():
            scaling = getattr(module, "scaling", None)
            if isinstance(scaling, dict) and name in scaling:
                scaling[name] *= adapter.scale
        self._peft.eval()
        self._tuned[name] = tuned

    async def close(self) -> None:
        """Wait for the thread, then release the model."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        del self._chat, self._peft, self._tuned
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def open_transformers(
    requests: Sequence[Request], environ: Mapping[str, str]
) -> TransformersProvider:
    """Load the model that *requests* name.

    Raises:
        ConfigurationError: a package is missing, the weights cannot be loaded, or the device is not
            there.
    """
    first = requests[0]
    places = first.runtime.get("places", {})
    if message := missing_package(first.provider, first.options, places):
        raise ConfigurationError(message)
    if not torch.cuda.is_available():
        for key, message in _without_cuda(first.options):
            place = f"{places[key]}: " if key in places else ""
            raise ConfigurationError(f"{place}{key}: {message}")
    return TransformersProvider(requests, environ)


def _without_cuda(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each of *options* that takes a GPU with CUDA, with what to write instead."""
    attention, parts = str(options.get("attention", "")), options.get("device_map")
    # Without a GPU, Transformers may fetch a kernel from a repository.
    if attention.startswith("flash"):
        yield "attention", f"{attention} takes a GPU with CUDA, and there is none; write sdpa"
    places = parts.values() if isinstance(parts, Mapping) else ()
    gpus = [place for place in places if isinstance(place, int) or place.startswith("cuda")]
    if gpus:
        yield "device_map", f"torch finds no GPU {gpus[0]} here; write auto, or cpu for each part"


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
            f"device: {written}, but torch {torch.__version__} finds none here; write load: "
            "{device: cpu}, leave it out, or install a build of torch for it"
        )
    return written


def _load(path: Path, options: Mapping[str, Any], device: str) -> ChatModel:
    """Return the model at *path*, loaded as *options* say, on *device* unless they name several.

    Raises:
        ConfigurationError: it cannot be loaded.
    """
    check_checkpoint(path)
    source = {**_SOURCE, **({"gguf_file": path.name} if path.is_file() else {})}
    folder = path.parent if path.is_file() else path
    name = weights_name(str(path))
    try:
        weights = _loading(path, options, device)
        model = AutoModelForCausalLM.from_pretrained(folder, **source, **weights)
        tokenizer = AutoTokenizer.from_pretrained(folder, **source)
        if "device_map" not in weights:
            model = model.to(device)
        _require_embedding(model)
        facts = {key: str(options[key]) for key in _FACTS if key in options}
        return ChatModel(model.eval(), tokenizer, facts=facts)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error
    except SafetensorError as error:
        message = DAMAGED.format("a file of weights", _first_line(error))
        raise ConfigurationError(f"{name}: {message}") from error
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        if is_out_of_memory(error):
            raise ConfigurationError(f"{name}: {TOO_LARGE.format(device=device)}") from error
        message = _own_code(error) or f"transformers cannot load it: {_first_line(error)}"
        raise ConfigurationError(f"{name}: {message}") from error


def _require_embedding(model: Any) -> None:
    if model.device.type == "meta":
        raise ConfigurationError("device_map: put the embedding (model.embed_tokens) on a GPU")


def _loading(path: Path, options: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Return how Transformers is to load the weights at *path*."""
    is_slow = device == "cpu" and not has_fast_16_bits()
    dtype = options.get("dtype") or ("float32" if is_slow or path.is_file() else "auto")
    found: dict[str, Any] = {"dtype": dtype}
    if path.is_file():
        # Otherwise the weights would stay packed.
        found["quantization_config"] = GgufConfig(dequantize=True)
    else:
        found["use_safetensors"] = True
    if attention := options.get("attention"):
        found["attn_implementation"] = attention
    kind, parts = options.get("quantization"), options.get("device_map")
    if kind:
        found["quantization_config"] = _quantization(path, kind, dtype)
    # Weights that are quantised cannot be moved later on.
    if parts or kind or quantised_by(path):
        found["device_map"] = parts or {"": device}
    return found


def _quantization(path: Path, kind: str, dtype: str) -> BitsAndBytesConfig:
    """Return how bitsandbytes quantises the checkpoint at *path*: nf4 as QLoRA does, or int8."""
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    if dtype == "auto":
        dtype = AutoConfig.from_pretrained(path, **_SOURCE).get_text_config().dtype or torch.float32
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=kind,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


@contextmanager
def _without_casts() -> Iterator[None]:
    """Keep bitsandbytes from logging for each product in 8 bits that it casts numbers."""
    logger = getLogger("bitsandbytes.autograd._functions")
    logger.addFilter(_is_no_cast)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_cast)


def _is_no_cast(record: LogRecord) -> bool:
    return "inputs will be cast" not in record.getMessage()


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


def _with_tokenizer(chat: ChatModel, folder: Path, model: str) -> ChatModel:
    """Return *chat* with the tokenizer that was saved with an adapter, if there is one.

    A token that the trainer has added is one token of the prompt then, and may end replies.

    Raises:
        ConfigurationError: it contradicts that of the base, or cannot be loaded without code of its
            own.
    """
    if not any((folder / file).is_file() for file in _TOKENIZER_FILES):
        return chat
    try:
        own = AutoTokenizer.from_pretrained(folder, **_SOURCE)
    except (OSError, ValueError, KeyError, ImportError) as error:
        message = _own_code(error) or f"its tokenizer cannot be loaded: {_first_line(error)}"
        raise ConfigurationError(f"adapter {folder.name}: {message}") from error
    mine, base = own.get_vocab(), chat.tokenizer.get_vocab()
    if other := conflicts(mine, model_vocabulary(base)):
        message = conflict_message(other, weights_name(model))
        raise ConfigurationError(f"adapter {folder.name}: {message}")
    own.chat_template = own.chat_template or chat.tokenizer.chat_template
    added = token_names(sorted(mine.keys() - base.keys()))
    facts = {**chat.own_facts, **({"added tokens": added} if added else {})}
    return ChatModel(chat.model, own, chat.batches, facts)


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
