"""``pytest-ftgate init``: a suite beside a prompt, with limits that its cases can show."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytest_ftgate.cli import VerbOutput, existing_file, scaffold
from pytest_ftgate.cli.demo import is_demo
from pytest_ftgate.cli.doctor import project_files
from pytest_ftgate.cli.import_suite import import_suite, imported_path
from pytest_ftgate.cli.record import schema_text
from pytest_ftgate.cli.runs import SUITE_OF_RUNS, files_of_runs, write_suite_of_runs
from pytest_ftgate.client.budget import Progress
from pytest_ftgate.errors import ConfigurationError, FtgateError
from pytest_ftgate.gates.design import design_of, guess_rate
from pytest_ftgate.gates.feasibility import default_limit_problem, provable_minimum
from pytest_ftgate.gates.figures import sample_rate
from pytest_ftgate.gates.power import coarse_limit, default_limit, estimate_minimum_power
from pytest_ftgate.gates.regressions import find_regressions, flips
from pytest_ftgate.gates.samples import Samples, samples_from_scores
from pytest_ftgate.plugin.suites import settings_of_run, with_suite
from pytest_ftgate.readers.answer_rows import AnswerFile, Columns
from pytest_ftgate.readers.text import joined_values
from pytest_ftgate.reporting.notes import note_text, notes_text
from pytest_ftgate.reporting.number_text import quantity
from pytest_ftgate.reporting.text import line_width, one_line, shorten, wrap_lines
from pytest_ftgate.runner.file_suite import json_lines
from pytest_ftgate.runner.planner import full_look
from pytest_ftgate.runner.progress_log import progress_line
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import is_rate, scores_content
from pytest_ftgate.suite.model import Gate, Suite
from pytest_ftgate.suite.providers import FirstVariant, adapter_variant, first_variants
from pytest_ftgate.weights import KNOWN_MODELS, find_weights

#: More cases take a local model minutes, so they are not measured here.
_MAX_MEASURED = 300
#: The minimum of a gate that was not measured, and has too few cases to limit a drop.
_A_GUESS = 0.5
#: Tables that are no files of cases yet, and what to do about it.
_OTHER_TABLES = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save it as .csv"),
    ".parquet": "pytest-ftgate import makes a suite of it",
}
#: Seconds between two lines of progress, on a terminal and in a log.
_ON_TERMINAL, _IN_LOG = 0.5, 15.0
#: How many columns of a table a message shows.
_SHOWN_COLUMNS = 8
_NOTHING = """\
No prompt with cases was found below {folder}. init looks for
  a prompt: a .md, .txt or .j2 file
  beside it, cases: a .csv, .jsonl, .json or .tsv file with a column of inputs
  (input, question, text, …) and one of expected answers (expected, answer,
  label, …)
Or name them: pytest-ftgate init PROMPT CASES{found}

To begin with an example and put your own prompt and cases in its place:
  pytest-ftgate init --starter
