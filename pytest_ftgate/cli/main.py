"""``pytest-ftgate``: the parser, and the verbs report, history and data."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_ftgate.errors import (
    CacheError,
    ConfigurationError,
    EngineError,
    FtgateError,
    SuiteError,
    did_you_mean,
    unexpected,
)
from pytest_ftgate.gates.training_data import (
    check_training_data,
    read_training_data,
    training_data_rules,
)
from pytest_ftgate.gates.training_rows import TrainingDataRules
from pytest_ftgate.gates.units import amount, quantity
from pytest_ftgate.gates.verdict import Severity, Verdict
from pytest_ftgate.readers.source import Source
from pytest_ftgate.recommend.evidence import AcceptedRun
from pytest_ftgate.reporting.headlines import severity_counts
from pytest_ftgate.reporting.model_card import write_model_card
from pytest_ftgate.reporting.summary import detail_lines, summary_lines
from pytest_ftgate.reporting.text import escape_controls, lasting_output
from pytest_ftgate.reporting.trackers import Tracker
from pytest_ftgate.reporting.verdict import finding_lines
from pytest_ftgate.reporting.writers import write_report
from pytest_ftgate.results.git import is_shallow, tracked_files
from pytest_ftgate.results.history import accepted_runs, anchor_dates
from pytest_ftgate.results.run import read_run
from pytest_ftgate.settings import REPORT_FORMATS
from pytest_ftgate.suite.gate_kinds import DataGate, data_gate
from pytest_ftgate.suite.model import Case, Suite
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.training_data import read_training_rows

if TYPE_CHECKING:
    from pytest_ftgate.runner.session import Session

_DESCRIPTION = "Quality gates for prompts and fine-tuned models: commands that run no tests."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0, or another with the reason in its output.

    The exit code is that of the work, whoever reads the output, and however much of it.
    """
    with lasting_output():
        options = vars(_parser().parse_args(argv))
        call, function, error_code = options.pop("verb")
        try:
            return _run(call, function, options)
        except FtgateError as error:
            print(escape_controls(str(error)), file=sys.stderr)
        except OSError as error:
            if error.filename is None:
                return _internal_error(error)
            print(f"{error.filename} cannot be read or written: {error.strerror}", file=sys.stderr)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an exit code of its own
            return _internal_error(error)
        return int(error_code)


def _run(call: Callable[..., Any], function: str, options: Mapping[str, Any]) -> int:
    """Do the work of a verb, then print what came of it; return the exit code of the work."""
    printed: Any = call(function, **options)
    lines: Iterable[str] | Path = getattr(printed, "lines", printed)
    text = str(lines) if isinstance(lines, str | Path) else "\n".join(lines)
    exit_code: int = getattr(printed, "exit_code", 0)
    try:
        print(text, flush=True)
    except OSError as error:
        reason = f"the output cannot be written: {error.strerror}"
        if not exit_code:
            raise ConfigurationError(reason) from error
        print(reason, file=sys.stderr)
    return exit_code


#: The exit code of every verb after an exception that nothing expects.
INTERNAL_ERROR = 4


def _internal_error(error: BaseException) -> int:
    """Print what happened, without secrets, and return the exit code."""
    from pytest_ftgate.client.redaction import redact_text

    # That of a run names the line, which is often one of the user's own provider.
    text = str(error)
    if not isinstance(error, EngineError):
        text = f"{EngineError(error).traceback}{unexpected(error)}"
    print(escape_controls(redact_text(text, os.environ)), file=sys.stderr)
    return INTERNAL_ERROR


# How verbs are called: their functions are imported when they run, and take the options by name.


def _call(function: str, **options: Any) -> Any:
    module, _, name = function.partition(":")
    return getattr(import_module(f"pytest_ftgate.{module}"), name)(**options)


def _call_with_reports(function: str, **options: Any) -> Any:
    """Call a verb with the paths of its reports by format."""
    reports = {name: options.pop(name) for name in REPORT_FORMATS}
    return _call(function, reports=reports, **options)


def _call_with_cache(function: str, cache: Path | None, **options: Any) -> Any:
    """Call a verb with the cache of ``--cache``, or of a run in this folder."""
    from pytest_ftgate.plugin.config import settings_of_run
    from pytest_ftgate.runner.provenance import require_untracked

    cache = cache or settings_of_run().cache
    try:
        require_untracked(cache, Path())
    except CacheError as error:
        # A verb may look at a cache that runs refuse.
        print(escape_controls(str(error)), file=sys.stderr)
    return _call(function, cache=cache, **options)


