"""Logs of Inspect: ``.json``, and ``.eval``, which is a ZIP archive of JSON files."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.answer_rows import Found, RawFile, Sample, ToolFormat, text_of, value_at
from pytest_ftgate.readers.text import replace_in_json

_KEYS = {"eval", "status"}
_SAMPLES = "samples/"
#: How Inspect names a log: by its time, the task and an id.
_LOG_NAME = re.compile(r"\d{4}-\d\d-\d\dT[\d+-]+_(.+)_[0-9A-Za-z]{22}")
#: The compression that Inspect uses and that zipfile reads from Python 3.14 on.
_ZSTANDARD = 93
#: Modules that decompress it, the first one that is installed.
_DECOMPRESSORS = ("compression.zstd", "backports.zstd", "zstandard")
#: The largest sample that is read, in bytes: a small archive may hold a huge one.
_MAX_BYTES = 500_000_000


def task_of_log(path: Path) -> str:
    """Return the task in the name of a log; of a log with another name, the name itself."""
    named = _LOG_NAME.fullmatch(path.stem)
    return named[1] if named else path.stem


def read_archive(path: Path, name: str) -> Mapping[str, Any]:
    """Return the log in an ``.eval`` file, in the form of a ``.json`` file.

    Raises:
        ConfigurationError: it is no log, or a package is missing.
    """
    try:
        with ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            headers = (entries.get(file) for file in ("header.json", "_journal/start.json"))
            header = next(filter(None, headers), None)
            if header is None:
                raise ConfigurationError(f"{name} is no Inspect log: it has no header.json")
            log = dict(_load(archive, header, name))
            names = sorted(key for key in entries if key.startswith(_SAMPLES))
            samples = [_load(archive, entries[key], name) for key in names]
    except (BadZipFile, OSError, ValueError, struct.error) as error:
        raise ConfigurationError(f"{name} is no Inspect log: {error}") from error
    return {"status": "started", **log, "samples": samples}


def _load(archive: ZipFile, entry: ZipInfo, name: str) -> Mapping[str, Any]:
    if entry.file_size > _MAX_BYTES:
        raise ConfigurationError(f"{name}: {entry.filename} has more than {_MAX_BYTES:,} bytes")
    is_readable = entry.compress_type != _ZSTANDARD
    content = archive.read(entry) if is_readable else _decompress(archive, entry, name)
    value: Mapping[str, Any] = replace_in_json(json.loads(content))
    return value


def _decompress(archive: ZipFile, entry: ZipInfo, name: str) -> bytes:
    """Return the content of an entry that is compressed with Zstandard."""
    stream = archive.fp
    if stream is None:
        raise ConfigurationError(f"{name} was closed while it was read")
    stream.seek(entry.header_offset)
    header = stream.read(30)
    # The lengths of the name and of the extra field follow 26 other bytes.
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    stream.seek(name_length + extra_length, 1)
    compressed = stream.read(entry.compress_size)
    for module_name in _DECOMPRESSORS:
        try:
            module = import_module(module_name)
        except ImportError:
            continue
        open_stream = getattr(module, "ZstdFile", None) or module.open
        try:
            with open_stream(BytesIO(compressed), "rb") as content:
                # No more than the archive states, however much the entry would expand to.
                whole: bytes = content.read(entry.file_size)
                return whole
        except module.ZstdError as error:
            raise BadZipFile(str(error)) from error
    raise ConfigurationError(
        f"{name}: the log is compressed with Zstandard: pip install zstandard, or convert it: "
        "inspect log convert LOG --to json --output-dir FOLDER"
    )


def _find_samples(raw: RawFile) -> Found | None:
    log = raw.document
    if log is None or not log.keys() >= _KEYS or not isinstance(log["eval"], Mapping):
        return None
    samples = [sample for sample in log.get("samples") or () if isinstance(sample, Mapping)]
    names = (name for sample in samples for name in _scores(sample))
    return Found(samples, names, _notes(log, samples))


def _notes(log: Mapping[str, Any], samples: list[Mapping[str, Any]]) -> Iterator[str]:
    if log["status"] != "success":
        yield f"the evaluation ended with the status {log['status']}: samples may be missing"
    errors = sum(bool(sample.get("error")) for sample in samples)
    if errors:
        yield f"{errors:,} of {len(samples):,} samples ended with an error: they have no reply"
    if any(value_at(sample, "output.choices") and _tool_calls(sample) for sample in samples):
        yield "not read: tool calls"


def _tool_calls(sample: Mapping[str, Any]) -> bool:
    messages = sample.get("messages") or ()
    return any(message.get("tool_calls") for message in messages if isinstance(message, Mapping))


def _scores(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of a sample by name; one with several values has a name for each."""
    found: dict[str, Any] = {}
    for scorer, score in (sample.get("scores") or {}).items():
        value = score.get("value") if isinstance(score, Mapping) else score
        if isinstance(value, Mapping):
            found |= {f"{scorer}.{key}": inner for key, inner in value.items()}
        else:
            found[scorer] = value
    return found


def _sample(sample: Mapping[str, Any], score: str) -> Sample:
    record = {**(sample.get("metadata") or {}), **sample, "completion": _completion(sample)}
    return Sample(record, _scores(sample).get(score), is_error=bool(sample.get("error")))


def _completion(sample: Mapping[str, Any]) -> str | None:
    output = sample.get("output") or {}
    choices = output.get("choices") or [{}]
    content = text_of(value_at(choices[0], "message.content"))
    return content if content is not None else text_of(output.get("completion"))


INSPECT = ToolFormat(
    "Inspect log",
    "sample",
    {"id": "id", "input": "input", "expected": "target", "reply": "completion"},
    _find_samples,
    _sample,
)
