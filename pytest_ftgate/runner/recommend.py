"""The ladder of one suite: collects evidence, asks held-out cases, recommends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_ftgate.client.results import Answer
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.readers.source import Source
from pytest_ftgate.requests.workload import varies
from pytest_ftgate.results.git import NoAnswer, commits, is_shallow, said
from pytest_ftgate.runner.evaluate import is_clear, judge
from pytest_ftgate.runner.progress import ticking
from pytest_ftgate.runner.session import Session, whole
from pytest_ftgate.runner.workloads import Judged
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.suite.ladder import laddered
from pytest_ftgate.suite.model import ForgettingGate, RateGate, Suite, Variant
from pytest_ftgate.suite.training_data import training_rows

if TYPE_CHECKING:
    from pytest_ftgate.recommend.advice import Advice, Debt
    from pytest_ftgate.recommend.evidence import Evidence, GitFacts

__all__ = ["Judgement", "advised", "debt", "git_facts", "has_ladder"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A gate that this process has judged, and how far it was asked."""

    verdict: Verdict
    look: Look


def has_ladder(suite: Suite) -> bool:
    """Tell whether there is something to advise on: rungs to compare, or what is meant to serve."""
    rungs = {rung for rung, _ in laddered(suite.variants, suite.baseline)}
    return len(rungs) > 1 or bool(suite.serves or suite.challengers)


def advised(
    session: Session,
    suite: Suite,
    known: Mapping[tuple[str, str], Judgement],
    beside: Iterable[Verdict],
    config: pytest.Config,
) -> Advice | None:
    """Return what is advised about *suite*, all of whose gates were selected.

    Args:
        session: the run.
        suite: the suite.
        known: by variant and gate what was judged here; another worker's gates are judged anew,
            by the same replies.
        beside: what the variants without gates came to.
        config: for the live line while held-out cases are asked.
    """
    from pytest_ftgate.recommend.recommend import advise

    evidence = _evidence(session, suite, known, tuple(beside), config)
    advice = advise(evidence)
    if advice is None or not suite.holdout:
        return advice
    try:
        held_out = _held_out(session, suite, suite.variants[advice.variant], config)
    except FtgateError as error:
        told = f"the held-out cases could not be asked of {advice.variant}: {error}"
        return replace(advice, notes=(*advice.notes, told))
    return advise(replace(evidence, held_out=held_out))


def _evidence(
    session: Session,
    suite: Suite,
    known: Mapping[tuple[str, str], Judgement],
    beside: tuple[Verdict, ...],
    config: pytest.Config,
) -> Evidence:
    from pytest_ftgate.recommend.evidence import Evidence
    from pytest_ftgate.results.git import accepted_runs

    today = datetime.now(UTC).date()
    judged = dict(_judged_here_or_there(session, suite, known, config))
    verdicts = (*(one.verdict for one in judged.values()), *beside)
    lost = {v.variant: v.headline for v in beside if v.gate == "measured"}
    columns = _columns(session, suite, judged, lost, config)
    rows = {name: _rows(one) for name, one in suite.variants.items()}
    return Evidence(
        suite=suite,
        columns=columns,
        verdicts=verdicts,
        today=today,
        facts={v.variant: v.facts for v in verdicts if v.facts},
        bill=session.bill().variants,
        training_rows={name: own for name, own in rows.items() if own is not None},
        examples=max((own for own in rows.values() if own is not None), default=None),
        unmeasured=lost,
        git=git_facts(suite, today),
        history=accepted_runs(suite.accepted_path),
        debt=debt(suite),
    )


def _columns(
    session: Session,
    suite: Suite,
    judged: Mapping[tuple[str, str], Judgement],
    lost: dict[str, str],
    config: pytest.Config,
) -> dict[str, Column]:
    """Return the scores of each variant that is not *lost*, to which others are added here."""
    columns: dict[str, Column] = {}
    for name, variant in suite.variants.items():
        if name in lost:
            continue
        try:
            column = _column(session, suite, variant, judged, config)
        except FtgateError as error:
            lost[name] = str(error)
            continue
        if len(column.missing) < len(column.rows):
            columns[name] = column
        else:
            lost[name] = "no reply came"
    return columns


def _rows(variant: Variant) -> int | None:
    """Return how many labelled rows *variant* learned from or chooses examples of."""
    path = variant.training_data
    if path is None:
        return len(variant.pool) or None
    found = training_rows(Source(root=path.parent, path=path), path)
    return sum(row.teaches and row.answer is not None for row in found)


def _judged_here_or_there(
    session: Session,
    suite: Suite,
    known: Mapping[tuple[str, str], Judgement],
    config: pytest.Config,
) -> Iterable[tuple[tuple[str, str], Judgement]]:
    for variant in suite.variants.values():
        for gate in suite.gates_of(variant):
            key = (variant.name, gate.kind)
            if key in known:
                yield key, known[key]
                continue
            # A gate that could not be asked has no verdict there either.
            with suppress(FtgateError):
                yield key, _settled(session, Judged(suite, gate, variant), config)


def _settled(session: Session, judged: Judged, config: pytest.Config) -> Judgement:
    """Judge a gate as its own item would, look by look."""
    looks = session.asks.looks(judged)
    for look in looks:
        asks = session.asks.of(judged, look)
        if asks:
            with ticking(config) as tick:
                answers = session.answers(asks, tick, judged.suite.name)
            wrong = _disproven(session, judged, answers) if look.number == 1 else None
            if wrong is not None:
                return Judgement(wrong, look)
        found = Judgement(judge(session, judged, look), look)
        if is_clear(found.verdict):
            break
    return found