def _call_with_suite(function: str, suite: Path, cache: Path | None, **options: Any) -> Any:
    """Call a verb with a suite and a session, while pytest's plugins are loaded."""
    from pytest_ftgate.plugin.config import with_suite

    def lines(suite: Suite, session: Session) -> list[str]:
        return [*_call(function, suite=suite, session=session, **options)]

    return with_suite(suite, cache, lines)


class _Verb(NamedTuple):
    """A verb, or an action of ``cache``.

    Attributes:
        call: how its function is called.
        function: its module and its name.
        options: what ``add_argument`` takes for each of its options.
        error_code: its exit code after an error.
        epilog: what its help says after the options.
    """

    name: str
    help: str
    call: Callable[..., Any]
    function: str
    options: tuple[tuple[str, dict[str, Any]], ...] = ()
    error_code: int = 1
    epilog: str = ""


_SUITE = ("suite", {"type": Path, "help": "the suite file"})
_CACHE = ("--cache", {"type": Path, "help": "the cache file (default: the one of pytest --ftgate)"})


def _out(name: str) -> tuple[str, dict[str, Any]]:
    text = f"the output file (default: NAME.{name}.jsonl beside the suite)"
    return "-o", {"dest": "out", "type": Path, "help": text}


def _column(name: str, what: str) -> tuple[str, dict[str, Any]]:
    return f"--{name}", {"metavar": "COLUMN", "help": f"the column of {what}"}


