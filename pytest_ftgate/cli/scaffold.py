"""The text of a new suite: every key with what it is for, and limits that its cases can show."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import yaml

from pytest_ftgate.gates.units import percent, quantity
from pytest_ftgate.readers.rows import AnswerRow
from pytest_ftgate.suite.providers import FirstVariant
from pytest_ftgate.suite.scorers import parse_number

#: The most labels of a task that is taken for a classification, and the longest label.
_MAX_LABELS, _MAX_LABEL_LENGTH = 20, 40
#: A longer expected answer is not found in a reply word by word.
_MAX_ANSWER_LENGTH = 60
#: The columns of a comment below a gate.
_COMMENT_WIDTH = 74
#: The tokens that a model may think before its answer; the embedded model does not.
_ROOM = 1_000


@dataclass(frozen=True, slots=True)
class Scoring:
    """How replies to the cases are scored.

    Attributes:
        lines: the lines of ``reply``.
        tokens: how many tokens an answer may have.
        labels: the labels, if the task is a classification.
        has_format: True if replies have a format that can be checked.
    """

    lines: tuple[str, ...]
    tokens: int
    labels: tuple[str, ...] = ()
    has_format: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one gate.

    Attributes:
        minimum: the minimum to write, or None for none.
        reason: where the minimum comes from, for the comment.
        drop: what drop the cases can show, for a comment of its own.
    """

    minimum: float | None = None
    reason: str = ""
    drop: str = ""


#: What the gates of a suite hold while its cases are measured: a limit that any cases can show.
_UNMEASURED = "{min: 0.5, evidence: point}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaffold:
    """All that stands in a new suite.

    Attributes:
        schema: the path of the JSON Schema, from the suite.
        command: what evaluates the suite.
        prompt: the name of the prompt, or "".
        columns: the columns of the cases, where they need to be named.
        variants: those that are possible here; the first one is used, the others are comments.
        tuned: the keys of a variant with the adapter that lies here, for a comment; empty for none.
        limits: those of each gate; None before the cases are measured, and empty if no gate could
            pass.
    """

    schema: str
    command: str
    prompt: str
    cases: str
    columns: Mapping[str, str]
    scoring: Scoring
    variants: Sequence[FirstVariant]
    tuned: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, Limits] | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The gates that the suite can have: of accuracy, and of the format if there is one."""
        return ("accuracy", "format") if self.scoring.has_format else ("accuracy",)

    @property
    def text(self) -> str:
        """The suite file."""
        return "\n".join([*self._head(), *self._variants(), *self._gates()]) + "\n"

    def _head(self) -> Iterator[str]:
        yield f"# yaml-language-server: $schema={self.schema}"
        yield f"# Evaluate it with: {self.command}"
        yield ""
        if self.prompt:
            yield f"prompt: {_scalar(self.prompt)}  # the system message"
        yield f"cases: {_scalar(self.cases)}"
        if self.columns:
            yield f"columns: {_scalar(dict(self.columns))}  # what the file calls them"
        yield "reply:"
        yield from (f"  {line}" for line in self.scoring.lines)
        tokens = self.scoring.tokens
        if self.variants[0].has_weights:
            yield f"  max_tokens: {tokens}"
        else:
            yield f"  max_tokens: {tokens + _ROOM}  # a model that thinks needs most of them"

    def _variants(self) -> Iterator[str]:
        first, *others = self.variants
        yield "variants:"
        yield "  # The first variant is the baseline, which others are compared with."
        yield "  current:"
        keys = dict(first.keys)
        if first.has_weights and self.scoring.labels:
            # The embedded model is too small to keep to a list of labels.
            keys["response_schema"] = True
        yield from (f"    {key}: {_scalar(value)}" for key, value in keys.items())
        yield "  # Another prompt or model is compared with it, case by case:"
        yield "  # candidate: {like: current, prompt: another-prompt.md}"
        for variant in others:
            if not variant.has_weights:
                yield f"  # Also here, since {variant.reason}:"
                yield f"  # other: {_scalar(dict(variant.keys))}"
        if self.tuned:
            yield "  # The adapter that lies here; it needs pytest-ftgate[transformers]:"
            yield f"  # tuned: {_scalar(dict(self.tuned))}"

    def _gates(self) -> Iterator[str]:
        yield "gates:"
        if self.limits is None:
            yield from (f"  {kind}: {_UNMEASURED}" for kind in self.kinds)
            return
        if not self.limits:
            yield "  # accuracy: {}   once any case is right"
        for gate, limits in self.limits.items():
            yield f"  {gate}:"
            if limits.minimum is not None:
                yield f"    min: {limits.minimum:g}  # {limits.reason}"
            for line in textwrap.wrap(limits.drop, _COMMENT_WIDTH):
                yield f"    # {line}"
        if self.tuned:
            yield "  # Whether tuned has kept the general skills of its base:"
            yield "  # forgetting: {skills: general}"


def _scalar(value: Any) -> str:
    """Return *value* as it is written in one line of YAML."""
    text = yaml.safe_dump(
        value, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def scoring_of(rows: Sequence[AnswerRow]) -> Scoring:
    """Return how replies to *rows* are scored, guessed from what they expect."""
    expected = [row.expected for row in rows if row.expected is not None]
    if any(_is_object(value) for value in expected):
        schema = "format: {json_schema: {type: object}}"
        score = "score: fields  # each field of the JSON counts"
        return Scoring((schema, score), 500, has_format=True)
    answers = [a for value in expected for a in (value if isinstance(value, list) else [value])]
    texts = [str(answer) for answer in answers]
    if all(parse_number(text, {}) is not None for text in texts):
        return Scoring(("score: numeric  # the number in the reply counts",), 64)
    labels = sorted({*texts})
    is_short = all(len(label) <= _MAX_LABEL_LENGTH for label in labels)
    if is_short and len(labels) <= min(_MAX_LABELS, len(rows) // 3):
        choice = f"format: {{choice: {_scalar(labels)}}}"
        longest = max(map(len, labels))
        return Scoring((choice,), max(8, longest), tuple(labels), has_format=True)
    if all(len(text) <= _MAX_ANSWER_LENGTH for text in texts):
        comment = "the reply has to contain what is expected; exact is stricter"
        return Scoring((f"score: contains  # {comment}",), 64)
    comment = "for free text see judge and similarity in docs/scores.md"
    return Scoring((f"score: contains  # {comment}",), 500)


def _is_object(value: Any) -> bool:
    """Return True for a JSON object; in a cell of a table it is text."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with suppress(ValueError):
            value = json.loads(value)
    return isinstance(value, Mapping)


def measured_reason(rate: float, right: float, count: int, *, content: bool = True) -> str:
    """Return what was measured: *right* of *count* cases, or a mean score of *rate*.

    *content* is False for a gate of the format.
    """
    if right != int(right):
        return f"measured: {percent(rate)} of {quantity(count, 'case')}"
    what = "right" if content else "in the format"
    return f"measured: {int(right)} of {count} {what}"
