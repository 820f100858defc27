"""The scores of one variant for each case, with statistics of its replies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.requests.reply import Reply, answered
from pytest_ftgate.requests.request import CaseRequest, Request
from pytest_ftgate.scoring.case_facts import CaseFacts, ReplyStats, case_facts, reply_stats
from pytest_ftgate.scoring.formats import FormatChecker, looks_like_hedge, rule_check
from pytest_ftgate.scoring.score import CORRECT, FormatError, mean
from pytest_ftgate.scoring.scorers import JudgeScores, TimeLimit, repeats_question, score_content
from pytest_ftgate.suite.model import Case, digest
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.suite.rule import JAVASCRIPT, Rule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    _Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Score:
    """The rating of one reply: its content and its format, apart.

    Attributes:
        correct: the content score, 0 to 1, or None if the case has no expected answer.
        format_error: how the reply breaks its format, or None if the format is valid.
        reason: what is wrong with the content, if a comparison of the texts does not show it.
    """

    correct: float | None
    format_error: FormatError | None
    reason: str = ""

    @property
    def valid(self) -> float:
        """1 if the format is valid, else 0."""
        return 0.0 if self.format_error else 1.0

    @property
    def lenient_valid(self) -> float:
        """1 if the format is valid for a lenient reader, else 0."""
        return 0.0 if self.format_error and not self.format_error.lenient else 1.0


_CASE, _SCORES, _REPLIES = map(attrgetter, ("case", "scores", "replies"))
_CORRECT, _FORMAT_ERROR = map(attrgetter, ("correct", "format_error"))
_PASSAGES, _STOP, _THOUGHT, _USAGE = map(attrgetter, ("passages", "stop", "thought", "usage"))

#: Shared by all results that are correct and valid, to save memory: most of them are.
_ALL_CORRECT = (Score(1.0, None),)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The replies of one variant to one case, and their scores.

    Attributes:
        replies: one for each repeat that has a reply.
        scores: in the order of *replies*.
        fingerprints: of the requests, in the order of the repeats.
        missing_reasons: for each repeat without a reply, why it has none.
    """

    case: Case
    replies: tuple[Reply, ...]
    scores: tuple[Score, ...]
    fingerprints: tuple[str, ...]
    missing_reasons: tuple[str, ...] = ()

    @property
    def correct(self) -> float | None:
        """The mean content score of the repeats, 0 to 1."""
        if len(self.scores) == 1:
            return self.scores[0].correct
        return mean(score.correct for score in self.scores)

    @property
    def has_format_error(self) -> bool:
        """Whether the format of any reply is broken."""
        return any(score.format_error is not None for score in self.scores)

    @property
    def valid(self) -> float | None:
        """The share of repeats whose format is valid; None if the case requires no format."""
        return mean(score.valid for score in self.scores) if self.case.format else None

    @property
    def lenient_valid(self) -> float | None:
        """The share of repeats whose format is valid for a lenient reader; None as in *valid*."""
        return mean(score.lenient_valid for score in self.scores) if self.case.format else None


