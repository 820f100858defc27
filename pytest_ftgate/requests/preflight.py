"""What is known before any request: mistakes in prompts, and cases in a variant's training file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from pytest_ftgate.readers.source import Source
from pytest_ftgate.readers.text import normalised_words, word_sequence
from pytest_ftgate.requests.estimate import estimate_tokens, thought_tokens
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest, Request, distinct_requests
from pytest_ftgate.requests.request_groups import ROOM_TO_THINK, is_known_to_think
from pytest_ftgate.skills import CANARY
from pytest_ftgate.suite.model import Case, Suite, Turn, Variant
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.suite.rule import choice_labels
from pytest_ftgate.suite.templates import template_text
from pytest_ftgate.suite.training_data import TrainingExample, read_training_rows
from pytest_ftgate.weights import slow_type

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


#: A system prompt of more tokens than this often contains rules that contradict each other.
_LONG = 1_000
#: A system prompt of more tokens than this dominates the input cost of a run.
_EXPENSIVE = 3_000
#: An input with fewer words may occur in a prompt by chance.
_FEWEST_WORDS_OF_PROMPT = 4
#: A thought that takes more than this share of the token limit is cut off now and then.
_MAX_THOUGHT_SHARE = 0.5
#: A thought before any reply shows its length may take so many tokens.
_LIKELY_THOUGHT = 256
#: Suggested token limits are multiples of this.
_STEP = 500
#: The largest number of missing labels that a warning names.
_NAMED = 3


def lint(variant: Variant, case_requests: Sequence[CaseRequest]) -> Iterator[str]:
    """Yield a warning for each problem in the prompt, the examples or the requests of *variant*."""
    to_models = [item for item in case_requests if item.request.case is None]
    cases = tuple({item.case.id: item.case for item in to_models}.values())
    if variant.system and to_models:
        yield from _length_warnings(variant.system, distinct_requests(to_models))
        yield from _leak_warnings(variant.system, cases)
    yield from _label_warnings(variant, cases)
    yield from _weights_warnings(variant, case_requests)


def thought_warning(
    variant: Variant, replies: Iterable[Reply], limit: int, key: str = "max_tokens"
) -> str:
    """Return a warning if the model of *variant* is likely to be cut off while it thinks; or "".

    *replies* are earlier ones of the model, *limit* is that of the next ones, and *key* declares
    it.
    """
    lengths = [thought_tokens(reply) for reply in replies if reply.thinks]
    mean = round(sum(lengths) / len(lengths)) if lengths else 0
    if mean <= _MAX_THOUGHT_SHARE * limit and (mean or limit >= _LIKELY_THOUGHT):
        return ""
    if not mean and not is_known_to_think(variant):
        return ""
    wanted = -(-(2 * mean + limit) // _STEP) * _STEP if mean else ROOM_TO_THINK
    switch = provider_spec(variant.provider).thought_switch
    about = f" (about {mean:,} tokens)" if mean else ""
    problem = f"{variant.model} thinks{about}, but {key} is {limit:,} and cuts it off"
    return f"{problem}: set {key}: {wanted}" + f", or {switch}" * bool(switch)


def _weights_warnings(variant: Variant, case_requests: Sequence[CaseRequest]) -> Iterator[str]:
    is_file = provider_spec(variant.provider).weights == "gguf"
    for model in {item.request.model for item in case_requests} if is_file else ():
        if type_ := slow_type(Path(model)):
            slow = f"llama.cpp is slow with weights of type {type_} on this processor"
            yield f"{Path(model).name}: {slow}; Q8_0 of the same model answers sooner"


def _length_warnings(template: str, requests: Sequence[Request]) -> Iterator[str]:
    first_turns = [request.messages[0] for request in requests]
    tokens = [estimate_tokens(text) for role, text in first_turns if role == "system"]
    mean = sum(tokens) // len(requests)
    # Inserted documents are not instructions, and a model reads only one branch of a condition.
    instructions = min(max(tokens, default=0), estimate_tokens(template_text(template)))
    if instructions > _LONG:
        length = f"the system prompt has about {instructions:,} tokens"
        yield f"{length}; instructions of this length often contradict each other"
    if mean > _EXPENSIVE:
        length = f"about {mean:,} tokens of system prompt in each of {len(requests):,} requests"
        yield f"{length}: about {sum(tokens):,} tokens in all"


def _leak_warnings(template: str, cases: Sequence[Case]) -> Iterator[str]:
    ids = {*PhraseIndex(cases, _FEWEST_WORDS_OF_PROMPT).case_ids_in(template_text(template))}
    leaked = [case for case in cases if case.id in ids]
    if leaked:
        count = f"{len(leaked):,} eval case{'s stand' if len(leaked) > 1 else ' stands'}"
        finding = f"{count} word for word in the system prompt, the first {leaked[0].location}"
        yield f"{finding}; take each out of the prompt or out of the cases"


def _label_warnings(variant: Variant, cases: Iterable[Case]) -> Iterator[str]:
    turns = (*variant.shots, *(turn for shot in variant.shot_pool for turn in shot.turns))
    shown = {text for role, text in turns if role == "assistant"}
    expected = {
        label for case in cases for label in choice_labels(case.format) if label in case.answers
    }
    missing = sorted(expected - shown)
    if turns and missing:
        share = f"the examples show {len(expected) - len(missing):,} of {len(expected):,} labels"
        named = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
        yield f"{share} that the cases expect; without {named}"
