"""A new suite: what a repository has for it, its text, and that of a workflow of GitHub."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from jinja2 import StrictUndefined, Template

from pytest_ftgate.adapters.lora import CONFIG_FILE, WEIGHTS_FILE, LoraConfig
from pytest_ftgate.cli import writing
from pytest_ftgate.cli.doctor import project_files, served_models
from pytest_ftgate.errors import ConfigurationError, FtgateError
from pytest_ftgate.plugin.suites import with_suite
from pytest_ftgate.readers.answer_rows import AnswerFile, AnswerRow, Columns
from pytest_ftgate.readers.answers import read_answers
from pytest_ftgate.readers.source import Source, declared_keys
from pytest_ftgate.readers.table import read_rows
from pytest_ftgate.readers.text import json_or_text
from pytest_ftgate.reporting.number_text import percent, quantity
from pytest_ftgate.requests.api_keys import is_loopback
from pytest_ftgate.results.history import repository_of
from pytest_ftgate.runner.plan import estimate_variants
from pytest_ftgate.runner.planner import gate_runs_of
from pytest_ftgate.runner.session import Session
from pytest_ftgate.settings import short_path
from pytest_ftgate.suite.declaration import DeclaredCase
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.providers import LOCAL_PORTS, FirstVariant, weights_engine
from pytest_ftgate.suite.scorers import parse_number

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
PROMPTFOO = ("promptfooconfig.y*ml", "promptfooconfig.json")
_CONFIGS = (*PROMPTFOO, "promptfooconfig.*s", "deepeval.json", ".deepeval", "evals.json")
#: The keys of a case that a column may be named for, and columns that are all guessed.
CASE_KEYS = ("id", "input", "expected")
_GUESSED = Columns()
#: Parts of the names of models that do not chat.
_NO_CHAT = ("embed", "rerank", "whisper", "tts")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prompt and the cases for it, which a suite may be written for.

    Attributes:
        prompt: None if the cases are sent without a system prompt.
    """

    prompt: Path | None
    data: AnswerFile

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


def read_cases(path: Path, columns: Columns = _GUESSED) -> AnswerFile:
    """Return the cases in *path*, by the columns that are named or guessed.

    Raises:
        FtgateError: the file cannot be read as cases.
    """
    answers = read_answers(path, columns, needs_reply=False)
    names = dict.fromkeys(name for row in raw_rows(path) for name in row)
    rest = [name for name in names if name not in answers.columns.values()]
    missing = [role for role in ("input", "expected") if role not in answers.columns]
    if len(missing) != 1 or len(rest) != 1:
        return answers
    # Beside the inputs, the only other column holds what is expected; and the reverse.
    found: dict[str, Any] = {missing[0]: rest[0]}
    return read_answers(path, replace(columns, **found), needs_reply=False)


def columns_to_name(data: AnswerFile) -> dict[str, str]:
    """Return the column of each key of a case, unless all columns are called like the keys."""
    rows, known = raw_rows(data.path), {*declared_keys(DeclaredCase)}
    has_case_keys = bool(rows) and all(row.keys() <= known for row in rows)
    if has_case_keys and not data.tool and all(k == name for k, name in data.columns.items()):
        return {}
    return {key: name for key, name in data.columns.items() if key in CASE_KEYS}


