"""Scorers: how correct the content of a reply is, 0 to 1; JSON replies field by field."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, Self, TypeVar

from pytest_ftgate.errors import ConfigurationError, ScorerError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import ToolCall
from pytest_ftgate.scoring.score import (
    CORRECT,
    INCORRECT,
    UNSCORED,
    ContentScore,
    Scorer,
    ScorerTimeout,
    binary_score,
    scorer_error,
)
from pytest_ftgate.scoring.text_scorers import (
    TEXT_SCORERS,
    contains_words,
    matches_pattern,
    score_labels,
)
from pytest_ftgate.suite.cases import leaf_fields
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import COMBINED_KINDS, JAVASCRIPT, Rule
from pytest_ftgate.suite.scorers import JAVASCRIPT_SECONDS
from pytest_ftgate.suite.variants import NO_TOOL

_ABSENT = object()
_LIST_KINDS = ("set", "sequence")
#: The most characters of a wrong value that a reason shows, and the most wrong fields.
_MAX_VALUE_CHARACTERS, _MAX_FIELDS = 200, 20
#: Tolerance of a mean for rounding.
_ROUNDING = 1e-9


def score_fields(text: str, accepted: list[Any], rule: Rule) -> ContentScore:
    """Score the JSON in *text* by the share of correct fields; the best accepted answer counts."""
    try:
        value = parse_json(text)
    # Nested too deep, or a number of thousands of digits: a program cannot read such JSON.
    except (ValueError, RecursionError) as error:
        return ContentScore(0.0, f"no JSON: {error}")
    if not isinstance(value, dict):
        return ContentScore(0.0, "no JSON object")
    scores = [_compare_fields(value, answer, rule.options) for answer in accepted]
    return scores[0] if len(scores) == 1 else max(scores, key=lambda score: score.value or 0.0)


def parse_json(text: str) -> Any:
    """Return *text* as JSON, or else the JSON in its last code block.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deep.
    """
    from pytest_ftgate.scoring.structured import last_code_block, read_json

    try:
        return read_json(text)
    except ValueError:
        block = last_code_block(text)
        if block is None:
            raise
    return read_json(block)


def _compare_fields(
    reply: Mapping[str, Any], answer: Mapping[str, Any], rules: Mapping[str, Rule]
) -> ContentScore:
    if not rules and _has_texts(reply, answer):
        return CORRECT
    mistakes, total, count = [], 0.0, 0
    for keys, expected in leaf_fields(answer, rules):
        path, value = ".".join(keys), _value_at(reply, keys)
        score = _score_field(value, expected, rules.get(path))
        total, count = total + (score.value or 0.0), count + 1
        if score.value != 1:
            got = "nothing" if value is _ABSENT else _to_json(value)
            mistakes.append(f"{path}: expected {_cut(_to_json(expected))}, got {_cut(got)}")
    more = [f"{len(mistakes) - _MAX_FIELDS} more fields"] * (len(mistakes) > _MAX_FIELDS)
    return ContentScore(total / count, "\n".join([*mistakes[:_MAX_FIELDS], *more]))


def _has_texts(reply: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Return True if *answer* is texts only, and *reply* has them all, as most replies do."""
    return all(isinstance(text, str) and reply.get(key) == text for key, text in answer.items())


def _cut(text: str) -> str:
    limit = _MAX_VALUE_CHARACTERS
    return text if len(text) <= limit else f"{text[:limit]}…"


def _value_at(value: Any, keys: tuple[str, ...]) -> Any:
    """Return the part of *value*, which is JSON, to which *keys* lead, or ``_ABSENT``."""
    for key in keys:
        value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
    return value


def _score_field(value: Any, expected: Any, rule: Rule | None) -> ContentScore:
    if rule is None or expected is None:
        return binary_score(_is_same_json(value, expected))
    answers = expected if isinstance(expected, list) else [expected]
    if rule.kind in _LIST_KINDS:
        return _score_list(value, answers, rule)
    if value is _ABSENT:
        return INCORRECT
    if rule.kind == "labels" and isinstance(value, list):
        return score_labels([_to_text(item) for item in value], answers, rule)
    return TEXT_SCORERS[rule.kind](_to_text(value).strip(), answers, rule)


