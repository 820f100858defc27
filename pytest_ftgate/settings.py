"""Command-line options and configuration keys. No other module reads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import Any

import pytest

__all__ = ["FACES", "Settings", "add_options", "faults_key", "judges_nothing", "settings_key"]

_REPLIES = ("auto", "fresh", "recorded")
_INCONCLUSIVE = ("fail", "warn")
_ENGINES = ("local", "ray")
#: The faces of a report that are files.
FACES = ("html", "json", "markdown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asked for.

    Attributes:
        enabled: gates are collected and judged.
        files: the globs of suite files.
        replies: ``auto`` reuses the ledger and asks the rest, ``fresh`` asks all, ``recorded``
            asks nothing.
        variants: judge these alone; empty for all.
        inconclusive: ``fail`` blocks on a gate that cannot tell, ``warn`` only shows it.
        concurrency: calls in flight at once for each model, or None for the provider's own.
        ledger: the file of replies.
        batch: what can be asked in batches is.
        engine: ``local`` asks from this machine, ``ray`` from the nodes of a Ray cluster.
        max_usd: nothing more is asked once so much is spent; None for no limit.
        max_minutes: nothing more is asked after so many minutes; None for no limit.
        ladder: the ladder of each suite is told in full.
        show: how many cases a gate that did not pass shows; None for as many as -v and -vv say.
        reports: where reports are written, by their face: ``html``, ``json``, ``markdown``.
        summary: the file that GitHub shows on the page of a run; None elsewhere.
        run_url: that page, or "".
        annotates: where the root directory lies in the repository, as GitHub shows annotations of
            its files; None elsewhere.
    """

    enabled: bool
    files: tuple[str, ...]
    replies: str
    variants: tuple[str, ...]
    inconclusive: str
    plan: bool
    accept: bool
    concurrency: int | None
    ledger: Path
    root: Path
    batch: bool = False
    engine: str = "local"
    max_usd: float | None = None
    max_minutes: float | None = None
    ladder: bool = False
    show: int | None = None
    reports: Mapping[str, Path] = field(default_factory=dict)
    summary: Path | None = None
    run_url: str = ""
    annotates: str | None = None

    @property
    def tells_cases(self) -> bool:
        """Whether a report is wanted that shows each case."""
        return bool({"html", "json"} & self.reports.keys())

    @classmethod
    def of(cls, config: pytest.Config) -> Settings:
        """Read the settings of one pytest run; the command line wins over the configuration."""

        def chosen(name: str) -> str:
            return str(config.getoption(f"ftgate_{name}") or config.getini(f"ftgate_{name}"))

        _need_enabled(config)
        return cls(
            enabled=bool(config.getoption("ftgate_enabled")),
            files=tuple(config.getini("ftgate_files")),
            replies=_one_of("replies", chosen("replies"), _REPLIES),
            variants=tuple(config.getoption("ftgate_variant") or ()),
            inconclusive=_one_of("inconclusive", chosen("inconclusive"), _INCONCLUSIVE),
            plan=bool(config.getoption("ftgate_plan")),
            accept=bool(config.getoption("ftgate_accept")),
            concurrency=_count("concurrency", chosen("concurrency"), least=1),
            ledger=config.rootpath / chosen("ledger"),
            root=config.rootpath,
            batch=bool(config.getoption("ftgate_batch") or config.getini("ftgate_batch")),
            engine=_one_of("engine", chosen("engine"), _ENGINES),
            max_usd=_amount("max_usd", chosen("max_usd")),
            max_minutes=_amount("max_minutes", chosen("max_minutes")),
            ladder=bool(config.getoption("ftgate_ladder")),
            show=_count("show", chosen("show"), least=0),
            reports=_reports(config),
            **_of_github(os.environ, config.rootpath),
        )


settings_key = pytest.StashKey[Settings]()
#: Of a collector: the faults of marks below it, if any was met.
faults_key = pytest.StashKey[list[Any]]()


def judges_nothing(config: pytest.Config) -> bool:
    """Tell whether the run was asked to judge nothing."""
    # What --setup-plan is asked for is part of --setup-only.
    looks = config.getoption("collectonly") or config.getoption("setuponly")
    return bool(looks) or config.stash[settings_key].plan


def _reports(config: pytest.Config) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for face in FACES:
        # As pytest has it for --junitxml: an option is relative to where it was started.
        if given := config.getoption(f"ftgate_{face}"):
            found[face] = config.invocation_params.dir / str(given)
        elif told := config.getini(f"ftgate_{face}"):
            found[face] = config.rootpath / str(told)
    for face, path in found.items():
        if path.is_dir():
            raise pytest.UsageError(f"--ftgate-{face}: {path} is a folder; name a file")
    wanted = bool(config.getoption("ftgate_enabled"))
    if wanted and "html" in found and find_spec("matplotlib") is None:
        remedy = 'pip install "pytest-ftgate[html]"'
        raise pytest.UsageError(f"--ftgate-html draws with matplotlib, which is not here: {remedy}")
    return found


