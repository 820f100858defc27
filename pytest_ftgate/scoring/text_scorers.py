"""Scorers of text: exact, contains, numeric, similarity and others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from pytest_ftgate.scoring.score import CORRECT, INCORRECT, ContentScore, Scorer, binary_score
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.scorers import find_numbers, parse_number, search_pattern

#: Characters around a label that are not part of it.
_PUNCTUATION = " \t\r\n\"'`.,;:!*"
_BULLETS = "-•"
#: Absolute tolerance for rounding, so that 0.1 + 0.2 equals 0.3.
_ROUNDING = 1e-9


def _score_exact(text: str, accepted: list[Any], rule: Rule) -> ContentScore:
    if not rule.options:
        return binary_score(text in accepted)
    steps, normalised = _steps(rule), normal_exact_text(text, rule)
    return binary_score(any(normalised == _normalise_answer(answer, steps) for answer in accepted))


def _steps(rule: Rule) -> tuple[str, ...]:
    options = rule.options
    return (*options.get("normalise", ()), *(["case"] if options.get("ignore_case") else ()))


def normal_exact_text(text: str, rule: Rule) -> str:
    """Return *text* after the normalisation of ``exact``."""
    return _normalise(text, _steps(rule))


def _normalise(text: str, steps: Sequence[str]) -> str:
    """Return *text* after the normalisation *steps*; their order has no effect."""
    if "unicode" in steps:
        text = unicodedata.normalize("NFKC", text)
    if "punctuation" in steps:
        text = "".join(c for c in text if not unicodedata.category(c).startswith("P"))
    if "case" in steps:
        text = text.casefold()
    return " ".join(text.split()) if "spaces" in steps else text


_normalise_answer = lru_cache(maxsize=4096)(_normalise)

# Labels ----------------------------------------------------------------------------------------


def find_label(
    text: str, labels: Iterable[str], synonyms: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Return the label that the whole of *text* names, in any case and punctuation, or "".

    *synonyms* are other words for each label.
    """
    bare = _strip_label(text)
    for label in labels:
        if bare == _strip_known_label(label):
            return label
        if synonyms and any(bare == _strip_known_label(word) for word in synonyms.get(label, ())):
            return label
    return ""


def _strip_label(text: str) -> str:
    # A label of punctuation only stays as it is. Otherwise an empty reply would equal it.
    return text.strip(_PUNCTUATION).casefold() or text.strip()


_strip_known_label = lru_cache(maxsize=1 << 16)(_strip_label)


def _score_choice(text: str, accepted: list[Any], rule: Rule) -> ContentScore:
    options = rule.options
    synonyms = options.get("synonyms")
    if find_label(text, accepted, synonyms):
        return CORRECT
    none = options.get("none")
    abstained = none and find_label(text, [none], synonyms)
    return ContentScore(0.0, "abstained") if abstained else INCORRECT


def _score_separated_labels(text: str, accepted: list[Any], rule: Rule) -> ContentScore:
    return score_labels(text.split(rule.options.get("separator", ",")), accepted, rule)


def score_labels(parts: Iterable[str], accepted: list[Any], rule: Rule) -> ContentScore:
    """Score a reply that names the labels *parts*: 0 or 1, or with ``partial`` the F1.

    *accepted* are the expected labels. *rule* has the options ``synonyms``, ``none`` and
    ``partial``.
    """
    options = rule.options
    none = _strip_known_label(options.get("none") or "")
    labels = _known_labels(parts, rule)
    expected = {_strip_known_label(label) for label in accepted} - {none}
    # An empty reply does not state that no label fits.
    if not labels:
        return INCORRECT
    labels -= {none}
    if labels == expected:
        return CORRECT
    f1 = 2 * len(labels & expected) / (len(labels) + len(expected))
    mistakes = [("missing", expected - labels), ("too many", labels - expected)]
    reason = "; ".join(
        f"{mistake}: {', '.join(sorted(names))}" for mistake, names in mistakes if names
    )
    return ContentScore(f1 if options.get("partial") else 0.0, reason)


def _known_labels(parts: Iterable[str], rule: Rule) -> set[str]:
    """Return the labels that *parts* name, with the label in place of each synonym."""
    label_by_synonym = {
        _strip_known_label(word): _strip_known_label(label)
        for label, synonyms in rule.options.get("synonyms", {}).items()
        for word in synonyms
    }
    words = {_strip_label(part.lstrip().lstrip(_BULLETS)) for part in parts} - {""}
    return {label_by_synonym.get(word, word) for word in words}


def normal_labels(text: str, rule: Rule) -> set[str]:
    """Return the labels that the whole of *text* names, as ``labels`` compares them."""
    return _known_labels(text.split(rule.options.get("separator", ",")), rule)