def _is_same_json(first: Any, second: Any) -> bool:
    """Return True if *first*, of a reply, is the same JSON. In JSON, true and 1 differ."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, dict) and isinstance(second, Mapping):
        same_keys = first.keys() == second.keys()
        return same_keys and all(_is_same_json(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_is_same_json, first, second))
    return bool(first == second)


def _score_list(value: Any, expected: list[Any], rule: Rule) -> ContentScore:
    """Return 0 or 1 for a list, or with ``partial`` the F1 of its items."""
    if not isinstance(value, list):
        return INCORRECT
    # Texts make the comparison of long lists fast. 1 and 1.0 are the same JSON.
    items, expected_items = ([_item_text(item) for item in list_] for list_ in (value, expected))
    if rule.kind == "set":
        items, expected_items = sorted(set(items)), sorted(set(expected_items))
    if not rule.options.get("partial") or items == expected_items:
        return binary_score(items == expected_items)
    shared = _count_shared(items, expected_items, rule.kind)
    return ContentScore(2 * shared / (len(items) + len(expected_items)))


def _item_text(value: Any) -> str:
    return json.dumps(normalise_numbers(value), sort_keys=True)


def normalise_numbers(value: Any) -> Any:
    """Return JSON in which equal numbers are written alike: 1 for 1.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: normalise_numbers(item) for key, item in value.items()}
    return [normalise_numbers(item) for item in value] if isinstance(value, list) else value


def _count_shared(first: list[str], second: list[str], kind: str) -> int:
    """Return the number of items that two lists share; in a sequence, in the same order."""
    if kind == "set":
        return len({*first} & {*second})
    from rapidfuzz.distance import LCSseq

    return int(LCSseq.similarity(first, second))


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else _to_json(value)


def matches_tool_call(calls: Sequence[ToolCall], accepted: Iterable[Any]) -> bool:
    """Return True if a tool call is one of *accepted*, or if none is expected and none was made."""
    accepted_calls = [_name_and_arguments(answer) for answer in accepted]
    if not calls:
        return any(name == NO_TOOL for name, _ in accepted_calls)
    return any(
        _is_call(call, name, arguments) for call in calls for name, arguments in accepted_calls
    )


def _name_and_arguments(answer: Any) -> tuple[str, Mapping[str, Any]]:
    if isinstance(answer, Mapping):
        return answer["name"], answer.get("arguments", {})
    return str(answer), {}


def _is_call(call: ToolCall, name: str, expected_arguments: Mapping[str, Any]) -> bool:
    arguments = call.arguments if isinstance(call.arguments, Mapping) else {}
    return call.name == name and all(
        key in arguments and arguments[key] == value for key, value in expected_arguments.items()
    )


def expected_text(case: Case) -> str:
    """Return the accepted answers of *case* in one line: tool calls as calls, fields as JSON."""
    if case.expected is None:
        return ""
    kinds = {rule.kind for rule in case.score.parts}
    texts = (_answer_text(answer, is_call="tool_call" in kinds) for answer in case.answers)
    return (", " if "labels" in kinds else " | ").join(texts)


def _answer_text(answer: Any, *, is_call: bool) -> str:
    if not isinstance(answer, Mapping):
        return str(answer)
    return _signature(*_name_and_arguments(answer)) if is_call else _to_json(answer)


def tool_call_text(call: ToolCall) -> str:
    """Return a tool call and its result in one line."""
    arguments = call.arguments if isinstance(call.arguments, Mapping) else {"": call.arguments}
    signature = _signature(call.name, arguments)
    if call.failed:
        return f"{signature} failed: {call.result}"
    return f"{signature} -> {_result_text(call.result)}" if call.result else signature


