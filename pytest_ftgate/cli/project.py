"""What a repository has that a new suite can use: prompts, files of cases, models, other tools."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_ftgate.adapters.lora import CONFIG_FILE, WEIGHTS_FILE, LoraConfig
from pytest_ftgate.cli.doctor import project_files, served_models
from pytest_ftgate.errors import ConfigurationError, FtgateError
from pytest_ftgate.readers.answers import read_answers
from pytest_ftgate.readers.rows import AnswerFile, Columns
from pytest_ftgate.readers.source import Source, declared_keys
from pytest_ftgate.readers.table import read_rows
from pytest_ftgate.results.git import repository_of
from pytest_ftgate.suite.declaration import DeclaredCase
from pytest_ftgate.suite.providers import LOCAL_PORTS

_PROMPT_SUFFIXES = (".md", ".txt", ".prompt", ".j2", ".jinja", ".jinja2")
#: The ends of the names of files of cases.
DATA_SUFFIXES = (".csv", ".jsonl", ".json", ".tsv")
#: Beginnings of the names of texts that are no prompts.
_NO_PROMPTS = (
    *("readme", "changelog", "license", "licence", "contributing", "requirements", "security"),
    *("code_of_conduct", "claude", "agents", "notice", "authors", "todo", "robots", "cmakelists"),
)
#: Parts of the names of data that is no file of cases.
_NO_CASES = ("train", "repl", "accepted", "label", "package", "lock", "config", "schema")
#: A larger file is no set of cases that a person keeps beside a prompt.
_MAX_BYTES = 20_000_000
#: The configurations of promptfoo that can be imported, and all of other tools.
_PROMPTFOO = ("promptfooconfig.y*ml", "promptfooconfig.json")
_CONFIGS = (*_PROMPTFOO, "promptfooconfig.*s", "deepeval.json", ".deepeval", "evals.json")
#: Parts of the names of models that do not chat.
_NO_CHAT = ("embed", "rerank", "whisper", "tts")


@dataclass(frozen=True, slots=True)
class CaseTable:
    """A file whose rows are cases.

    Attributes:
        answers: its rows, by the columns that were guessed.
        needs_columns: True if its columns have other names than the keys of a case.
    """

    path: Path
    answers: AnswerFile
    needs_columns: bool

    @property
    def columns(self) -> Mapping[str, str]:
        """The column of each key that the file has."""
        return self.answers.columns

    @property
    def has_expected(self) -> bool:
        """True if any row says what is expected."""
        return any(row.expected is not None for row in self.answers.rows)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt and the cases for it, which a suite may be written for.

    Attributes:
        prompt: None if the cases are sent without a system prompt.
    """

    prompt: Path | None
    data: CaseTable

    @property
    def suite(self) -> Path:
        """The suite, which lies beside the prompt."""
        base = self.prompt or self.data.path
        return base.with_name(f"{_stem(base)}.ftgate.yaml")

    @property
    def is_named(self) -> bool:
        """True if the prompt and its cases have the same name."""
        return self.prompt is not None and _stem(self.prompt) == _stem(self.data.path)


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def read_cases(path: Path, columns: Columns | None = None) -> CaseTable:
    """Return the cases in *path*, by the columns that are named or guessed.

    Raises:
        FtgateError: the file cannot be read as cases.
    """
    answers = read_answers(path, columns or Columns(), needs_reply=False)
    is_named = all(key == column for key, column in answers.columns.items())
    needs_columns = not is_named or answers.tool != "" or not _has_case_keys(path)
    return CaseTable(path, answers, needs_columns)


def raw_rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows of a file of cases with all their columns; none if it is no such table."""
    if path.suffix not in DATA_SUFFIXES[:3]:
        return []
    source = Source(root=path.parent, path=path)
    rows = [row.value for row in read_rows(source, path) if isinstance(row.value, Mapping)]
    return [] if source.errors else rows


def _has_case_keys(path: Path) -> bool:
    """Return True if every column of a table is a key of a case."""
    rows, known = raw_rows(path), {*declared_keys(DeclaredCase)}
    return bool(rows) and all(row.keys() <= known for row in rows)


def _tables(folder: Path) -> Iterator[Path]:
    """Yield the files below *folder* that may hold cases, by their names."""
    for path in project_files(folder, "*"):
        stem = path.name.lower()
        is_data = path.suffix in DATA_SUFFIXES and not any(word in stem for word in _NO_CASES)
        if is_data and path.stat().st_size <= _MAX_BYTES:
            yield path


def unknown_tables(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the tables below *folder* with the names of their columns."""
    for path in _tables(folder):
        rows = raw_rows(path)
        if rows:
            yield path, [*rows[0]]