# Words and numbers -----------------------------------------------------------------------------


def contains_words(text: str, accepted: Sequence[str]) -> bool:
    """Return True if *text* contains one of *accepted* as whole words."""
    return any(contains_text(text, answer, {}) for answer in accepted)


def contains_text(text: str, words: str, options: Mapping[str, Any]) -> bool:
    """Return True if *text* contains *words*: as whole words and in any case.

    *options* are those of ``contains``: with ``whole_words: false`` a part of a word counts, with
    ``case: true`` the case does.
    """
    if options.get("whole_words", True):
        fold = str if options.get("case") else str.casefold
        return _contains_phrase(fold(text), fold(words))
    # As other tools search: in lower case, in which "ß" is no "ss".
    fold = str if options.get("case") else str.lower
    return fold(words) in fold(text)


def _contains_phrase(text: str, phrase: str) -> bool:
    start = text.find(phrase)
    while start >= 0:
        end = start + len(phrase)
        if not (_in_word(text[start - 1 : start]) or _in_word(text[end : end + 1])):
            return True
        start = text.find(phrase, start + 1)
    return False


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _score_contains(text: str, accepted: list[Any], rule: Rule) -> ContentScore:
    matches = (contains_text(text, answer, rule.options) for answer in accepted)
    return binary_score(all(matches) if rule.options.get("all") else any(matches))


def matches_pattern(text: str, accepted: Sequence[str]) -> bool:
    """Return True if one of the patterns *accepted* matches anywhere in *text*."""
    return any(search_pattern(pattern, text) is not None for pattern in accepted)


def _score_regex(text: str, accepted: list[Any], rule: Rule) -> ContentScore:
    del rule
    return binary_score(matches_pattern(text, accepted))


def _score_numeric(text: str, accepted: list[Any], rule: Rule) -> ContentScore:
    options = rule.options
    numbers = find_numbers(text, options)
    if not numbers:
        return INCORRECT
    number = numbers[0] if options.get("pick") == "first" else numbers[-1]
    fixed, relative = options.get("tolerance", 0), options.get("relative", 0)
    answers = (parse_number(answer, options) for answer in accepted)
    return binary_score(
        # Of both tolerances the wider one counts.
        any(
            abs(number - answer) <= _ROUNDING + max(fixed, relative * abs(answer))
            for answer in answers
            if answer is not None
        )
    )


#: The most characters that are compared, from the start: the time grows with the product of both
#: lengths.
_MAX_CHARACTERS = 50_000
_WORD = re.compile(r"\w+")


def _score_similarity(text: str, accepted: list[Any], rule: Rule) -> ContentScore:
    """Score *text* by its similarity to the nearest of *accepted*; with ``min``, as 0 or 1."""
    similarity = _SIMILARITIES[rule.options.get("by", "ratio")]
    value = max(similarity(text[:_MAX_CHARACTERS], answer[:_MAX_CHARACTERS]) for answer in accepted)
    minimum = rule.options.get("min")
    if minimum is None:
        return ContentScore(value, f"similarity {value:.2f}" if value < 1 else "")
    if value >= minimum:
        return ContentScore(1.0)
    return ContentScore(0.0, f"similarity {value:.2f}, below {minimum:g}")


def _ratio(first: str, second: str) -> float:
    from rapidfuzz.distance import Indel

    return float(Indel.normalized_similarity(first, second))


def _rouge_l(first: str, second: str) -> float:
    """Return the F-measure of ROUGE-L: of the longest common subsequence of words."""
    from rapidfuzz.distance import LCSseq

    first_words, second_words = (_WORD.findall(text.casefold()) for text in (first, second))
    if not first_words or not second_words:
        return float(first_words == second_words)
    common = LCSseq.similarity(first_words, second_words)
    return float(2 * common / (len(first_words) + len(second_words)))


def _tfidf_cosine(first: str, second: str) -> float:
    if not _WORD.search(first) or not _WORD.search(second):
        return float(first.strip() == second.strip())
    table = _vectorizer().fit_transform([first, second])
    # Both rows have length 1. Rounding may lift their product above 1.
    return min(1.0, float((table[0] @ table[1].T).toarray()[0, 0]))


@cache
def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(token_pattern=r"\w+")  # noqa: S106 - tokens are words


_SIMILARITIES: Mapping[str, Callable[[str, str], float]] = {
    "ratio": _ratio,
    "rouge": _rouge_l,
    "tfidf": _tfidf_cosine,
}

TEXT_SCORERS: Mapping[str, Scorer] = {
    "exact": _score_exact,
    "choice": _score_choice,
    "labels": _score_separated_labels,
    "contains": _score_contains,
    "regex": _score_regex,
    "numeric": _score_numeric,
    "similarity": _score_similarity,
}
