"""Read the few-shot examples of a variant, check them against the cases, and render them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import ceil
from pathlib import Path

from pytest_ftgate.readers.source import Source, fold_similar
from pytest_ftgate.readers.text import normalised_words, word_sequence
from pytest_ftgate.suite.cases import unknown_label_error
from pytest_ftgate.suite.declaration import DeclaredExamples
from pytest_ftgate.suite.draft import VariantLocation
from pytest_ftgate.suite.model import Case, ReplyRules, Shot, Turn, digest
from pytest_ftgate.suite.templates import PASSAGES, TemplateError, render_template
from pytest_ftgate.suite.training_data import TrainingExample, read_training_rows

#: From this cosine similarity on (TF-IDF of character n-grams), two texts count as the same.
_SAME_TEXT = 0.9


def _choose_examples(
    pool: Sequence[TrainingExample], declared: DeclaredExamples
) -> list[TrainingExample]:
    """Return the examples of a variant. With ``choose: similar``, return the whole pool."""
    if declared.choose == "random":
        rng = random.Random(declared.seed)  # noqa: S311 - it only has to be repeatable
        return rng.sample(pool, min(len(pool), declared.shots))
    if declared.choose == "similar":
        return list(pool)
    if declared.choose == "first":
        return list(pool[: declared.shots])
    return list(_first_per_label(pool, declared.shots))


def _first_per_label(pool: Iterable[TrainingExample], per_label: int) -> Iterable[TrainingExample]:
    """Yield the first *per_label* examples of each label, in the order of the file."""
    counts: Counter[str | None] = Counter()
    for example in pool:
        counts[example.answer] += 1
        if counts[example.answer] <= per_label:
            yield example


def most_similar(pool: tuple[Shot, ...], text: str, count: int) -> list[Shot]:
    """Return the *count* examples most similar to *text*, the most similar last.

    The last example stands next to the case in the prompt. Examples that equal the text, or
    nearly, would show its answer and are left out.
    """
    vectorizer, matrix = _vectorized(pool)
    similarity = (matrix @ vectorizer.transform([text]).T).toarray().ravel()
    ranked = sorted(range(len(pool)), key=lambda index: (-similarity[index], index))
    return [pool[index] for index in ranked if similarity[index] < _SAME_TEXT][:count][::-1]


@lru_cache(maxsize=8)
def _vectorized(pool: tuple[Shot, ...]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    return vectorizer, vectorizer.fit_transform(shot.input_text for shot in pool)


def find_leaks(
    examples: Iterable[TrainingExample], cases: Sequence[Case], *, near: bool
) -> Iterator[tuple[TrainingExample, Case, str]]:
    """Yield each example that repeats a case, with the case, and "is" or "is nearly".

    With *near*, near duplicates count too, if the example has an answer that the case expects.
    """
    cases_by_words = {normalised_words(case.input_text): case for case in cases}
    examples, near_cases = [*examples], dict[int, Case]()
    shown = [example.input_text for example in examples] if near else []
    for number, index in near_pairs([case.input_text for case in cases], shown):
        case = cases[number]
        if case.expected is None or examples[index].answer in [str(a) for a in case.answers]:
            near_cases.setdefault(index, case)
    for index, example in enumerate(examples):
        if (same := cases_by_words.get(normalised_words(example.input_text))) is not None:
            yield example, same, "is"
        elif index in near_cases:
            yield example, near_cases[index], "is nearly"


#: Texts whose words have a Jaccard index of at least this are near duplicates.
_NEAR = 0.8


def near_pairs(
    texts: Sequence[str], references: Sequence[str] | None = None
) -> Iterator[tuple[int, int]]:
    """Yield the indexes of each pair of texts that are near duplicates.

    Each text is compared with *references*, by default with the earlier texts.

    The result is exact: two similar texts share one of the rarest words of each, since neither
    lacks more than a few words of the other. It needs no import, which would slow the collection
    of tests down.
    """
    words = [set(word_sequence(text)) for text in texts]
    others = words if references is None else [set(word_sequence(text)) for text in references]
    counts = Counter(word for of_text in (*words, *others) for word in of_text)

    def rarest(of_text: set[str]) -> list[str]:
        most_lacking = len(of_text) - ceil(_NEAR * len(of_text) - 1e-9)
        return sorted(of_text, key=lambda word: (counts[word], word))[: most_lacking + 1]

    by_word = defaultdict[str, list[int]](list)
    for index, of_other in enumerate(others):
        for word in rarest(of_other):
            by_word[word].append(index)
    for index, own in enumerate(words):
        found = {other for word in rarest(own) for other in by_word.get(word, ())}
        for other in sorted(found):
            common, is_earlier = len(own & others[other]), other < index
            least = _NEAR * (len(own) + len(others[other]) - common) - 1e-9
            if common >= least and (is_earlier or references is not None):
                yield index, other


def resolve_shots(
    location: VariantLocation, declared: DeclaredExamples, user_template: str
) -> list[Shot]:
    """Return the few-shot examples of a variant, or its pool of them. Errors are added.

    An example that repeats a case of the suite is an error.
    """
    source, reply = location.source, location.suite.reply
    path = source.find_file(declared.source, location.line("examples"), "examples: from")
    if path is None:
        return []
    if reply.score.kind == "tool_call":
        message = "examples cannot show a tool call, which cases expect; remove them"
        location.add_error("examples", message)
    errors_before = len(source.errors)
    pool = [row for row in read_training_rows(source, path) if row.usable]
    if not pool and len(source.errors) == errors_before:
        location.add_error("examples", f"examples: {declared.source} has no row to learn from")
    examples = _choose_examples(pool, declared)
    # `most_similar` leaves out the near duplicates of each case.
    near = declared.choose != "similar"
    for example, case, relation in find_leaks(examples, location.suite.cases, near=near):
        place = f"{source.display_path(path)}:{example.line}"
        message = f"example {place} {relation} the eval case {case.location}; remove one"
        location.add_error("examples", message)
    if reply.score.kind == "choice":
        _check_labels(source, path, examples, reply)
    shots = [
        Shot(example.input_text, _render_turns(location, path, example, user_template))
        for example in examples
    ]
    source.errors[errors_before:] = fold_similar(source.errors[errors_before:])
    return shots


def _check_labels(
    source: Source, path: Path, examples: Iterable[TrainingExample], reply: ReplyRules
) -> None:
    for example in examples:
        if example.answer is None:
            continue
        if message := unknown_label_error([example.answer], reply.format):
            source.add_error(example.line, message, path)


def _render_turns(
    location: VariantLocation, path: Path, example: TrainingExample, user_template: str
) -> tuple[Turn, ...]:
    """Return the turns of one example, its answer last, or nothing on an error."""
    place = f"{location.source.display_path(path)}:{example.line}"
    if example.answer is None:
        location.add_error("examples", f'example {place} has no "expected", so nothing to show')
        return ()
    text = example.input_text
    # An example has no passages, even if the template has a place for them.
    values = {"input": text, "id": digest([text])[:8], "tags": (), PASSAGES: "", **example.values}
    try:
        is_single = len(example.turns) == 1
        turns = (("user", render_template(user_template, values)),) if is_single else example.turns
    except TemplateError as error:
        location.add_error("examples", f"example {place} cannot be shown: {error}")
        return ()
    return (*turns, ("assistant", example.answer))