def raw_rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows of a file of cases with all their columns; none if it is no such table."""
    if path.suffix not in DATA_SUFFIXES[:3]:
        return []
    source = Source(root=path.parent, path=path)
    rows = [row.value for row in read_rows(source, path) if isinstance(row.value, Mapping)]
    return [] if source.errors else rows


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
        if rows := raw_rows(path):
            yield path, [*rows[0]]


def case_files(folder: Path, columns: Columns = _GUESSED) -> list[AnswerFile]:
    """Return the files below *folder* that hold cases, those with expected answers first.

    Of named *columns* every one has to be there.
    """
    found: list[AnswerFile] = []
    for path in _tables(folder):
        with suppress(FtgateError):
            data = read_cases(path, columns)
            found += [data] if "input" in data.columns else []
    return sorted(found, key=lambda data: not _has_expected(data))


def _has_expected(data: AnswerFile) -> bool:
    return any(row.expected is not None for row in data.rows)


def candidates(folder: Path, columns: Columns) -> list[Candidate]:
    """Return the prompts below *folder* that have cases, or the cases alone if there is no one."""
    data = case_files(folder, columns)
    found = [
        Candidate(prompt, cases)
        for prompt in prompt_files(folder)
        if (cases := cases_for(prompt, data)) is not None
    ]
    named = {c.data.path for c in found if c.is_named}
    found = [c for c in found if c.is_named or c.data.path not in named]
    return found or [Candidate(None, cases) for cases in data if _has_expected(cases)]


def prompt_files(folder: Path) -> Iterator[Path]:
    """Yield the files below *folder* that look like prompts."""
    for path in project_files(folder, "*"):
        name = path.name.lower()
        is_text = path.suffix in _PROMPT_SUFFIXES and not name.startswith(_NO_PROMPTS)
        if is_text and "docs" not in path.relative_to(folder).parts[:-1]:
            yield path


def cases_for(prompt: Path, data: Sequence[AnswerFile]) -> AnswerFile | None:
    """Return the cases for *prompt*: beside it, or the only ones, of a folder of prompts."""
    beside = [cases for cases in data if cases.path.parent == prompt.parent]
    named = [cases for cases in beside if _stem(cases.path) == _stem(prompt)]
    if named or beside:
        return (named or beside)[0]
    is_prompt = any("prompt" in part.lower() for part in prompt.parts[-2:])
    return data[0] if is_prompt and len(data) == 1 else None


def tool_configs(folder: Path, patterns: Sequence[str] = _CONFIGS) -> list[Path]:
    """Return the configurations of other tools below *folder*."""
    return [path for pattern in patterns for path in project_files(folder, pattern)]


def local_servers() -> Mapping[str, list[str]]:
    """Return the chat models that servers on this machine list on the usual ports, by base URL."""
    served = {}
    for port in LOCAL_PORTS:
        url = f"http://127.0.0.1:{port}/v1"
        with suppress(OSError, ValueError):
            models = served_models(url, None)
            served[url] = [m for m in models if not any(word in m.lower() for word in _NO_CHAT)]
    return {url: models for url, models in served.items() if models}


def newest_adapter(folder: Path) -> tuple[Path, str] | None:
    """Return the newest adapter that a trainer has written below *folder*, and its base."""
    found: list[tuple[Path, str]] = []
    for path in project_files(folder, CONFIG_FILE):
        # What cannot be read, or names no base, is no adapter.
        with suppress(FtgateError):
            base = LoraConfig.read(path.parent).base
            found += (
                [(path.parent, base)] if base and path.with_name(WEIGHTS_FILE).is_file() else []
            )
    return max(found, key=lambda pair: pair[0].stat().st_mtime, default=None)


def git_root(folder: Path) -> Path:
    """Return the top of the repository around *folder*, or *folder* itself outside of one."""
    return repository_of(folder.resolve()) or folder.resolve()


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        ConfigurationError: it is there, or cannot be written.
    """
    if path.exists():
        remedy = "nothing was overwritten; rename it, or name other files"
        raise ConfigurationError(f"{path} is there already; {remedy}")
    with writing(path), path.open("x", encoding="utf-8") as file:
        file.write(text)


#: The most labels of a task that is taken for a classification, and the longest label.
_MAX_LABELS, _MAX_LABEL_LENGTH = 20, 40
#: A longer expected answer is not found in a reply word by word.
_MAX_ANSWER_LENGTH = 60
#: The tokens that a model may think before its answer; the embedded model does not.
_ROOM = 1_000
_TEMPLATE = Path(__file__).parent / "suite.yaml.j2"


@dataclass(frozen=True, slots=True)
class Scoring:
    """How replies to the cases are scored.

    Attributes:
        lines: the lines of ``reply``.
        tokens: how many tokens an answer may have.
        labels: the labels, if the task is a classification.
        has_format: True if replies have a format that can be checked.
    """

    lines: tuple[str, ...]
    tokens: int
    labels: tuple[str, ...] = ()
    has_format: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one gate.

    Attributes:
        minimum: the minimum to write, or None for none.
        reason: where the minimum comes from, for the comment.
        drop: what drop the cases can show, for a comment of its own.
    """

    minimum: float | None = None
    reason: str = ""
    drop: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaffold:
    """All that stands in a new suite.

    Attributes:
        schema: the path of the JSON Schema, from the suite.
        command: what evaluates the suite.
        prompt: the name of the prompt, or "".
        columns: the columns of the cases, where they need to be named.
        variants: those that are possible here; the first one is used, the others are comments.
        tuned: the keys of a variant with the adapter that lies here, for a comment; empty for none.
        limits: those of each gate; None before the cases are measured, and empty if no gate could
            pass.
    """

    schema: str
    command: str
    prompt: str
    cases: str
    columns: Mapping[str, str]
    scoring: Scoring
    variants: Sequence[FirstVariant]
    tuned: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, Limits] | None = None

    @property
    def text(self) -> str:
        """The suite file."""
        template: Template = Template(
            _TEMPLATE.read_text("utf-8"),
            trim_blocks=True,
            keep_trailing_newline=True,
            undefined=StrictUndefined,
        )
        return template.render(suite=self, first=self.variants[0], room=_ROOM, yaml=_yaml)


def _yaml(value: Any) -> str:
    """Return *value* as it is written in one line of YAML."""
    value = dict(value) if isinstance(value, Mapping) else value
    text = yaml.safe_dump(
        value, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def scoring_of(rows: Sequence[AnswerRow]) -> Scoring:
    """Return how replies to *rows* are scored, guessed from what they expect."""
    expected = [row.expected for row in rows if row.expected is not None]
    if any(_is_object(value) for value in expected):
        schema = "format: {json_schema: {type: object}}"
        score = "score: fields  # each field of the JSON counts"
        return Scoring((schema, score), 500, has_format=True)
    answers = [a for value in expected for a in (value if isinstance(value, list) else [value])]
    texts = [str(answer) for answer in answers]
    if all(parse_number(text, {}) is not None for text in texts):
        return Scoring(("score: numeric  # the number in the reply counts",), 64)
    labels = sorted({*texts})
    is_short = all(len(label) <= _MAX_LABEL_LENGTH for label in labels)
    if is_short and len(labels) <= min(_MAX_LABELS, len(rows) // 3):
        choice = f"format: {{choice: {_yaml(labels)}}}"
        longest = max(map(len, labels))
        return Scoring((choice,), max(8, longest), tuple(labels), has_format=True)
    if all(len(text) <= _MAX_ANSWER_LENGTH for text in texts):
        comment = "the reply has to contain what is expected; exact is stricter"
        return Scoring((f"score: contains  # {comment}",), 64)
    comment = "for free text see judge and similarity in docs/scores.md"
    return Scoring((f"score: contains  # {comment}",), 500)


def _is_object(value: Any) -> bool:
    """Return True for a JSON object; in a cell of a table it is text."""
    return isinstance(json_or_text(value) if isinstance(value, str) else value, Mapping)


def measured_reason(rate: float, right: float, count: int, *, content: bool = True) -> str:
    """Return what was measured: *right* of *count* cases, or a mean score of *rate*.

    *content* is False for a gate of the format.
    """
    if right != int(right):
        return f"measured: {percent(rate)} of {quantity(count, 'case')}"
    what = "right" if content else "in the format"
    return f"measured: {int(right)} of {count} {what}"


_PACKAGE = Path(__file__).parents[1]
#: The workflows: in the wheel, or in a checkout.
_FOLDERS = (_PACKAGE / "workflows", _PACKAGE.parent / "examples" / "workflows")
_NAME = "pull-request.yml"
#: The variable in the example, with the comment above it.
_ENV = """\
        env:
          # A pull request from a fork gets no key, and is evaluated by recorded replies.
          ANTHROPIC_API_KEY: ${{ secrets.ANTHROPIC_API_KEY }}
