"""The scores of a run, computed once for each variant and look, with the grades of judges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_ftgate.client.results import Result
from pytest_ftgate.errors import ConfigurationError, RepliesMissing
from pytest_ftgate.gates.design import Look
from pytest_ftgate.gates.needs import ScoreRequest, Sides, When
from pytest_ftgate.requests.reply import Reply, answered
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.runner.planner import BuiltRequests, Plan
from pytest_ftgate.runner.replies import Replies
from pytest_ftgate.scoring.score import CORRECT, INCORRECT, ContentScore
from pytest_ftgate.scoring.scorers import is_refused_or_truncated
from pytest_ftgate.scoring.scores import VariantScores, score_replies, unscored_results
from pytest_ftgate.suite.model import Judge, Label, Suite, Variant

if TYPE_CHECKING:
    from pytest_ftgate.gates.figure import JudgeValidation
    from pytest_ftgate.gates.judges import JudgeEvidence
    from pytest_ftgate.requests.judges import JudgeInput, JudgePrompter, JudgeRequest


#: The number of labelled replies that a judge grades again with their text doubled.
_MAX_PADDED_LABELS = 10
_NEITHER_WHOLE = ContentScore(0.5, "neither reply is whole")
_TIE = ContentScore(0.5)

_Requests = tuple[CaseRequest, ...]


class JudgeRunner:
    """Sends requests to the judges of suites, and caches their validation."""

    def __init__(self, built: BuiltRequests, replies: Replies) -> None:
        self._built, self._replies = built, replies
        self._prompters: dict[str, tuple[JudgePrompter, ...]] = {}
        self._validations: dict[str, tuple[JudgeValidation, ...]] = {}
        #: All requests to judges in this run.
        self.requests: list[CaseRequest] = []

    def prompters(self, suite: Suite) -> tuple[JudgePrompter, ...]:
        """Return the prompter of each judge of *suite*.

        Raises:
            ConfigurationError: the weights, the address or the function of a judge are missing.
        """
        if suite.key not in self._prompters:
            from pytest_ftgate.requests.judges import JudgePrompter

            environ = self._built.environ
            prompters = tuple(JudgePrompter(suite, judge, environ) for judge in suite.judges)
            self._prompters[suite.key] = prompters
        return self._prompters[suite.key]

    # Replies of a run ----------------------------------------------------------------------

    def judge_requests(
        self,
        suite: Suite,
        case_requests: _Requests,
        results: Mapping[str, Result],
        baseline_results: Mapping[str, Result],
    ) -> Iterator[tuple[JudgePrompter, str, ContentScore | Sequence[JudgeRequest]]]:
        """Yield the requests to each judge about each reply, or the score if none is needed.

        *baseline_results* are the results of the baseline, for pairwise judges.

        Yields:
            The prompter of the judge, the fingerprint of the request to the variant, and the
            requests to the judge or the score.
        """
        for prompter in self.prompters(suite):
            judge, baseline = prompter.judge, dict[str, dict[int, Reply]]()
            if judge.is_pairwise:
                baseline_requests = self.baseline_requests(suite, case_requests)
                baseline = _replies_by_repeat(baseline_requests, baseline_results)
            for case_request, reply in answered(case_requests, results):
                if _is_graded_by(judge, case_request):
                    second = baseline.get(case_request.case.id, {})
                    score = _requests_or_score(prompter, case_request, reply, second)
                    yield prompter, case_request.fingerprint, score

    def baseline_requests(self, suite: Suite, case_requests: _Requests) -> _Requests:
        """Return the baseline's requests for the same cases; none without a pairwise judge."""
        if not any(judge.is_pairwise for judge in suite.judges):
            return ()
        cases = frozenset(case_request.case.id for case_request in case_requests)
        repeats = 1 + max((case_request.repeat for case_request in case_requests), default=0)
        baseline = suite.variants[suite.baseline]
        return self._built.task(suite, baseline, Look(cases=cases, repeats=repeats))

    def grades(
        self, suite: Suite, case_requests: _Requests, results: Mapping[str, Result]
    ) -> dict[str, dict[str, ContentScore]]:
        """Return the scores of the judges of *suite* by request fingerprint and key of the rule.

        Raises:
            RepliesMissing: too few replies of a judge came, or it cannot be reached.
            ConfigurationError: a judge runs on another model than declared.
        """
        if not suite.judges:
            return {}
        from pytest_ftgate.scoring.judges import read_grades

        baseline = self.baseline_requests(suite, case_requests)
        baseline_results = self._replies.results(baseline) if baseline else {}
        entries = [*self.judge_requests(suite, case_requests, results, baseline_results)]
        groups = (group for *_, group in entries if not isinstance(group, ContentScore))
        judge_results = self._ask_judges(suite, groups)
        scores: dict[str, dict[str, ContentScore]] = defaultdict(dict)
        for prompter, fingerprint, group in entries:
            judge = prompter.judge
            scores[fingerprint][judge.rule.key] = (
                group
                if isinstance(group, ContentScore)
                else read_grades(judge, group, judge_results).score
            )
        return scores

    def _ask_judges(
        self, suite: Suite, groups: Iterable[Sequence[JudgeRequest]]
    ) -> Mapping[str, Result]:
        """Send requests to judges, and check that the declared models replied."""
        from pytest_ftgate.gates.identity import check_served_model
        from pytest_ftgate.gates.verdict import Outcome
        from pytest_ftgate.reporting.notes import note_text

        case_requests = tuple(request.case_request for request in chain.from_iterable(groups))
        self.requests += case_requests
        results = self._wait(case_requests, suite.name)
        by_model: dict[tuple[str, str], list[CaseRequest]] = defaultdict(list)
        for case_request in case_requests:
            request = case_request.request
            by_model[request.provider, request.model].append(case_request)
        for requests in by_model.values():
            identity = check_served_model(requests, results)
            if identity.outcome is Outcome.INVALID and identity.message:
                reason = note_text(identity.message)
                raise ConfigurationError(f"the judge is not what it claims: {reason}")
        return results

    def _wait(self, case_requests: _Requests, suite: str) -> Mapping[str, Result]:
        if not case_requests:
            return {}
        try:
            return self._replies.checked_results([case_requests], suite)
        except RepliesMissing as error:
            raise RepliesMissing(f"the judge: {error}") from error

    # Labelled replies -----------------------------------------------------------------------

    def validation_labels(
        self, suite: Suite
    ) -> list[tuple[JudgePrompter, list[Label], list[Label]]]:
        """Return for each judge its labels, and those that it also grades with doubled text."""
        return [
            (prompter, [*prompter.judge.labels], [*padded_labels(prompter.judge)])
            for prompter in self.prompters(suite)
        ]

    def validations(self, suite: Suite) -> tuple[JudgeValidation, ...]:
        """Return how well the judges of *suite* agree with the labels of people."""
        if suite.key not in self._validations:
            self._validations[suite.key] = tuple(
                self._validate(suite, prompter, labels, padded)
                for prompter, labels, padded in self.validation_labels(suite)
            )
        return self._validations[suite.key]

    def _validate(
        self,
        suite: Suite,
        prompter: JudgePrompter,
        labels: Sequence[Label],
        padded: Sequence[Label],
    ) -> JudgeValidation:
        from pytest_ftgate.gates.judge_labels import validate_judge
        from pytest_ftgate.scoring.judges import read_grades

        judge = prompter.judge
        plain = [prompter.requests(label_input(label)) for label in labels]
        doubled = [prompter.requests(label_input(label, times=2)) for label in padded]
        results = self._ask_judges(suite, [*plain, *doubled]) if labels else {}
        on_plain = [read_grades(judge, requests, results) for requests in plain]
        pairs = [
            (on_plain[labels.index(label)], read_grades(judge, requests, results))
            for label, requests in zip(padded, doubled, strict=True)
        ]
        return validate_judge(judge, [*zip(labels, on_plain, strict=True)], pairs)