_COMPARE_EXAMPLES = """\
Files may be .jsonl, .json, .csv, .tsv or .parquet tables, or what lm-evaluation-harness, Inspect,
promptfoo, OpenAI Evals, deepeval or pydantic-evals write. Columns are guessed; the output names
them. A column inside another is written with dots: metadata.topic.

examples:
  pytest-ftgate compare base.jsonl tuned.jsonl
  pytest-ftgate compare base.csv tuned.csv --reply answer --scorer contains
  pytest-ftgate compare old.eval new.eval --by metadata.topic --max-drop 0.03
  pytest-ftgate compare results.json::old-model results.json::new-model
  pytest-ftgate compare base.jsonl tuned.jsonl --write qa.ftgate.yaml

exit codes: 0 passed, 1 failed, 2 a file or an option cannot be used, 3 inconclusive,
4 an internal error
"""
_IMPORT_EXAMPLES = """\
The file may be a configuration of promptfoo, an eval or samples of OpenAI Evals, goldens of
deepeval, a dataset of pydantic-evals, a table (.csv, .json, .jsonl), such as LangSmith and
Braintrust export, or a folder of Hugging Face datasets. What a suite cannot express is listed,
and written at its top as comments.

examples:
  pytest-ftgate import promptfooconfig.yaml
  pytest-ftgate import goldens.json --variant '{provider: anthropic, model: claude-haiku-5-5}'
  pytest-ftgate import export.csv -o prompts/support.ftgate.yaml

exit codes: 0 the suite loads, 1 it was written and has errors to mend, 2 nothing was written,
4 an internal error
"""
# fmt: off
_VERBS = (
    _Verb("demo", "see a red build and a green one, in seconds and without a key",
        _call, "cli.demo:run_demo", (
        ("folder",
            {"type": Path, "nargs": "?", "default": Path("ftgate-demo"),
             "help": "the new folder for the example (default: ftgate-demo)"}),
        ("--live", {"action": "store_true", "help": "run the embedded model itself"}),
    )),
    _Verb("init", "write a suite beside a prompt, with limits that its cases can show",
        _call, "cli.init:write_first_suite", (
        ("prompt",
            {"type": Path, "nargs": "?",
             "help": "the prompt, or a file of cases (default: the one in this folder)"}),
        ("--cases", {"type": Path, "metavar": "FILE", "help": "the cases (default: found)"}),
        _column("input", "the inputs"),
        _column("expected", "the expected answers"),
        ("--starter",
            {"action": "store_true", "help": "also write a prompt and 30 cases to begin with"}),
        ("--workflow", {"action": "store_true", "help": "write a GitHub workflow as well"}),
    )),
    _Verb("compare", "compare files of answers, of any tool; needs no suite",
        _call_with_reports, "cli.compare:compare_files", (
        ("base", {"metavar": "BASE", "help": "the answers that others are compared with"}),
        ("candidates",
            {"metavar": "CANDIDATE", "nargs": "+", "help": "the answers to judge"}),
        _column("id", "the ids that pair the rows (default: guessed; without ids, the inputs)"),
        _column("input", "the questions"),
        _column("reply", "the replies"),
        _column("expected", "the expected answers"),
        _column("score", "the file's own scores: 0 to 1, or true and false"),
        ("--scorer",
            {"metavar": "RULE",
             "help": "score the replies by a rule, as in a suite: exact, choice, numeric, "
             "contains, regex, … (default: the files' own scores, else exact, or numeric)"}),
        ("--max-drop",
            {"type": float, "metavar": "SHARE",
             "help": "the largest allowed drop, such as 0.03 (default: what the cases can show)"}),
        ("--by",
            {"metavar": "COLUMN", "action": "append", "default": [],
             "help": "also compare within each value of this column; may be given several times"}),
        ("--paired-only",
            {"action": "store_true",
             "help": "leave out cases that CANDIDATE lacks (default: they count as no reply)"}),
        ("--html", {"type": Path, "metavar": "FILE", "help": "write a page with every case"}),
        ("--markdown", {"type": Path, "metavar": "FILE", "help": "write text for a comment"}),
        ("--json", {"type": Path, "metavar": "FILE", "help": "write the run record"}),
        ("--metrics", {"type": Path, "metavar": "FILE", "help": "write the figures for DVC"}),
        ("--write",
            {"type": Path, "metavar": "SUITE",
             "help": "keep it as a gate: write a suite with the same verdict, *.ftgate.yaml"}),
        ("-v",
            {"dest": "verbosity", "action": "count", "default": 0, "help": "show more cases"}),
    ), 2, _COMPARE_EXAMPLES),
    _Verb("import", "write a suite from another tool's configuration or dataset",
        _call, "cli.imports:import_suite", (
        ("file", {"type": Path, "help": "the file or folder; see below"}),
        ("-o",
            {"dest": "out", "type": Path, "metavar": "SUITE",
             "help": "the suite to write (default: NAME.ftgate.yaml beside the file)"}),
        ("--variant",
            {"metavar": "KEYS",
             "help": "the model, as a variant of a suite: '{provider: …, model: …}'"}),
    ), 2, _IMPORT_EXAMPLES),
    _Verb("download", "download the weights of a local model", _call, "weights:download_weights", (
        ("name", {"help": "such as smollm2-135m"}),
    )),
    _Verb("doctor", "check the environment, the suites, their keys and their servers",
        _call, "cli.doctor:examine", (
        ("suite",
            {"type": Path, "nargs": "?", "help": "a suite or a folder (default: this folder)"}),
        _CACHE,
        ("--json", {"dest": "as_json", "action": "store_true", "help": "print JSON"}),
    )),
    _Verb("explain", "explain the verdict of one gate of the last run",
        _call, "cli.suite:explain_gate", (
        ("node", {"help": "as pytest prints it: prompts/x.ftgate.yaml::accuracy[variant]"}),
        _CACHE,
    )),
    _Verb("power", "show the drops that the gates of a suite can detect; sends no request",
        _call_with_suite, "cli.suite:power_report", (_SUITE, _CACHE)),
    _Verb("selftest", "measure how often gates fail by chance, on repeated replies",
        _call_with_suite, "cli.suite:run_selftest", (
        _SUITE,
        ("--repeats", {"type": int, "default": 3, "help": "replies to each case (default: 3)"}),
        _CACHE,
    )),
    _Verb("labels", "write cached replies for people to grade",
        _call_with_suite, "cli.suite:write_labels", (
        _SUITE,
        _out("labels"),
        ("--count",
            {"type": int, "default": 200, "help": "the least number of replies (default: 200)"}),
        ("--seed",
            {"type": int, "default": 0, "help": "the seed of the random draw (default: 0)"}),
        _CACHE,
    )),
    _Verb("data", "check a training file", _call, "cli.main:examine_data", (
        ("file", {"type": Path, "help": "the training file"}),
        ("--suite",
            {"type": Path, "help": "also check against the cases and the format of a suite"}),
        ("--against",
            {"type": Path, "help": "a file whose rows must not be in the training file"}),
        ("--context", {"type": int, "help": "the context length of the model, in tokens"}),
        ("-v",
            {"dest": "verbosity", "action": "count", "default": 0, "help": "show more lines"}),
    )),
    _Verb("history", "show who accepted which results, and when, from git",
        _call, "cli.main:history_lines", (
        ("path",
            {"type": Path, "nargs": "?", "default": Path(), "help": "a suite or a folder"}),
    )),
    _Verb("schema", "print the JSON Schema of suite files or run records",
        _call, "cli.main:schema_text", (
        ("of",
            {"nargs": "?", "choices": ("suite", "run"), "default": "suite",
             "help": "which of the two (default: suite)"}),
    )),
    _Verb("report", "make reports from a run record; sends no request",
        _call, "cli.main:report_record", (
        ("record", {"type": Path, "help": "the file that --ftgate-json wrote"}),
        ("--html", {"type": Path, "metavar": "PATH", "help": "a page with every case"}),
        ("--markdown", {"type": Path, "metavar": "PATH", "help": "text for a comment"}),
        ("--metrics", {"type": Path, "metavar": "PATH", "help": "figures, for dvc metrics"}),
        ("--model-card",
            {"type": Path, "metavar": "PATH",
             "help": "write the verdicts and the model-index into a model card (README.md); the "
             "rest of the file stays"}),
        ("--variant", {"metavar": "NAME", "help": "the variant of the model card"}),
        ("--track",
            {"metavar": "NAME", "default": "", "help": "log the figures to a tracker: mlflow"}),
    )),
)
_CACHE_ACTIONS = (
    _Verb("show", "count cached replies, by provider and model",
        _call_with_cache, "cli.cache:cache_lines", (_CACHE,)),
    _Verb("prune", "delete replies, the oldest first",
        _call_with_cache, "cli.cache:prune_cache", (
        ("--older-than", {"metavar": "90d", "help": "delete replies older than 12h, 90d, 2w"}),
        ("--max-mb",
            {"type": float, "metavar": "MB",
             "help": "delete until the file is at most this large"}),
        _CACHE,
    )),
    _Verb("check", "check that the file is not damaged",
        _call_with_cache, "cli.cache:check_cache", (_CACHE,)),
    _Verb("export", "write the replies that a suite needs to a file",
        _call_with_suite, "cli.cache:export_replies", (
        _SUITE,
        _out("replies"),
        ("--base",
            {"metavar": "VARIANT",
             "help": "export the replies of this variant's base to skill cases"}),
        _CACHE,
    )),
    _Verb("import", "add the replies of an exported file to the cache",
        _call_with_cache, "cli.cache:import_replies", (("file", {"type": Path}), _CACHE)),
)
# fmt: on


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pytest-ftgate", description=_DESCRIPTION)
    parser.add_argument(
        "--version", action="version", version=f"pytest-ftgate {version('pytest-ftgate')}"
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_verbs(verbs, _VERBS)
    cache = verbs.add_parser("cache", help="inspect, prune, export and import cached replies")
    _add_verbs(cache.add_subparsers(required=True, metavar="WHAT"), _CACHE_ACTIONS)
    return parser


def _add_verbs(parsers: Any, verbs: Iterable[_Verb]) -> None:
    for verb in verbs:
        parser = parsers.add_parser(
            verb.name,
            help=verb.help,
            description=f"{verb.help[0].upper()}{verb.help[1:]}.",
            epilog=verb.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(verb=(verb.call, verb.function, verb.error_code))
        for name, keywords in verb.options:
            parser.add_argument(name, **keywords)


def schema_text(of: str) -> str:
    """Return the JSON Schema of suite files, or of run records."""
    if of == "run":
        from pytest_ftgate.reporting.writers import run_schema as schema
    else:
        from pytest_ftgate.suite.schema import suite_schema as schema

    return schema().removesuffix("\n")


def report_record(
    record: Path,
    model_card: Path | None,
    variant: str | None,
    track: str,
    **paths: Path | None,
) -> Iterator[str]:
    """Write the reports that *paths* names, by format; without any, yield the closing section.

    Raises:
        ConfigurationError: *record* is not a run record, or a report cannot be written.
    """
    report, tracker = read_run(record), Tracker(track) if track else None
    wanted = {name: path for name, path in paths.items() if path is not None}
    if not (wanted or model_card or tracker):
        yield from (*detail_lines(report), "", *summary_lines(report))
    if variant and not model_card:
        raise ConfigurationError("--variant does nothing without --model-card; add it")
    if model_card:
        try:
            yield write_model_card(model_card, report, variant)
        except OSError as error:
            raise ConfigurationError(f"{model_card} cannot be written: {error.strerror}") from error
    if tracker:
        tracker.pytest_ftgate_report(report)
        yield f"logged the figures to {track}"
    for name, path in wanted.items():
        try:
            yield write_report(name, path, report)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


_LINE_WIDTH = 80


def history_lines(path: Path) -> Iterator[str]:
    """Yield the accepted runs of a suite, or of all suites below a folder, newest first.

    Raises:
        ConfigurationError: there is no git repository or no accepted record.
    """
    if not path.exists():
        raise ConfigurationError(f"there is no {path}; name a suite or a folder")
    folder = path if path.is_dir() else path.parent
    name = path.name.removesuffix(".ftgate.yaml") if path.is_file() else "*"
    records = tracked_files(folder, f"{name}.accepted.json")
    if not records:
        remedy = "run pytest --ftgate --ftgate-accept and commit the record that it writes"
        raise ConfigurationError(f"{path}: nothing was accepted yet; {remedy}")
    if is_shallow(folder):
        yield "only a part of the history is here: the clone is shallow (fetch-depth: 0)"
    for record in records:
        suite = record.as_posix().removesuffix(".accepted.json")
        yield suite if suite.endswith(".py") else f"{suite}.ftgate.yaml"
        for variant, day in anchor_dates(record).items():
            name = escape_controls(variant)
            yield f"  {day}  the anchor of {name}, which later runs are held to as well"
        for run in accepted_runs(record):
            yield from _run_lines(run)


def _run_lines(run: AcceptedRun) -> Iterator[str]:
    serves = f": serves {run.serves}" if run.serves else ""
    yield f"  {run.at}  {run.commit}  {escape_controls(run.by + serves)}"
    gated = [verdict for verdict in run.verdicts if verdict.gated]
    for name in dict.fromkeys(verdict.variant for verdict in gated):
        gates = ", ".join(_gate_summary(verdict) for verdict in gated if verdict.variant == name)
        line = f"{escape_controls(name)}: {gates}"
        yield from textwrap.wrap(
            line, _LINE_WIDTH, initial_indent="      ", subsequent_indent=" " * 8
        )


def _gate_summary(verdict: Verdict) -> str:
    value = f" {amount(verdict.check.after, verdict.check.unit)}" if verdict.check else ""
    return f"{verdict.gate}{value} {verdict.outcome}"


class DataReport(NamedTuple):
    """The findings in a training file as lines, and whether none of them is an error."""

    lines: tuple[str, ...]
    usable: bool

    @property
    def exit_code(self) -> int:
        """1 if a finding is an error."""
        return 0 if self.usable else 1


def examine_data(
    file: Path, suite: Path | None, against: Path | None, context: int | None, verbosity: int
) -> DataReport:
    """Return the findings in a training file.

    *suite* has the cases, labels and format to check the rows with. *against* has test rows for a
    model that is trained on *file*. *context* is the context size of the model, in tokens.
    *verbosity* is the number of lines for each finding; 0 shows the fewest.

    Raises:
        SuiteError: the suite or a row of *against* is invalid.
        ConfigurationError: a file does not exist.
    """
    rules = _suite_rules(suite) if suite else TrainingDataRules()
    if against:
        rules = replace(rules, cases=(*rules.cases, *_test_cases(against)))
    if context:
        rules = replace(rules, context=context)
    data = read_training_data(_existing(file))
    findings = check_training_data(data, rules)
    head = f"{file}: {severity_counts(findings)} in {quantity(len(data.rows), 'row')}"
    is_usable = not any(finding.severity is Severity.ERROR for finding in findings)
    return DataReport((head, *finding_lines(findings, verbosity)), is_usable)


def _suite_rules(path: Path) -> TrainingDataRules:
    from pytest_ftgate.plugin.config import with_suite

    return with_suite(path, None, lambda suite, _: _rules_of(suite))


def _rules_of(suite: Suite) -> TrainingDataRules:
    trained = [variant for variant in suite.variants.values() if variant.training_data]
    variant = next(iter(trained or suite.variants.values()))
    return training_data_rules(suite, data_gate(suite) or DataGate(), variant)


def _test_cases(path: Path) -> list[Case]:
    source = Source(root=Path.cwd(), path=_existing(path).resolve())
    rows = read_training_rows(source, source.path)
    if source.errors:
        raise SuiteError(str(path), source.errors)
    score = Rule("exact")
    return [
        Case(
            id=f"{path.name}:{row.line}",
            location=f"{path}:{row.line}",
            input=row.input_text,
            score=score,
        )
        for row in rows
    ]


def _existing(path: Path) -> Path:
    """Return *path* if it is a file.

    Raises:
        ConfigurationError: it is not; the message suggests a file with a similar name.
    """
    if not path.is_file():
        names = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ConfigurationError(f"there is no file {path}{did_you_mean(path.name, names)}")
    return path