"""


@dataclass(frozen=True, slots=True)
class _Needs:
    """What the variants of a suite need in a job.

    Attributes:
        variables: where GitHub keeps each variable of the environment: ``secrets`` or ``vars``.
        extras: the extras of the package.
        steps: what is left to do before the job can run, a line each.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    extras: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


def write_workflow(suite: Path) -> Iterator[str]:
    """Write the workflow for the folder of *suite*, and yield what is left to do.

    Raises:
        ConfigurationError: the installation has no workflow, or the file cannot be written.
    """
    folder = next((path for path in _FOLDERS if path.is_dir()), None)
    if folder is None:
        raise ConfigurationError("the workflow is missing from this installation; install again")
    root = git_root(suite.parent)
    path = root / ".github" / "workflows" / "prompts.yml"
    shown = short_path(path, Path())
    if path.exists():
        yield f"{shown} is there already; it was left as it is"
        return
    try:
        needs, unknown = with_suite(suite, None, _needs), ""
    except FtgateError as error:
        needs, unknown = _Needs(), f"; its keys are not known: {error}"
    text = (folder / _NAME).read_text("utf-8")
    paths = Path(os.path.relpath(suite.parent.resolve(), root)).as_posix()
    text = text.replace("paths: prompts", f"paths: {json.dumps(paths)}")
    text = text.replace("extras: prices", f"extras: {','.join((*needs.extras, 'prices'))}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_new(path, text.replace(_ENV, _environment(needs.variables)))
    yield f"wrote {shown}: replace OWNER and COMMIT in it{unknown}"
    yield from needs.steps


def _needs(suite: Suite, session: Session) -> _Needs:
    variants = suite.variants.values()
    estimates, _ = estimate_variants(session, gate_runs_of(suite))
    keys = dict.fromkeys((name for one in estimates for name, _ in one.most.keys), "secrets")
    addresses = dict.fromkeys(filter(None, (v.base_url_env for v in variants)), "vars")
    extras = {v.model: extra for v in variants if (extra := weights_engine(v.provider)[0])}
    urls = dict.fromkeys(v.base_url or "" for v in variants)
    steps = [
        f"  add the {what} {' and '.join(names)} to the repository at GitHub"
        for what, names in (("secret", keys), ("variable", addresses))
        if names
    ]
    steps += [
        f"  a job does not reach {url}: commit its replies with pytest-ftgate cache export"
        for url in urls
        if is_loopback(urlsplit(url).hostname)
    ]
    steps += [
        f"  a job has no weights of {model}: add a step that downloads them" for model in extras
    ]
    return _Needs({**keys, **addresses}, tuple(dict.fromkeys(extras.values())), tuple(steps))


def _environment(variables: Mapping[str, str]) -> str:
    """Return the ``env`` of the step."""
    lines = [f"          {name}: ${{{{ {at}.{name} }}}}\n" for name, at in variables.items()]
    head, comment, _ = _ENV.splitlines(keepends=True)
    return "".join([head, comment * ("secrets" in variables.values()), *lines]) if lines else ""
