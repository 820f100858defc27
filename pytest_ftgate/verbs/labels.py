"""What ``pytest-ftgate labels`` does: write kept replies for people to grade, without their names.

Whole cases are drawn, each with the replies of all variants, so that what people say of two
variants can be compared; and at random, so that it stands for the replies that nobody labels.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import Unavailable
from pytest_ftgate.run.foreseen import kept_replies
from pytest_ftgate.run.session import Session
from pytest_ftgate.suite.judge import Judge
from pytest_ftgate.suite.model import Case, Suite
from pytest_ftgate.verbs.suites import opened

__all__ = ["labels"]


def labels(suite: Path, ledger: Path, out: Path, *, count: int, seed: int) -> Iterator[str]:
    """Write replies to be graded to *out*, and say what to do with them.

    Args:
        suite: the suite file.
        ledger: where replies are kept.
        out: the file to write.
        count: of how many replies at the least, if there are so many.
        seed: of the draw.

    Raises:
        SuiteFaults: the suite cannot be used.
        Unavailable: it has no judge, nothing is kept, or the file is there.
    """
    loaded, session = opened(suite, ledger)
    if not loaded.judges:
        raise Unavailable(f"{suite} has no judge; labels are what one is examined by")
    if out.exists():
        raise Unavailable(f"{out} is there already; name another file with -o")
    judge = loaded.judges[0]
    found = _drawn(_rows(session, loaded, judge), count, random.Random(seed))  # noqa: S311 - a draw
    if not found:
        raise Unavailable(f"{ledger} has no reply left to label; run pytest --ftgate {suite} first")
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in found)
    out.write_text(text, "utf-8")
    yield f"{len(found):,} {'pairs' if judge.compares else 'replies'} written to {out}"
    yield f'for each write "grade": {_either(judge)}, by this rubric and without asking the judge:'
    yield from (f"  {line}" for line in judge.rubric.strip().split("\n"))
    yield f"then name the file in the suite: judge: {{human: {out.name}}}"


def _either(judge: Judge) -> str:
    return " or ".join(f'"{grade}"' for grade in judge.grades)


def _rows(session: Session, suite: Suite, judge: Judge) -> dict[str, list[dict[str, Any]]]:
    """Return by case the rows that can be labelled, less those that are."""
    known = {(one.case.id, one.reply.strip(), (one.other or "").strip()) for one in judge.labels}
    by_case: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    kept = {one.name: kept_replies(session, suite, one) for one in suite.variants.values()}
    for name, replies in kept.items():
        for case, text in replies:
            pair = _pair(judge, kept[suite.baseline], case, text)
            if pair is None or (name == suite.baseline and judge.compares):
                continue
            if (case.id, *pair) not in known:
                by_case.setdefault(case.id, {})[pair] = _row(judge, case, pair)
    return {case: [*own.values()] for case, own in by_case.items()}


def _pair(
    judge: Judge, baseline: list[tuple[Case, str]], case: Case, text: str
) -> tuple[str, str] | None:
    """Return the texts that are graded together, or None where there is nothing to compare."""
    if not judge.compares:
        return text.strip(), ""
    other = next((said for one, said in baseline if one.id == case.id), None)
    if other is None or other.strip() == text.strip():
        return None
    return text.strip(), other.strip()


def _row(judge: Judge, case: Case, pair: tuple[str, str]) -> dict[str, Any]:
    shown: dict[str, Any] = {"case": case.id, "input": case.shown}
    shown |= {} if case.expected is None else {"expected": case.expected}
    replies = {"first": pair[0], "second": pair[1]} if judge.compares else {"reply": pair[0]}
    return {**shown, **replies, "grade": ""}


def _drawn(
    by_case: Mapping[str, list[dict[str, Any]]], count: int, draw: random.Random
) -> list[dict[str, Any]]:
    """Return the rows of cases drawn one by one, until there are *count*; shuffled."""
    found: list[dict[str, Any]] = []
    for case in draw.sample(sorted(by_case), len(by_case)):
        if len(found) >= count:
            break
        found += by_case[case]
    draw.shuffle(found)
    return found
