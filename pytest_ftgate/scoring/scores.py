"""The scores of one variant, case by case, with statistics of its replies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Ask
from pytest_ftgate.scoring.formats import Forms, refuses
from pytest_ftgate.scoring.sandbox import Limit, sandboxed
from pytest_ftgate.scoring.score import Broken
from pytest_ftgate.scoring.scorers import Ruled, content
from pytest_ftgate.suite.model import Case, digest
from pytest_ftgate.suite.references import function
from pytest_ftgate.suite.rule import Rule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Column", "Row", "Said", "Score", "ready", "rests_on", "said", "score", "worth"]


@dataclass(frozen=True, slots=True)
class Said:
    """What is known of replies; their texts may be too many to hold.

    Attributes:
        words, letters: how long each is that says something, without white space around it.
        commonest: how many of these are the same text at most.
        refusals: how many of all replies decline.
        replies: how many there are.
    """

    words: Sequence[int]
    letters: Sequence[int]
    commonest: int
    refusals: int
    replies: int


def said(replies: Iterable[Reply]) -> Said:
    """Return what *replies* have in common, each of which is read once."""
    words, letters, marks = list[int](), list[int](), Counter[int]()
    refusals = count = 0
    for reply in replies:
        whole = reply.text
        text = whole.strip()
        count += 1
        refusals += reply.stop == "refusal" or refuses(whole)
        if text:
            words.append(len(text.split()))
            letters.append(len(text))
            marks[hash(text)] += 1
    return Said(words, letters, max(marks.values(), default=0), refusals, count)


@dataclass(frozen=True, slots=True)
class Score:
    """What one reply is worth.

    Attributes:
        correct: 0 to 1, or None where nothing is expected.
        broken: how its form is broken, or None where it holds.
        why: what is wrong with its content, where the two texts do not show it.
    """

    correct: float | None
    broken: Broken | None
    why: str = ""

    @property
    def valid(self) -> float:
        """1 where the form holds, 0 where it is broken."""
        return 0.0 if self.broken else 1.0

    @property
    def meant(self) -> float:
        """1 where the form holds for a lenient reader, 0 where it is broken for that one too."""
        return 0.0 if self.broken and not self.broken.meant else 1.0


#: One for all rows that are right and whole, as most are.
_RIGHT = (Score(1.0, None),)


@dataclass(frozen=True, slots=True)
class Row:
    """One case of a column.

    Attributes:
        replies: one for each repeat that was answered.
        scores: in the order of *replies*.
        calls: the fingerprints of the calls, in the order of the repeats.
        missing: why repeats brought no reply.
    """

    case: Case
    replies: tuple[Reply, ...]
    scores: tuple[Score, ...]
    calls: tuple[str, ...]
    missing: tuple[str, ...] = ()

    @property
    def correct(self) -> float | None:
        """The mean of the repeats' content scores."""
        return _mean([s.correct for s in self.scores if s.correct is not None])

    @property
    def valid(self) -> float | None:
        """The share of the repeats whose form holds; None where no form is wanted."""
        return _mean([s.valid for s in self.scores]) if self.case.format else None

    @property
    def meant(self) -> float | None:
        """The share of the repeats whose form holds for a lenient reader."""
        return _mean([s.meant for s in self.scores]) if self.case.format else None


@dataclass(frozen=True, eq=False)
class Column:
    """One variant's scores over a set of cases, by case id.

    What gates compare is worked out once, as arrays of shape (n,) in the order of *rows*.
    """

    variant: str
    rows: Mapping[str, Row]

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The cases."""
        return tuple(row.case for row in self.rows.values())

    @cached_property
    def correct(self) -> Array:
        """The mean content score of each case, 0 to 1; NaN where there is none."""
        return _array(row.correct for row in self.rows.values())

    @cached_property
    def valid(self) -> Array:
        """The share of each case's repeats whose form holds; NaN where there is none."""
        return _array(row.valid for row in self.rows.values())

    @cached_property
    def meant(self) -> Array:
        """The same for a lenient reader, who takes a reply for what it is meant to be."""
        return _array(row.meant for row in self.rows.values())

    @cached_property
    def repeats(self) -> Array:
        """How many replies each case rests on, at least 1."""
        return _array(len(row.scores) or 1 for row in self.rows.values())

    @cached_property
    def marked(self) -> NDArray[np.bool_]:
        """Which cases a reply can be right or wrong about."""
        return _array(case.marked for case in self.cases).astype(bool)

    @cached_property
    def formed(self) -> NDArray[np.bool_]:
        """Which cases ask for a form."""
        return _array(bool(case.format) for case in self.cases).astype(bool)

    @cached_property
    def groups(self) -> tuple[str | None, ...]:
        """Which cases are related; empty where none is."""
        found = tuple(case.group for case in self.cases)
        return found if any(found) else ()

    @cached_property
    def weights(self) -> Array:
        """How much each case counts."""
        return _array(case.weight for case in self.cases)

    @cached_property
    def missing(self) -> tuple[Row, ...]:
        """The cases for which no reply came."""
        return tuple(row for row in self.rows.values() if not row.scores)

    @cached_property
    def faults(self) -> Counter[str]:
        """How often each kind of broken form occurs."""
        scores = (score for row in self.rows.values() for score in row.scores)
        return Counter(score.broken.kind for score in scores if score.broken)

    @cached_property
    def said(self) -> Said:
        """What all replies have in common."""
        return said(reply for row in self.rows.values() for reply in row.replies)

    @cached_property
    def stops(self) -> Counter[str]:
        """How often replies ended for each reason."""
        return Counter(reply.stop for row in self.rows.values() for reply in row.replies)


