"""The evidence for an advice: scores, verdicts, git history, and the day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.recommend.advice import Debt
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.suite.model import Suite

__all__ = ["AcceptedRun", "Evidence", "GitFacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRun:
    """One commit of an accepted record.

    Attributes:
        commit: its hash, shortened; *at* its day, ISO, *by* its author.
        serves: the variant that was meant to serve; "" in records that do not say.
        verdicts: of the run that was accepted.
    """

    commit: str
    at: str
    by: str
    serves: str
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GitFacts:
    """What git knows of a suite's files.

    Attributes:
        unknown: why it knows nothing, or "".
        days: how long the history reaches back, at most as far as was looked.
        changes: by what was changed (``prompt``, ``cases``, ``suite``) the commits in that time.
        commits: in how many different commits any of it was changed.
    """

    unknown: str = ""
    days: int = 0
    changes: Mapping[str, int] = field(default_factory=dict)
    commits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of one suite when its ladder is judged.

    Attributes:
        columns: the scores of each variant that was measured.
        verdicts: of its gates, and of variants measured beside them.
        facts: by variant what is known of its model, as in ``Verdict.facts``.
        bill: by variant what this run's replies cost, in USD.
        training_rows: by variant the labelled rows of its training file.
        examples: the labelled rows that there are, as far as the suite names any; None for none.
        unmeasured: variants that could not be measured, and why.
        today: the day of the run.
        history: what was accepted, newest first.
        held_out: the scores on held-out cases of the variant that was chosen, once it was asked.
    """

    suite: Suite
    columns: Mapping[str, Column]
    verdicts: tuple[Verdict, ...]
    today: date
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    bill: Mapping[str, float] = field(default_factory=dict)
    training_rows: Mapping[str, int] = field(default_factory=dict)
    examples: int | None = None
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    git: GitFacts = field(default_factory=GitFacts)
    history: tuple[AcceptedRun, ...] = ()
    debt: Debt = field(default_factory=Debt)
    held_out: Column | None = None
