"""The scores of a run, computed once for each variant and look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_ftgate.client.results import Result
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.gates.must_pass import MUST_PASS_REPEATS, must_pass_ids, wrong_must_pass_ids
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.requests.workload import replies_vary
from pytest_ftgate.runner.judges import JudgeRunner
from pytest_ftgate.runner.workloads import Workloads
from pytest_ftgate.scoring.scores import VariantScores, score_replies, unscored_results
from pytest_ftgate.suite.model import Gate, Suite, Variant

if TYPE_CHECKING:
    from pytest_ftgate.gates.judges import JudgeEvidence

_Workload = Literal["task", "skills", "held out"]


class ScoreCache:
    """Scores variants and caches the scores: gates of a suite share most of them.

    *wait* waits for requests and returns their results, by fingerprint.
    """

    def __init__(
        self,
        workloads: Workloads,
        wait: Callable[[Sequence[CaseRequest]], Mapping[str, Result]],
        judges: JudgeRunner,
    ) -> None:
        self._workloads, self._wait, self._judges = workloads, wait, judges
        self._scores: dict[tuple[str, str, tuple[object, bool]], VariantScores] = {}
        self._unscored: dict[tuple[object, ...], VariantScores] = {}
        self._suites: dict[str, Suite] = {}
        #: By the scores of a variant, the evidence about the judges that graded them.
        self.judge_evidence: dict[VariantScores, JudgeEvidence] = {}
        #: The scored variants with their requests, for the cost report.
        self.scored_requests: list[tuple[str, Sequence[CaseRequest]]] = []

    def by_suite(self) -> Iterator[tuple[Suite, list[tuple[_Workload, VariantScores]]]]:
        """Yield each suite with the scores that belong in a run record.

        Skills under the variant's prompt, repeated skills, and what only one test may use are left
        out. Scores without judges come before scores with judges. The scores of held-out cases
        come with their suite.
        """
        held_out = {suite.holdout_suite.name for suite in self._suites.values() if suite.holdout}
        for name, suite in self._suites.items():
            if name not in held_out:
                own = self._scores_of_suite(name, "task")
                yield suite, [*own, *self._scores_of_suite(suite.holdout_suite.name, "held out")]

    def _scores_of_suite(
        self, suite: str, task: _Workload
    ) -> Iterator[tuple[_Workload, VariantScores]]:
        found = [(key[2], scores) for key, scores in self._scores.items() if key[0] == suite]
        found.sort(key=lambda item: item[0][1])
        for (name, _), scores in found:
            if name == "skills" or isinstance(name, tuple):
                yield "skills" if name == "skills" else task, scores

    def task_scores(
        self, suite: Suite, variant: Variant, look: Look, *, graded: bool = True
    ) -> VariantScores:
        """Return the scores of *variant* on the suite's cases that *look* takes in.

        If *graded*, the judges of the suite take part; their requests cost money.
        """
        case_requests = self._workloads.task_requests(suite, variant, look)
        name = (look.cases, look.repeats)
        return self.score_requests(suite, variant, name, case_requests, graded=graded)

    def unscored(self, suite: Suite, variant: Variant, look: Look) -> VariantScores:
        """Return the replies of *variant* that *look* takes in, not scored yet."""
        key = (suite.key, variant.name, look.cases, look.repeats)
        if key not in self._unscored:
            case_requests = self._workloads.task_requests(suite, variant, look)
            results = self._wait(case_requests)
            self.scored_requests.append((variant.name, case_requests))
            self._unscored[key] = unscored_results(variant.name, case_requests, results)
        return self._unscored[key]

    def must_pass_scores(
        self, suite: Suite, variant: Variant, look: Look
    ) -> tuple[VariantScores, VariantScores | None] | None:
        """Return the scores of the must-pass cases, and of the repeated wrong ones, if any.

        The result is None for a suite without must-pass cases.
        """
        must_pass = Look(cases=must_pass_ids(suite), repeats=look.repeats)
        if not must_pass.cases:
            return None
        scores = self.task_scores(suite, variant, must_pass)
        return scores, self._repeated_scores(suite, variant, scores, look)

    def _repeated_scores(
        self, suite: Suite, variant: Variant, scores: VariantScores, look: Look
    ) -> VariantScores | None:
        wrong = wrong_must_pass_ids(scores) if replies_vary(variant) else ()
        if not wrong:
            return None
        repeats = max(MUST_PASS_REPEATS, look.repeats)
        return self.task_scores(suite, variant, Look(cases=frozenset(wrong), repeats=repeats))

    def skill_scores(
        self, suite: Suite, variant: Variant, gate: Gate, mode: str = ""
    ) -> VariantScores:
        """Return the scores of *variant* on the skill cases of *gate*, in a prompt mode."""
        case_requests = self._workloads.skill_requests(suite, variant, gate, mode)
        return self.score_requests(suite, variant, f"skills {mode}".strip(), case_requests)

    def repeated_skill_scores(
        self, suite: Suite, variant: Variant, gate: Gate, ids: Sequence[str]
    ) -> VariantScores:
        """Return the scores of *variant* on the repeated skill cases *ids*."""
        repeats = MUST_PASS_REPEATS
        case_requests = self._workloads.skill_requests(suite, variant, gate, repeats=repeats)
        chosen = tuple(
            case_request for case_request in case_requests if case_request.case.id in ids
        )
        return self.score_requests(suite, variant, f"skills again {ids}", chosen)

    def score_requests(
        self,
        suite: Suite,
        variant: Variant,
        name: object,
        case_requests: tuple[CaseRequest, ...],
        *,
        graded: bool = True,
    ) -> VariantScores:
        """Return the scores of *variant* on *case_requests*, cached under *name*."""
        graded = graded and bool(suite.judges)
        key = (suite.key, variant.name, (name, graded))
        if key not in self._scores:
            if not suite.only_for:
                self._suites.setdefault(suite.name, suite)
            results = self._wait(case_requests)
            # Skill cases have their own scorers, so this sends no request about them to a judge.
            grades = self._judges.grades(suite, case_requests, results) if graded else {}
            self.scored_requests.append((variant.name, case_requests))
            folder = Path(suite.path.parent)
            self._scores[key] = score_replies(variant.name, case_requests, results, folder, grades)
        return self._scores[key]