def _array(values: Iterable[float | None]) -> Array:
    import numpy as np  # not before a gate runs

    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def rests_on(row: Row) -> str:
    """Return a digest of the calls and the replies of *row*, as 16 hexadecimal digits."""
    return digest([row.calls, [_told(reply) for reply in row.replies]])[:16]


def _told(reply: Reply) -> Any:
    """Return what a reply said, and did where it did something."""
    done = [(use.name, use.arguments) for use in reply.tool_calls]
    return [reply.text, done] if done else reply.text


def score(
    variant: str,
    asks: Iterable[Ask],
    answers: Mapping[str, Reply | FtgateError],
    folder: Path,
    ruled: Mapping[str, Ruled] | None = None,
) -> Column:
    """Score what came back.

    Args:
        variant: whose replies they are.
        asks: the cases and the calls that answer them.
        answers: for each call's fingerprint the reply, or why there is none.
        folder: where ``python`` scorers are looked for first.
        ruled: for each call's fingerprint what judges say of its reply.

    Raises:
        ScorerError: a scorer broke; it is never counted as a wrong answer.
    """
    by_case: dict[str, list[Ask]] = defaultdict(list)
    for ask in asks:
        by_case[ask.case.id].append(ask)
    with Limit() as limit:
        rows = _Rows(answers, folder, limit, ruled or {})
        return Column(variant, {key: rows.row(own) for key, own in by_case.items()})


def ready(cases: Collection[Case], folder: Path) -> None:
    """Make sure that every rule of *cases* can be used, before anything is asked.

    Raises:
        ScorerError: a JSON Schema is none.
        Unavailable: a function or a model cannot be imported, or code cannot be shut in.
    """
    for own in {case.folder or folder for case in cases}:
        some = [case for case in cases if (case.folder or folder) == own]
        Forms(own).ready({id(rule): rule for case in some for rule in case.format}.values())
        _ready({id(case.score): case.score for case in some}.values(), own)


def _ready(scores: Iterable[Rule], folder: Path) -> None:
    for rule in chain.from_iterable(one.parts for one in scores):
        if rule.kind == "python":
            function(str(rule.value), folder)
        elif rule.kind == "code" and "sandbox" not in rule.options:
            sandboxed()


class _Rows:
    """Makes the rows of one column; what their forms share is made once."""

    def __init__(
        self,
        answers: Mapping[str, Reply | FtgateError],
        folder: Path,
        limit: Limit,
        ruled: Mapping[str, Ruled],
    ) -> None:
        self.answers, self.folder, self.forms = answers, folder, Forms(folder)
        self.limit, self.ruled = limit, ruled
        self.sent: dict[int, Rule] = {}

    def row(self, asks: list[Ask]) -> Row:
        case = asks[0].case
        names = [ask.call.fingerprint for ask in asks]
        came = [self.answers[name] for name in names]
        answered = [(n, one) for n, one in zip(names, came, strict=True) if isinstance(one, Reply)]
        sent = self._sent(asks[0])
        formed = replace(case, format=(*case.format, *sent)) if sent else case
        scores = tuple(
            self._score(case, formed, reply, self.ruled.get(name, {})) for name, reply in answered
        )
        return Row(
            case=case,
            replies=tuple(reply for _, reply in answered),
            scores=_RIGHT if scores == _RIGHT else scores,
            calls=tuple(names),
            missing=tuple(str(answer) for answer in came if not isinstance(answer, Reply)),
        )

    def _score(self, case: Case, formed: Case, reply: Reply, ruled: Ruled) -> Score:
        return self.limit.over(formed, lambda: self._scored(case, formed, reply, ruled))

    def _scored(self, case: Case, formed: Case, reply: Reply, ruled: Ruled) -> Score:
        mark = content(case, reply, self.folder, ruled)
        return Score(mark.value, self.forms.broken(formed, reply), mark.why)

    def _sent(self, ask: Ask) -> tuple[Rule, ...]:
        """Return the schema that a variant's replies are held to besides the forms of its case."""
        schema = (ask.call.constraint or {}).get("json_schema")
        known = [rule.value for rule in ask.case.format if rule.kind == "json_schema"]
        if not ask.case.format or schema is None or schema in known:
            return ()
        return (self.sent.setdefault(id(schema), Rule("json_schema", schema)),)


#: Rules that a reply which was cut off cannot be shown to hold: nobody knows how it would go on.
_BOUNDS = ("length", "lines")


def worth(case: Case, reply: Reply, score: Score) -> float:
    """Return 0 to 1: how far *reply* says what is expected, and 0 where its form is not meant.

    The form is read leniently: a model that fences its JSON has not forgotten JSON. A reply that
    repeats the question says nothing, though the answer may stand in it.
    """
    if reply.text.split() == case.shown.split():
        return 0.0
    bounded = any(rule.kind in _BOUNDS for rule in case.format)
    if case.format and (score.meant == 0 or (bounded and reply.stop == "length")):
        return 0.0
    return 1.0 if score.correct is None else score.correct