def label_input(label: Label, times: int = 1) -> JudgeInput:
    """Return the judge's input for a labelled reply, with its text repeated *times* times."""
    from pytest_ftgate.requests.judges import JudgeInput

    return JudgeInput(label.case, "\n\n".join([label.reply] * times), label.second_reply)


def padded_labels(judge: Judge) -> Iterator[Label]:
    """Yield the labelled replies to grade again with doubled text: bad ones, evenly spread.

    A repetition adds nothing, so it must not improve the grade of a bad reply.
    """
    bad = [label for label in judge.labels if judge.grades[label.grade] == 0.0]
    if judge.is_pairwise or not bad:
        return
    count = min(_MAX_PADDED_LABELS, len(bad))
    yield from (bad[index * len(bad) // count] for index in range(count))


def _is_graded_by(judge: Judge, case_request: CaseRequest) -> bool:
    return any(part.key == judge.rule.key for part in case_request.case.score.parts)


def _replies_by_repeat(
    case_requests: _Requests, results: Mapping[str, Result]
) -> dict[str, dict[int, Reply]]:
    """Return the replies by case and repeat."""
    replies: dict[str, dict[int, Reply]] = defaultdict(dict)
    for case_request, reply in answered(case_requests, results):
        replies[case_request.case.id][case_request.repeat] = reply
    return replies


def _requests_or_score(
    prompter: JudgePrompter,
    case_request: CaseRequest,
    reply: Reply,
    baseline_replies: Mapping[int, Reply],
) -> ContentScore | Sequence[JudgeRequest]:
    """Return the requests to the judge about one reply, or its score if it needs no judge."""
    from pytest_ftgate.requests.judges import JudgeInput

    case = case_request.case
    is_spoilt = is_refused_or_truncated(reply, case)
    if not prompter.judge.is_pairwise:
        return INCORRECT if is_spoilt else prompter.requests(JudgeInput(case, reply.text))
    # A variant with more repeats than the baseline is compared with the baseline's first reply.
    second = baseline_replies.get(case_request.repeat) or next(
        iter(baseline_replies.values()), None
    )
    if second is None:
        return ContentScore(None, "the baseline got no reply to compare with")
    second_is_spoilt = is_refused_or_truncated(second, case)
    if is_spoilt or second_is_spoilt:
        both = is_spoilt and second_is_spoilt
        return _NEITHER_WHOLE if both else (INCORRECT if is_spoilt else CORRECT)
    # Equal replies are equally good: a judge could only prefer a position.
    if reply.text.strip() == second.text.strip():
        return _TIE
    return prompter.requests(JudgeInput(case, reply.text, second.text))


def human_scores(
    suite: Suite, scores: VariantScores, baseline: VariantScores | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the scores that people gave the replies of *scores* and *baseline*, by case."""
    (judge,) = suite.judges
    labels = {
        (label.case.id, label.reply.strip(), (label.second_reply or "").strip()): judge.grades[
            label.grade
        ]
        for label in judge.labels
    }
    if judge.is_pairwise:
        after = _pair_label_scores(labels, scores, baseline) if baseline else {}
        return after, {case: 1.0 - score for case, score in after.items()}
    before = _reply_label_scores(labels, baseline) if baseline else {}
    return _reply_label_scores(labels, scores), before


#: Scores by case, reply and, for pairs, second reply.
_LabelScores = Mapping[tuple[str, str, str], float]


def _reply_label_scores(labels: _LabelScores, scores: VariantScores) -> dict[str, float]:
    """Return the mean label of each case whose replies are all labelled."""
    means = {}
    for case, result in scores.results.items():
        values = [labels.get((case, reply.text.strip(), "")) for reply in result.replies]
        known = [value for value in values if value is not None]
        if known and len(known) == len(values):
            means[case] = sum(known) / len(known)
    return means


def _pair_label_scores(
    labels: _LabelScores, scores: VariantScores, baseline: VariantScores
) -> dict[str, float]:
    """Return the label of each case whose pair of replies is labelled, in either order."""
    values = {}
    for case, result in scores.results.items():
        baseline_result = baseline.results.get(case)
        if not baseline_result or len(result.replies) != 1 or len(baseline_result.replies) != 1:
            continue
        pair = (result.replies[0].text.strip(), baseline_result.replies[0].text.strip())
        if (case, *pair) in labels:
            values[case] = labels[case, pair[0], pair[1]]
        elif (case, *pair[::-1]) in labels:
            values[case] = 1.0 - labels[case, pair[1], pair[0]]
    return values


_CaseSet = Literal["task", "skills", "held out"]


class ScoreCache:
    """Scores variants and caches the scores: gates of a suite share most of them."""

    def __init__(self, built: BuiltRequests, replies: Replies, judges: JudgeRunner) -> None:
        self._built, self._replies, self._judges = built, replies, judges
        #: By suite, variant and name, and whether judges took part.
        self._scores: dict[tuple[str, tuple[str, object], bool], VariantScores] = {}
        self._unscored: dict[tuple[str, ScoreRequest], VariantScores] = {}
        self._suites: dict[str, Suite] = {}
        #: By the scores of a variant, the evidence about the judges that graded them.
        self.judge_evidence: dict[VariantScores, JudgeEvidence] = {}
        #: The scored variants with their requests, for the cost report.
        self.scored_requests: list[tuple[str, Sequence[CaseRequest]]] = []

    def by_suite(self) -> Iterator[tuple[Suite, list[tuple[_CaseSet, VariantScores]]]]:
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
        self, suite: str, task: _CaseSet
    ) -> Iterator[tuple[_CaseSet, VariantScores]]:
        found = [(key, scores) for key, scores in self._scores.items() if key[0] == suite]
        found.sort(key=lambda item: item[0][2])
        for (_, (_, request), _), scores in found:
            if not isinstance(request, ScoreRequest):
                continue
            if request.of_inputs:
                continue
            if not request.of_gate:
                yield task, scores
            elif request.repeats == 1 and not request.under:
                yield "skills", scores

    def scores(self, plan: Plan, request: ScoreRequest) -> VariantScores:
        """Return the scores that *request* names, from the requests of *plan*.

        If it is graded, the judges of the suite take part; their requests cost money.
        """
        name = replace(request, graded=False, when=When.ALWAYS)
        asked, graded = plan.requests(request), request.graded
        return self.score_requests(plan.suite, request.variant, name, asked, graded=graded)

    def task_scores(
        self, suite: Suite, variant: Variant, look: Look, *, graded: bool = True
    ) -> VariantScores:
        """Return the scores of *variant* on the suite's cases that *look* takes in."""
        case_requests = self._built.task(suite, variant, look)
        name = Sides(suite=suite, variant=variant, look=look).task()
        return self.score_requests(suite, variant.name, name, case_requests, graded=graded)

    def unscored(self, suite: Suite, variant: Variant, look: Look) -> VariantScores:
        """Return the replies of *variant* that *look* takes in, not scored yet."""
        key = (suite.key, Sides(suite=suite, variant=variant, look=look).task())
        if key not in self._unscored:
            case_requests = self._built.task(suite, variant, look)
            results = self._replies.results(case_requests)
            self.scored_requests.append((variant.name, case_requests))
            self._unscored[key] = unscored_results(variant.name, case_requests, results)
        return self._unscored[key]

    def score_requests(
        self,
        suite: Suite,
        variant: str,
        name: object,
        case_requests: tuple[CaseRequest, ...],
        *,
        graded: bool = True,
    ) -> VariantScores:
        """Return the scores of *variant* on *case_requests*, cached under *name*."""
        graded = graded and bool(suite.judges)
        key = (suite.key, (variant, name), graded)
        if key not in self._scores:
            if not suite.only_for:
                self._suites.setdefault(suite.name, suite)
            results = self._replies.results(case_requests)
            # Skill cases have their own scorers, so this sends no request about them to a judge.
            grades = self._judges.grades(suite, case_requests, results) if graded else {}
            self.scored_requests.append((variant, case_requests))
            folder = Path(suite.path.parent)
            self._scores[key] = score_replies(variant, case_requests, results, folder, grades)
        return self._scores[key]
