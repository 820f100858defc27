"""The headers of files with weights, read within bounds before a library parses them.

A file of weights may come from anybody. The libraries that read it are written in C and Rust, or
make objects for each entry of its header, so a header that lies is an error of this module first.
Layouts: GGUF, docs/gguf.md of ggml-org/ggml; safetensors, "Format" in huggingface/safetensors.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeGuard

from pytest_ftgate.errors import ConfigurationError

#: What is said of a file of weights that cannot be read: its name, and why.
DAMAGED = "{} is damaged ({}); copy or save it again"
#: The most bytes of a JSON file that describes weights, and of the header of a safetensors file.
_MOST_JSON, _MOST_HEADER = 16_000_000, 32_000_000
#: The most tensors, dimensions of one, and bytes in the name of one.
_MOST_TENSORS, _MOST_DIMENSIONS, _LONGEST_NAME = 200_000, 8, 1_000
#: The most keys of a GGUF file's metadata, bytes in the name of one, and items of all arrays.
_MOST_KEYS, _LONGEST_KEY, _MOST_ITEMS = 10_000, 65_535, 4_000_000
#: The types of a GGUF file's metadata: the layouts of numbers, a text, an array.
_NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
#: The keys of the tokens of a model, and of their types.
_TOKEN_KEYS = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type")
#: The versions of GGUF that llama.cpp and the gguf package both read.
_VERSIONS = (2, 3)
#: The most values of a tensor in one byte of its file.
_VALUES_PER_BYTE = 8
_SPLIT = re.compile(r"(.*-)00001(-of-(\d{5})\.gguf)")


def read_json_object(path: Path, most: int = _MOST_JSON) -> Mapping[str, Any]:
    """Return the JSON object in the file at *path*, of at most *most* bytes.

    Raises:
        ConfigurationError: the file cannot be read, is too large, or holds something else.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
        values = json.loads(content) if len(content) <= most else None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error}") from error
    if len(content) > most:
        raise ConfigurationError(f"{path.name} has more than {most // 1_000_000} MB")
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{path.name} is no JSON object")
    return values


def json_object_or_empty(path: Path, most: int = _MOST_JSON) -> Mapping[str, Any]:
    """Return the JSON object in the file at *path*, or {} where it cannot be read."""
    with suppress(ConfigurationError):
        return read_json_object(path, most)
    return {}


# Safetensors -------------------------------------------------------------------------------------


def check_safetensors(path: Path) -> None:
    """Raise an error unless the header of the safetensors file at *path* is one, within bounds.

    Raises:
        ConfigurationError: the file cannot be read, or its header is none.
    """
    safetensors_shapes(path)