@dataclass(frozen=True, eq=False)
class VariantScores:
    """The results of one variant, by case id.

    The values that gates compare are computed once, as arrays of shape (n,) in the order of
    *results*.
    """

    variant: str
    results: Mapping[str, CaseResult]

    @cached_property
    def case_ids(self) -> tuple[str, ...]:
        """The ids of the cases."""
        return self.facts.ids

    @cached_property
    def case_results(self) -> tuple[CaseResult, ...]:
        """The results, in the order of *case_ids*."""
        return tuple(self.results.values())

    @cached_property
    def facts(self) -> CaseFacts:
        """What gates read of the cases."""
        return case_facts(tuple(self.results), tuple(map(_CASE, self.case_results)))

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The cases."""
        return self.facts.cases

    @cached_property
    def _reply_counts(self) -> NDArray[np.intp]:
        """The number of scores of each case."""
        import numpy as np

        return np.fromiter(map(len, map(_SCORES, self.case_results)), np.intp)

    @property
    def _scores(self) -> Iterator[Score]:
        """The scores of all replies, case by case."""
        return chain.from_iterable(map(_SCORES, self.case_results))

    @cached_property
    def correct(self) -> _Array:
        """The mean content score of each case, 0 to 1; NaN if there is none."""
        import numpy as np

        is_single = self._reply_counts == 1
        if is_single.all():
            return np.array([*map(_CORRECT, self._scores)], np.float64)
        return np.array([result.correct for result in self.case_results], np.float64)

    @cached_property
    def valid(self) -> _Array:
        """For each case, the share of repeats whose format is valid; NaN if there is none."""
        return self._with_errors(lambda result: result.valid)

    @cached_property
    def lenient_valid(self) -> _Array:
        """For each case, the share of repeats whose format is valid for a lenient reader."""
        return self._with_errors(lambda result: result.lenient_valid)

    def _with_errors(self, share: Callable[[CaseResult], float | None]) -> _Array:
        """Return 1 for each case with a valid format, and *share* of those with format errors."""
        import numpy as np

        values = np.where(self.is_formatted, 1.0, np.nan)
        for index, result in self.broken:
            value = share(result)
            values[index] = np.nan if value is None else value
        return values

    @cached_property
    def is_formatted(self) -> NDArray[np.bool_]:
        """For each case, whether it requires a format and has a reply."""
        return self.facts.has_format & self.is_answered

    @cached_property
    def is_answered(self) -> NDArray[np.bool_]:
        """For each case, whether it has a reply."""
        return self._reply_counts > 0

    @cached_property
    def broken(self) -> tuple[tuple[int, CaseResult], ...]:
        """The results with a format error in any reply, each with its position."""
        errors = [*map(_FORMAT_ERROR, self._scores)]
        positions = [index for index, error in enumerate(errors) if error is not None]
        cases = self._reply_counts.cumsum().searchsorted(positions, side="right").tolist()
        return tuple((index, self.case_results[index]) for index in dict.fromkeys(cases))

    @cached_property
    def repeats(self) -> _Array:
        """The number of replies of each case, at least 1."""
        return self._reply_counts.clip(1).astype(float)

    @cached_property
    def is_graded(self) -> NDArray[np.bool_]:
        """For each case, whether the content of any reply is right in part."""
        # Only a mean between 0 and 1 can have such a reply; that of one reply is the reply.
        is_graded = (self.correct > 0.0) & (self.correct < 1.0)
        for index in (is_graded & (self.repeats > 1.0)).nonzero()[0]:
            scores = self.case_results[index].scores
            is_graded[index] = any(score.correct not in (None, 0.0, 1.0) for score in scores)
        return is_graded

    @cached_property
    def unanswered(self) -> tuple[CaseResult, ...]:
        """The results without any reply."""
        return tuple(self.case_results[index] for index in (~self.is_answered).nonzero()[0])

    @cached_property
    def format_errors(self) -> Counter[str]:
        """The number of format errors of each kind."""
        scores = (score for _, result in self.broken for score in result.scores)
        return Counter(score.format_error.kind for score in scores if score.format_error)

    @cached_property
    def reply_stats(self) -> ReplyStats:
        """The statistics of all replies."""
        return reply_stats(self.replies)

    @cached_property
    def hedge_count(self) -> int:
        """The number of replies that hedge."""
        return sum(looks_like_hedge(reply.text) for reply in self.replies)

    @cached_property
    def stop_reasons(self) -> Counter[str]:
        """The number of replies for each stop reason."""
        return Counter(map(_STOP, self.replies))

    @cached_property
    def replies(self) -> tuple[Reply, ...]:
        """All replies, case by case."""
        return tuple(chain.from_iterable(map(_REPLIES, self.case_results)))

    @cached_property
    def has_passages(self) -> bool:
        """Whether passages are retrieved for any case."""
        return any(map(_PASSAGES, self.replies))

    @cached_property
    def thoughts(self) -> tuple[Reply, ...]:
        """The replies that begin with a thought."""
        usages = filter(None, map(_USAGE, self.replies))
        if any(map(_THOUGHT, self.replies)) or any("thought" in usage for usage in usages):
            return tuple(reply for reply in self.replies if reply.thinks)
        return ()

    @cached_property
    def empty_count(self) -> int:
        """The number of replies that ended by themselves, without any text."""
        # Most variants have no blank reply, and their statistics say so.
        if self.reply_stats.written_count == len(self.replies):
            return 0
        return sum(
            (not reply.text or reply.text.isspace())
            and not reply.steps
            # What a file scores needs no text, such as the run of an agent.
            and reply.score is None
            and reply.stop in ("end", "stop")
            for reply in self.replies
        )


def shared_ids(before: VariantScores, after: VariantScores) -> Sequence[str]:
    """Return the ids of the cases of both, in the order of *after*."""
    if before.case_ids is after.case_ids or before.case_ids == after.case_ids:
        return after.case_ids
    return [case_id for case_id in after.case_ids if case_id in before.results]


def digest_replies(result: CaseResult) -> str:
    """Return a digest of the requests and replies of *result*, as 16 hexadecimal digits."""
    return digest([result.fingerprints, [_reply_content(reply) for reply in result.replies]])[:16]


def _reply_content(reply: Reply) -> Any:
    """Return the text of *reply*, together with its tool calls and its thought if it has any."""
    calls = [(call.name, call.arguments) for call in reply.tool_calls]
    if reply.thought:
        return [reply.text, calls, reply.thought]
    return [reply.text, calls] if calls else reply.text


def score_replies(
    variant: str,
    case_requests: Sequence[CaseRequest],
    replies: Mapping[str, Reply | FtgateError],
    folder: Path,
    judge_scores: Mapping[str, JudgeScores] | None = None,
) -> VariantScores:
    """Score the replies of one variant.

    *replies* and *judge_scores* are by fingerprint of the request. ``python`` scorers are searched
    in *folder* first.

    Raises:
        ScorerError: a scorer failed. Such a reply never counts as incorrect.
    """
    with TimeLimit() as limit:
        scorer = _CaseScorer(replies, folder, limit, judge_scores or {}, FormatChecker(folder))
        _run_code(case_requests, replies, folder)
        groups = _group_by_case(case_requests)
        return VariantScores(variant, {key: scorer.score_case(group) for key, group in groups})


def _run_code(
    case_requests: Iterable[CaseRequest], replies: Mapping[str, Reply | FtgateError], folder: Path
) -> None:
    """Run the tests of replies that are code on all cores; scoring finds their results cached.

    What fails here is raised where the reply is scored.
    """
    code = (asked for asked in case_requests if asked.case.score.kind == "code")
    waiting = [(asked.case, reply) for asked, reply in answered(code, replies)]
    if not waiting:
        return
    from pytest_ftgate.machine import usable_cores
    from pytest_ftgate.scoring.sandbox import CACHED_RUNS

    pool = ThreadPoolExecutor(usable_cores(), "ftgate-code")
    try:
        wait([pool.submit(score_content, *pair, folder) for pair in waiting[:CACHED_RUNS]])
    finally:
        pool.shutdown(cancel_futures=True)


def unscored_results(
    variant: str, case_requests: Iterable[CaseRequest], replies: Mapping[str, Reply | FtgateError]
) -> VariantScores:
    """Return the replies by case, not scored yet."""
    results = {
        key: _case_result(group, replies, [reply for _, reply in answered(group, replies)])
        for key, group in _group_by_case(case_requests)
    }
    return VariantScores(variant, results)


def _group_by_case(case_requests: Iterable[CaseRequest]) -> Iterator[tuple[str, list[CaseRequest]]]:
    # Most cases have one request, and a list for each of them would need more memory.
    first: dict[str, CaseRequest] = {}
    others: dict[str, list[CaseRequest]] = defaultdict(list)
    for case_request in case_requests:
        if case_request.case.id in first:
            others[case_request.case.id].append(case_request)
        else:
            first[case_request.case.id] = case_request
    for case_id, case_request in first.items():
        yield case_id, [case_request, *others.get(case_id, ())]


def _case_result(
    case_requests: list[CaseRequest],
    replies: Mapping[str, Reply | FtgateError],
    read: Sequence[Reply],
    scores: Sequence[Score] = (),
) -> CaseResult:
    """Return the result of one case; *read* has its replies, which are read."""
    fingerprints = tuple([case_request.request.fingerprint for case_request in case_requests])
    missing: tuple[str, ...] = ()
    if len(read) < len(fingerprints):
        outcomes = map(replies.__getitem__, fingerprints)
        missing = tuple([str(one) for one in outcomes if not isinstance(one, Reply)])
    is_all_correct = len(scores) == 1 and scores[0] is _ALL_CORRECT[0]
    shared = _ALL_CORRECT if is_all_correct else tuple(scores)
    return CaseResult(case_requests[0].case, tuple(read), shared, fingerprints, missing)


def validate_rules(cases: Collection[Case], folder: Path) -> None:
    """Raise an error if a rule of *cases* cannot be used. Called before the first request.

    Raises:
        ScorerError: a JSON Schema is invalid.
        ConfigurationError: a function or a model cannot be imported, or code cannot be sandboxed.
    """
    for case_folder in {case.folder or folder for case in cases}:
        cases_here = [case for case in cases if (case.folder or folder) == case_folder]
        for rule in {rule.key: rule for case in cases_here for rule in case.format}.values():
            rule_check(rule, case_folder)
        scores = {case.score.key: case.score for case in cases_here}
        for rule in chain.from_iterable(score.parts for score in scores.values()):
            if rule.kind == "holds":
                rule_check(rule.value, case_folder)
            elif rule.kind == "python":
                from pytest_ftgate.suite.function_references import load_function

                load_function(str(rule.value), case_folder)
            elif rule.kind == JAVASCRIPT:
                from pytest_ftgate.scoring.javascript import require_javascript

                require_javascript(rule, case_folder)
            elif rule.kind == "code" and "sandbox" not in rule.options:
                from pytest_ftgate.scoring.sandbox import require_sandbox

                require_sandbox()


@dataclass(frozen=True, slots=True)
class _CaseScorer:
    """Scores the replies of one variant, case by case; the cases share one format checker.

    Attributes:
        schema_rules: of the schemas that requests carry: few, since a variant has at most one.
    """

    replies: Mapping[str, Reply | FtgateError]
    folder: Path
    limit: TimeLimit
    judge_scores: Mapping[str, JudgeScores]
    format_checker: FormatChecker
    schema_rules: list[Rule] = field(default_factory=list)

    def score_case(self, case_requests: list[CaseRequest]) -> CaseResult:
        case, schema_rules = case_requests[0].case, self._constraint_rules(case_requests[0])
        checked = replace(case, format=(*case.format, *schema_rules)) if schema_rules else case
        read, scores = list[Reply](), list[Score]()
        for case_request, reply in answered(case_requests, self.replies):
            read.append(reply)
            scores.append(self.limit.run(checked, self._score, case, checked, reply, case_request))
        return _case_result(case_requests, self.replies, read, scores)

    def _score(self, case: Case, checked: Case, reply: Reply, case_request: CaseRequest) -> Score:
        """Return the score of *reply*; *checked* is *case* with the formats of its request."""
        judge_scores = self.judge_scores.get(case_request.fingerprint)
        content = score_content(case, reply, self.folder, judge_scores)
        format_error = self.format_checker.find_error(checked, reply)
        if reply.has_no_answer:
            reason = no_answer_reason(case_request.request, reply)
            format_error = format_error and replace(format_error, detail=reason)
            return Score(content.value, format_error, "" if format_error else reason)
        if format_error is None and content == CORRECT:
            return _ALL_CORRECT[0]
        return Score(content.value, format_error, content.reason)

    def _constraint_rules(self, case_request: CaseRequest) -> tuple[Rule, ...]:
        """Return the schema that the request enforces, if the case does not declare it itself."""
        case = case_request.case
        schema = (case_request.request.constraint or {}).get("json_schema")
        if not case.format or schema is None:
            return ()
        if any(rule.value == schema for rule in case.format if rule.kind == "json_schema"):
            return ()
        known = [rule for rule in self.schema_rules if rule.value == schema]
        if not known:
            known = [Rule("json_schema", schema)]
            self.schema_rules.extend(known)
        return tuple(known)


def no_answer_reason(request: Request, reply: Reply) -> str:
    """Return why *reply* has no answer, and what to change."""
    limit = f"max_tokens: {request.max_tokens:,}"
    if not reply.thinks:
        return f"cut off at {limit} before the answer; raise max_tokens"
    switch = provider_spec(request.provider).thought_switch
    return f"the thought took all of {limit}; raise it" + f", or write {switch}" * bool(switch)


#: Rules with an upper bound: a truncated reply may break them if it continues.
_BOUND_RULES = ("length", "lines")


def skill_score(case: Case, reply: Reply, score: Score) -> float:
    """Return the score of a reply to a skills case, 0 to 1: its content and its format together.

    The format is read leniently: a model that puts its JSON into a code fence still writes JSON.
    A reply that only repeats the question scores 0, even if the question contains the answer. So
    does a reply that the token limit cut off before an answer began.
    """
    is_void = reply.has_no_answer or repeats_question(case, reply)
    # The tool that wrote a recorded score has read the reply.
    if is_void and case.score.kind != "recorded":
        return 0.0
    bounded = any(rule.kind in _BOUND_RULES for rule in case.format)
    if case.format and (score.lenient_valid == 0 or (bounded and reply.stop == "length")):
        return 0.0
    return 1.0 if score.correct is None else score.correct
