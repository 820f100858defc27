"""Command-line options and configuration keys; only this module reads them."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from math import inf
from pathlib import Path
from stat import S_ISVTX
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from pytest_ftgate.errors import ConfigurationError

_REPLIES = ("auto", "fresh", "recorded")
_CACHE_FOLDER = ".ftgate"
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
#: Where the documentation is published: messages name its pages, and `docs/` holds their text.
DOCS_URL = "https://pytest-ftgate.readthedocs.io/"
#: The globs of suite files, unless the configuration has others.
_FILES = ("*.ftgate.yaml",)
#: The formats of the reports that are files.
REPORT_FORMATS = ("html", "json", "markdown", "metrics")
#: Those without an option: they are the same in every run of a project.
_KEY_REPORTS = ("metrics",)
_TYPED_REPORTS = tuple(name for name in REPORT_FORMATS if name not in _KEY_REPORTS)


@dataclass(frozen=True, slots=True)
class KeyRule:
    """A key and a host that may receive it: one line ``NAME@HOST`` of ``ftgate_keys``.

    Attributes:
        name: the environment variable of the key.
        host: the host, in lower case; "" if *variable* holds the address.
        port: the only port, or None for every one.
        variable: the environment variable that holds the address, or "".
    """

    name: str
    host: str = ""
    port: int | None = None
    variable: str = ""

    @classmethod
    def read(cls, line: str) -> KeyRule:
        """Return the rule in *line*: ``NAME@HOST``, ``NAME@HOST:PORT`` or ``NAME@$VARIABLE``.

        Raises:
            ConfigurationError: *line* is no rule.
        """
        name, _, place = line.strip().partition("@")
        is_named = _VARIABLE.fullmatch(name) is not None
        if is_named and place.startswith("$") and _VARIABLE.fullmatch(place[1:]):
            return cls(name, variable=place[1:])
        try:
            parts = urlsplit(f"//{place}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        if not is_named or not host or set(place) & set("/?#@$*"):
            remedy = "write the name of a variable and a host, such as TEAM_KEY@llm.example.com"
            raise ConfigurationError(f"ftgate_keys: {line.strip()} is no key and host; {remedy}")
        return cls(name, host, port)


_WRITE_KEY = "write variants.NAME.KEY=VALUE, such as variants.tuned.adapter=out/checkpoint-300"


@dataclass(frozen=True, slots=True)
class Override:
    """A key of a variant that is set outside the suite: ``variants.NAME.KEY=VALUE``.

    Attributes:
        key: the key, such as ``variants.tuned.adapter``.
        text: its value as YAML; never blank.
        start: the folder where relative paths begin: where the command was typed.
        option: what it was given to, for messages.
    """

    key: str
    text: str
    start: Path
    option: str = "--ftgate-set"

    @classmethod
    def read(cls, written: str, start: Path) -> Override:
        """Return the override that a command line in the folder *start* has *written*.

        Raises:
            ConfigurationError: it is none, or its key is not one of a variant.
        """
        key, equals, text = written.partition("=")
        if equals and not text.strip():
            # As of a variable that the shell does not have: it would be the base that is judged.
            problem = f"{key} has no value; write {key}=null to leave the key out"
            raise ConfigurationError(f"--ftgate-set {written}: {problem}")
        return _checked(cls(key.strip(), text, start), has_value=bool(equals))

    @classmethod
    def of(cls, key: str, value: Any, start: Path) -> Override:
        """Return the override of *key* by a *value* of Python: a path, a text, a number, a list.

        Raises:
            ConfigurationError: the key is not one of a variant, or YAML has no such value.
        """
        value = os.fspath(value) if isinstance(value, os.PathLike) else value
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"overrides: {key} is no value of YAML: {error}") from error
        return _checked(cls(key, text, start, "overrides"), has_value=True)

    def __str__(self) -> str:
        """Return how it was given."""
        return f"{self.option} {self.shown}"

    @property
    def shown(self) -> str:
        """The key with its value, without credentials within an address."""
        return f"{self.key}={without_credentials(self.text)}"


#: The keys of a suite that say what is judged, and by what.
_JUDGING = (
    *("gates", "cases", "columns", "baseline", "reply", "repeats", "serves", "challengers"),
    *("economics", "ladder"),
)


def _checked(override: Override, *, has_value: bool) -> Override:
    top, _, rest = override.key.partition(".")
    if top in _JUDGING:
        problem = f"{top} decides what is judged, and only the suite may; edit it there"
    elif top != "variants" or not has_value or not all(rest.rpartition(".")[::2]):
        problem = _WRITE_KEY
    else:
        return override
    raise ConfigurationError(f"{override}: {problem}")


#: User and password within an address.
_CREDENTIALS = re.compile(r"(?<=:)//[^/@\s]*@")


def without_credentials(text: str) -> str:
    """Return *text* without the users and passwords of addresses in it."""
    return _CREDENTIALS.sub("//", text)


def docs_page(name: str, section: str = "") -> str:
    """Return the address of the page ``docs/NAME.md``, or of a section of it."""
    return f"{DOCS_URL}{name}/" + (f"#{section}" if section else "")


class PytestConfig(Protocol):
    """The part of pytest's ``Config`` that settings are read from."""

    @property
    def rootpath(self) -> Path:
        """The root directory."""

    @property
    def inipath(self) -> Path | None:
        """The configuration file, or None."""

    @property
    def invocation_params(self) -> Any:
        """The arguments of pytest, with the folder where it was started as ``dir``."""

    def getoption(self, name: str) -> Any:
        """Return the value of a command-line option."""

    def getini(self, name: str) -> Any:
        """Return the value of a configuration key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one pytest run.

    Attributes:
        enabled: True to collect and evaluate gates.
        files: the globs of suite files.
        replies: ``auto`` uses the cache and sends the other requests, ``fresh`` sends all
            requests, ``recorded`` sends none.
        variants: the variants to evaluate; empty for all.
        cases: the ids of the cases to run as ordinary tests instead of gates; empty for gates.
        report_only: True if no verdict fails the run.
        inconclusive: ``fail`` lets an inconclusive gate block the run, ``warn`` only shows it.
        accept: True to write accepted records from this run.
        accept_anchor: True to make this run the anchor of the accepted records.
        accept_failed: True to write accepted records though a gate of the run failed.
        concurrency: requests in flight for each model, or None for the provider's default.
        cache: the file of the reply cache.
        batch: True to send requests in batches where the provider supports it.
        engine: ``local`` sends from this machine, ``ray`` from the nodes of a Ray cluster.
        max_usd: the spending at which the run stops sending, in USD; None for no limit.
        max_minutes: the time after which the run stops sending, in minutes; None for no limit.
        ladder: True to show the ladder of each suite in full.
        start: the folder where the run was started; the user types paths from there.
        show: the number of cases shown for a gate that did not pass; None to follow -v and -vv.
        reports: the paths of report files by format, see *REPORT_FORMATS*.
        track: the tracker that gets the figures: ``mlflow``, or "".
        summary: the file that GitHub shows on the page of a run; None elsewhere.
        run_url: the address of that page, or "".
        run_by: who started the run, as the build server names them, or "".
        source_url: the address of the root directory at this commit, or "".
        keys: the pairs of a key and a host that the repository allows.
        safe: True if the authors of suites are strangers: no code, no keys to new hosts.
        overrides: the keys of variants that are set outside the suites; the last one of a key.
        options: the options given on the command line that decide how replies come and what a run
            may spend, as they are typed; a command that goes on with this run repeats them.
        annotation_prefix: the root directory relative to the repository, for GitHub annotations;
            None elsewhere.
    """

    enabled: bool = True
    files: tuple[str, ...] = _FILES
    replies: str
    variants: tuple[str, ...]
    inconclusive: str = "fail"
    plan: bool = False
    accept: bool = False
    concurrency: int | None = None
    cache: Path
    root: Path
    start: Path
    cases: tuple[str, ...] = ()
    report_only: bool = False
    accept_anchor: bool = False
    accept_failed: bool = False
    batch: bool = False
    engine: str = "local"
    max_usd: float | None = None
    max_minutes: float | None = None
    ladder: bool = False
    show: int | None = None
    reports: Mapping[str, Path] = field(default_factory=dict)
    track: str = ""
    summary: Path | None = None
    run_url: str = ""
    run_by: str = ""
    source_url: str = ""
    annotation_prefix: str | None = None
    keys: tuple[KeyRule, ...] = ()
    safe: bool = False
    overrides: tuple[Override, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def reports_cases(self) -> bool:
        """Whether a requested report shows individual cases."""
        return bool({"html", "json"} & self.reports.keys())

    def typed(self, name: str) -> str:
        """Return a path or node id, relative to the root directory, as one types it at *start*."""
        path, separator, rest = name.partition("::")
        return f"{short_path(self.root / path, self.start).as_posix()}{separator}{rest}"

    @classmethod
    def from_config(cls, config: PytestConfig) -> Settings:
        """Return the settings of one pytest run; options override configuration keys.

        Raises:
            ConfigurationError: a value is not allowed, or an option lacks ``--ftgate``.
        """
        _need_enabled(config)
        named = {option.name: option.value(config) for option in _OPTIONS}
        values = {name: value for name, value in named.items() if name in cls.__slots__}
        if values["safe"] and not config.getoption("ftgate_replies"):
            values["replies"] = "recorded"  # only the command line sends requests in safe mode
        values["accept"] |= values["accept_anchor"]
        values["cache"] = _cache_path(config, values["cache"])
        return cls(
            **values,
            enabled=bool(config.getoption("ftgate_enabled")),
            files=tuple(config.getini("ftgate_files")),
            variants=tuple(config.getoption("ftgate_variant") or ()),
            cases=tuple(config.getoption("ftgate_case") or ()),
            root=config.rootpath,
            start=config.invocation_params.dir,
            reports=_reports(config),
            keys=tuple(map(KeyRule.read, config.getini("ftgate_keys"))),
            overrides=_overrides(config),
            options=tuple(_repeated_options(config)),
            **_build_settings(os.environ, config.rootpath),
        )

    @classmethod
    def of_evaluation(
        cls,
        root: Path,
        *,
        replies: str = "auto",
        variants: Sequence[str] = (),
        overrides: Mapping[str, Any] | None = None,
    ) -> Settings:
        """Return the settings of an evaluation without pytest, which reads no configuration.

        Raises:
            ConfigurationError: *replies*, or one of the *overrides*, is not allowed.
        """
        start = Path.cwd()
        return cls(
            replies=_one_of("replies", replies, _REPLIES),
            variants=tuple(variants),
            overrides=tuple(Override.of(*one, start) for one in (overrides or {}).items()),
            cache=_cache_folder(start, root) / "cache.sqlite",
            root=root,
            start=start,
            **_build_settings(os.environ, root),
        )


def _overrides(config: PytestConfig) -> tuple[Override, ...]:
    """Return the last one of each key: what is typed follows the addopts of a configuration."""
    start = config.invocation_params.dir
    found = [Override.read(one, start) for one in config.getoption("ftgate_set") or ()]
    return tuple({one.key: one for one in found}.values())


#: The options that a command which goes on with a run must repeat.
_REPEATED = (*("variant", "set", "replies", "cache", "max_usd", "max_minutes", "batch", "safe"),)


def _repeated_options(config: PytestConfig) -> Iterator[str]:
    for name in _REPEATED:
        option, value = f"--ftgate-{name.replace('_', '-')}", config.getoption(f"ftgate_{name}")
        if value is True:
            yield option
        elif value:
            values = value if isinstance(value, list | tuple) else [value]
            texts = (without_credentials(str(one)) for one in values)
            yield from (f"{option}={shlex.quote(text)}" for text in texts)


def _cache_path(config: PytestConfig, written: str) -> Path:
    """Return the cache file: the one that a setting names, else the nearest one."""
    if written:
        return config.rootpath / written
    start, root = config.invocation_params.dir, config.rootpath
    return _cache_folder(start, root, is_project=config.inipath is not None) / "cache.sqlite"


def _cache_folder(start: Path, root: Path, *, is_project: bool = True) -> Path:
    """Return the nearest ``.ftgate`` from *start* up to the top of the repository.

    Without a repository around *root*, the search ends at *root* if that *is_project*, else below
    a folder that several users share. Without any such folder, it is the one to make in *root*.
    """
    folders = (start, *start.parents)
    own = () if is_project else takewhile(_has_one_owner, folders)
    top = next((folder for folder in folders if (folder / ".git").exists()), [root, *own][-1])
    top = top if root.is_relative_to(top) else root
    found = (
        folder / _CACHE_FOLDER
        for folder in folders
        if folder.is_relative_to(top) and (folder / _CACHE_FOLDER).is_dir()
    )
    return next(found, root / _CACHE_FOLDER)


def _has_one_owner(folder: Path) -> bool:
    """Return False for a folder in which all users may make files, such as ``/tmp``."""
    return not folder.stat().st_mode & S_ISVTX


def short_path(path: Path, start: Path) -> Path:
    """Return *path* relative to the folder *start* if that is shorter, else *path*."""
    try:
        relative = os.path.relpath(path, start)
    except ValueError:  # another drive of Windows
        return path
    return Path(relative) if len(relative) < len(str(path)) else path


def _reports(config: PytestConfig) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for name in REPORT_FORMATS:
        # Like pytest's --junitxml: an option is relative to the folder where pytest was started.
        if name in _TYPED_REPORTS and (option := config.getoption(f"ftgate_{name}")):
            paths[name] = config.invocation_params.dir / str(option)
        elif ini := config.getini(f"ftgate_{name}"):
            paths[name] = config.rootpath / str(ini)
    for name, path in paths.items():
        if path.is_dir():
            where = f"--ftgate-{name}" if name in _TYPED_REPORTS else f"ftgate_{name}"
            raise ConfigurationError(f"{where}: {path} is a folder; name a file")
    return paths


#: Where GitHub Actions, GitLab and Jenkins name the user who started a run.
_USERS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID")


def _build_settings(environ: Mapping[str, str], root: Path) -> dict[str, Any]:
    """Return what the build server tells: who started the run ("" elsewhere), and GitHub's own."""
    run_by = {"run_by": next(filter(None, map(environ.get, _USERS)), "")}
    if environ.get("GITHUB_ACTIONS") != "true":
        return run_by
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (environ.get(name, "") for name in names)
    summary = environ.get("GITHUB_STEP_SUMMARY")
    workspace = Path(environ.get("GITHUB_WORKSPACE", "."))
    inside = root.is_relative_to(workspace)
    prefix = root.relative_to(workspace).as_posix() if inside else ""
    commit = environ.get("GITHUB_SHA", "") if inside else ""
    source = f"{server}/{repository}/blob/{commit}/{prefix}".removesuffix("/.")
    return {
        **run_by,
        "annotation_prefix": prefix,
        "source_url": source if commit else "",
        "summary": Path(summary) if summary else None,
        "run_url": f"{server}/{repository}/actions/runs/{run}" if run else "",
    }


def _need_enabled(config: PytestConfig) -> None:
    evaluating = ("accept", "accept-anchor", "accept-failed", "ladder", "plan", *_TYPED_REPORTS)
    given = [
        name
        for name in (*evaluating, "variant", "set", "case")
        if config.getoption(f"ftgate_{name.replace('-', '_')}")
    ]
    if given and not config.getoption("ftgate_enabled"):
        raise ConfigurationError(f"--ftgate-{given[0]} does nothing without --ftgate; add it")
    if "set" in given and {"accept", "accept-anchor"} & {*given}:
        raise ConfigurationError(
            "--ftgate-set: what is accepted is what the suite itself says; write the key there, or "
            "leave out --ftgate-accept"
        )
    if "accept-failed" in given and not {"accept", "accept-anchor"} & {*given}:
        raise ConfigurationError(
            "--ftgate-accept-failed does nothing by itself; add --ftgate-accept, or "
            "--ftgate-accept-anchor"
        )
    if "case" in given and given[0] in evaluating:
        raise ConfigurationError(
            f"--ftgate-{given[0]} does nothing with --ftgate-case, which evaluates no gate; leave "
            "one of them out"
        )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ConfigurationError(f"ftgate_{name} is {value}; write one of {', '.join(allowed)}")
    return value


def _count(name: str, value: str, *, least: int) -> int | None:
    if not value:
        return None
    if not value.isdecimal() or int(value) < least:
        remedy = f"write a whole number from {least} up"
        raise ConfigurationError(f"ftgate_{name} is {value}; {remedy}")
    return int(value)


def _amount(name: str, value: str) -> float | None:
    if not value:
        return None
    try:
        amount = float(value)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < inf:
        raise ConfigurationError(f"ftgate_{name} is {value}; write a number from 0 up, such as 2.5")
    return amount


class _Option(NamedTuple):
    """An option of pytest, and its configuration key.

    Attributes:
        name: of the option after ``--ftgate-``, and of the key after ``ftgate_``.
        help: of the option.
        kind: the other arguments of ``addoption``; None if there is only the key.
        default: of the key; None if there is no such key.
        read: returns the value of a text, given the name and the text; None for the text itself.
    """

    name: str
    help: str
    kind: Mapping[str, Any] | None
    default: str | bool | None = None
    read: Callable[[str, str], Any] | None = None
    allowed: tuple[str, ...] = ()

    def value(self, config: PytestConfig) -> Any:
        """Return what the option sets, or else its key.

        Raises:
            ConfigurationError: the value is not allowed.
        """
        key = f"ftgate_{self.name}"
        value = None if self.kind is None else config.getoption(key)
        if self.default is not None:
            value = value or config.getini(key)
        if self.kind is _FLAG:
            return bool(value)
        if allowed := self.allowed or (self.kind or {}).get("choices"):
            return _one_of(self.name, str(value), allowed)
        return self.read(self.name, str(value)) if self.read else value


_FLAG = {"action": "store_true"}
_PATH = {"metavar": "PATH"}
_OPTIONS = (
    _Option("replies", "Where replies come from: the cache, then requests (auto, the default), "
            "requests only (fresh), or the cache only (recorded).",
            {"choices": _REPLIES}, "auto"),
    _Option("plan", "Print the requests, their cost, what the gates can show, and which of them "
            "would not be evaluated (exit code 1); send nothing.", _FLAG),
    _Option("accept", "Accept this run: write its results beside each suite; later runs are "
            "compared with them.",
            _FLAG),
    _Option("accept_anchor", "Accept this run, and make it the anchor: all later runs are compared "
            "with it as well, also after others are accepted.", _FLAG),
    _Option("accept_failed", "With --ftgate-accept or --ftgate-accept-anchor: accept this run "
            "though a gate failed, is invalid or was not evaluated.", _FLAG),
    _Option("cache", "The file that stores replies (default: cache.sqlite in the nearest folder "
            ".ftgate).", _PATH, ""),
    _Option("variant", "Evaluate the gates of this variant alone; may be given several times.",
            {"action": "append", "metavar": "NAME"}),
    _Option("set", "Set a key of a variant for this run, such as variants.tuned.adapter=PATH; may "
            "be given several times. Paths start where pytest is started.",
            {"action": "append", "metavar": "KEY=VALUE"}),
    _Option("case", "Run this case alone, by its id, as ordinary tests (--pdb works), and "
            "evaluate no gate; may be given several times.",
            {"action": "append", "metavar": "ID"}),
    _Option("inconclusive", "What an inconclusive gate does: block the run (fail, the default) or "
            "warn.", {"choices": ("fail", "warn")}, "fail"),
    _Option("report_only", "Report all verdicts; no verdict fails a test.", _FLAG,
            default=False),
    _Option("show", "Cases to show for a gate that did not pass (default: 1; with -v 10, with -vv "
            "all).", None, "", partial(_count, least=0)),
    _Option("concurrency", "Requests in flight at once for each model.", {"metavar": "N"}, "",
            partial(_count, least=1)),
    _Option("max_usd", "Stop sending requests once the replies of this run cost X USD; gates that "
            "lack replies are inconclusive.", {"metavar": "X"}, "", _amount),
    _Option("max_minutes", "Stop sending requests after M minutes.", {"metavar": "M"}, "",
            _amount),
    _Option("batch", "Send requests to Anthropic and OpenAI in batches, which cost half and take "
            "up to a day.", _FLAG, default=False),
    _Option("engine", "What sends requests: this machine (local, the default), or a Ray cluster "
            "(ray).", None, "local", allowed=("local", "ray")),
    _Option("safe", "For suites by strangers: run no Python that a suite names, load no weights "
            "from elsewhere, send no key to a new host, and send no request unless "
            "--ftgate-replies is given.",
            _FLAG, default=False),
    _Option("ladder", "Show the ladder of each suite in full: its rungs, the effort of "
            "fine-tuning, and the cost of each rung by volume.", _FLAG),
    _Option("html", "Write a page with charts and every case; it works offline.",
            _PATH, ""),
    _Option("json", "Write the run record, from which pytest-ftgate report makes the other "
            "reports.", _PATH, ""),
    _Option("markdown", "Write the verdicts for a comment on a pull request.", _PATH, ""),
    _Option("metrics", "Write the figures of the gates as nested JSON, as dvc metrics reads it.",
            None, ""),
    _Option("track", "Log the figures of the gates to a tracker of experiments: mlflow.",
            None, ""),
)  # fmt: skip

#: The options of most days; the help lists them first.
_DAILY = ("plan", "replies", "accept", "variant", "max_usd", "ladder", "html")


def add_options(parser: Any) -> None:
    """Add all options and configuration keys to *parser*, the ``Parser`` of pytest."""
    daily = parser.getgroup("ftgate", "quality gates for prompts and fine-tuned models")
    rare = parser.getgroup("ftgate-rare", "quality gates: options of some projects and days")
    text = "Collect *.ftgate.yaml suites and evaluate their gates."
    daily.addoption("--ftgate", dest="ftgate_enabled", help=text, **_FLAG)
    parser.addini(
        "ftgate_files",
        "Globs of suite files (default: *.ftgate.yaml).",
        type="args",
        default=[*_FILES],
    )
    text = "Where keys may go besides their providers: NAME@HOST, or NAME@$VARIABLE, one a line."
    parser.addini("ftgate_keys", text, type="linelist", default=[])
    for name, text, kind, default, *_ in _OPTIONS:
        if kind is not None:
            group = daily if name in _DAILY else rare
            flag = f"--ftgate-{name.replace('_', '-')}"
            group.addoption(flag, dest=f"ftgate_{name}", help=text, **kind)
        if default is not None:
            where = " The path starts at the root directory." if name in REPORT_FORMATS else ""
            type_ = "bool" if default is False else None
            parser.addini(f"ftgate_{name}", f"{text}{where}", type=type_, default=default)