def _of_github(environ: Mapping[str, str], root: Path) -> dict[str, Any]:
    """Return what a run on GitHub tells of itself; nothing elsewhere."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return {}
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (environ.get(name, "") for name in names)
    summary, top = environ.get("GITHUB_STEP_SUMMARY"), Path(environ.get("GITHUB_WORKSPACE", "."))
    inside = root.is_relative_to(top)
    return {
        "annotates": root.relative_to(top).as_posix() if inside else "",
        "summary": Path(summary) if summary else None,
        "run_url": f"{server}/{repository}/actions/runs/{run}" if run else "",
    }


def _need_enabled(config: pytest.Config) -> None:
    for name in ("accept", "ladder", "plan", "variant", *FACES):
        if config.getoption(f"ftgate_{name}") and not config.getoption("ftgate_enabled"):
            raise pytest.UsageError(f"--ftgate-{name} does nothing without --ftgate; add it")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise pytest.UsageError(f"ftgate_{name} is {value}; write one of {', '.join(allowed)}")
    return value


def _count(name: str, value: str, *, least: int) -> int | None:
    if value in ("", "None"):
        return None
    if not value.isdecimal() or int(value) < least:
        wanted = f"write a whole number from {least} up"
        raise pytest.UsageError(f"ftgate_{name} is {value}; {wanted}")
    return int(value)


def _amount(name: str, value: str) -> float | None:
    if value in ("", "None"):
        return None
    try:
        amount = float(value)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < inf:
        raise pytest.UsageError(f"ftgate_{name} is {value}; write a number from 0 up, such as 2.5")
    return amount


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and every configuration key."""
    group = parser.getgroup("ftgate", "quality gates for prompts and fine-tuned models")
    add = group.addoption
    add(
        "--ftgate", dest="ftgate_enabled", action="store_true",
        help="Collect *.ftgate.yaml suites and judge their gates.",
    )  # fmt: skip
    add(
        "--ftgate-replies", dest="ftgate_replies", choices=_REPLIES,
        help="Where replies come from: the ledger and the rest asked (auto, the default), "
        "all asked (fresh), or the ledger alone (recorded).",
    )  # fmt: skip
    add(
        "--ftgate-plan", dest="ftgate_plan", action="store_true",
        help="Print what would be asked and what it could show; ask nothing.",
    )  # fmt: skip
    add(
        "--ftgate-accept", dest="ftgate_accept", action="store_true",
        help="Write what this run measured as the accepted record beside each suite.",
    )  # fmt: skip
    _add_places(add)
    _add_choices(add)
    _add_bounds(add)
    _add_scale(add)
    _add_reports(add)
    _add_keys(parser)


def _add_places(add: Callable[..., None]) -> None:
    add(
        "--ftgate-ledger", dest="ftgate_ledger", metavar="PATH",
        help="The file that keeps replies (default: .ftgate/ledger.sqlite).",
    )  # fmt: skip


def _add_choices(add: Callable[..., None]) -> None:
    add(
        "--ftgate-variant", dest="ftgate_variant", action="append", metavar="NAME",
        help="Judge the gates of this variant alone; may be given several times.",
    )  # fmt: skip
    add(
        "--ftgate-inconclusive", dest="ftgate_inconclusive", choices=_INCONCLUSIVE,
        help="What a gate does that cannot tell: block the run (fail, the default) or warn.",
    )  # fmt: skip
    add(
        "--ftgate-show", dest="ftgate_show", metavar="N",
        help="Cases that a gate shows which did not pass (default: 3; with -v 10, with -vv all).",
    )  # fmt: skip


def _add_scale(add: Callable[..., None]) -> None:
    add(
        "--ftgate-batch", dest="ftgate_batch", action="store_true",
        help="Ask variants of provider anthropic in batches: half the price, within a day.",
    )  # fmt: skip
    add(
        "--ftgate-engine", dest="ftgate_engine", choices=_ENGINES,
        help="What asks: this machine (local, the default), or a Ray cluster (ray).",
    )  # fmt: skip


def _add_reports(add: Callable[..., None]) -> None:
    told = {
        "html": "Write a page with pictures and every case, which opens without a network.",
        "json": "Write the run record, from which pytest-ftgate report makes the other reports.",
        "markdown": "Write the verdicts for a comment on a pull request.",
    }
    add(
        "--ftgate-ladder", dest="ftgate_ladder", action="store_true",
        help="Tell the ladder of each suite in full: its rungs, what fine-tuning would take, "
        "and what each costs by volume.",
    )  # fmt: skip
    for face in FACES:
        add(f"--ftgate-{face}", dest=f"ftgate_{face}", metavar="PATH", help=told[face])


def _add_bounds(add: Callable[..., None]) -> None:
    add(
        "--ftgate-concurrency", dest="ftgate_concurrency", metavar="N",
        help="Calls in flight at once for each model.",
    )  # fmt: skip
    add(
        "--ftgate-max-usd", dest="ftgate_max_usd", metavar="X",
        help="Ask nothing more once replies of this run cost so much; gates that lack replies "
        "are inconclusive.",
    )  # fmt: skip
    add(
        "--ftgate-max-minutes", dest="ftgate_max_minutes", metavar="M",
        help="Ask nothing more after so many minutes of asking.",
    )  # fmt: skip


def _add_keys(parser: pytest.Parser) -> None:
    ini = parser.addini
    ini("ftgate_files", "Globs of suite files.", type="args", default=["*.ftgate.yaml"])
    ini("ftgate_replies", "As --ftgate-replies.", default="auto")
    ini("ftgate_inconclusive", "As --ftgate-inconclusive.", default="fail")
    ini("ftgate_show", "As --ftgate-show.", default="")
    ini("ftgate_concurrency", "As --ftgate-concurrency.", default="")
    ini("ftgate_max_usd", "As --ftgate-max-usd.", default="")
    ini("ftgate_max_minutes", "As --ftgate-max-minutes.", default="")
    ini("ftgate_ledger", "As --ftgate-ledger.", default=".ftgate/ledger.sqlite")
    ini("ftgate_batch", "As --ftgate-batch.", type="bool", default=False)
    for face in FACES:
        ini(f"ftgate_{face}", f"As --ftgate-{face}, from the root directory on.", default="")
    ini("ftgate_engine", "As --ftgate-engine.", default="local")
