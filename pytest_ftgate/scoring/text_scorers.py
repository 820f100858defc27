"""Scorers of text: exact, contains, numeric, similarity and others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from pytest_ftgate.scoring.score import RIGHT, WRONG, Mark, Scorer, judged
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.scorers import number, numbers, search

__all__ = ["TEXTS", "contains", "labelled", "matches", "said_label", "similarity"]

#: What people and models put around a label without meaning anything by it.
_AROUND = " \t\r\n\"'`.,;:!*"
_BULLETS = "-•"
#: So that 0.1 + 0.2 equals 0.3.
_HAIR = 1e-9


def _exact(text: str, accepted: list[Any], rule: Rule) -> Mark:
    options = rule.options
    if not options:
        return judged(text in accepted)
    steps = (*options.get("normalise", ()), *(["case"] if options.get("ignore_case") else ()))
    said = _normal(text, steps)
    return judged(any(said == _normal_answer(answer, steps) for answer in accepted))


def _normal(text: str, steps: Sequence[str]) -> str:
    """Return *text* less what is not to count; the order of the steps as declared does not."""
    if "unicode" in steps:
        text = unicodedata.normalize("NFKC", text)
    if "punctuation" in steps:
        text = "".join(c for c in text if not unicodedata.category(c).startswith("P"))
    if "case" in steps:
        text = text.casefold()
    return " ".join(text.split()) if "spaces" in steps else text


_normal_answer = lru_cache(maxsize=4096)(_normal)

# Labels ----------------------------------------------------------------------------------------


def said_label(
    text: str, labels: Iterable[str], synonyms: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Return the label that *text* is, whatever case and punctuation it is written in, or "".

    Args:
        text: of a reply.
        labels: that it may be.
        synonyms: other words for labels.
    """
    said = _bare(text)
    for label in labels:
        if said == _bare_label(label):
            return label
        if synonyms and any(said == _bare_label(word) for word in synonyms.get(label, ())):
            return label
    return ""


def _bare(text: str) -> str:
    # A label of punctuation alone is what it is; else an empty reply would be it.
    return text.strip(_AROUND).casefold() or text.strip()


_bare_label = lru_cache(maxsize=1 << 16)(_bare)


def _choice(text: str, accepted: list[Any], rule: Rule) -> Mark:
    options = rule.options
    synonyms = options.get("synonyms")
    if said_label(text, accepted, synonyms):
        return RIGHT
    none = options.get("none")
    return Mark(0.0, "abstained") if none and said_label(text, [none], synonyms) else WRONG


def _labels(text: str, accepted: list[Any], rule: Rule) -> Mark:
    return labelled(text.split(rule.options.get("separator", ",")), accepted, rule)


def labelled(parts: Iterable[str], accepted: list[Any], rule: Rule) -> Mark:
    """Mark a reply that names the labels *parts*, by how many of *accepted* they are."""
    options = rule.options
    words = {
        _bare_label(word): _bare_label(label)
        for label, synonyms in options.get("synonyms", {}).items()
        for word in synonyms
    }
    none = _bare_label(options.get("none") or "")
    pieces = {_bare(part.lstrip().lstrip(_BULLETS)) for part in parts} - {""}
    said = {words.get(piece, piece) for piece in pieces}
    wanted = {_bare_label(label) for label in accepted} - {none}
    # Nothing at all is no way to say that no label fits.
    if not said:
        return WRONG
    said -= {none}
    if said == wanted:
        return RIGHT
    value = 2 * len(said & wanted) / (len(said) + len(wanted)) if options.get("partial") else 0.0
    told = [("missing", wanted - said), ("too many", said - wanted)]
    return Mark(value, "; ".join(f"{what}: {', '.join(sorted(x))}" for what, x in told if x))


# Words and numbers -----------------------------------------------------------------------------


def contains(text: str, accepted: Sequence[str], *, every: bool = False) -> bool:
    """Tell whether one of *accepted* stands in *text* as whole words, or every one does."""
    folded = text.casefold()
    found = (_stands_in(folded, answer.casefold()) for answer in accepted)
    return all(found) if every else any(found)


def _stands_in(text: str, answer: str) -> bool:
    at = text.find(answer)
    while at >= 0:
        end = at + len(answer)
        if not (_in_word(text[at - 1 : at]) or _in_word(text[end : end + 1])):
            return True
        at = text.find(answer, at + 1)
    return False


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _contains(text: str, accepted: list[Any], rule: Rule) -> Mark:
    return judged(contains(text, accepted, every=rule.options.get("all", False)))


def matches(text: str, accepted: Sequence[str]) -> bool:
    """Tell whether one of the patterns *accepted* is found in *text*."""
    return any(search(pattern, text) is not None for pattern in accepted)


def _regex(text: str, accepted: list[Any], rule: Rule) -> Mark:
    del rule
    return judged(matches(text, accepted))


def _numeric(text: str, accepted: list[Any], rule: Rule) -> Mark:
    options = rule.options
    found = numbers(text, options)
    if not found:
        return WRONG
    said = found[0] if options.get("pick") == "first" else found[-1]
    answers = (number(answer, options) for answer in accepted)
    return judged(any(a is not None and abs(said - a) <= _room(a, options) for a in answers))


def _room(answer: float, options: Mapping[str, Any]) -> float:
    """Return how far a number may be from *answer*: as far as the wider tolerance lets it."""
    far: float = max(options.get("tolerance", 0), options.get("relative", 0) * abs(answer))
    return _HAIR + far


TEXTS: Mapping[str, Scorer] = {
    "exact": _exact,
    "choice": _choice,
    "labels": _labels,
    "contains": _contains,
    "regex": _regex,
    "numeric": _numeric,
}

#: Of longer texts the beginning is compared: likeness costs the product of the lengths.
_LONGEST = 50_000
_WORD = re.compile(r"\w+")


def similarity(text: str, accepted: list[Any], rule: Rule) -> Mark:
    """Mark *text* by its likeness to the nearest of *accepted*; with ``min`` as right or wrong."""
    likeness = _WAYS[rule.options.get("by", "ratio")]
    found = max(likeness(text[:_LONGEST], answer[:_LONGEST]) for answer in accepted)
    least = rule.options.get("min")
    if least is None:
        return Mark(found, f"similarity {found:.2f}" if found < 1 else "")
    if found >= least:
        return Mark(1.0)
    return Mark(0.0, f"similarity {found:.2f}, below {least:g}")


def _ratio(one: str, other: str) -> float:
    from rapidfuzz.distance import Indel

    return float(Indel.normalized_similarity(one, other))


def _rouge(one: str, other: str) -> float:
    """Return the F-measure of ROUGE-L: the longest common subsequence of words."""
    from rapidfuzz.distance import LCSseq

    mine, theirs = (_WORD.findall(text.casefold()) for text in (one, other))
    if not mine or not theirs:
        return float(mine == theirs)
    return float(2 * LCSseq.similarity(mine, theirs) / (len(mine) + len(theirs)))


def _tfidf(one: str, other: str) -> float:
    if not _WORD.search(one) or not _WORD.search(other):
        return float(one.strip() == other.strip())
    table = _vectorizer().fit_transform([one, other])
    # Both rows are of length 1; rounding may take the product beyond it.
    return min(1.0, float((table[0] @ table[1].T).toarray()[0, 0]))


@cache
def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(token_pattern=r"\w+")  # noqa: S106 - tokens are words


_WAYS: Mapping[str, Callable[[str, str], float]] = {
    "ratio": _ratio,
    "rouge": _rouge,
    "tfidf": _tfidf,
}
