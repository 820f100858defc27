"""The answers of a training file: in conflict, out of balance, out of form, or new facts."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.gate.data.doubles import asked
from pytest_ftgate.gate.data.doubtful import doubtful
from pytest_ftgate.gate.data.finding import Finding, Item, Severity, Yardstick
from pytest_ftgate.gate.data.same import normalised
from pytest_ftgate.gate.words import counted
from pytest_ftgate.score.form import Forms
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rules import Rule

__all__ = ["answers"]

#: Answers are labels where each is given to so many rows on the average, and is so short.
_EACH, _LONGEST = 5, 80
#: An answer that is given so often is a label and no fact.
_OFTEN = 3
#: An answer of more words than this begins with a capital because it is a sentence.
_SENTENCE = 3
#: From this share of the rows on it is a warning that answers hold facts of their own.
_MANY = 0.1
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
        severity = Severity.WARNING if share >= _MANY else Severity.NOTE
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
