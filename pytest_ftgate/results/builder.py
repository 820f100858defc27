"""Builds the run record, with the facts of the run."""

from __future__ import annotations

import os
import platform
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from itertools import chain
from os.path import isfile
from pathlib import Path
from typing import Any

from pytest_ftgate.client.budget import CostReport, merge_cost_reports
from pytest_ftgate.client.redaction import redact_text
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.readers.text import replace_lone_surrogates
from pytest_ftgate.results.history import GitError, git_output
from pytest_ftgate.results.run import Report, RequestCounts, SuiteRun, overall_verdict
from pytest_ftgate.results.steps import with_steps
from pytest_ftgate.settings import Settings, without_credentials


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPart:
    """What one process knows of a run.

    Attributes:
        requests: its requests and replies; processes share replies, and each sends its own.
        cost: the cost of its replies.
        messages: sentences for the user, such as those of the cache.
        files: the files that decide what it evaluates, as globs of git.
        suites: its suites, with their cases; empty if no report needs them.
    """

    requests: RequestCounts = field(default_factory=RequestCounts)
    cost: CostReport = field(default_factory=CostReport)
    messages: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    suites: tuple[SuiteRun, ...] = ()


def build_report(
    settings: Settings,
    parts: Sequence[RunPart],
    verdicts: Iterable[Verdict],
    *,
    notes: Iterable[str] = (),
    facts: Mapping[str, str],
    **found: Any,
) -> Report:
    """Return the record of the run that ends now.

    *parts* are those of its processes. *notes* are sentences on the run as a whole. *found* are
    other fields of the report.
    """
    messages = chain.from_iterable(part.messages for part in parts)
    report = Report(
        verdict="blocked",
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        lenient=settings.inconclusive == "warn",
        verdicts=tuple(verdicts),
        requests=_merge_counts([part.requests for part in parts]),
        cost=merge_cost_reports([part.cost for part in parts]),
        max_usd=settings.max_usd,
        notes=tuple(dict.fromkeys(map(replace_lone_surrogates, (*messages, *notes)))),
        facts=facts,
        options=tuple(redact_text(option, os.environ) for option in settings.options),
        overrides=shown_overrides(settings),
        suites=_suite_runs(settings.root, chain.from_iterable(part.suites for part in parts)),
        **found,
    )
    return with_steps(replace(report, verdict=overall_verdict(report)))


def shown_overrides(settings: Settings) -> tuple[str, ...]:
    """Return the keys that were set outside the suites, as reports may show them."""
    return tuple(redact_text(one.shown, os.environ) for one in settings.overrides)


def _merge_counts(counts: Sequence[RequestCounts]) -> RequestCounts:
    sent = sum(one.sent for one in counts)
    return RequestCounts(
        # Processes read replies of each other, but not all of them where gates stop early.
        replies=max([sent, *(one.replies for one in counts)]),
        sent=sent,
        seconds=max((one.seconds for one in counts), default=0.0),
        skipped=sum(one.skipped for one in counts),
    )


def _suite_runs(root: Path, runs: Iterable[SuiteRun]) -> tuple[SuiteRun, ...]:
    """Return one record of each suite, with the history of its accepted record."""
    by_name: dict[str, list[SuiteRun]] = defaultdict(list)
    for run in runs:
        by_name[run.name].append(run)
    if not by_name:
        return ()
    # Both import libraries that a run without cases in its record does without.
    from pytest_ftgate.results.accepted import accepted_path
    from pytest_ftgate.results.collect import merge_suite_runs
    from pytest_ftgate.results.history import accepted_history

    return tuple(
        replace(run, history=accepted_history(accepted_path(root, run.name)))
        for run in map(merge_suite_runs, by_name.values())
    )


def duration(seconds: float) -> str:
    """Return a duration as ``4:11``, or with hours as ``1:04:11``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{second:02}" if hours else f"{minutes}:{second:02}"


#: The characters of a digest that are shown.
_DIGEST = 12


def run_facts(
    settings: Settings,
    parts: Iterable[RunPart],
    seconds: float,
    *,
    pytest_version: str = "",
    command: Sequence[str] = (),
    calls_git: bool = True,
) -> dict[str, str]:
    """Return versions, addresses, the command, who ran it, the commit, and a digest of each suite.

    *seconds* are those of the whole run. *pytest_version* is "" and *command* empty without pytest.
    git takes a moment, so it is called for a run that has reports.
    """
    facts = {
        "pytest-ftgate": version("pytest-ftgate"),
        "pytest": pytest_version,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "replies": settings.replies,
        "run": settings.run_url,
        "source": settings.source_url,
        "command": redact_text(without_credentials(shlex.join(command)), os.environ),
        "duration": duration(seconds),
        **(dict(_git_facts(settings)) if calls_git else {}),
        "suites": _suite_digests(settings.root, parts),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _suite_digests(root: Path, parts: Iterable[RunPart]) -> str:
    names = dict.fromkeys(run.name for part in parts for run in part.suites)
    return ", ".join(
        f"{name} (sha256 {sha256((root / name).read_bytes()).hexdigest()[:_DIGEST]})"
        for name in names
        # A comparison is named by all its files: longer than a path can be, which Path refuses.
        if isfile(root / name)  # noqa: PTH113
    )


def _git_facts(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield who ran it, on a build server the user there, and the commit."""
    root = settings.root
    with suppress(GitError):
        yield "run by", settings.run_by or git_output(root, "config", "user.name").strip()
    with suppress(GitError):
        commit = git_output(root, "log", "-n1", "--format=%h %s").strip()
        changed = git_output(root, "status", "--porcelain", "--untracked-files=no").strip()
        yield "commit", f"{commit}{' (with changes that are not committed)' * bool(changed)}"