To see what a gate does first:
  pytest-ftgate demo"""
_OTHER_FILES = "chosen by their names and places; for others: pytest-ftgate init PROMPT CASES"
_SMALL_MODEL = "It is a small model that shows how a gate works: put your own into variants."
#: What is to be mended where no case is right.
_WITHOUT_GATES = (
    "  correct the score, the format, or the expected answers of the suite",
    "  write a gate below gates:, such as accuracy: {}",
)
#: A prompt and cases to begin with.
_STARTER = Path(__file__).parent / "starter"


def write_first_suite(
    files: Sequence[Path],
    cases: Path | None,
    *,
    starter: bool,
    workflow: bool,
    input: str | None,  # noqa: A002 - named as the option
    expected: str | None,
) -> VerbOutput:
    """Write a suite for a prompt and its cases, or for the only ones below this folder.

    *files* are the prompt and the cases in any order, or one of them; *cases* names the latter
    beside a prompt. *starter* writes a prompt and cases to begin with first. *input* and *expected*
    are the columns of the cases. No file is overwritten.

    Raises:
        ConfigurationError: a named file cannot be used.
    """
    columns = Columns(input=input or "", expected=expected or "")
    if files and not (cases or starter) and (runs := files_of_runs(files)):
        schema = _write_schema(Path("runs"))
        more = scaffold.write_workflow(SUITE_OF_RUNS) if workflow else ()
        return write_suite_of_runs(runs, _relative(schema, SUITE_OF_RUNS), more)
    prompt, cases = _in_order(files, cases)
    if starter:
        prompt, cases = _write_starter(Path("prompts"))
    found, configs = _sources(prompt, cases, columns)
    new = [candidate for candidate in found if not candidate.suite.exists()]
    new_configs = [config for config in configs if not imported_path(config).exists()]
    if len(new) + len(new_configs) > 1:
        return VerbOutput(tuple(_choices(new, new_configs)), 1)
    if new_configs:
        imported = import_suite(new_configs[0], None, None)
        more = scaffold.write_workflow(imported_path(new_configs[0])) if workflow else ()
        return VerbOutput((*imported.lines, *more), imported.exit_code)
    if new:
        is_chosen = not (files or cases or starter)
        return _written(new[0], workflow=workflow, is_chosen=is_chosen)
    suites = [*(candidate.suite for candidate in found), *map(imported_path, configs)]
    if not suites:
        return VerbOutput((_nothing(Path()),), 1)
    return VerbOutput(tuple(_existing(suites, workflow=workflow)))


def _in_order(files: Sequence[Path], cases: Path | None) -> tuple[Path | None, Path | None]:
    """Return the prompt and the cases among *files*, which are at most two with *cases*.

    Raises:
        ConfigurationError: they are more.
    """
    # Of two files, the table is that of the cases.
    named = sorted(files, key=lambda file: file.suffix in scaffold.DATA_SUFFIXES)
    named += [cases] if cases and files else []
    if len(named) > 2:  # noqa: PLR2004
        shown = " ".join(map(str, named))
        raise ConfigurationError(f"init takes a prompt and a file of cases, not {shown}")
    return (named[0], named[1] if named[1:] else None) if named else (None, cases)


def _nothing(folder: Path) -> str:
    """Return what was looked for, and what lies below *folder* instead."""
    found = [f"\nFound of another tool: {path}" for path in scaffold.tool_configs(folder)]
    folders = {path.parent for path, _ in scaffold.unknown_tables(folder)}
    found += [f"\nLeft out: {path}, which the demo wrote" for path in folders if is_demo(path)]
    return _NOTHING.format(folder=Path.cwd(), found="".join([*found, *_other_columns(folder)]))


def _other_columns(folder: Path, prompt: str = "") -> Iterator[str]:
    """Yield what to type for each table below *folder* whose columns are not known."""
    tables = ((p, names) for p, names in scaffold.unknown_tables(folder) if not is_demo(p.parent))
    for path, names in tables:
        shown = ", ".join(names[:_SHOWN_COLUMNS])
        likely = scaffold.likely_columns(path)
        if not likely:
            yield f"\nFound without expected answers: {path} ({shown})"
            continue
        named = " ".join(f"--{key} {shlex.quote(name)}" for key, name in likely.items())
        count = ("one", "two")[len(likely) - 1]
        yield f"\nFound with other columns: {path} ({shown}); name {count} of them:"
        yield f"\n  pytest-ftgate init{prompt} {named}"
    for path in project_files(folder, "*"):
        if path.suffix in _OTHER_TABLES:
            yield f"\nFound, but not read: {path}; {_OTHER_TABLES[path.suffix]}"


def _write_starter(folder: Path) -> tuple[Path, Path]:
    """Write the prompt and the cases to begin with into *folder*."""
    folder.mkdir(exist_ok=True)
    for source in (prompt := _STARTER / "capitals.md", cases := _STARTER / "capitals.csv"):
        scaffold.write_new(folder / source.name, source.read_text("utf-8"))
    return folder / prompt.name, folder / cases.name


# What is written for ------------------------------------------------------------------------------


def _sources(
    prompt: Path | None, cases: Path | None, columns: Columns
) -> tuple[list[scaffold.Candidate], list[Path]]:
    """Return what a suite can be made of: prompts with cases, and configurations of promptfoo.

    They are those that the user names, or all below this folder.
    """
    if prompt and not cases and any(map(prompt.match, scaffold.PROMPTFOO)):
        return [], [prompt]
    if prompt or cases:
        return [_named(prompt, cases, columns)], []
    found = [one for one in scaffold.candidates(Path(), columns) if not is_demo(one.suite.parent)]
    # Named columns are those of a table, which a configuration is not.
    return found, [] if columns != Columns() else scaffold.tool_configs(Path(), scaffold.PROMPTFOO)


def _named(prompt: Path | None, cases: Path | None, columns: Columns) -> scaffold.Candidate:
    """Return the candidate that the user names; a file of cases may stand alone."""
    for path in filter(None, (prompt, cases)):
        existing_file(path)
    if cases is not None:
        return scaffold.Candidate(prompt, scaffold.read_cases(cases, columns))
    if prompt is None or prompt.suffix in scaffold.DATA_SUFFIXES:
        return scaffold.Candidate(None, scaffold.read_cases(prompt or Path(), columns))
    data = scaffold.cases_for(prompt, scaffold.case_files(prompt.parent, columns))
    if data is None:
        remedy = "put a .csv or .jsonl file with input and expected there, or add --cases FILE"
        other = "".join(_other_columns(prompt.parent, f" {shlex.quote(str(prompt))}"))
        raise ConfigurationError(f"no cases lie beside {prompt}; {remedy}{other}")
    return scaffold.Candidate(prompt, scaffold.read_cases(data.path, columns))


def _existing(suites: list[Path], *, workflow: bool) -> Iterator[str]:
    for suite in suites:
        yield f"{suite} is there already; it was left as it is"
    yield from scaffold.write_workflow(suites[0]) if workflow else ()
    yield f"schema for editors: {_write_schema(suites[0])}"
    yield ""
    yield "next:"
    yield f"  pytest --ftgate {shlex.quote(str(suites[0]))}"


def _choices(new: list[scaffold.Candidate], configs: list[Path]) -> Iterator[str]:
    yield "several suites can be written; type one of these lines:"
    for candidate in new:
        path = candidate.prompt or candidate.data.path
        yield f"  pytest-ftgate init {shlex.quote(str(path))}  # {candidate.data.path.name}"
    for config in configs:
        yield f"  pytest-ftgate import {shlex.quote(str(config))}  # its prompts, tests and models"


# Writing ------------------------------------------------------------------------------------------


def _written(candidate: scaffold.Candidate, *, workflow: bool, is_chosen: bool) -> VerbOutput:
    """Write the suite and what it needs; return what was written, and the next command.

    *is_chosen* is True if the user named no files. The exit code is 1 if the suite has no gate,
    since no case is right.

    Raises:
        FtgateError: the cases cannot be used; then there is no new suite.
    """
    candidate, extra = _with_own_cases(candidate)
    _require_columns(candidate.data)
    path, data = candidate.suite, candidate.data
    cases = quantity(len(data.rows), "case")
    draft = _draft(candidate, schema := _write_schema(path))
    first = draft.variants[0]
    obstacle = _obstacle(first)
    scaffold.write_new(path, draft.text)
    try:
        limits, notes = with_suite(path, None, partial(_limits, variant=first, obstacle=obstacle))
    except FtgateError:
        for written in (path, *extra):
            written.unlink()
        raise
    path.write_text(replace(draft, limits=limits).text, "utf-8")
    lines = (
        f"wrote {path}: {candidate.prompt or 'no prompt'}, {cases} of {data.path}",
        *[_OTHER_FILES] * is_chosen,
        *(f"wrote {name}" for name in extra),
        f"wrote {schema}, which editors read to complete and explain keys",
        *(scaffold.write_workflow(path) if workflow else ()),
        f"model: {first.keys['model']}, since {first.reason}",
        *notes,
        *[_SMALL_MODEL] * first.has_weights,
        *("", "next:", *([] if limits else _WITHOUT_GATES)),
        *(f"  {command}" for command in (*obstacle, draft.command)),
    )
    return VerbOutput(lines, int(not limits))


def _require_columns(data: AnswerFile) -> None:
    missing = [key for key in ("input", "expected") if key not in data.columns]
    if missing:
        named = ", ".join(f"--{key} COLUMN" for key in missing)
        what = " and ".join(missing)
        message = f"{data.path} has no column known to hold {what}"
        there = ", ".join([*next(iter(scaffold.raw_rows(data.path)), ())][:_SHOWN_COLUMNS])
        raise ConfigurationError(f"{message}; it has {there}; name it: {named}")


def _draft(candidate: scaffold.Candidate, schema: Path) -> scaffold.Scaffold:
    data, path = candidate.data, candidate.suite
    variables = {name for name, value in os.environ.items() if value}
    variants = [*first_variants(variables, scaffold.local_servers())]
    return scaffold.Scaffold(
        schema=_relative(schema, path),
        command=f"pytest --ftgate {shlex.quote(str(path))}",
        prompt=_relative(candidate.prompt, path) if candidate.prompt else "",
        cases=_relative(data.path, path),
        columns=scaffold.columns_to_name(data),
        scoring=scaffold.scoring_of(data.rows),
        variants=variants,
        tuned=_tuned(path, variants[0]),
    )


def _tuned(suite: Path, first: FirstVariant) -> Mapping[str, str]:
    """Return the keys of a variant with the newest adapter of the repository, or none.

    The variant is like *first* where that is the base of the adapter.
    """
    found = scaffold.newest_adapter(scaffold.git_root(suite.parent))
    if found is None:
        return {}
    adapter, known = _relative(found[0], suite), KNOWN_MODELS.get(str(first.keys["model"]))
    if known and first.has_weights and found[1].rpartition("/")[2] == known.model:
        return {"like": "current", "adapter": adapter}
    return adapter_variant(found[1], adapter)


def _relative(path: Path, suite: Path) -> str:
    return Path(os.path.relpath(path.resolve(), suite.parent.resolve())).as_posix()


def _with_own_cases(candidate: scaffold.Candidate) -> tuple[scaffold.Candidate, list[Path]]:
    """Return *candidate* with a file of cases of its own if it needs one, and the new files.

    That is so if the prompt has variables, or conversations end with the expected answer.
    """
    names = scaffold.variables_in(candidate.prompt, candidate.data)
    written = scaffold.conversations(candidate.data) or _cases_with(candidate.data, names)
    if not written:
        return candidate, []
    if candidate.prompt:  # it is the system message
        written = [{**case, **_without_system(case)} for case in written]
    base = candidate.prompt or candidate.data.path
    path = base.with_name(f"{base.stem}.cases.jsonl")
    path = base.with_name(f"{base.stem}.suite.jsonl") if path == candidate.data.path else path
    scaffold.write_new(path, json_lines(written))
    return scaffold.Candidate(candidate.prompt, scaffold.read_cases(path)), [path]


def _without_system(case: Mapping[str, Any]) -> dict[str, Any]:
    turns = [turn for turn in case.get("messages", ()) if turn["role"] != "system"]
    return {"messages": turns} if turns else {}


def _cases_with(data: AnswerFile, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return cases with the columns *names* as vars; they are the input if there is no other."""
    columns = data.columns
    cases = []
    for row in scaffold.raw_rows(data.path) if names and "expected" in columns else ():
        values = {name: row[name] for name in names}
        keys = {key: row[columns[key]] for key in scaffold.CASE_KEYS if columns.get(key) in row}
        cases.append({"input": joined_values(values), **keys, "vars": values})
    return cases