def safetensors_shapes(path: Path) -> Mapping[str, Sequence[int]]:
    """Return the shapes of the tensors in the safetensors file at *path*, by their names.

    Raises:
        ConfigurationError: the file cannot be read, or its header is none.
    """
    try:
        header, size = _read_header(path)
        _check_entries(header, size)
    except (OSError, ValueError, RecursionError, struct.error) as error:
        raise ConfigurationError(DAMAGED.format(path.name, error)) from error
    return {name: entry["shape"] for name, entry in header.items()}


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header of the safetensors file at *path*, and the size of what follows."""
    with path.open("rb") as stream:
        (size,) = struct.unpack("<Q", stream.read(8))
        rest = path.stat().st_size - 8 - size
        if size > _MOST_HEADER or rest < 0:
            raise ValueError(f"its header would have {size:,} bytes")
        header = json.loads(stream.read(size))
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")  # noqa: TRY004 - of the file, not of Python
    return header, rest


def _check_entries(header: dict[str, Any], size: int) -> None:
    """Raise ValueError unless *header* describes tensors within *size* bytes."""
    notes = header.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise ValueError("its __metadata__ holds something else than texts")
    if len(header) > _MOST_TENSORS:
        raise ValueError(f"it has more than {_MOST_TENSORS:,} tensors")
    for name, entry in header.items():
        values = entry if isinstance(entry, dict) else {}
        shape, place = values.get("shape"), values.get("data_offsets")
        if len(name) > _LONGEST_NAME or not (_are_counts(shape) and _are_counts(place)):
            raise ValueError(f"{name[:80]!r} is no tensor")
        is_inside = len(place) == 2 and place[0] <= place[1] <= size  # noqa: PLR2004 - start, end
        if not is_inside or prod(shape) > _VALUES_PER_BYTE * (place[1] - place[0]):
            raise ValueError(f"{name} lies outside the file")


def _are_counts(value: Any) -> TypeGuard[list[int]]:
    if not isinstance(value, list) or len(value) > _MOST_DIMENSIONS:
        return False
    return all(type(number) is int and 0 <= number < 1 << 63 for number in value)


# GGUF --------------------------------------------------------------------------------------------


def check_gguf(path: Path) -> None:
    """Raise an error unless the GGUF file at *path* has a header within bounds, in all its parts.

    Raises:
        ConfigurationError: a file cannot be read, or its header is none.
    """
    for file in gguf_parts(path):
        gguf_numbers(file)


def gguf_parts(path: Path) -> Iterator[Path]:
    """Yield the files of the model at *path*, which may be split: *path* first."""
    yield path
    if split := _SPLIT.fullmatch(path.name):
        for number in range(2, int(split[3]) + 1):
            yield path.with_name(f"{split[1]}{number:05}{split[2]}")


def gguf_numbers(path: Path) -> Mapping[str, float]:
    """Return the numbers in the metadata of the GGUF file at *path*, by their keys.

    Raises:
        ConfigurationError: the file cannot be read, or its header is none.
    """
    try:
        stat = path.stat()
        return _gguf_numbers(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        message = f"{path} is cut off or no GGUF file ({error}); fetch or convert it again"
        raise ConfigurationError(message) from error


@lru_cache(maxsize=64)
def _gguf_numbers(path: Path, size: int, changed: int) -> Mapping[str, float]:
    del size, changed  # The cache's key: a file may change while this process runs.
    with _mapped(path) as data:
        cursor = _Cursor(data)
        magic, version, tensors, keys = cursor.numbers("4sIQQ")
        if magic != b"GGUF" or version not in _VERSIONS:
            raise ValueError(f"{magic!r}, version {version}")
        cursor.bound("tensors", tensors, _MOST_TENSORS)
        cursor.bound("keys", keys, _MOST_KEYS)
        numbers = dict(cursor.entry() for _ in range(keys))
        for _ in range(tensors):
            cursor.tensor()
    return MappingProxyType({key: value for key, value in numbers.items() if value is not None})


@contextmanager
def _mapped(path: Path) -> Iterator[mmap]:
    with path.open("rb") as stream, closing(mmap(stream.fileno(), 0, access=ACCESS_READ)) as data:
        yield data


def gguf_tokens(path: Path) -> tuple[Sequence[str], Sequence[int]]:
    """Return the texts of the tokens in the GGUF file at *path*, and their types; () without any.

    Raises:
        ConfigurationError: the file cannot be read, or its header is none.
    """
    gguf_numbers(path)
    with _mapped(path) as data:
        cursor = _Cursor(data)
        *_, keys = cursor.numbers("4sIQQ")
        found = dict(cursor.entry(_TOKEN_KEYS) for _ in range(keys))
    texts, types = (found.get(key) or () for key in _TOKEN_KEYS)
    return texts, types


class _Cursor:
    """A place in the header of a GGUF file. Every method raises ValueError at what is no header."""

    def __init__(self, data: mmap) -> None:
        self._data, self._at, self._items = data, 0, 0

    def numbers(self, layout: str) -> tuple[Any, ...]:
        """Return the numbers of *layout* that come next."""
        start = self._at
        self._skip(struct.calcsize(f"<{layout}"))
        return struct.unpack_from(f"<{layout}", self._data, start)

    def _skip(self, count: int) -> None:
        self._at += count
        if self._at > len(self._data):
            raise ValueError("it ends within its header")

    def bound(self, what: str, count: int, most: int) -> None:
        if count > most:
            raise ValueError(f"{count:,} {what}")

    def _name(self, longest: int, errors: str = "strict") -> str:
        (size,) = self.numbers("Q")
        self.bound("bytes in a name", size, longest)
        start = self._at
        self._skip(size)
        return self._data[start : self._at].decode(errors=errors)

    def entry(self, kept: Collection[str] = ()) -> tuple[str, Any]:
        """Return a key with its value; None for a text, and for an array that is not *kept*."""
        key, (kind,) = self._name(_LONGEST_KEY), self.numbers("I")
        if kind in _NUMBERS:
            return key, self.numbers(_NUMBERS[kind])[0]
        if kind == _ARRAY and key in kept:
            return key, self._array()
        self._skip_array(key) if kind == _ARRAY else self._skip_texts(key, kind, 1)
        return key, None

    def _array(self) -> Sequence[Any]:
        kind, count = self.numbers("IQ")
        self.bound("items", count, _MOST_ITEMS)
        if kind in _NUMBERS:
            return self.numbers(f"{count}{_NUMBERS[kind]}")
        # A token may be a part of a character.
        return [self._name(_LONGEST_KEY, "replace") for _ in range(count)]

    def _skip_array(self, key: str) -> None:
        kind, count = self.numbers("IQ")
        self._items += count
        self.bound(f"items up to {key}", self._items, _MOST_ITEMS)
        if kind in _NUMBERS:
            self._skip(count * struct.calcsize(f"<{_NUMBERS[kind]}"))
        else:
            self._skip_texts(key, kind, count)

    def _skip_texts(self, key: str, kind: int, count: int) -> None:
        # llama.cpp reads no arrays of arrays.
        if kind != _TEXT:
            raise ValueError(f"{key} is of the type {kind}")
        for _ in range(count):
            self._skip(self.numbers("Q")[0])

    def tensor(self) -> None:
        """Read the name, the shape, the type and the offset of a tensor."""
        name, (dimensions,) = self._name(_LONGEST_NAME), self.numbers("I")
        self.bound(f"dimensions of {name}", dimensions, _MOST_DIMENSIONS)
        *shape, _, offset = self.numbers(f"{dimensions}QIQ")
        most = _VALUES_PER_BYTE * len(self._data)
        if prod(shape) > most or offset > len(self._data):
            raise ValueError(f"{name} lies outside the file")
