"""Logs of Inspect: ``.json``, and ``.eval``, which is a ZIP archive of JSON files."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.agent_runs import RunFacts, measured, skills_read, stated_run
from pytest_ftgate.readers.answer_rows import Found, RawFile, Sample, ToolFormat
from pytest_ftgate.readers.text import mappings_in, replace_in_json, text_of, value_at

_KEYS = {"eval", "status"}
_SAMPLES = "samples/"
#: The tokens that were sent, of which those from a cache are counted apart.
_SENT = ("input_tokens", "input_tokens_cache_read", "input_tokens_cache_write")
#: How Inspect names a log: by its time, the task and an id.
_LOG_NAME = re.compile(r"\d{4}-\d\d-\d\dT[\d+-]+_(.+)_[0-9A-Za-z]{22}")
#: The compression that Inspect uses and that zipfile reads from Python 3.14 on.
_ZSTANDARD = 93
#: Modules that decompress it, the first one that is installed.
_DECOMPRESSORS = ("compression.zstd", "backports.zstd", "zstandard")
#: The most bytes that a log unpacks to, and how many times its size if that is more.
_MAX_BYTES, _MAX_RATIO = 500_000_000, 100
#: The keys of a sample that are read, whatever columns the user names: its events are most of it.
_READ = (
    *("id", "epoch", "input", "target", "output", "scores", "metadata", "error", "limit"),
    *("model_usage", "total_time"),
)


def task_of_log(path: Path) -> str:
    """Return the task in the name of a log; of a log with another name, the name itself."""
    named = _LOG_NAME.fullmatch(path.stem)
    return named[1] if named else path.stem


def read_archive(path: Path, name: str, named: Collection[str] = ()) -> Mapping[str, Any]:
    """Return the log in an ``.eval`` file, in the form of a ``.json`` file.

    Of each sample it has what a comparison reads, and the keys in *named*.

    Raises:
        ConfigurationError: it is no log, unpacks to too much, or a package is missing.
    """
    try:
        with ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            headers = (entries.get(file) for file in ("header.json", "_journal/start.json"))
            header = next(filter(None, headers), None)
            if header is None:
                raise ConfigurationError(f"{name} is no Inspect log: it has no header.json")
            names = sorted(key for key in entries if key.startswith(_SAMPLES))
            _check_size(path, name, [header, *(entries[key] for key in names)])
            log = dict(_load(archive, header, name))
            kept = {*_READ, *named}
            samples = [_kept(_load(archive, entries[key], name), kept) for key in names]
    except _UNREADABLE as error:
        raise ConfigurationError(f"{name} is no Inspect log: {error}") from error
    return {"status": "started", **log, "samples": samples}


#: What reading a broken archive raises: RuntimeError for a password or an unknown compression.
_UNREADABLE = (BadZipFile, OSError, EOFError, ValueError, RuntimeError, struct.error, zlib.error)


def _check_size(path: Path, name: str, entries: Iterable[ZipInfo]) -> None:
    stated, packed = sum(entry.file_size for entry in entries), path.stat().st_size
    if stated > max(_MAX_BYTES, _MAX_RATIO * packed):
        raise ConfigurationError(
            f"{name} has {packed / 1e6:,.0f} MB and unpacks to {stated / 1e6:,.0f} MB: no log of "
            "Inspect is packed so densely; let it write the log again"
        )


def _kept(sample: Mapping[str, Any], keys: Collection[str]) -> Mapping[str, Any]:
    """Return *sample* with *keys* alone; of its messages those that call tools."""
    calls = _tool_calls(sample)
    messages = [{"tool_calls": calls}] if calls else []
    return {"messages": messages} | {key: sample[key] for key in keys if key in sample}


def _load(archive: ZipFile, entry: ZipInfo, name: str) -> Mapping[str, Any]:
    if entry.compress_type == _ZSTANDARD:
        content = _decompress(archive, entry, name)
    else:
        with archive.open(entry) as stream:
            # No more than the archive states: a false statement is an error of the checksum.
            content = stream.read(entry.file_size)
    value = json.loads(content)
    if not isinstance(value, Mapping):
        raise ValueError(f"{entry.filename} holds no object")  # noqa: TRY004 - of the file
    whole: Mapping[str, Any] = replace_in_json(value) if b"\\u" in content else value
    return whole


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
    samples = mappings_in(log.get("samples"))
    names = (name for sample in samples for name in _scores(sample))
    model = str(log["eval"].get("model") or "")
    return Found([(sample, model) for sample in samples], names, _notes(log, samples))


def _notes(log: Mapping[str, Any], samples: list[Mapping[str, Any]]) -> Iterator[str]:
    if log["status"] != "success":
        yield f"the evaluation ended with the status {log['status']}: samples may be missing"
    if any(value_at(sample, "output.choices") and _tool_calls(sample) for sample in samples):
        yield "not read: tool calls"


def _tool_calls(sample: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the calls of tools in a sample: their functions, with the arguments."""
    messages = mappings_in(sample.get("messages"))
    calls = (call for message in messages for call in mappings_in(message.get("tool_calls")))
    return [{key: call.get(key) for key in ("function", "arguments")} for call in calls]


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


def _sample(found: tuple[Mapping[str, Any], str], score: str) -> Sample:
    sample, model = found
    record = {**(sample.get("metadata") or {}), **sample, "completion": _completion(sample)}
    return Sample(
        record,
        _scores(sample).get(score),
        is_error=bool(sample.get("error")),
        run=_run_facts(sample, model),
    )


def _run_facts(sample: Mapping[str, Any], model: str) -> RunFacts:
    usage = sample.get("model_usage") or {}
    # Models that grade have a usage of their own.
    used = [usage[model]] if model in usage else [*usage.values()]
    sums = {
        key: sum(measured(value_at(one, key)) or 0.0 for one in used)
        for key in (*_SENT, "output_tokens", "total_tokens", "total_cost")
    }
    calls = _tool_calls(sample)
    limit = text_of(value_at(sample, "limit.type"))
    return stated_run(
        model=model,
        status="error" if sample.get("error") else f"limit: {limit}" if limit else "completed",
        cost_usd=measured(sums["total_cost"]),
        seconds=sample.get("total_time"),
        tool_calls=len(calls),
        uses=skills_read((str(call["function"]), call["arguments"]) for call in calls),
        tokens=(sum(sums[key] for key in _SENT), sums["output_tokens"], sums["total_tokens"]),
    )


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
