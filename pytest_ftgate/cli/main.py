"""``pytest-ftgate``: the parser and the table of verbs, whose modules are imported as they run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from pytest_ftgate.errors import (
    CacheError,
    ConfigurationError,
    EngineError,
    FtgateError,
    did_you_mean,
    unexpected,
)
from pytest_ftgate.reporting.text import escape_controls, lasting_output

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


def _call_with_suite(function: str, suite: Path | None, cache: Path | None, **options: Any) -> Any:
    """Call a verb with a suite and a session, while pytest's plugins are loaded."""
    from pytest_ftgate.plugin.suites import with_suite

    return with_suite(
        suite or _only_suite(),
        cache,
        lambda suite, session: [*_call(function, suite=suite, session=session, **options)],
    )


def _only_suite() -> Path:
    """Return the suite below this folder.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    from pytest_ftgate.cli.doctor import project_files

    suites = [*project_files(Path(), "*.ftgate.yaml")]
    if len(suites) == 1:
        return suites[0]
    if not suites:
        message = f"no *.ftgate.yaml below {Path.cwd()}; write one with: pytest-ftgate init"
        raise ConfigurationError(message)
    from pytest_ftgate.reporting.number_text import first_names

    raise ConfigurationError(f"name a suite: {first_names([*map(str, suites)])}")


_Option = tuple[str, dict[str, Any]]


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
    options: tuple[_Option, ...] = ()
    error_code: int = 1
    epilog: str = ""


def _option(name: str, text: str, metavar: str | None = None, **more: Any) -> _Option:
    return name, {"help": text, **({"metavar": metavar} if metavar else {}), **more}


def _path(name: str, text: str, metavar: str | None = None, **more: Any) -> _Option:
    return _option(name, text, metavar, type=Path, **more)


def _flag(name: str, text: str) -> _Option:
    return _option(name, text, action="store_true")


def _column(name: str, what: str) -> _Option:
    return _option(f"--{name}", f"the column of {what}", "COLUMN")


def _verbosity(what: str) -> _Option:
    return _option("-v", f"show more {what}", dest="verbosity", action="count", default=0)


_SUITE = _path("suite", "the suite file (default: the only one below this folder)", nargs="?")
_CACHE = _path("--cache", "the cache file (default: the one of pytest --ftgate)")
_BY_LINE = _flag("--by-line", "pair rows by their line, if nothing else does")
_COLUMNS = (
    _column(
        "id", "what pairs the rows (default: ids, else a column of unique values, else the inputs)"
    ),
    _column("input", "the questions"),
    _column("reply", "the replies"),
    _column("expected", "the expected answers"),
    _column("score", "the file's own scores: 0 to 1, or true and false"),
    _option(
        "--scorer",
        "score the replies by a rule, as in a suite: exact, choice, numeric, contains, regex, … "
        "(default: the files' own scores, else exact, or numeric)",
        "RULE",
    ),
)
_COMPARE_EXAMPLES = """\
Files may be .jsonl, .json, .csv, .tsv or .parquet tables, or what lm-evaluation-harness, Inspect,
promptfoo, OpenAI Evals, deepeval or pydantic-evals write. Columns are guessed; the output names
them. A column inside another is written with dots: metadata.topic.

examples:
  pytest-ftgate compare base.jsonl tuned.jsonl
  pytest-ftgate compare base.csv tuned.csv --reply answer --scorer contains
  pytest-ftgate compare old.eval new.eval --by metadata.topic --max-drop 0.03
  pytest-ftgate compare results.json::old-model results.json::new-model
  pytest-ftgate compare jobs/old jobs/new
  pytest-ftgate compare benchmark.json
  pytest-ftgate compare --self jobs/old
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
  pytest-ftgate import registry/evals/logic.yaml::logic-grid.dev.v0
  pytest-ftgate import export.csv -o prompts/support.ftgate.yaml

exit codes: 0 the suite loads, 1 it was written and has errors to mend, 2 nothing was written,
4 an internal error
"""
_LABEL_EXAMPLES = """\
Where the baseline and the variant reply alike, nobody needs to look. The others are shown in a
random order, without the names of the variants. Each label is a line of NAME.pairs.jsonl beside
the suite: commit that file.

examples:
  pytest-ftgate label shop.ftgate.yaml
  pytest-ftgate label shop.ftgate.yaml --page review.html
  pytest-ftgate label shop.ftgate.yaml --import labels.jsonl --by Ada
  pytest-ftgate label shop.ftgate.yaml --to-cases new-cases.jsonl
  pytest-ftgate label base.jsonl tuned.jsonl --labels tuned.pairs.jsonl
