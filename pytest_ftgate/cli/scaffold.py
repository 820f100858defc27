"""A new suite: what a repository has for it, its text, and that of a workflow of GitHub."""

from __future__ import annotations

import json
import os
import re
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
from pytest_ftgate.readers.text import json_or_text, value_at
from pytest_ftgate.reporting.number_text import percent, quantity
from pytest_ftgate.requests.api_keys import is_loopback
from pytest_ftgate.results.history import repository_of
from pytest_ftgate.runner.plan import estimate_variants
from pytest_ftgate.runner.planner import gate_runs_of
from pytest_ftgate.runner.session import Session
from pytest_ftgate.settings import docs_page, short_path
from pytest_ftgate.suite.declaration import DeclaredCase
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.providers import LOCAL_PORTS, FirstVariant, weights_engine
from pytest_ftgate.suite.scorers import parse_number
from pytest_ftgate.suite.templates import CASE_VARIABLES, PASSAGES, template_variables

_PROMPT_SUFFIXES = (".md", ".txt", ".prompt", ".j2", ".jinja", ".jinja2")
#: The ends of the names of files of cases.
DATA_SUFFIXES = (".csv", ".jsonl", ".json", ".tsv")
#: The names of texts that are no prompts, if they have no variable of the cases.
_NO_PROMPTS = (
    *("readme", "changelog", "license", "license_mit", "license_apache", "licence", "contributing"),
    *("requirements", "requirements_dev", "security", "code_of_conduct", "claude", "agents"),
    *("notice", "authors", "todo", "robots", "cmakelists", "results", "eval_results"),
    *("model_card", "release_notes", "ftgate_report"),
)
#: What is written for readers: a badge, or the verdict of a run as a heading.
_FOR_READERS = re.compile(
    r"\[!\[|^#+ (?:\S+ )?(?:PASSED|INCONCLUSIVE|BLOCKED|STOPPED)\b", re.MULTILINE
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
#: Where data sets have the answer that is expected, if no column is called so.
_ANSWERS = ("outputs.answer", "outputs.output", "output", "response", "completion")
#: Who speaks in a conversation of a case.
_ROLES = ("system", "user", "assistant")
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
    if len(missing) != 1:
        return answers
    # What a data set gives as an answer is expected. Else the only other column beside the inputs
    # holds what is expected; and the reverse.
    rows = raw_rows(path) if missing == ["expected"] else []
    given = [name for name in _ANSWERS if rows and all(value_at(r, name) for r in rows)]
    named = [*given, *(rest if len(rest) == 1 else ())]
    named = [name for name in named if name.partition(".")[0] in rest]
    if not named:
        return answers
    found: dict[str, Any] = {missing[0]: named[0]}
    return read_answers(path, replace(columns, **found), needs_reply=False)


def conversations(data: AnswerFile) -> list[dict[str, Any]]:
    """Return the cases of conversations with a column that no file of cases has; none of others.

    Without expected answers, each conversation has to end with one.
    """
    rows, expected = raw_rows(data.path), data.columns.get("expected", "")
    talks = [value_at(row, data.columns.get("input", "")) for row in rows]
    if not all(map(_is_talk, talks)) or (expected and not columns_to_name(data)):
        return []
    if expected:
        pairs = zip(rows, talks, strict=True)
        return [{"messages": talk, "expected": value_at(row, expected)} for row, talk in pairs]
    if not all(talk[1:] and talk[-1]["role"] == "assistant" for talk in talks):
        return []
    return [{"messages": talk[:-1], "expected": talk[-1]["content"]} for talk in talks]


def _is_talk(value: Any) -> bool:
    turns = value if isinstance(value, list) and value else [None]
    return all(
        isinstance(turn, Mapping)
        and {*turn} == {"role", "content"}
        and turn["role"] in _ROLES
        and isinstance(turn["content"], str)
        for turn in turns
    )


def variables_in(prompt: Path | None, data: AnswerFile) -> list[str]:
    """Return the variables of a prompt that are columns of *data*; none unless all of them are."""
    try:
        text = prompt.read_text("utf-8-sig") if prompt else ""
        names = template_variables(text) - {*CASE_VARIABLES, PASSAGES}
    except ValueError:  # no template, or no UTF-8
        return []
    rows = raw_rows(data.path) if names else []
    return sorted(names) if rows and all(names <= row.keys() for row in rows) else []


def columns_to_name(data: AnswerFile) -> dict[str, str]:
    """Return the column of each key of a case, unless all columns are called like the keys."""
    rows, known = raw_rows(data.path), {*declared_keys(DeclaredCase)}
    has_case_keys = bool(rows) and all(row.keys() <= known for row in rows)
    own = (name in (key, "messages" * (key == "input")) for key, name in data.columns.items())
    if has_case_keys and not data.tool and all(own):
        return {}
    return {key: name for key, name in data.columns.items() if key in CASE_KEYS}


def raw_rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows of a file of cases with all their columns; none if it is no such table."""
    if path.suffix not in DATA_SUFFIXES:
        return []
    source = Source(root=path.parent, path=path)
    form = ".csv" if path.suffix == ".tsv" else ""
    values = (row.value for row in read_rows(source, path, form=form))
    rows = [value for value in values if isinstance(value, Mapping)]
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
            yield path, column_names(rows[0])


def column_names(row: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns of *row*, and of those inside a column of objects."""
    inner = (
        [f"{name}.{key}" for key in value] if isinstance(value, Mapping) else [name]
        for name, value in row.items()
    )
    return [name for names in inner for name in names]


def likely_columns(path: Path) -> dict[str, str]:
    """Return the column of each role that is not known in a table; COLUMN where none is likely.

    Of two columns the inputs are the one with more different values, or with the longer ones.
    """
    with suppress(FtgateError):
        known = read_cases(path).columns
        if known.keys() & {"input", "expected"}:
            return {key: "COLUMN" for key in ("input", "expected") if key not in known}
    rows = raw_rows(path)
    names = column_names(rows[0])
    if len(names) != 2:  # noqa: PLR2004
        return dict.fromkeys(("input", "expected"), "COLUMN")
    texts = {name: [str(value_at(row, name)) for row in rows] for name in names}
    weights = {name: (len({*found}), sum(map(len, found))) for name, found in texts.items()}
    names = sorted(names, key=lambda name: weights[name], reverse=True)
    return dict(zip(("input", "expected"), names, strict=True))


def case_files(folder: Path, columns: Columns = _GUESSED) -> list[AnswerFile]:
    """Return the files below *folder* that hold cases, those with expected answers first.

    One without inputs may do for a prompt that has its columns as variables. Of named *columns*
    every one has to be there.
    """
    found: list[AnswerFile] = []
    for path in _tables(folder):
        with suppress(FtgateError):
            data = read_cases(path, columns)
            found += [data] if {"input", "expected"} & data.columns.keys() else []
    return sorted(found, key=lambda data: not _has_expected(data))


def _has_expected(data: AnswerFile) -> bool:
    return any(row.expected is not None for row in data.rows) or bool(conversations(data))


def candidates(folder: Path, columns: Columns) -> list[Candidate]:
    """Return the prompts below *folder* that have cases, or the cases alone if there is no one."""
    data = case_files(folder, columns)
    found = [
        one
        for prompt in prompt_files(folder)
        if (cases := cases_for(prompt, data)) is not None
        if (one := Candidate(prompt, cases)).is_named or not _is_for_readers(prompt, cases)
    ]
    named = {c.data.path for c in found if c.is_named}
    found = [c for c in found if c.is_named or c.data.path not in named]
    alone = (cases for cases in data if "input" in cases.columns and _has_expected(cases))
    return found or [Candidate(None, cases) for cases in alone]


def prompt_files(folder: Path) -> Iterator[Path]:
    """Yield the files below *folder* that look like prompts."""
    for path in project_files(folder, "*"):
        if path.suffix in _PROMPT_SUFFIXES and "docs" not in path.relative_to(folder).parts[:-1]:
            yield path


def _is_for_readers(text: Path, cases: AnswerFile) -> bool:
    """Return True for a report or a page, which a model is not sent.

    A text with a variable of *cases* is a prompt, whatever its name.
    """
    content = text.read_text("utf-8-sig", "replace")
    columns = {name for row in raw_rows(cases.path) for name in row}
    with suppress(ValueError):  # no template
        if template_variables(content) & {*CASE_VARIABLES, *columns}:
            return False
    name = _stem(text).lower().replace("-", "_")
    return name in _NO_PROMPTS or bool(_FOR_READERS.search(content))


def cases_for(prompt: Path, data: Sequence[AnswerFile]) -> AnswerFile | None:
    """Return the cases for *prompt*: beside it, or the only ones, of a folder of prompts."""
    data = [one for one in data if "input" in one.columns or variables_in(prompt, one)]
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
#: The fewest tokens of an answer that may have words around it.
_SENTENCE = 64
#: The tokens that a model may think before its answer; the embedded model does not.
_ROOM = 1_000
#: The most fields that a JSON Schema in one line of a suite names.
_MAX_FIELDS = 8
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
        return template.render(suite=self, first=self.variants[0], room=_ROOM, yaml=yaml_text)


def yaml_text(value: Any) -> str:
    """Return *value* as it is written in one line of YAML."""
    value = dict(value) if isinstance(value, Mapping) else value
    text = yaml.safe_dump(
        value, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def scoring_of(rows: Sequence[AnswerRow]) -> Scoring:
    """Return how replies to *rows* are scored, guessed from what they expect."""
    expected = [row.expected for row in rows if row.expected is not None]
    # JSON in a text, such as a cell of a table, is parsed.
    parsed = [json_or_text(one) if isinstance(one, str) else one for one in expected]
    objects = [one for one in parsed if isinstance(one, Mapping)]
    if objects:
        schema = yaml.safe_dump(
            {"json_schema": _schema(objects)},
            default_flow_style=None,  # what holds texts alone stands in one line
            sort_keys=False,
            allow_unicode=True,
        )
        lines = ("format:", *(f"  {line}" for line in schema.splitlines()))
        score = "score: fields  # each field of the JSON counts"
        # A reply may have line breaks and spaces, which a file of cases has not.
        longest = max(len(json.dumps(one, indent=2)) for one in objects)
        return Scoring((*lines, score), _tokens(longest), has_format=True)
    texts = [str(a) for one in expected for a in (one if isinstance(one, list) else [one])]
    longest = max(map(len, texts), default=0)
    if all(parse_number(text, {}) is not None for text in texts):
        return Scoring(("score: numeric  # the number in the reply counts",), _SENTENCE)
    labels = sorted({*texts})
    is_short = all(len(label) <= _MAX_LABEL_LENGTH for label in labels)
    if is_short and len(labels) <= min(_MAX_LABELS, len(rows) // 3):
        choice = f"format: {{choice: {yaml_text(labels)}}}"
        return Scoring((choice,), _tokens(longest), tuple(labels), has_format=True)
    strict = "the reply has to contain what is expected; exact is stricter"
    free = f"for free text see judge and similarity: {docs_page('scores')}"
    comment = strict if longest <= _MAX_ANSWER_LENGTH else free
    return Scoring((f"score: contains  # {comment}",), max(_SENTENCE, _tokens(2 * longest)))


def _tokens(characters: int) -> int:
    """Return tokens that surely hold so many characters: one for each, in whole eights."""
    return max(8, -(-characters // 8) * 8)


def _schema(objects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the JSON Schema of the fields that all *objects* have, where they are few."""
    shared = [key for key in objects[0] if all(key in one for one in objects)]
    if not 0 < len(shared) <= _MAX_FIELDS:
        return {"type": "object"}
    types = {key: {_TYPES.get(type(one[key]), "") for one in objects} for key in shared}
    known = {key: {"type": next(iter(kinds))} for key, kinds in types.items() if len(kinds) == 1}
    properties = {key: kind for key, kind in known.items() if kind["type"]}
    return {"type": "object", "required": shared, "properties": properties}


_TYPES = {
    **dict.fromkeys((int, float), "number"),
    bool: "boolean",
    str: "string",
    list: "array",
    dict: "object",
}


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
    yield f"wrote {shown}: replace OWNER and COMMIT in it ({docs_page('ci')}){unknown}"
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