def _write_schema(suite: Path) -> Path:
    """Write the JSON Schema into the folder of the cache, which git ignores, and return its path.

    It is the package's own file, so an earlier one is replaced.
    """
    folder = settings_of_run(suite.parent).cache.parent
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text("*\n")
    path = folder / "suite.schema.json"
    path.write_text(schema_text("suite") + "\n", "utf-8")
    return path


# Limits -------------------------------------------------------------------------------------------


def _obstacle(variant: FirstVariant) -> list[str]:
    """Return the commands that the embedded model takes before it can answer."""
    if not variant.has_weights:
        return []
    commands = []
    if find_spec("xllamacpp") is None:
        commands.append('pip install "pytest-ftgate[local]"')
    try:
        find_weights(str(variant.keys["model"]), Path())
    except FtgateError:
        commands.append(f"pytest-ftgate download {variant.keys['model']}")
    return commands


def _limits(
    suite: Suite, session: Session, *, variant: FirstVariant, obstacle: list[str]
) -> tuple[dict[str, scaffold.Limits], list[str]]:
    """Return the limits of the suite's gates, measured where that is free, and notes on them."""
    gates = {gate.kind: gate for gate in suite.gates.values() if is_rate(gate)}
    # While cases are measured, thresholds are plain; those that are written are not.
    gates = {kind: replace(gate, evidence="statistics") for kind, gate in gates.items()}
    written = replace(suite, gates=gates)
    limits = {kind: _unmeasured_limits(written, gate) for kind, gate in gates.items()}
    is_quick = variant.is_free and not obstacle and len(suite.cases) <= _MAX_MEASURED
    if not is_quick:
        return limits, []
    try:
        return _measured(written, suite, session, limits)
    except FtgateError as error:
        return limits, [f"not measured: {error}"]
    finally:
        session.close()


