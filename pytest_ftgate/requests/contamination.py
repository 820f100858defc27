"""Training-data contamination: eval cases found in a variant's training file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from pytest_ftgate.readers.source import Source
from pytest_ftgate.skills import CANARY
from pytest_ftgate.suite.few_shot import normalised_words, word_sequence
from pytest_ftgate.suite.model import Case, Suite, Turn, Variant
from pytest_ftgate.suite.training_data import TrainingExample, read_training_rows

#: A case with fewer words may occur in a longer text by chance.
_FEWEST_WORDS = 5


@dataclass(frozen=True, slots=True)
class Contamination:
    """The eval cases that occur in a variant's training file.

    Attributes:
        file: the name of the training file.
        cases: the number of cases that were compared with the file.
        leaked: the number of cases that occur in the file.
        first_case: the id of the first of them.
        line: the line of the training file that contains *first_case*.
        case_kind: the kind of case, ``case`` or ``skills case``.
        case_ids: the ids of all cases that occur in the file.
        has_canary: True if the file contains the canary string of the bundled skill data.
    """

    variant: str
    file: str
    cases: int
    leaked: int
    first_case: str
    line: int
    case_kind: str = "case"
    case_ids: frozenset[str] = field(default=frozenset(), compare=False)
    has_canary: bool = False


def find_contamination(suite: Suite, variant: Variant) -> Contamination | None:
    """Return the suite's cases that occur in the variant's training data, or None."""
    return _compare(variant, suite.cases, "case")


def find_skill_contamination(cases: Sequence[Case], variant: Variant) -> Contamination | None:
    """Return the skill *cases* that occur in the variant's training data, or None."""
    conversations = [case for case in cases if _is_conversation(case.messages)]
    questions = [case for case in cases if not _is_conversation(case.messages)]
    return _compare(variant, questions, "skills case", conversations)


def _compare(
    variant: Variant, cases: Sequence[Case], case_kind: str, conversations: Sequence[Case] = ()
) -> Contamination | None:
    path = variant.training_data
    if path is None:
        return None
    rows = read_training_rows(Source(root=path.parent, path=path), path)
    lines = contaminated_lines(rows, cases, conversations)
    first = next((case for case in (*cases, *conversations) if case.id in lines), None)
    if first is None:
        return None
    return Contamination(
        variant.name,
        path.name,
        cases=len(cases) + len(conversations),
        leaked=len(lines),
        first_case=first.id,
        line=lines[first.id],
        case_kind=case_kind,
        case_ids=frozenset(lines),
        has_canary=CANARY in path.read_text("utf-8", errors="replace"),
    )


def contaminated_lines(
    rows: Iterable[TrainingExample], cases: Sequence[Case], conversations: Sequence[Case] = ()
) -> dict[str, int]:
    """Return the first line that contains each contaminated case, by case id.

    A case is found by its last message, one of *conversations* by all messages of the user.
    """
    by_words, by_dialogue = _ids_by_words(cases), _ids_by_words(conversations, whole=True)
    phrases = PhraseIndex(cases, _FEWEST_WORDS)
    lines: dict[str, int] = {}
    for row in rows:
        questions = (normalised_words(text) for role, text in row.turns if role == "user")
        equal = chain.from_iterable(by_words.get(question, ()) for question in questions)
        # A row without an answer is one text: question, answer and template marks together.
        contained = phrases.case_ids_in(row.input_text) if row.answer is None else ()
        whole = by_dialogue.get(normalised_words(_user_text(row.turns)), ()) if by_dialogue else ()
        for case_id in (*equal, *contained, *whole):
            lines.setdefault(case_id, row.line)
    return lines


def _ids_by_words(
    cases: Iterable[Case], *, whole: bool = False
) -> dict[tuple[str, ...], list[str]]:
    ids: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for case in cases:
        text = _user_text(case.messages) if whole else case.input_text
        ids[normalised_words(text)].append(case.id)
    return ids


def _is_conversation(turns: Sequence[Turn]) -> bool:
    return sum(role == "user" for role, _ in turns) > 1


def _user_text(turns: Sequence[Turn]) -> str:
    return "\n".join(text for role, text in turns if role == "user")


class PhraseIndex:
    """Finds the cases, of at least *fewest_words*, that occur word for word in a longer text."""

    def __init__(self, cases: Iterable[Case], fewest_words: int) -> None:
        self._fewest_words = fewest_words
        self._by_start: dict[tuple[str, ...], list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        for case in cases:
            phrase = word_sequence(case.input_text)
            if len(phrase) >= fewest_words:
                self._by_start[phrase[:fewest_words]].append((phrase, case.id))

    def case_ids_in(self, text: str) -> Iterator[str]:
        """Yield the ids of the cases that occur in *text*."""
        text_words = word_sequence(text)
        shifted = (text_words[shift:] for shift in range(self._fewest_words))
        for position, start in enumerate(zip(*shifted, strict=False)):
            for phrase, case_id in self._by_start.get(start, ()):
                if text_words[position : position + len(phrase)] == phrase:
                    yield case_id
