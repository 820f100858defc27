"""``pytest-ftgate``: the parser and the table of verbs, whose modules are imported as they run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_ftgate.errors import (
    CacheError,
    ConfigurationError,
    EngineError,
    FtgateError,
    did_you_mean,
    unexpected,
)
from pytest_ftgate.reporting.text import escape_controls, lasting_output
from pytest_ftgate.settings import REPORT_FORMATS

if TYPE_CHECKING:
    from pytest_ftgate.runner.session import Session
    from pytest_ftgate.suite.model import Suite

_DESCRIPTION = "Quality gates for prompts and fine-tuned models: commands that run no tests."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code: 0, or another with the reason in its output.

    The exit code is that of the work, whoever reads the output, and however much of it.
    """
    with lasting_output():
        options = vars(_parse(sys.argv[1:] if argv is None else argv))
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
    from pytest_ftgate.plugin.suites import settings_of_run
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
    from pytest_ftgate.plugin.suites import with_suite

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
    _Verb("demo", "see a red build and what to do about it, in seconds and without a key",
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
        _call, "cli.import_suite:import_suite", (
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
    _Verb("data", "check a training file", _call, "cli.data:examine_data", (
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
        _call, "cli.record:history_lines", (
        ("path",
            {"type": Path, "nargs": "?", "default": Path(), "help": "a suite or a folder"}),
    )),
    _Verb("schema", "print the JSON Schema of suite files or run records",
        _call, "cli.record:schema_text", (
        ("of",
            {"nargs": "?", "choices": ("suite", "run"), "default": "suite",
             "help": "which of the two (default: suite)"}),
    )),
    _Verb("report", "make reports from a run record; sends no request",
        _call, "cli.record:report_record", (
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


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options of *argv*; for an unknown verb exit with the one that is meant."""
    parser, known = _parser(), [*(verb.name for verb in _VERBS), "cache"]
    for word in argv[:2]:
        if word not in known and (near := did_you_mean(word, known)):
            parser.error(f'there is no "{word}"{near}')
        if word != "cache":
            break
        known = [action.name for action in _CACHE_ACTIONS]
    return parser.parse_args(argv)


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