def _unmeasured_limits(suite: Suite, gate: Gate) -> scaffold.Limits:
    """Return the limits of *gate* before any case is measured: the drop that its cases can show."""
    limit, count = default_limit(suite, gate), len(gate.evaluated_cases(suite.cases))
    if limit is None:
        problem = note_text(default_limit_problem(suite, gate)[0])
        guess = min(_A_GUESS, provable_minimum(design_of(suite, gate)))
        return scaffold.Limits(guess, "a guess: the first run shows what to write", problem)
    coarse = notes_text(coarse_limit(suite, gate, limit))
    drop = coarse or f"the smallest that {quantity(count, 'case')} can show"
    return scaffold.Limits(drop=f"max_drop: {limit:g} by default: {drop}")


def _measured(
    written: Suite, suite: Suite, session: Session, limits: Mapping[str, scaffold.Limits]
) -> tuple[dict[str, scaffold.Limits], list[str]]:
    """Return *limits* with the highest minimums that 9 in 10 runs like this one pass, and notes.

    *suite* is evaluated, *written* has the gates of its file. A gate whose minimum would be no more
    than guessing is left out.

    Raises:
        FtgateError: the model does not answer.
    """
    variant, look = suite.variants[suite.baseline], full_look(suite)
    count = quantity(len(suite.cases), "case")
    print(f"measuring {variant.model} once on {count} …", file=sys.stderr, flush=True)
    requests = session.built.task(suite, variant, look)
    with _progress() as show, session.replies.show_progress(show):
        session.replies.checked_results([requests], suite.name)
    scores = session.scores.task_scores(suite, variant, look)
    measured, notes = dict(limits), []
    for kind, gate in suite.gates.items():
        samples = samples_from_scores(scores, kind)
        minimum = _steady_minimum(written, written.gates[kind], samples)
        right = round(float(samples.values[samples.has_reply].sum()), 6)
        content = scores_content(gate)
        reason = scaffold.measured_reason(samples.mean, right, len(samples), content=content)
        of_kind = f"{kind} " if len(suite.gates) > 1 else ""
        if minimum and minimum >= guess_rate(suite, gate):
            reason += "; the highest that 9 in 10 runs pass"
            measured[kind] = replace(limits[kind], minimum=minimum, reason=reason)
            notes += wrap_lines(f"{of_kind}{reason}: min: {minimum:g}", 0)
        else:
            del measured[kind]
            why = ", since guessing is right as often" if minimum else ""
            notes += wrap_lines(f"{of_kind}{reason}: no gate of {kind} was written{why}", 0)
            notes += _example(scores, kind)
    return measured, notes


