"""Checks of training data: labels, duplicates, leaked cases, secrets, personal data."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from pytest_ftgate.gates.units import counted
from pytest_ftgate.gates.verdict import Finding, Item, Severity, Yardstick
from pytest_ftgate.requests.contamination import seen
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.formats import Forms
from pytest_ftgate.suite.few_shot import in_order
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

__all__ = [
    "Leaks",
    "answers",
    "asked",
    "doubles",
    "doubtful",
    "leaks_in",
    "near_pairs",
    "normalised",
    "private",
]

#: Each third of the rows is told by a classifier that has learned from the other two.
_FOLDS = 3
_SEED = 0
_STRENGTH = 10.0
#: A label is in doubt where another one is so many times as likely.
_TIMES = 10.0
#: From this share of the rows on it is a warning; fewer may well be hard, and not wrong.
_MANY_DOUBTFUL = 0.01


def doubtful(taught: Sequence[Item]) -> Iterator[Finding]:
    """Yield the rows of a labelled file whose label another one beats by far.

    Nothing is said where the classifier itself is not half-way from guessing to always right.

    Args:
        taught: rows that are answered with labels.
    """
    times = Counter(item.answer for item in taught)
    rows = [item for item in taught if times[item.answer] >= _FOLDS]
    names, own = np.unique([item.answer or "" for item in rows], return_inverse=True)
    if len(names) < 2:  # noqa: PLR2004 - one label is never taken for another
        return
    likely = _likely([item.example.shown for item in rows], own)
    best = likely.argmax(axis=1)
    guessed = np.bincount(own).max() / len(own)
    if (best == own).mean() < (1.0 + guessed) / 2.0:
        return
    at = np.arange(len(own))
    odds = likely[at, best] / np.maximum(likely[at, own], np.finfo(float).tiny)
    found = np.flatnonzero(odds >= _TIMES)
    if found.size:
        first = found[odds[found].argmax()]
        shown = f"line {rows[first].line}: {names[own[first]]}, and not {names[best[first]]}"
        yield _doubtful_finding([rows[i].line for i in found], shown, found.size / len(rows))


def _likely(texts: Sequence[str], own: NDArray[Any]) -> NDArray[np.float64]:
    """Return how likely each label is, of shape (texts, labels), by the other texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    try:
        table = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(texts)
    except ValueError:  # there is no word in any of them
        return np.zeros((len(texts), int(own.max()) + 1))
    fit = SGDClassifier(
        loss="log_loss",
        alpha=1 / (_STRENGTH * len(texts)),
        max_iter=20,
        tol=1e-2,
        random_state=_SEED,
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    with warnings.catch_warnings():
        # A fit that ran out of rounds is worse, and then says nothing.
        warnings.simplefilter("ignore")
        found = cross_val_predict(fit, table.tocsr(), own, cv=folds, method="predict_proba")
    return np.asarray(found, np.float64)


def _doubtful_finding(lines: Sequence[int], shown: str, share: float) -> Finding:
    verb = "is" if len(lines) == 1 else "are"
    return Finding(
        kind="doubtful label",
        severity=Severity.WARNING if share >= _MANY_DOUBTFUL else Severity.NOTE,
        told=f"{counted(len(lines), 'row')} {verb} labelled otherwise than rows like them; the "
        f"clearest is {shown}",
        count=len(lines),
        lines=tuple(sorted(lines)),
        next="read them: a wrong label is learned as well as a right one",
    )


#: What keys look like, by those who give them out; a model repeats what it was trained on.
_SECRETS = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY",
    "an Anthropic key": r"\bsk-ant-[\w-]{20,}",
    "an OpenAI key": r"\bsk-(?!ant-)(?:proj-)?[\w-]{20,}",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_\w{36,}|github_pat_\w{22,})",
    "a GitLab token": r"\bglpat-[\w-]{20,}",
    "a Slack token": r"\bxox[abeoprs]-[\w-]{10,}",
    "a Google key": r"\bAIza[\w-]{35}\b",
    "a Stripe key": r"\b[rs]k_live_\w{20,}",
    "an npm token": r"\bnpm_\w{36}\b",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "a signed token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "a password": r"(?i)\b(?:password|passwd|api[_-]?key|secret|access[_-]?token)\b[\"']?\s*[:=]\s*"
    r"[\"']?(?=\S*\d)[^\s\"',;]{8,}",
}
_PERSONAL = {
    "an e-mail address": r"\b[\w.+-]+@(?!example\.|test\.)[\w-]+\.[\w.-]*\w",
    "a telephone number": r"(?<![\w.])(?:\+\d{1,3}[ -]?)(?:\(?\d{1,4}\)?[ -]?){2,5}\d{2,4}\b",
    "a bank account": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "a card number": r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-])",
    "a social security number": r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])",
}
_BASE = 36


