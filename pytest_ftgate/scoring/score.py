"""Value types of scoring: content scores, format errors and their reader, metrics of a label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from pytest_ftgate.errors import ScorerError
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

#: What a reply counts as in which no label is found.
NO_LABEL = "no label"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMetrics:
    """How well a variant recognizes one label; rates are shares, 0 to 1.

    Attributes:
        n: the number of cases that expect the label.
        taken_for: how often each other label was predicted instead, the most frequent first.
        f1_before: the F1 of the variant compared with, if there is one.
    """

    label: str
    n: int
    precision: float
    recall: float
    f1: float
    taken_for: Mapping[str, int] = field(default_factory=dict)
    f1_before: float | None = None


class ContentScore(NamedTuple):
    """How correct the content of one reply is.

    Attributes:
        value: 0 to 1, or None if the case has no expected answer.
        reason: what is wrong, if a comparison of the two texts does not show it; else "".
    """

    value: float | None
    reason: str = ""


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of *values* that are known, or None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


CORRECT = ContentScore(1.0)
INCORRECT = ContentScore(0.0)
UNSCORED = ContentScore(None)

#: Scores the text of a reply. Its arguments: the text, the accepted answers, the rule.
Scorer = Callable[[str, list[Any], Rule], ContentScore]


def binary_score(correct: bool) -> ContentScore:  # noqa: FBT001 - its only argument
    """Return the score of a reply that is either correct or incorrect."""
    return CORRECT if correct else INCORRECT


_FENCE = "```"

#: Removes one kind of format error from a text. Returns the kind of the error and the repaired
#: text. Returns the text unchanged if it does not have this error.
RepairStep = Callable[[str], tuple[str, str]]


@dataclass(frozen=True, slots=True)
class FormatError:
    """How a reply breaks its required format.

    Attributes:
        kind: one of a few words, so that errors can be counted: ``fenced``, ``preamble``,
            ``trailing text``, ``truncated``, ``empty``, ``invalid syntax``, ``missing key``,
            ``extra key``, ``wrong type``, ``not in enumeration``, ``wrong label casing``,
            ``refusal``, ``wrong language``, ``repetition loop``, or the kind of the broken rule.
        detail: the details for this reply.
        rules: the kinds of all broken rules. *kind* and *detail* describe the first one.
        lenient: whether a lenient reader can repair the reply so that it has the format.
    """

    kind: str
    detail: str = ""
    rules: tuple[str, ...] = ()
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class LenientReader:
    """Checks a text against one rule: first as it is, then after each repair step.

    Attributes:
        strict: returns how a text breaks the rule, or None if it follows the rule.
        repairs: the steps of a lenient reader, in this order.
        structured: whether the kind of the first repair replaces the kind that *strict* finds, if
            the repairs do not help. True for structured data: a code fence around JSON breaks it.
    """

    strict: Callable[[str], FormatError | None]
    repairs: tuple[RepairStep, ...] = ()
    structured: bool = False

    def find_error(self, text: str) -> FormatError | None:
        """Return how *text* breaks the rule, or None if it follows the rule.

        If repairs make the text valid, the first one that changed it gives the kind of the error.
        """
        error = self.strict(text)
        if error is None:
            return None
        first_kind = ""
        for repair in (strip_fence, *self.repairs):
            kind, repaired = repair(text)
            if repaired == text:
                continue
            first_kind, text = first_kind or kind, repaired
            if text and self.strict(text) is None:
                return FormatError(first_kind, lenient=True)
        use_first = first_kind and self.structured and error.kind != "truncated"
        return replace(error, kind=first_kind) if use_first else error


def strip_fence(text: str) -> tuple[str, str]:
    """Return the kind ``fenced`` and the content of the first code fence in *text*.

    This is a repair step. The language name after the opening fence is removed.
    """
    # A fence counts only at the start of a line: JSON writes a line break as an escape.
    start = 0 if text.startswith(_FENCE) else text.find(f"\n{_FENCE}") + 1
    if not text.startswith(_FENCE, start):
        return "fenced", text
    content = text[start + len(_FENCE) :]
    end = content.find(f"\n{_FENCE}")
    if end < 0 and start and text[0] in "{[":
        # A closing fence without an opening one: the value stands before it.
        return "fenced", text
    end = content.rfind(_FENCE) if end < 0 else end
    content = content if end < 0 else content[:end]
    first_line, line_break, rest = content.partition("\n")
    has_language = line_break and " " not in first_line.strip()
    return "fenced", (rest if has_language else content).strip()


def extract_part(text: str, part: str) -> tuple[str, str]:
    """Return the result of a repair step that extracts *part* from *text*.

    The kind of the error depends on where the other text stands: before *part* (``preamble``) or
    after it (``trailing text``).
    """
    return "trailing text" if text.startswith(part) else "preamble", part


class ScorerTimeout(BaseException):
    """Ends a scorer. As a BaseException it passes through ``except Exception`` in the scorer."""


def scorer_error(reference: str, case: Case, error: BaseException) -> BaseException:
    """Return the exception to raise after a scorer or a function raised *error*.

    Ctrl-C and a timeout stay as they are. All others become a ScorerError, ``pytest.skip`` too.
    """
    if isinstance(error, KeyboardInterrupt | ScorerTimeout):
        return error
    # The message of a ScorerError is written for the user and needs no type name.
    message = str(error) if isinstance(error, ScorerError) else f"{type(error).__name__}: {error}"
    return ScorerError(f'{reference} broke on case "{case.id}" ({case.location}): {message}')
