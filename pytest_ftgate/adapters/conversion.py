"""The conversion of the adapter in a trainer's folder to a GGUF file, once for each base.

Trainers save an adapter in PEFT's format: a folder with a config and the weights. llama.cpp reads
GGUF files, with other names of tensors and, for some models, another order of rows.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from itertools import chain
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from pytest_ftgate.adapters.architectures import ARCHITECTURES, Placement, as_named
from pytest_ftgate.adapters.lora import (
    CONFIG_FILE,
    MERGE,
    OTHER_PROVIDERS,
    WEIGHTS_FILE,
    LoraConfig,
    adapter_sha256,
    folder_problem,
    peft_problem,
)
from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.machine import exclusive_lock
from pytest_ftgate.weights import file_sha256, weights_name
from pytest_ftgate.weights_file import DAMAGED, check_gguf, check_safetensors, gguf_parts

if TYPE_CHECKING:
    import numpy as np

    _Array = np.ndarray[Any, Any]

#: Raise it if a conversion of the same files gives other weights.
_CONVERSION = 1
#: Converted adapters that were not used for so many seconds are deleted: each training makes one.
_UNUSED_SECONDS = 30 * 86_400

#: Parts of a tensor's name that no LoRA matrix of a layer has, and what they mean.
_FOREIGN_PARTS = {
    "lora_magnitude_vector": "it uses DoRA",
    "lora_embedding": "it changes embeddings",
    "embed_tokens": "it changes or resizes embeddings",
    "lm_head.weight": "it changes or resizes embeddings",
    "lm_head.base_layer": "it changes or resizes embeddings",
    ".bias": "it has biases",
}
#: The number of dimensions of a matrix.
_MATRIX = 2
_TENSOR = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+)\.(?P<side>lora_[AB])(\.default)?\.weight"
)
#: A name of a module or a tensor in a layer: the layer's number, and its name there.
_LAYER = re.compile(r"(?:blk|(?:.*\.)?(?:layers|h))\.(\d+)\.(.+)")
#: What models with vision call the part that reads text.
_TEXT_PART = re.compile(r"\b(language_model|text_model)\.")


@dataclass(frozen=True, slots=True)
class _Module:
    """The LoRA matrices of one module for one tensor of the base, in the order of that tensor."""

    name: str
    tensor: str
    a: _Array
    b: _Array


def gguf_adapter(path: Path, model: Path, cache: Path | None = None) -> Path:
    """Return the adapter at *path* as a GGUF file for the weights in the GGUF file *model*.

    A file is returned as it is. A folder is converted, once for each content of it and of *model*.

    Raises:
        ConfigurationError: the adapter does not fit the model, or it cannot be converted.
    """
    if not path.is_dir():
        return path
    key = json.dumps([_CONVERSION, adapter_sha256(path), file_sha256(model)])
    folder = (cache or user_cache_path("pytest-ftgate")) / "adapters"
    target = folder / f"{sha256(key.encode()).hexdigest()}.gguf"
    try:
        if not target.is_file():
            _convert_once(path, model, target)
    except (ConfigurationError, OSError, ValueError, sqlite3.Error) as error:
        raise ConfigurationError(f"adapter {path.name}: {error}") from error
    with suppress(OSError):
        os.utime(target)
    return target


def _convert_once(path: Path, model: Path, target: Path) -> None:
    """Convert the adapter in *path*, unless another process has done so meanwhile."""
    with exclusive_lock(target.with_name("conversion")):
        if target.is_file():
            return
        _delete_unused(target.parent)
        partial = target.with_suffix(".part")
        convert_adapter(path, model, partial)
        partial.replace(target)


def _delete_unused(folder: Path) -> None:
    oldest = time.time() - _UNUSED_SECONDS
    for file in folder.glob("*.gguf"):
        with suppress(OSError):
            if file.stat().st_mtime < oldest:
                file.unlink()


def convert_adapter(folder: Path, model: Path, target: Path) -> None:
    """Write the adapter in *folder* to the GGUF file *target*, for the GGUF file *model*.

    Matrices keep their values, and their type if it is float16 or float32. Where the scale of
    modules differs, B is multiplied, since a GGUF file has one alpha.

    Raises:
        ConfigurationError: the adapter does not fit the model, or it cannot be converted.
        OSError, ValueError: a file cannot be read or written.
    """
    problem = folder_problem(folder)
    if problem:
        raise ConfigurationError(problem)
    try:
        from gguf import GGUFWriter
    except ImportError as error:
        message = 'converting an adapter needs gguf: pip install "pytest-ftgate[local]"'
        raise ConfigurationError(message) from error
    # Before the base, whose vocabulary takes seconds to read.
    check_safetensors(folder / WEIGHTS_FILE)
    config, base = LoraConfig.read(folder), read_base(model)
    base.check_name(config.base)
    modules = sorted(_modules(folder / WEIGHTS_FILE, base), key=lambda module: module.tensor)
    products = [_alpha_times(config, module) for module in modules]
    alpha = Counter(products).most_common(1)[0][0]
    writer = GGUFWriter(target, base.architecture)
    with closing(writer):
        writer.add_string("general.type", "adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        for module, product in zip(modules, products, strict=True):
            b = module.b
            scaled = b if product == alpha else b.astype("float32") * (product / alpha)
            writer.add_tensor(f"{module.tensor}.lora_a", module.a)
            writer.add_tensor(f"{module.tensor}.lora_b", scaled)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


def _alpha_times(config: LoraConfig, module: _Module) -> float:
    """Return the alpha with which llama.cpp, dividing it by the rank, applies *module* as PEFT."""
    rank, alpha = config.rank_of(module.name), config.alpha_of(module.name)
    if rank != module.a.shape[0]:
        message = f"{module.name} has rank {module.a.shape[0]}, and {CONFIG_FILE} says {rank:g}"
        raise ConfigurationError(f"{message}; save the adapter again")
    return alpha * sqrt(rank) if config.uses_rslora else alpha


def _modules(weights: Path, base: _Base) -> Iterator[_Module]:
    sides: dict[str, dict[str, _Array]] = {}
    for name, array in _tensors(weights):
        match = _TENSOR.fullmatch(name)
        reason = next((why for part, why in _FOREIGN_PARTS.items() if part in name), "")
        if reason or not match:
            raise ConfigurationError(f"{reason or 'unknown tensor'} ({name}); {MERGE}")
        sides.setdefault(match["module"], {})[match["side"]] = array
    if not sides:
        raise ConfigurationError(f"{weights.name} has no tensors; save the adapter again")
    for module, pair in sides.items():
        is_matrix = [array.ndim == _MATRIX for array in pair.values()]
        if pair.keys() != {"lora_A", "lora_B"} or not all(is_matrix):
            raise ConfigurationError(f"{module} has no two LoRA matrices; save the adapter again")
        yield from base.tensors_of(module, pair["lora_A"], pair["lora_B"])


def _tensors(weights: Path) -> Iterator[tuple[str, _Array]]:
    """Yield the tensors of a safetensors file; bfloat16, which NumPy lacks, as float32."""
    import numpy as np

    try:
        from safetensors import SafetensorError, deserialize
    except ImportError as error:
        message = 'converting an adapter needs safetensors: pip install "pytest-ftgate[local]"'
        raise ConfigurationError(message) from error
    types = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "BF16": np.uint16}
    check_safetensors(weights)
    try:
        read: Callable[[bytes], list[tuple[str, dict[str, Any]]]] = deserialize
        entries = read(weights.read_bytes())
    except SafetensorError as error:
        raise ConfigurationError(DAMAGED.format(weights.name, error)) from error
    for name, entry in entries:
        kind = entry["dtype"]
        if kind not in types:
            raise ConfigurationError(f"{name} is of type {kind}; save the adapter as float16")
        array = np.frombuffer(entry["data"], types[kind]).reshape(entry["shape"])
        if kind == "BF16":
            array = (array.astype(np.uint32) << 16).view(np.float32)
        yield name, array.astype(np.float32) if kind == "F64" else array


#: The families of models that have one name everywhere; a distilled model has two of them.
_FAMILY = re.compile(
    r"(?<![a-z])(llama|qwen|gemma|mistral|mixtral|phi|smollm|granite|olmo)"
    r"(?:[-_ ]?v?(\d+(?:\.\d+)?)(?![\d.]*[bm]))?"
)


def is_evidently_other(trained_on: str, name: str) -> bool:
    """Return True if the model *name* cannot be the base *trained_on* of an adapter's config.

    The path of a folder says nothing.
    """
    adapter, model = _families(trained_on.rpartition("/")[2]), _families(name)
    versions = [(adapter[family], model[family]) for family in adapter.keys() & model.keys()]
    differs = all(old and new and old != new for old, new in versions)
    is_path = trained_on.startswith(("/", ".", "~")) or "\\" in trained_on
    return bool(adapter and model and differs and not is_path)


def check_peft(folder: Path, model: str) -> None:
    """Raise an error unless PEFT may load the adapter in *folder* on *model*.

    Raises:
        ConfigurationError: its config or its header is not allowed, or it evidently belongs to
            another base.
    """
    if problem := peft_problem(folder):
        raise ConfigurationError(f"adapter {folder.name} {problem}")
    try:
        check_safetensors(folder / WEIGHTS_FILE)
    except ConfigurationError as error:
        raise ConfigurationError(f"adapter {folder.name}: {error}") from error
    trained_on, name = LoraConfig.read(folder).base, weights_name(model)
    if is_evidently_other(trained_on, name.partition("@")[0].rpartition("/")[2]):
        raise ConfigurationError(
            f"adapter {folder.name}: it was trained on {trained_on} (base_model_name_or_path in "
            f"{CONFIG_FILE}), and model is {name}; name its own base as model"
        )


def _families(name: str) -> dict[str, str]:
    """Return the families in the name of a model, each with its version, "" if it has none."""
    return dict(sorted(_FAMILY.findall(name.lower())))


def read_base(model: Path) -> _Base:
    """Return the names and shapes in the GGUF file *model*.

    Raises:
        ConfigurationError: the file cannot be read, or no adapter can be converted for it.
    """
    return _cached_base(model, file_sha256(model))


@lru_cache(maxsize=8)
def _cached_base(path: Path, digest: str) -> _Base:
    """Read the names and shapes in the model at *path*, once for each *digest* of it."""
    del digest
    return _Base(path)


class _Base:
    """The model that an adapter is converted for."""

    def __init__(self, path: Path) -> None:
        from gguf import GGUFReader

        self.file = path.name
        check_gguf(path)
        try:
            readers = [GGUFReader(part) for part in gguf_parts(path)]
        except (ValueError, IndexError, KeyError) as error:
            remedy = "fetch or convert it again"
            raise ConfigurationError(f"{path} is cut off or no GGUF file; {remedy}") from error
        self._values = {
            name: field.contents()
            for name, field in readers[0].fields.items()
            if not name.startswith("tokenizer.")
        }
        self.architecture = str(self._values.get("general.architecture"))
        if self.architecture not in ARCHITECTURES:
            raise ConfigurationError(
                f"{self.file} is of the architecture {self.architecture}, for which no adapter can "
                f"be converted here (only {', '.join(ARCHITECTURES)}); {OTHER_PROVIDERS}"
            )
        tensors = chain.from_iterable(reader.tensors for reader in readers)
        self._shapes = {t.name: tuple(int(n) for n in t.shape) for t in tensors}

    def check_name(self, trained_on: str) -> None:
        """Raise an error if *trained_on*, from the adapter's config, evidently is another model.

        The path of a folder says nothing, and files are often named freely, so only the family of
        models and its version count.

        Raises:
            ConfigurationError: it is.
        """
        name = str(self._values.get("general.name", ""))
        if is_evidently_other(trained_on, name):
            raise ConfigurationError(
                f"it was trained on {trained_on} (base_model_name_or_path in {CONFIG_FILE}), and "
                f'{self.file} is "{name}"; name the GGUF file of its own base as model. If that is '
                "the same model, correct base_model_name_or_path"
            )

    def tensors_of(self, module: str, a: _Array, b: _Array) -> Iterator[_Module]:
        """Yield the matrices of *module*, as transformers calls it, for each of its tensors.

        Raises:
            ConfigurationError: there is no such tensor, the matrices do not fit it, or llama.cpp
                adds no adapter to it.
        """
        text = _TEXT_PART.sub("", module)
        name = str(self._names.get_name(text, try_suffixes=()) or text)
        layer, part = match.groups() if (match := _LAYER.fullmatch(name)) else ("", name)
        known = ARCHITECTURES[self.architecture]
        if part in known.silent:
            raise ConfigurationError(
                f"llama.cpp adds no adapter to {part} of {self.architecture} ({module}), and says "
                f"nothing of it; {OTHER_PROVIDERS}; or {MERGE}"
            )
        placement = known.rows.get(part, as_named(part))
        prefix = f"blk.{layer}." if layer else ""
        tensors = [self._tensor(prefix, names) for names in placement.into]
        if "" in tensors:
            raise ConfigurationError(
                f"unknown tensor: {self.file} ({self.architecture}) has none for {module}; {MERGE}"
            )
        self._check_shapes(module, tensors, a, b)
        if columns := known.columns.get(part):
            a = a[:, self._orders(columns, [a.shape[1]], layer)[0]]
        rows = [self._shapes[tensor][1] for tensor in tensors]
        for tensor, order in zip(tensors, self._orders(placement, rows, layer), strict=True):
            yield _Module(module, tensor, a, b[order])

    def _tensor(self, prefix: str, names: Iterable[str]) -> str:
        """Return the first of *names* that is a matrix of the file, or ""."""
        tensors = (f"{prefix}{name}.weight" for name in names)
        found = (one for one in tensors if len(self._shapes.get(one, ())) == _MATRIX)
        return next(found, "")

    def _orders(self, placement: Placement, sizes: list[int], layer: str) -> list[_Array]:
        """Return which rows each tensor of *placement* has; *sizes* are the numbers of them.

        Raises:
            ConfigurationError: the numbers of the file contradict its tensors.
        """
        import numpy as np

        def number(key: str) -> int:
            # Without a number of their own, keys have as many heads as queries.
            names = (key, key.removesuffix("_kv"))
            found = (self._values.get(f"{self.architecture}.{name}") for name in names)
            value: Any = next(filter(None, found), None)
            return int(value[int(layer)] if isinstance(value, list) else value)

        try:
            rows = np.arange(sum(sizes))
            orders = [order.ravel() for order in placement.order(rows, number)]
        except (LookupError, ArithmeticError, TypeError, ValueError):
            orders = []
        is_whole = sorted(chain.from_iterable(orders)) == list(range(sum(sizes)))
        if not is_whole or [*map(len, orders)] != sizes:
            raise ConfigurationError(
                f"the numbers of heads in {self.file} do not fit its {placement.into[0][0]}; "
                "fetch or convert it again"
            )
        return orders

    @cached_property
    def _names(self) -> Any:
        from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

        kinds = {name: kind for kind, name in MODEL_ARCH_NAMES.items()}
        blocks = int(self._values.get(f"{self.architecture}.block_count", 0))
        return get_tensor_name_map(kinds[self.architecture], blocks)

    def _check_shapes(self, module: str, tensors: list[str], a: _Array, b: _Array) -> None:
        """Raise an error if the matrices of *module* do not fit its *tensors* together."""
        columns, rows = self._shapes[tensors[0]][0], [self._shapes[one][1] for one in tensors]
        shape, expected = (a.shape[1], b.shape[0]), (columns, sum(rows))
        if shape != expected or a.shape[0] != b.shape[1]:
            adapter, model = (" × ".join(map(str, sizes)) for sizes in (shape, expected))
            raise ConfigurationError(
                f"{' and '.join(tensors)} is {model} in {self.file}, and {adapter} in the adapter "
                f"({module}), which was probably trained on another base or with another "
                "tokenizer; name the GGUF file of its own base as model"
            )