"""
# fmt: off
_VERBS = (
    _Verb("demo", "see a red build and what to do about it, in seconds and without a key",
        _call, "cli.demo:run_demo", (
        _path("folder", "the new folder for the example (default: ftgate-demo)",
            nargs="?", default=Path("ftgate-demo")),
        _flag("--live", "run the embedded model itself"),
    )),
    _Verb("init", "write a suite beside a prompt, with limits that its cases can show",
        _call, "cli.init:write_first_suite", (
        _path("files", "the prompt and the cases, or one of them (default: those in this folder); "
            "or recorded runs of agents, the baseline first",
            "FILE", nargs="*"),
        _path("--cases", "the cases, whatever their name is", "FILE"),
        _column("input", "the inputs"),
        _column("expected", "the expected answers"),
        _flag("--starter", "also write a prompt and 30 cases to begin with"),
        _flag("--workflow", "write a GitHub workflow as well"),
    )),
    _Verb("compare", "compare files of answers, of any tool; needs no suite",
        _call, "cli.compare:compare_files", (
        _option("base", "the answers that others are compared with", "BASE"),
        _option("candidates", "the answers to judge; not needed where BASE holds both arms of a "
            "benchmark", "CANDIDATE", nargs="*"),
        _option("--cases", "a file with the questions and the expected answers, if BASE and "
            "CANDIDATE have only replies", "FILE"),
        *_COLUMNS,
        _option("--max-drop", "the largest allowed drop, such as 0.03 (default: what the cases can "
            "show, at most 0.15)", "SHARE", type=float),
        _option("--claim", "these_tasks for a verdict about these cases alone, whose several "
            "replies are the sample, or tasks_like_these (default: the first, if there are fewer "
            "than 30 cases with 3 replies or more each)", "CLAIM"),
        _option("--self", "compare one agent with itself: how often is this gate red on halves of "
            "the runs of BASE, though nothing changed", dest="with_itself", action="store_true"),
        _path("--labels", "labels of the replies that differ to rows without an expected answer, "
              "as pytest-ftgate label writes them", "FILE"),
        _option("--by", "also compare within each value of this column; may be given several times",
            "COLUMN", action="append", default=[]),
        _flag("--paired-only",
            "leave out cases that CANDIDATE lacks (default: they count as no reply)"),
        _BY_LINE,
        _path("--html", "write a page with every case", "FILE"),
        _path("--markdown", "write text for a comment", "FILE"),
        _path("--json", "write the run record", "FILE"),
        _path("--metrics", "write the figures for DVC", "FILE"),
        _path("--write", "keep it as a gate: write a suite with the same verdict, *.ftgate.yaml",
            "SUITE"),
        _verbosity("cases"),
    ), 2, _COMPARE_EXAMPLES),
    _Verb("doctor", "check the environment, the suites, their keys and their servers",
        _call, "cli.doctor:examine", (
        _path("suite", "a suite or a folder (default: this folder)", nargs="?"),
        _CACHE,
        _option("--json", "print JSON", dest="as_json", action="store_true"),
    )),
    _Verb("explain", "explain the verdict of one gate of the last run",
        _call, "cli.suite:explain_gate", (
        _option("node", "as pytest prints it: prompts/x.ftgate.yaml::accuracy[variant]"),
        _CACHE,
        _verbosity("cases"),
    )),
    _Verb("import", "write a suite from another tool's configuration or dataset",
        _call, "cli.import_suite:import_suite", (
        _path("file", "the file or folder; see below"),
        _path("-o", "the suite to write (default: NAME.ftgate.yaml beside the file)", "SUITE",
            dest="out"),
        _option("--variant", "the model, as a variant of a suite: '{provider: …, model: …}'",
            "KEYS"),
    ), 2, _IMPORT_EXAMPLES),
    _Verb("download", "download the weights of a local model", _call, "weights:download_weights", (
        _option("name", "such as smollm2-135m"),
    )),
    _Verb("power", "show the drops that the gates of a suite can detect; sends no request",
        _call_with_suite, "cli.suite:power_report", (_SUITE, _CACHE)),
    _Verb("selftest", "measure how often gates fail by chance, on repeated replies",
        _call_with_suite, "cli.suite:run_selftest", (
        _SUITE,
        _option("--repeats", "replies to each case (default: 3)", type=int, default=3),
        _CACHE,
    )),
    _Verb("label", "label replies: those that differ between two variants, or those of a judge",
        _call, "cli.label:label_replies", (
        _path("files", "the suite file; or two files of answers, with --labels", "FILE", nargs="+"),
        _option("--variant", "the variant that is compared with the baseline (default: the only "
            "one)", "NAME"),
        _option("--by", "who labels (default: git's user.name, or the login name)", "NAME"),
        _flag("--second", "label what others have labelled, to see how far people agree"),
        _path("--labels", "the file of labels of two files of answers, *.pairs.jsonl", "FILE"),
        *_COLUMNS, _BY_LINE,
        _path("--page", "write a page to label in, without a server", "FILE.html"),
        _path("--csv", "write a table to label in, and its key", "FILE.csv", dest="table"),
        _path("--import", "take over the labels of a page, a table, Label Studio or Argilla",
            "FILE", dest="imported"),
        _path("--key", "the key of the table (default: the one beside it)", "FILE.key.json"),
        _option("--judge-name", "the labels of --import are those of this model", "MODEL"),
        _path("--to-cases", "write labelled inputs as cases, where the right answer is known",
            "FILE.jsonl"),
        _flag("--judge", "write cached replies for people to grade, which examine a judge"),
        _path("-o", "the file for --judge (default: NAME.labels.jsonl beside the suite)",
            dest="out"),
        _option("--count", "the most pairs of --page and --csv, the least number of replies for "
            "--judge (default: 200)", type=int, default=200),
        _option("--seed", "the seed of the random draw for --judge (default: 0)", type=int,
            default=0),
        _CACHE,
    ), 1, _LABEL_EXAMPLES),
    _Verb("data", "check a training file", _call, "cli.suite:examine_data", (
        _path("file", "the training file"),
        _path("--suite", "also check against the cases and the format of a suite"),
        _path("--against", "a file whose rows must not be in the training file"),
        _option("--context", "the context length of the model, in tokens", type=int),
        _verbosity("lines"),
    )),
    _Verb("history", "show who accepted which results, and when, from git",
        _call, "cli.record:history_lines", (
        _path("path", "a suite or a folder", nargs="?", default=Path()),
    )),
    _Verb("schema", "print the JSON Schema of suite files or run records",
        _call, "cli.record:schema_text", (
        _option("of", "which of the two (default: suite)",
            nargs="?", choices=("suite", "run"), default="suite"),
    )),
    _Verb("report", "make reports from a run record; sends no request",
        _call, "cli.record:report_record", (
        _path("record", "the file that --ftgate-json wrote"),
        _path("--html", "a page with every case", "PATH"),
        _path("--markdown", "text for a comment", "PATH"),
        _path("--metrics", "figures, for dvc metrics", "PATH"),
        _path("--model-card", "write the verdicts and the model-index into a model card "
            "(README.md); the rest of the file stays", "PATH"),
        _option("--variant", "the variant of the model card", "NAME"),
        _option("--track", "log the figures to a tracker: mlflow", "NAME", default=""),
    )),
)
_CACHE_ACTIONS = (
    _Verb("show", "count cached replies, by provider and model",
        _call_with_cache, "cli.cache:cache_lines", (_CACHE,)),
    _Verb("prune", "delete replies, the oldest first",
        _call_with_cache, "cli.cache:prune_cache", (
        _option("--older-than", "delete replies older than 12h, 90d, 2w", "90d"),
        _option("--max-mb", "delete until the file is at most this large", "MB", type=float),
        _CACHE,
    )),
    _Verb("check", "check that the file is not damaged",
        _call_with_cache, "cli.cache:check_cache", (_CACHE,)),
    _Verb("export", "write the replies that a suite needs to a file",
        _call_with_suite, "cli.cache:export_replies", (
        _SUITE,
        _path("-o", "the output file (default: NAME.replies.jsonl beside the suite)", dest="out"),
        _option("--base", "export the replies of this variant's base to skill cases", "VARIANT"),
        _CACHE,
    )),
    _Verb("import", "add the replies of an exported file to the cache",
        _call_with_cache, "cli.cache:import_replies", (("file", {"type": Path}), _CACHE)),
)
# fmt: on


#: The verbs of most days; the help lists them first.
_DAILY = ("demo", "init", "compare", "doctor", "explain")


class _VerbsFormatter(argparse.HelpFormatter):
    """Lists the verbs of most days, then the others under a heading of their own."""

    def _format_action(self, action: argparse.Action) -> str:
        text = super()._format_action(action)
        if not isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - has no other name
            return text
        last = f"    {_DAILY[-1]} "
        daily, middle, others = text.partition(last)
        line, end, others = others.partition("\n")
        return f"{daily}{middle}{line}{end}\nmore verbs:\n{others}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytest-ftgate", description=_DESCRIPTION, formatter_class=_VerbsFormatter
    )
    parser.add_argument(
        "--version", action="version", version=f"pytest-ftgate {version('pytest-ftgate')}"
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB", title="verbs of most days")
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
