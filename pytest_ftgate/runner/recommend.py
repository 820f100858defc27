"""The recommendation for one suite: evidence of its ladder, and held-out confirmation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.design import Look
from pytest_ftgate.gates.kinds import pools_inputs
from pytest_ftgate.gates.notes import Note, note, text_note
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.readers.source import Source, display_path
from pytest_ftgate.recommend.advice import Advice, CoverageGaps, Evidence, GitFacts, ReasonKind
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.results.history import (
    GitError,
    accepted_runs,
    file_commits,
    git_output,
    require_history,
)
from pytest_ftgate.runner.evaluate_gate import GateResult, evaluate_gate
from pytest_ftgate.runner.planner import full_look, gate_runs_of, look_size
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.checkpoints import only_deciding
from pytest_ftgate.suite.gate_kinds import is_rate
from pytest_ftgate.suite.model import Suite, Variant
from pytest_ftgate.suite.training_data import read_training_rows


def suite_advice(
    session: Session,
    suite: Suite,
    known: Mapping[tuple[str, str], GateResult],
    ungated: Iterable[Verdict],
) -> Advice | None:
    """Return the advice on *suite*; all of its gates must be selected.

    *known* are the gate results of this process, by variant and gate; the gates of other workers
    are evaluated again, on the same replies. *ungated* are the measurements of variants without
    gates.
    """
    # The rung of a training is the checkpoint by which the build goes.
    return _Advisor(session, only_deciding(suite), dict(known)).advice(tuple(ungated))


@dataclass(frozen=True, slots=True)
class _Advisor:
    """Gathers the evidence on one suite; `suite_advice` has the arguments."""

    session: Session
    suite: Suite
    results: dict[tuple[str, str], GateResult]

    def advice(self, ungated: tuple[Verdict, ...]) -> Advice | None:
        from pytest_ftgate.recommend.recommend import advise

        evidence = self._evidence(ungated)
        advice = advise(evidence)
        if advice is None or not self.suite.holdout:
            return advice
        variant, held_out = self.suite.variants[advice.variant], self.suite.holdout_suite
        try:
            scores = self._scores(held_out, variant, full_look(held_out))
        except FtgateError as error:
            kind, reason = ReasonKind.HELD_OUT_NOT_SENT, str(error)
            unsent = note(kind, variant=advice.variant, reason=reason)
            return replace(advice, notes=(*advice.notes, unsent))
        return advise(replace(evidence, held_out=scores))

    def _evidence(self, ungated: tuple[Verdict, ...]) -> Evidence:
        suite, today = self.suite, datetime.now(UTC).date()
        verdicts = (*self._verdicts(), *ungated)
        unmeasured = {v.variant: text_note(headline(v)) for v in ungated if not v.measured}
        scores = self._all_scores(unmeasured)
        counts = {name: _labelled_row_count(variant) for name, variant in suite.variants.items()}
        training_rows = {name: count for name, count in counts.items() if count is not None}
        return Evidence(
            suite=suite,
            scores=scores,
            verdicts=verdicts,
            today=today,
            facts={v.variant: v.facts for v in verdicts if v.facts},
            usd_spent=self.session.cost_report().variants,
            training_rows=training_rows,
            examples=max(training_rows.values(), default=None),
            unmeasured=unmeasured,
            git=git_facts(suite, today),
            history=accepted_runs(suite.accepted_path),
            coverage_gaps=coverage_gaps(suite),
            judges=self.session.scores.judge_evidence,
        )

    def _verdicts(self) -> Iterator[Verdict]:
        """Yield the verdicts of the gates; those that another process evaluates are found again."""
        session = self.session
        for gate_run in gate_runs_of(self.suite):
            key = (gate_run.variant.name, gate_run.gate.kind)
            # A gate that fails with an error here has no verdict in the other worker either.
            with suppress(FtgateError):
                if key not in self.results:
                    self.results[key] = evaluate_gate(session, gate_run)
                yield self.results[key].verdict

    def _all_scores(self, unmeasured: dict[str, Note]) -> dict[str, VariantScores]:
        """Return the scores of each variant; add the reasons for missing ones to *unmeasured*."""
        by_variant: dict[str, VariantScores] = {}
        for name, variant in self.suite.variants.items():
            if name in unmeasured:
                continue
            try:
                scores = self._scores(self.suite, variant, self._largest_look(variant))
            except FtgateError as error:
                unmeasured[name] = text_note(str(error))
                continue
            if len(scores.unanswered) < len(scores.results):
                by_variant[name] = scores
            else:
                unmeasured[name] = note(ReasonKind.UNANSWERED)
        return by_variant

    def _largest_look(self, variant: Variant) -> Look:
        """Return the largest look of the gates of *variant* on the cases of the suite."""
        looks = [
            self.results[variant.name, gate.kind].look
            for gate in self.suite.gates_for(variant)
            if is_rate(gate) and (variant.name, gate.kind) in self.results
        ]
        return max(looks, key=look_size) if looks else full_look(self.suite)

    def _scores(self, suite: Suite, variant: Variant, look: Look) -> VariantScores:
        """Return the scores of *variant*, whose replies may still be missing."""
        requests = self.session.built.task(suite, variant, look)
        self.session.replies.checked_results([requests], self.suite.name)
        return self.session.scores.task_scores(suite, variant, look)


def _labelled_row_count(variant: Variant) -> int | None:
    """Return the number of labelled rows that *variant* is trained on or takes examples from."""
    path = variant.training_data
    if path is None:
        return len(variant.shot_pool) or None
    rows = read_training_rows(Source(root=path.parent, path=path), path)
    return sum(row.usable and row.answer is not None for row in rows)


#: With fewer cases, a label that is always right may still be wrong in a quarter (0.05^(1/10)).
_MIN_LABEL_CASES = 10
#: A gate that can only rule out larger drops than this share shows nothing useful.
_USEFUL_DROP = 0.10
#: Names of documents beside prompts that are not prompts.
_NOT_PROMPTS = ("readme", "changelog", "contributing", "license")


def coverage_gaps(suite: Suite) -> CoverageGaps:
    """Return the gaps in the evaluation of *suite*."""
    return CoverageGaps(
        unclaimed=tuple(_unmentioned_prompts(suite)),
        thin=_rare_labels(suite),
        blunt=dict(_insensitive_gates(suite)),
    )


def _unmentioned_prompts(suite: Suite) -> Iterator[str]:
    """Yield files beside the suite's prompts that look like prompts and are in no suite."""
    prompts = {variant.prompt_path for variant in suite.variants.values() if variant.prompt_path}
    kinds = {(path.parent, path.suffix) for path in prompts}
    root = Path(str(suite.path).removesuffix(suite.name))
    for folder, suffix in sorted(kinds):
        suites = {suite.path, *folder.glob("*.ftgate.yaml")}
        text = "\n".join(path.read_text("utf-8", errors="replace") for path in sorted(suites))
        for path in sorted(folder.glob(f"*{suffix}")):
            is_known = path.stem.lower() in _NOT_PROMPTS or path.name in text
            if path not in prompts and not is_known and path.is_file():
                yield display_path(root, path)