def _steady_minimum(suite: Suite, gate: Gate, samples: Samples) -> float:
    """Return the highest minimum that 9 in 10 runs like *samples* pass; 0 if there is none."""
    # A missing reply counts as wrong.
    rate = sample_rate(samples.impute_missing(0.0))
    power = estimate_minimum_power(gate, suite.baseline, design_of(suite, gate), rate)
    return power.certifiable or 0.0


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Show how many replies are there and how long the others take, on the error stream.

    A terminal has one line, which is written again and cleared at the end; a log has many.
    """
    is_terminal, shown_at = sys.stderr.isatty(), time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal shown_at
        if time.monotonic() - shown_at >= (_ON_TERMINAL if is_terminal else _IN_LOG):
            shown_at = time.monotonic()
            line = progress_line(progress, line_width(), bar=is_terminal)
            print(f"\r\x1b[K{line}" if is_terminal else line, end="" if is_terminal else "\n",
                  file=sys.stderr, flush=True)  # fmt: skip

    try:
        yield show
    finally:
        if is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _example(scores: VariantScores, kind: str) -> Iterator[str]:
    """Yield the lines that show the first wrong reply, since the suite may be what is wrong."""
    wrong = find_regressions(None, samples_from_scores(scores, kind))
    for flip in flips(None, scores, wrong)[:1]:
        texts = {
            "input": flip.shown,
            "expected": flip.expected,
            "reply": flip.now or "(empty)",
            "error": flip.why or flip.wrong,
        }
        for label, text in texts.items():
            if text:
                yield shorten(f"  {label:<9} {one_line(text)}", line_width())