def private(items: Sequence[Item]) -> Iterator[Finding]:
    """Yield the rows with what looks like a secret, and those with personal data."""
    yield from _found(items, "secret", Severity.ERROR, _SECRETS, _NEXT["secret"])
    yield from _found(items, "personal", Severity.WARNING, _PERSONAL, _NEXT["personal"])


_NEXT = {
    "secret": "revoke it and take it out: a model gives away what it was trained on",
    "personal": "replace it by invented data, unless you may train on it",
}


def _found(
    items: Sequence[Item], kind: str, severity: Severity, patterns: dict[str, str], step: str
) -> Iterator[Finding]:
    each = {name: re.compile(pattern) for name, pattern in patterns.items()}
    lines = defaultdict[str, list[int]](list)
    for item in items:
        text = "\n".join(item.texts)
        for name, pattern in each.items():
            if any(_holds(name, one.group()) for one in pattern.finditer(text)):
                lines[name].append(item.line)
    if lines:
        told = ", ".join(f"{name} ({len(own):,})" for name, own in lines.items())
        rows = sorted({line for own in lines.values() for line in own})
        verb = "seems" if len(rows) == 1 else "seem"
        yield Finding(
            kind=kind,
            severity=severity,
            told=f"{counted(len(rows), 'row')} {verb} to hold {told}",
            count=len(rows),
            lines=tuple(rows),
            next=step,
        )


def _holds(name: str, found: str) -> bool:
    """Tell whether the check digits are right, where a number has such."""
    if name == "a card number":
        return _luhn([int(one) for one in found if one.isdigit()])
    if name == "a bank account":
        plain = found.replace(" ", "")
        turned = plain[4:] + plain[:4]
        return int("".join(str(int(one, _BASE)) for one in turned)) % 97 == 1
    return True


