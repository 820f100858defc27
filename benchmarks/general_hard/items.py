"""What every task of the set shares: its source, its items, and how they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

#: One item: the keys of a case without id, skill, difficulty and language.
Item = dict[str, Any]
LEVELS = (1, 2, 3, 4, 5)
OWN = "written for this project, Apache-2.0"
SCORERS = "pytest_ftgate.scoring.skill_answers"
FINAL = {"python": f"{SCORERS}:final"}
#: The tokens of a reply that works its result out, by level.
WORKING_TOKENS = (512, 768, 1024, 1536, 2048)
WORK_IT_OUT = "\n\nWork it out briefly, and end with a line that reads 'Answer: ' and the result."


class Task(NamedTuple):
    """One kind of question.

    Attributes:
        skill: its name.
        source: who made the data, with version and licence.
        items: yields items of a level, without end or as many as there are.
    """

    skill: str
    source: str
    items: Callable[[Random, int], Iterator[Item]]


def worked_out(question: str, answer: str, level: int) -> Item:
    """Return an item whose reply may contain the way to its answer."""
    return {
        "input": question.strip() + WORK_IT_OUT,
        "expected": answer,
        "score": FINAL,
        "max_tokens": WORKING_TOKENS[level - 1],
    }


def named(question: str, answers: list[str]) -> Item:
    """Return an item whose reply is a name."""
    unique = list(dict.fromkeys(answers))
    expected: str | list[str] = unique if len(unique) > 1 else unique[0]
    return {
        "input": f"{question} Reply with the name only.",
        "expected": expected,
        "score": "contains",
        "max_tokens": 32,
    }


def shuffled(random: Random, values: list[Any]) -> list[Any]:
    """Return a copy of *values* in another order."""
    return random.sample(values, len(values))