def _disproven(session: Session, judged: Judged, answers: Mapping[str, Answer]) -> Verdict | None:
    from pytest_ftgate.runner.identity import invalid, known, proofs

    for proof in proofs(session, judged, answers):
        if proof.outcome is Outcome.INVALID:
            return invalid(judged, proof.sentence, known(session, judged, answers))
    return None


def _column(
    session: Session,
    suite: Suite,
    variant: Variant,
    judged: Mapping[tuple[str, str], Judgement],
    config: pytest.Config,
) -> Column:
    """Return the scores of a variant, on as much as its gates have asked."""
    looks = [
        judged[variant.name, gate.kind].look
        for gate in suite.gates_of(variant)
        if isinstance(gate, RateGate) and (variant.name, gate.kind) in judged
    ]
    look = max(looks, key=_reach) if looks else whole(suite)
    with ticking(config) as tick:
        session.answers([session.asks.task(suite, variant, look)], tick, suite.name)
    return session.columns.task(suite, variant, look)


def _reach(look: Look) -> tuple[float, int]:
    return (float("inf") if look.cases is None else len(look.cases), look.repeats)


def _held_out(session: Session, suite: Suite, variant: Variant, config: pytest.Config) -> Column:
    """Ask the held-out cases of the chosen variant alone, and score them."""
    held = suite.held_out
    with ticking(config) as tick:
        session.answers([session.asks.task(held, variant, whole(held))], tick, suite.name)
    return session.columns.task(held, variant, whole(held))


#: A label that is right in all of fewer cases may still be wrong in one of four (0.05^(1/10)).
_FEW = 10
#: A gate that rules out only drops over so much shows nothing useful.
_BLUNT = 0.10
#: Documents that lie beside prompts and are none.
_NO_PROMPTS = ("readme", "changelog", "contributing", "license")


def debt(suite: Suite) -> Debt:
    """Return what the evaluation of *suite* lacks."""
    from pytest_ftgate.recommend.advice import Debt

    return Debt(unclaimed=tuple(_unclaimed(suite)), thin=_thin(suite), blunt=dict(_blunt(suite)))


def _unclaimed(suite: Suite) -> Iterator[str]:
    """Yield the files beside the suite's prompts that look like prompts and no suite mentions."""
    prompts = {one.prompt_path for one in suite.variants.values() if one.prompt_path}
    kinds = {(path.parent, path.suffix) for path in prompts}
    for folder, suffix in sorted(kinds):
        near = {suite.path, *folder.glob("*.ftgate.yaml")}
        told = "\n".join(path.read_text("utf-8", errors="replace") for path in sorted(near))
        for path in sorted(folder.glob(f"*{suffix}")):
            own = path.stem.lower() in _NO_PROMPTS or path.name in told
            if path not in prompts and not own and path.is_file():
                yield _shown(path, suite)


def _shown(path: Path, suite: Suite) -> str:
    root = Path(str(suite.path).removesuffix(suite.name))
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _thin(suite: Suite) -> dict[str, int]:
    labels = [label for rule in suite.reply.format if rule.kind == "choice" for label in rule.value]
    answers = [one for case in suite.cases for one in _listed(case.expected)]
    times = Counter(one for one in answers if isinstance(one, str))
    return {label: times[label] for label in labels if times[label] < _FEW}


def _listed(expected: object) -> list[object]:
    return list(expected) if isinstance(expected, list) else [expected]


def _blunt(suite: Suite) -> Iterator[tuple[str, float | None]]:
    """Yield the gates that could not clear an unchanged variant of a drop of ten points."""
    from pytest_ftgate.gates.power import certain

    for variant in suite.variants.values():
        repeats = (suite.repeats or 1) if varies(variant) else None
        for gate in suite.gates_of(variant):
            if not isinstance(gate, RateGate | ForgettingGate) or gate.max_drop is None:
                continue
            if variant.name == suite.baseline:
                continue
            least = certain(suite, gate, variant.name, repeats=repeats).least
            if least is None or least > _BLUNT:
                yield f"{gate.kind}[{variant.name}]", least


#: So many days are looked back.
_DAYS = 90


def git_facts(suite: Suite, today: date) -> GitFacts:
    """Return how often the prompt, the cases and the suite changed in the last 90 days."""
    from pytest_ftgate.recommend.evidence import GitFacts

    prompts = {one.prompt_path for one in suite.variants.values() if one.prompt_path}
    files = {"prompt": prompts, "cases": {*suite.case_files} - {suite.path}, "suite": {suite.path}}
    folder = suite.path.parent
    try:
        if is_shallow(folder):
            return GitFacts(unknown="the clone is shallow; fetch its history (fetch-depth: 0)")
        since = date.fromordinal(today.toordinal() - _DAYS)
        changed = {what: _changes(folder, since, own) for what, own in files.items() if own}
        if not commits(suite.path, 1):
            return GitFacts(unknown="the suite is not committed")
        days = min(_DAYS, (today - _first(folder, today)).days)
    except NoAnswer as error:
        return GitFacts(unknown=str(error))
    counts = {what: len(own) for what, own in changed.items()}
    return GitFacts(days=days, changes=counts, commits=len(set().union(*changed.values())))


def _changes(folder: Path, since: date, files: set[Path]) -> set[str]:
    """Return the commits since a day that changed *files*; a first version is no change."""
    paths = [str(path) for path in sorted(files)]
    log = ("log", f"--since={since.isoformat()}T00:00:00", "--format=%H")
    return set(said(folder, *log, "--diff-filter=MRD", "--", *paths).split())


def _first(folder: Path, today: date) -> date:
    """Return the day of the first commit of the history."""
    dates = said(folder, "log", "--max-parents=0", "--format=%as").split()
    return min(map(date.fromisoformat, dates), default=today)