def _rare_labels(suite: Suite) -> dict[str, int]:
    """Return the labels with few cases, and their number of cases."""
    answers = [answer for case in suite.cases for answer in case.answers]
    counts = Counter(answer for answer in answers if isinstance(answer, str))
    return {label: counts[label] for label in suite.labels if counts[label] < _MIN_LABEL_CASES}


def _insensitive_gates(suite: Suite) -> Iterator[tuple[str, float | None]]:
    """Yield the gates that cannot rule out a drop of ten points for an unchanged variant."""
    from pytest_ftgate.gates.power import shown_limit

    # Checkpoints that decide nothing have the cases of the one that does.
    for variant in filter(lambda one: one.decides, suite.variants.values()):
        for gate in suite.gates_for(variant):
            if gate.max_drop is None or variant.name == suite.baseline:
                continue
            if pools_inputs(suite, gate, variant):
                continue  # Its power depends on the inputs that differ, and not on the cases.
            drop = shown_limit(suite, gate)
            if drop is None or drop > _USEFUL_DROP:
                yield f"{gate.kind}[{variant.name}]", drop


#: The number of days of git history to read.
_HISTORY_DAYS = 90


def git_facts(suite: Suite, today: date) -> GitFacts:
    """Return how often the prompt, the cases and the suite changed in the last 90 days."""
    prompts = {variant.prompt_path for variant in suite.variants.values() if variant.prompt_path}
    files = {"prompt": prompts, "cases": {*suite.case_files} - {suite.path}, "suite": {suite.path}}
    folder = suite.path.parent
    try:
        require_history(folder)
        since = date.fromordinal(today.toordinal() - _HISTORY_DAYS)
        commits = {
            kind: _changing_commits(folder, since, paths) for kind, paths in files.items() if paths
        }
        if not file_commits(suite.path, 1):
            return GitFacts(unknown_reason="the suite is not committed")
        days = min(_HISTORY_DAYS, (today - _first_commit_day(folder, today)).days)
    except GitError as error:
        return GitFacts(unknown_reason=str(error))
    counts = {kind: len(changing) for kind, changing in commits.items()}
    return GitFacts(days=days, changes=counts, commits=len(set().union(*commits.values())))


def _changing_commits(folder: Path, since: date, files: set[Path]) -> set[str]:
    """Return the commits since a day that changed *files*, without those that added a file."""
    paths = [str(path) for path in sorted(files)]
    log = ("log", f"--since={since.isoformat()}T00:00:00", "--format=%H")
    return set(git_output(folder, *log, "--diff-filter=MRD", "--", *paths).split())


def _first_commit_day(folder: Path, today: date) -> date:
    """Return the day of the first commit of the history."""
    dates = git_output(folder, "log", "--max-parents=0", "--format=%as").split()
    return min(map(date.fromisoformat, dates), default=today)
