"""Inputs without an expected answer, the replies of two variants to them, and their labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import FtgateError, RequestRejected
from pytest_ftgate.gates.disagreements import (
    Disagreement,
    Disagreements,
    draw_pairs,
    find_disagreements,
    known_truths,
    shown_pairs,
)
from pytest_ftgate.gates.labelled import InputReplies
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest, Request
from pytest_ftgate.scoring.scores import VariantScores, score_replies
from pytest_ftgate.suite.model import Case, Inputs
from pytest_ftgate.suite.pair_labels import PairAnswer, PairLabel
from pytest_ftgate.suite.rule import Rule

EXACT = Rule("exact")
#: Returns which reply to an input is right: ``old``, ``new``, ``both``, ``neither`` or ``unknown``,
#: given its place in the draw, from 1.
Right = Callable[[int], str]


def inputs_of(texts: int | Sequence[str], **more: Any) -> Inputs:
    """Return inputs that ask *texts*, or so many different ones."""
    asked = [f"Where is parcel {n}?" for n in range(texts)] if isinstance(texts, int) else texts
    cases = (
        Case(id=f"p{n}", location=f"production.jsonl:{n + 1}", input=text, score=EXACT)
        for n, text in enumerate(asked)
    )
    known: dict[str, Any] = {"score": EXACT, "labels": (), "labels_path": Path("shop.pairs.jsonl")}
    return Inputs(line=2, cases=tuple(cases), **{**known, **more})


def replied(
    variant: str, cases: Iterable[Case], texts: Callable[[int], str | Sequence[str] | None]
) -> VariantScores:
    """Return the replies to *cases*: *texts* returns one or several, or None for a missing one."""
    requests, replies = list[CaseRequest](), dict[str, Reply | FtgateError]()
    for n, case in enumerate(cases):
        found = texts(n)
        for repeat, text in enumerate(
            [found] if found is None or isinstance(found, str) else found
        ):
            key = f"{variant} {case.id} {repeat}"
            request = Request(
                fingerprint=key, provider="recorded", model="", messages=(), max_tokens=1,
                sampling={}, repeat=repeat,
            )  # fmt: skip
            requests.append(CaseRequest(case, repeat, request))
            replies[key] = RequestRejected("gone") if text is None else Reply(text=text)
    return score_replies(variant, requests, replies, Path())


def compared(n: int | Inputs, differ: int, missing: int = 0) -> InputReplies:
    """Return replies to *n* inputs; so many of the first *differ*, of the last are *missing*."""
    inputs = n if isinstance(n, Inputs) else inputs_of(n)
    count = len(inputs.cases)
    old = replied("old", inputs.cases, lambda _: "late")
    new = replied(
        "new",
        inputs.cases,
        lambda at: "lost" if at < differ else None if at >= count - missing else "late",
    )
    return InputReplies(inputs, old, new)


def found_in(replies: InputReplies) -> Disagreements:
    return find_disagreements(replies.inputs, replies.baseline, replies.variant)


def pair_labels(
    replies: InputReplies, count: int, right: Right, **more: Any
) -> tuple[PairLabel, ...]:
    """Return labels of the next *count* inputs of the draw."""
    inputs, found = replies.inputs, found_in(replies)
    draw, truths = draw_pairs(inputs, found), known_truths(inputs.labels, inputs.version)
    start = len(draw.labelled(truths))
    return tuple(
        PairLabel(
            **{
                "draw": draw.id,
                "place": place,
                "id": one.cases[0].id,
                "input": one.key,
                "first": first,
                "second": second,
                "answer": _answer(one, first, right(place)),
                "instruction": inputs.version,
                "by": "ann",
                **more,
            }
        )
        for place, one in enumerate(draw.order[start : start + count], start + 1)
        for first, second in shown_pairs(one, truths, draw.id)
    )


def _answer(one: Disagreement, first: str, right: str) -> PairAnswer:
    shown = "old" if one.shifts[first] < 0 else "new"
    plain = {"both": "both", "neither": "neither", "unknown": "unknown"}
    return PairAnswer(plain.get(right) or ("first" if right == shown else "second"))


def with_labels(replies: InputReplies, labels: Iterable[PairLabel]) -> InputReplies:
    inputs = replace(replies.inputs, labels=(*replies.inputs.labels, *labels))
    return replace(replies, inputs=inputs)


def labelled(replies: InputReplies, count: int, right: Right) -> InputReplies:
    """Return *replies* with labels of the next *count* inputs of the draw."""
    return with_labels(replies, pair_labels(replies, count, right))


def every(*answers: str) -> Right:
    """Return what says *answers* in turn."""
    return lambda place: answers[(place - 1) % len(answers)]


def label_lines(labels: Iterable[PairLabel]) -> str:
    """Return *labels* as the lines of a file."""
    return "".join(label.line for label in labels)