def case_files(folder: Path, columns: Columns | None = None) -> list[CaseTable]:
    """Return the files below *folder* that hold cases, those with expected answers first.

    Of named *columns* every one has to be there.
    """
    found = []
    for path in _tables(folder):
        try:
            data = read_cases(path, columns)
        except FtgateError:
            continue
        if "input" in data.columns:
            found.append(data)
    return sorted(found, key=lambda data: not data.has_expected)


def candidates(folder: Path, columns: Columns | None = None) -> list[Candidate]:
    """Return the prompts below *folder* that have cases, or the cases alone if there is no one."""
    data = case_files(folder, columns)
    found = [
        Candidate(prompt, cases)
        for prompt in prompt_files(folder)
        if (cases := cases_for(prompt, data)) is not None
    ]
    named = {c.data.path for c in found if c.is_named}
    found = [c for c in found if c.is_named or c.data.path not in named]
    return found or [Candidate(None, cases) for cases in data if cases.has_expected]


def prompt_files(folder: Path) -> Iterator[Path]:
    """Yield the files below *folder* that look like prompts."""
    for path in project_files(folder, "*"):
        name = path.name.lower()
        is_text = path.suffix in _PROMPT_SUFFIXES and not name.startswith(_NO_PROMPTS)
        if is_text and "docs" not in path.relative_to(folder).parts[:-1]:
            yield path


def cases_for(prompt: Path, data: Sequence[CaseTable]) -> CaseTable | None:
    """Return the cases for *prompt*: beside it, or the only ones, of a folder of prompts."""
    beside = [cases for cases in data if cases.path.parent == prompt.parent]
    named = [cases for cases in beside if _stem(cases.path) == _stem(prompt)]
    if named or beside:
        return (named or beside)[0]
    is_prompt = any("prompt" in part.lower() for part in prompt.parts[-2:])
    return data[0] if is_prompt and len(data) == 1 else None


def promptfoo_configs(folder: Path) -> list[Path]:
    """Return the configurations of promptfoo below *folder* that can be imported."""
    return [path for pattern in _PROMPTFOO for path in project_files(folder, pattern)]


def is_promptfoo(path: Path) -> bool:
    """Return True if *path* has the name of a configuration of promptfoo."""
    return any(map(path.match, _PROMPTFOO))


def other_configs(folder: Path) -> list[Path]:
    """Return the configurations of other tools below *folder*."""
    return [path for pattern in _CONFIGS for path in project_files(folder, pattern)]


def local_servers() -> Mapping[str, list[str]]:
    """Return the chat models that servers on this machine list on the usual ports, by base URL."""
    served = {}
    for port in LOCAL_PORTS:
        url = f"http://127.0.0.1:{port}/v1"
        try:
            models = served_models(url, None)
        except (OSError, ValueError):
            continue
        chat = [name for name in models if not any(word in name.lower() for word in _NO_CHAT)]
        if chat:
            served[url] = chat
    return served


def newest_adapter(folder: Path) -> tuple[Path, str] | None:
    """Return the newest adapter that a trainer has written below *folder*, and its base."""
    found = [
        (path.parent, base)
        for path in project_files(folder, CONFIG_FILE)
        if path.with_name(WEIGHTS_FILE).is_file() and (base := _base_of(path.parent))
    ]
    return max(found, key=lambda pair: pair[0].stat().st_mtime, default=None)


def _base_of(adapter: Path) -> str:
    try:
        return LoraConfig.read(adapter).base
    except FtgateError:
        return ""


def git_root(folder: Path) -> Path:
    """Return the top of the repository around *folder*, or *folder* itself outside of one."""
    return repository_of(folder.resolve()) or folder.resolve()


def key_names() -> frozenset[str]:
    """Return the names of the variables that are set; their values stay where they are."""
    return frozenset(name for name, value in os.environ.items() if value)


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        ConfigurationError: it is there, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        remedy = "nothing was overwritten; rename it, or name other files"
        raise ConfigurationError(f"{path} is there already; {remedy}") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