def _signature(name: str, arguments: Mapping[str, Any]) -> str:
    texts = (f"{key}={_to_json(value)}" if key else str(value) for key, value in arguments.items())
    return f"{name}({', '.join(texts)})"


def _result_text(result: str) -> str:
    """Return *result* unchanged if it is JSON, else in quotes."""
    try:
        json.loads(result)
    except ValueError:
        return _to_json(result)
    return result


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


#: The scores that judges give to one reply, by the key of their rule.
JudgeScores = Mapping[str, ContentScore]

#: The kinds that find the answer anywhere in a reply.
_SEARCHING_KINDS = ("contains", "regex", "numeric")


def _score_code(text: str, accepted: list[Any], rule: Rule) -> ContentScore:
    from pytest_ftgate.scoring.sandbox import score_code

    return score_code(text, accepted, rule)


_SCORERS: Mapping[str, Scorer] = {
    **TEXT_SCORERS,
    "fields": score_fields,
    "code": _score_code,
}


def score_content(
    case: Case, reply: Reply, folder: Path, judge_scores: JudgeScores | None = None
) -> ContentScore:
    """Return how correct the content of *reply* is, 0 to 1.

    The value is None if the case has no expected answer. A refusal is incorrect. A reply that was
    cut off at its token limit is incorrect too, but in a case of a skill, whose limit is a part of
    the question, what stands before the cut is read: its answer counts if it is stated there, and
    the first block of code if that is whole. ``python`` scorers are searched in *folder* first,
    unless the case has a folder. *judge_scores* are the scores that judges give to this reply. If a
    judge has none, the value is None.

    Raises:
        ScorerError: the scorer failed, took too long, or returned something that is no score.
    """
    folder, judge_scores = case.folder or folder, judge_scores or {}
    return _score_rule(case.score, case, reply, folder, judge_scores)


def _score_rule(
    rule: Rule, case: Case, reply: Reply, folder: Path, judge_scores: JudgeScores
) -> ContentScore:
    if rule.kind not in COMBINED_KINDS:
        return _score_by_rule(rule, case, reply, folder, judge_scores)
    scored = [
        (_score_rule(part, case, reply, folder, judge_scores), part, weight)
        for part, weight in rule.value
    ]
    mean = _mean_score(scored)
    if rule.kind == "mean" or mean.value is None:
        return mean
    return mean._replace(value=float(mean.value >= rule.options.get("min", 1) - _ROUNDING))


#: The score of one part of several, its rule and its weight.
_Part = tuple[ContentScore, Rule, float]


def _mean_score(scored: list[_Part]) -> ContentScore:
    for score, rule, _ in scored:
        # Without the grade of the judge, the mean would measure something else.
        if rule.kind == "judge" and score.value is None:
            return score
    scored = [part for part in scored if part[0].value is not None]
    if not scored:
        return UNSCORED
    total = sum((score.value or 0.0) * weight for score, _, weight in scored)
    mean = total / sum(weight for _, _, weight in scored)
    imperfect = [(score, rule.checked.kind) for score, rule, _ in scored if score.value != 1]
    reasons = (f"{kind} {score.value:.3g}: {score.reason}" for score, kind in imperfect)
    return ContentScore(mean, "\n".join(reason.rstrip(": ") for reason in reasons))


def _score_by_rule(
    rule: Rule, case: Case, reply: Reply, folder: Path, judge_scores: JudgeScores
) -> ContentScore:
    if reply.has_no_answer and case.is_scorable:
        return INCORRECT
    if rule.kind in ("python", "offered", "holds", JAVASCRIPT):
        return _score_by_function(rule, case, reply, folder)
    if case.expected is None and not rule.scores_without_expected:
        return UNSCORED
    return _score_by_content(rule, case, reply, judge_scores)