def _luhn(digits: list[int]) -> bool:
    doubled = [sum(divmod(2 * one, 10)) for one in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


#: So many texts are held against all others in one step, which bounds the memory.
_STEP = 512


def normalised(text: str) -> str:
    """Return the words of *text* in lower case, without punctuation around them."""
    words = (_bare(word) for word in text.lower().split())
    return " ".join(filter(None, words)) or text.strip()


def _bare(word: str) -> str:
    start, end = 0, len(word)
    while start < end and unicodedata.category(word[start])[0] == "P":
        start += 1
    while end > start and unicodedata.category(word[end - 1])[0] == "P":
        end -= 1
    return word[start:end]


def near_pairs(
    texts: Sequence[str], others: Sequence[str] | None = None, *, share: float = 0.8
) -> Iterator[tuple[int, int]]:
    """Yield the numbers of texts that share so many of all their different words.

    Every pair is found (Jaccard on sets of words, by sparse matrices), in a time that grows with
    how many texts a word is in, and not with how alike the texts are.

    Args:
        texts: what is looked at.
        others: what they are held against; by default each text against those before it.
        share: 0 to 1.
    """
    mine, theirs = _tables(texts, texts if others is None else others)
    sizes, others_sizes = (np.diff(one.indptr) for one in (mine, theirs))
    turned = theirs.T.tocsr()
    for start in range(0, len(texts), _STEP):
        both = (mine[start : start + _STEP] @ turned).tocoo()
        row, column, common = both.row + start, both.col, both.data
        wanted = common >= share * (sizes[row] + others_sizes[column] - common) - 1e-9
        if others is None:
            wanted &= column < row
        yield from zip(row[wanted].tolist(), column[wanted].tolist(), strict=True)


def _tables(
    texts: Iterable[str], others: Iterable[str]
) -> tuple[csr_matrix[np.int32], csr_matrix[np.int32]]:
    """Return which words are in which text: tables of shape (texts, words)."""
    known: dict[str, int] = {}
    rows = [_numbers(texts, known), _numbers(others, known)]
    first, second = (
        csr_matrix((np.ones(len(at), np.int32), at, ends), shape=(len(ends) - 1, len(known) or 1))
        for at, ends in rows
    )
    return first, second


def _numbers(
    texts: Iterable[str], known: dict[str, int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    at: list[int] = []
    ends = [0]
    for text in texts:
        # In their order and not that of a set, which differs from run to run.
        at += [known.setdefault(word, len(known)) for word in dict.fromkeys(in_order(text))]
        ends.append(len(at))
    return np.array(at, np.int32), np.array(ends, np.int32)


_Asked = tuple[str, ...]


def asked(item: Item) -> _Asked:
    """Return what a row asks, less what differs in case or punctuation alone."""
    own = item.example
    return (normalised(own.system), *(f"{role} {normalised(text)}" for role, text in own.turns))


def doubles(items: Sequence[Item], yardstick: Yardstick) -> Iterator[Finding]:
    """Yield the rows that repeat an earlier one, or nearly."""
    first: dict[tuple[_Asked, str], int] = {}
    again: dict[int, int] = {}
    for item in items:
        key = asked(item), normalised(item.example.answer or "")
        if key in first:
            again[item.line] = first[key]
        first.setdefault(key, item.line)
    if again:
        yield _duplicate_finding("duplicate", again, f"{_rows(again)} another", "remove them")
    left = [item for item in items if item.line not in again]
    near = _nearly(left, yardstick.near)
    if near:
        told = f"{_rows(near, 'nearly ')} another that has the same answer"
        yield _duplicate_finding(
            "near duplicate", near, told, "keep one of each, or write more varied ones"
        )


def _rows(found: Mapping[int, int], how: str = "") -> str:
    return f"{counted(len(found), 'row')} {how}{'repeats' if len(found) == 1 else 'repeat'}"


def _duplicate_finding(kind: str, again: Mapping[int, int], told: str, step: str) -> Finding:
    line, other = next(iter(again.items()))
    return Finding(
        kind=kind,
        severity=Severity.WARNING,
        told=f"{told}; the first is that of line {other}, in line {line}",
        count=len(again),
        lines=tuple(sorted(again)),
        next=step,
    )


def _nearly(items: Sequence[Item], share: float) -> dict[int, int]:
    found: dict[int, int] = {}
    for one, other in near_pairs([item.example.shown for item in items], share=share):
        mine, its = items[one], items[other]
        if mine.example.answer == its.example.answer:
            found.setdefault(mine.line, its.line)
    return found


@dataclass(frozen=True, slots=True)
class Leaks:
    """The cases that stand in a training file, by id, each with the lines that hold it.

    Attributes:
        same: lines that say the same, but for case and punctuation.
        near: further lines that say nearly the same, or hold it in a longer text.
    """

    same: Mapping[str, Sequence[int]]
    near: Mapping[str, Sequence[int]]

    @property
    def cases(self) -> frozenset[str]:
        """The ids of all of them."""
        return frozenset((*self.same, *self.near))

    def findings(self, of: int) -> Iterator[Finding]:
        """Yield what is to be said of them, out of so many cases."""
        if self.same:
            yield _leak("leak", Severity.ERROR, self.same, of, "")
        if self.near:
            yield _leak("near leak", Severity.WARNING, self.near, of, "nearly ")


def _leak(
    kind: str, severity: Severity, found: Mapping[str, Sequence[int]], of: int, how: str
) -> Finding:
    verb = "stands" if len(found) == 1 else "stand"
    case, lines = next(iter(found.items()))
    return Finding(
        kind=kind,
        severity=severity,
        told=f"{len(found):,} of {counted(of, 'case')} {verb} {how}in the training data; the "
        f"first is {case}, in line {lines[0]}",
        count=len(found),
        lines=tuple(sorted({line for own in found.values() for line in own})),
        next="take the rows out and train again; until then these cases show nothing",
        cases=tuple(found),
    )


def leaks_in(items: Sequence[Item], cases: Sequence[Case], share: float) -> Leaks:
    """Return which of *cases* the rows of a training file give away."""
    turns = ((item.line, turn) for item in items for turn in item.example.turns)
    said = [(text, line) for line, (role, text) in turns if role == "user"]
    rows = defaultdict[str, list[int]](list)
    for text, line in said:
        rows[normalised(text)].append(line)
    keys = {case.id: normalised(case.shown) for case in cases}
    same = {case: rows[key] for case, key in keys.items() if key in rows}
    near = defaultdict[str, list[int]](list)
    # Those in a longer text, and of the same words in another order, count as near.
    for case, line in seen([item.example for item in items], cases).items():
        near[case].append(line)
    for one, row in near_pairs([c.shown for c in cases], [text for text, _ in said], share=share):
        near[cases[one].id].append(said[row][1])
    left = {c.id: sorted({*near.get(c.id, ())} - {*same.get(c.id, ())}) for c in cases}
    return Leaks(same, {case: lines for case, lines in left.items() if lines})


#: Answers are labels where each is given to so many rows on the average, and is so short.
_EACH, _LONGEST = 5, 80
#: An answer that is given so often is a label and no fact.
_OFTEN = 3
#: An answer of more words than this begins with a capital because it is a sentence.
_SENTENCE = 3
#: From this share of the rows on it is a warning that answers hold facts of their own.
_MANY_INVENTED = 0.1
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_NAME = re.compile(r"\b[^\W\d_a-z][\w'-]+")
_START = re.compile(r"(?:^|[.!?:]\s+|\n\s*)(?:[\"'(*-]\s*)*(\w+)")


def answers(items: Sequence[Item], yardstick: Yardstick) -> Iterator[Finding]:
    """Yield what is wrong with what a file teaches."""
    taught = [item for item in items if item.answer is not None]
    yield from _conflicts(taught)
    yield from _forms(taught, yardstick)
    yield from _absent(taught, yardstick.labels)
    known = yardstick.labels
    labelled = [item for item in taught if not known or item.answer in known]
    if _are_labels(labelled):
        yield from _balance(labelled, yardstick)
        yield from doubtful(labelled)
    yield from _facts(taught)


def _conflicts(taught: Sequence[Item]) -> Iterator[Finding]:
    by_question = defaultdict[tuple[str, ...], list[Item]](list)
    for item in taught:
        by_question[asked(item)].append(item)
    torn = [own for own in by_question.values() if len({one.answer for one in own}) > 1]
    if torn:
        lines = sorted(item.line for own in torn for item in own)
        shown = " and ".join(str(item.line) for item in torn[0][:2])
        questions = "is asked" if len(torn) == 1 else "are asked"
        yield Finding(
            kind="conflict",
            severity=Severity.ERROR,
            told=f"{counted(len(torn), 'question')} {questions} with different answers; the first "
            f"in lines {shown}",
            count=len(lines),
            lines=tuple(lines),
            next="decide on one answer, or tell the questions apart",
        )


def _forms(taught: Sequence[Item], yardstick: Yardstick) -> Iterator[Finding]:
    if not yardstick.format:
        return
    forms = Forms(yardstick.folder)
    found: dict[int, str] = {}
    for item in taught:
        case = Case(id="", where="", input=item.example.shown, score=Rule("exact"),
                    format=yardstick.format)  # fmt: skip
        broken = forms.broken(case, Reply(text=item.answer or ""))
        if broken:
            found[item.line] = broken.kind
    if found:
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in Counter(found.values()).most_common(3))
        verb = "breaks" if len(found) == 1 else "break"
        yield Finding(
            kind="format",
            severity=Severity.ERROR,
            told=f"{counted(len(found), 'answer')} {verb} the form of replies ({kinds})",
            count=len(found),
            lines=tuple(found),
            next="a model learns the form of its answers: write them as replies must be",
        )


def _absent(taught: Sequence[Item], labels: Sequence[str]) -> Iterator[Finding]:
    known = {item.answer for item in taught}
    absent = [label for label in labels if label not in known]
    if absent:
        named = ", ".join(absent[:5]) + (", …" if len(absent) > 5 else "")  # noqa: PLR2004
        yield Finding(
            kind="missing label",
            severity=Severity.ERROR,
            told=f"{counted(len(absent), 'label')} of the suite without a row: {named}",
            count=len(absent),
            next="add rows of each label that the model is to tell apart",
        )


def _are_labels(taught: Sequence[Item]) -> bool:
    texts = {item.answer or "" for item in taught}
    return 1 < len(texts) <= len(taught) / _EACH and max(map(len, texts)) <= _LONGEST


def _balance(taught: Sequence[Item], yardstick: Yardstick) -> Iterator[Finding]:
    times = Counter(item.answer or "" for item in taught)
    (most, often), *_, (least, rarely) = times.most_common()
    if often > yardstick.balance * rarely:
        told = f"{most} has {often:,} rows and {least} has {rarely:,}"
        yield Finding(
            kind="balance",
            severity=Severity.WARNING,
            told=f"{told}: more than {yardstick.balance:g} times as many",
            count=rarely,
            lines=tuple(item.line for item in taught if item.answer == least),
            next="add rows of the rare labels; what is rare in training is rarely answered",
        )


def _facts(taught: Sequence[Item]) -> Iterator[Finding]:
    said = [normalised(item.answer or "") for item in taught]
    times = Counter(said)
    rows = [i for i, own in zip(taught, said, strict=True) if times[own] < _OFTEN and _new(i)]
    if rows:
        share = len(rows) / len(taught)
        severity = Severity.WARNING if share >= _MANY_INVENTED else Severity.NOTE
        verb = "names" if len(rows) == 1 else "name"
        yield Finding(
            kind="facts",
            severity=severity,
            told=f"{counted(len(rows), 'answer')} {verb} people, places, dates or numbers that the "
            "question does not",
            count=len(rows),
            lines=tuple(item.line for item in rows),
            next="facts are better retrieved than trained: new ones are learned badly, and teach "
            "to invent",
        )


def _new(item: Item) -> bool:
    """Tell whether an answer holds a name or a number that nothing before it mentions."""
    answer = item.answer or ""
    told = " ".join((item.example.system, *(text for _, text in item.example.turns))).lower()
    starts = set(_START.findall(answer)) if len(answer.split()) > _SENTENCE else set()
    names = [name for name in _NAME.findall(answer) if name not in starts]
    numbers = [number for number in _NUMBER.findall(answer) if len(number) > 1]
    return any(one.lower() not in told for one in (*names, *numbers))