def _score_by_function(rule: Rule, case: Case, reply: Reply, folder: Path) -> ContentScore:
    """Score a reply by a function of the suite, or by whether a format holds."""
    if rule.kind == "holds":
        return _score_by_format(rule.value, case, reply, folder)
    if rule.kind == JAVASCRIPT:
        from pytest_ftgate.scoring.javascript import score_by_javascript

        try:
            return score_by_javascript(rule, case, reply, folder)
        except ScorerError as error:
            raise scorer_error(f"score: {JAVASCRIPT}", case, error) from error
    from pytest_ftgate.suite.function_references import load_function

    function = rule.function or load_function(str(rule.value), folder)
    return ContentScore(_call_scorer(str(rule.value), function, case, reply))


def _score_by_format(rule: Rule, case: Case, reply: Reply, folder: Path) -> ContentScore:
    """Score a reply by whether a format holds."""
    if is_refused_or_truncated(reply, case):
        return _lost_score(reply)
    from pytest_ftgate.scoring.formats import rule_check

    error = rule_check(rule, folder)(case, reply, reply.text.strip())
    return ContentScore(0.0, error.detail or error.kind) if error else CORRECT


def _score_by_content(
    rule: Rule, case: Case, reply: Reply, judge_scores: JudgeScores
) -> ContentScore:
    if rule.kind == "recorded":
        return _recorded_score(rule, case, reply)
    is_lost = is_refused_or_truncated(reply, case)
    if rule.kind == "judge":
        return judge_scores.get(rule.key, INCORRECT if is_lost else UNSCORED)
    if is_lost:
        return _lost_score(reply)
    if rule.kind == "tool_call":
        return binary_score(matches_tool_call(reply.tool_calls, case.answers))
    return _score_text(rule, case, reply)


def _score_text(rule: Rule, case: Case, reply: Reply) -> ContentScore:
    text = reply.text.strip()
    if case.skill and rule.kind == "code":
        from pytest_ftgate.skills.answers import code_end

        # Where a provider can, it ends the reply there.
        text = text[: code_end(text)]
    try:
        score = _SCORERS[rule.kind](text, case.answers, rule)
    except ConfigurationError:
        raise
    except Exception as error:
        raise scorer_error(f"score: {rule.kind}", case, error) from error
    is_found = bool(score.value) and rule.kind in _SEARCHING_KINDS and text not in case.answers
    if is_found and repeats_question(case, reply):
        return ContentScore(0.0, "the reply only repeats the question")
    return score


def repeats_question(case: Case, reply: Reply) -> bool:
    """Return True if *reply* only repeats the question, which may contain the answer."""
    return reply.text.split() == case.input_text.split()


def _recorded_score(rule: Rule, case: Case, reply: Reply) -> ContentScore:
    """Return the score that the file of recorded replies states."""
    if reply.score not in (None, 0.0, 1.0) and not rule.options.get("partial"):
        raise ScorerError(
            f'score: the recorded score of case "{case.id}" is {reply.score:g}; for replies that '
            "are right in part write {recorded: {partial: true}}"
        )
    return ContentScore(reply.score)


def is_refused_or_truncated(reply: Reply, case: Case) -> bool:
    """Return True if *reply* is incorrect whatever its text is.

    It is if the model refused, if its token limit cut the reply off in a case of the suite, or if
    the limit left no answer. What the limit left of the answer to a skill's case is read.
    """
    is_truncated = reply.stop == "length" and case.skill is None
    return reply.stop == "refusal" or is_truncated or reply.has_no_answer


def _lost_score(reply: Reply) -> ContentScore:
    """Return the score of a reply that is incorrect whatever its text is, which may look right."""
    return ContentScore(0.0, "cut off by max_tokens") if reply.stop == "length" else INCORRECT


def contains_answer(case: Case, texts: Iterable[str]) -> list[bool] | None:
    """Return for each text whether it contains an accepted answer of *case*.

    Return None for scorers such as labels and numbers, whose answers rarely occur in a source text.
    """
    quotable = case.score.kind in ("exact", "contains", "regex", "python")
    if not quotable or not all(isinstance(answer, str) for answer in case.answers):
        return None
    matches = matches_pattern if case.score.kind == "regex" else contains_words
    return [matches(" ".join(text.split()), case.answers) for text in texts]


def _call_scorer(reference: str, function: Callable[..., Any], case: Case, reply: Reply) -> float:
    try:
        value = float(function(case, reply))
    except BaseException as error:
        raise scorer_error(reference, case, error) from error
    if not 0 <= value <= 1:
        raise ScorerError(f'{reference} returned {value} for case "{case.id}"; a score is 0 to 1')
    return value


# Time limits --------------------------------------------------------------------------------------

#: Seconds for all scorers of one reply together, in addition to those that their rules declare.
SCORER_SECONDS = 10.0
#: Seconds between two alarms. If a scorer swallows the exception, the next alarm raises it again.
_CHECK_SECONDS = 0.5
#: Seconds of a run of code, or of JavaScript, if its rule declares none.
_DEFAULT_SECONDS = {"code": 5.0, JAVASCRIPT: JAVASCRIPT_SECONDS}

_P = ParamSpec("_P")
_T = TypeVar("_T")


class TimeLimit:
    """Stops scorers that take too long, by an alarm of the operating system.

    The alarm also stops a regular expression of the standard library that would search forever.
    Windows has no alarm, and threads other than the main one have none. There nothing is stopped.
    An alarm that was set before, as by pytest-timeout, is set again at the end.
    """

    def __init__(self) -> None:
        in_main = threading.current_thread() is threading.main_thread()
        self._has_alarm = in_main and hasattr(signal, "setitimer")
        self._case: Case | None = None
        self._entered = time.monotonic()

    def __enter__(self) -> Self:
        """Take over the alarm. It repeats, and each time checks the time of the current reply.

        An alarm for each reply would cost as much time as most scorers take.
        """
        if self._has_alarm:
            self._handler = signal.signal(signal.SIGALRM, self._on_alarm)
            self._previous = signal.setitimer(signal.ITIMER_REAL, _CHECK_SECONDS, _CHECK_SECONDS)
        return self

    def __exit__(self, *_error: object) -> None:
        """Set the previous alarm again, less the time that has passed."""
        if not self._has_alarm:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler)
        seconds, interval = self._previous
        if seconds:
            rest = seconds - (time.monotonic() - self._entered)
            signal.setitimer(signal.ITIMER_REAL, max(rest, 0.001), interval)

    def run(self, case: Case, scorer: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
        """Return the result of *scorer* with *args*, which scores one reply to *case*.

        Raises:
            ScorerError: the scorer took too long. The reply then has no score.
        """
        if not self._has_alarm:
            return scorer(*args, **options)
        try:
            try:
                self._expired, self._started, self._case = False, time.monotonic(), case
                result = scorer(*args, **options)
            finally:
                self._case = None
        except ScorerTimeout:
            raise ScorerError(_timeout_message(case)) from None
        if self._expired:  # the scorer swallowed the exception
            raise ScorerError(_timeout_message(case))
        return result

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._case and time.monotonic() - self._started > _allowed_seconds(self._case):
            self._expired = True
            raise ScorerTimeout


def _allowed_seconds(case: Case) -> float:
    return SCORER_SECONDS + sum(map(_declared_seconds, (*case.score.parts, *case.format)))


def _declared_seconds(rule: Rule) -> float:
    rule = rule.checked
    # The options of a plugin's scorer may have any name and any meaning.
    options = {} if rule.kind == "offered" else rule.options
    return float(options.get("seconds", _DEFAULT_SECONDS.get(rule.kind, 0)))


def _timeout_message(case: Case) -> str:
    rules = [("score", rule.checked) for rule in case.score.parts]
    rules += [("format", rule) for rule in case.format]
    names = ", ".join(
        f"{key}: {rule.value if rule.kind == 'offered' else rule.kind}" for key, rule in rules
    )
    seconds = f"{_allowed_seconds(case):g} s"
    remedy = "make it quicker, or give a function more: {python: {function: ..., seconds: 60}}"
    return f'{names} took longer than {seconds} on case "{case.id}" ({case.location}); {remedy}'
