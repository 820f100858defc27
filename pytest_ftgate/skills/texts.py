"""Long texts and conversations of skill cases, rendered from a seed instead of being stored."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, TypeVar

_Value = TypeVar("_Value")

_FIRST = (
    *("Marta", "Jonas", "Aisha", "Pavel", "Lucia", "Henrik", "Yuki", "Omar", "Ines", "Tomas"),
    *("Greta", "Samir", "Noemi", "Viktor", "Leila", "Anton", "Sofia", "Malik", "Elena", "Bruno"),
)
_LAST = (
    *("Olsen", "Berger", "Rossi", "Novak", "Haddad", "Moreau", "Tanaka", "Silva", "Kovacs"),
    *("Lindgren", "Okafor", "Petrov", "Santos", "Weber", "Dubois", "Ferrari", "Jensen", "Castro"),
)
_NAMES = [f"{first} {last}" for first in _FIRST for last in _LAST]
_GOODS = (
    *("lamps", "chairs", "kettles", "ropes", "mirrors", "drums", "tiles", "clocks", "blankets"),
    *("ladders", "violins", "baskets"),
)
_CITIES = (
    *("Lisbon", "Oslo", "Cairo", "Quito", "Osaka", "Dakar", "Riga", "Lima", "Hanoi", "Perth"),
    *("Turin", "Accra"),
)
#: The lines of a ledger, by level: about 15 tokens each.
_LINES = (20, 80, 200, 450, 900)
#: The entries that a sum adds, and the hands that a parcel passes through, by level.
_SUMMED, _HOPS = (2, 4, 7, 12, 20), (1, 2, 4, 7, 12)
#: The messages of the user before the last one, by level.
_TURNS = (2, 5, 10, 20, 40)
_NUMBER_ONLY, _NAME_ONLY = "Reply with the number only.", "Reply with the full name only."
_NUMBER = {"python": "pytest_ftgate.scoring.skill_answers:final"}


class _Draws:
    """Draws that are the same in every version of Python: `Random.random` alone is promised."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random  # noqa: S311 - no secret

    def below(self, end: int) -> int:
        return int(self._random() * end)

    def one_of(self, values: Sequence[_Value]) -> _Value:
        return values[self.below(len(values))]

    def shuffle(self, values: Sequence[_Value]) -> list[_Value]:
        pairs = [(self._random(), value) for value in values]
        return [value for _, value in sorted(pairs, key=lambda pair: pair[0])]


def read_rendered_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the line and the row of each case in a compressed file; its first row describes it."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if number > 1:
                yield number, render_row(json.loads(line))


def render_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of skill data with its text: rendered if it has a seed, else as it is."""
    kind = row.get("render")
    if kind is None:
        return dict(row)
    kept = {key: value for key, value in row.items() if key not in ("render", "seed")}
    return kept | _KINDS[kind](_Draws(row["seed"]), int(row["difficulty"]) - 1)


def _ledger(draws: _Draws, level: int, special: Sequence[str]) -> str:
    """Return a ledger that has the entries *special* in their order, among others."""
    count = _LINES[level] - len(special)
    places = sorted(draws.below(count + 1) for _ in special)
    lines = list[str]()
    for index in range(count + 1):
        lines += [text for place, text in zip(places, special, strict=True) if place == index]
        if index < count:
            lines.append(_entry(draws, _name(draws), draws.one_of(_GOODS)))
    numbered = "\n".join(f"{number}: {line}" for number, line in enumerate(lines, start=1))
    return f"This is a ledger.\n\n{numbered}\n\n"


def _name(draws: _Draws) -> str:
    return f"{draws.one_of(_FIRST)} {draws.one_of(_LAST)}"


def _entry(draws: _Draws, name: str, goods: str, number: int = 0) -> str:
    return f"{name} sent {number or 2 + draws.below(90)} {goods} to {draws.one_of(_CITIES)}."


#: Names and goods that no other entry has.
_RARE_NAMES = ("Ottilie Quist", "Casimir Thorn", "Philippa Vane", "Ludovic Marsh", "Beatrix Holm")
_RARE_GOODS = ("telescopes", "harps", "globes", "kayaks", "anvils")


def _lookup(draws: _Draws, level: int) -> dict[str, Any]:
    name, number = draws.one_of(_RARE_NAMES), 2 + draws.below(90)
    goods = draws.shuffle(_GOODS)
    # Entries of the same name with other goods, and the other way round, stand around it.
    others = [_entry(draws, name, kind) for kind in goods[1 : 2 + level]]
    others += [_entry(draws, _name(draws), goods[0]) for _ in range(level)]
    special = draws.shuffle([*others, _entry(draws, name, goods[0], number)])
    question = f"How many {goods[0]} did {name} send? {_NUMBER_ONLY}"
    return _row(number, input=_ledger(draws, level, special) + question)


def _sum(draws: _Draws, level: int) -> dict[str, Any]:
    goods = draws.one_of(_RARE_GOODS)
    numbers = [2 + draws.below(90) for _ in range(_SUMMED[level])]
    special = [_entry(draws, _name(draws), goods, number) for number in numbers]
    question = f"How many {goods} were sent in all entries together? {_NUMBER_ONLY}"
    return _row(sum(numbers), input=_ledger(draws, level, special) + question)


def _chain(draws: _Draws, level: int) -> dict[str, Any]:
    hops = _HOPS[level]
    names = draws.shuffle(_NAMES)
    colours = draws.shuffle(["red", "blue", "green"])
    special = list[tuple[float, str]]()
    for index, colour in enumerate(colours):
        holders = names[index * (hops + 1) : (index + 1) * (hops + 1)]
        special += [
            (step + index / len(colours), f"{giver} handed the {colour} parcel to {taker}.")
            for step, (giver, taker) in enumerate(pairwise(holders))
        ]
    lines = [text for _, text in sorted(special)]
    question = f"Who had the {colours[0]} parcel at the end? {_NAME_ONLY}"
    return _row(names[hops], "contains", input=_ledger(draws, level, lines) + question)


def _row(answer: object, score: str | dict[str, str] = _NUMBER, **asked: Any) -> dict[str, Any]:
    return {**asked, "expected": str(answer), "score": score, "max_tokens": 32}


def _stock(draws: _Draws, level: int) -> dict[str, Any]:
    """Return a conversation about a stock of goods, of which the user changes one in each turn."""
    kinds = draws.shuffle(_GOODS)[: 2 + level]
    stock = {kind: 10 + draws.below(80) for kind in kinds}
    listed = ", ".join(f"{number} {kind}" for kind, number in stock.items())
    told = [f"Please keep track of our stock. We have {listed}."]
    for _ in range(_TURNS[level]):
        kind, number = draws.one_of(kinds), 1 + draws.below(9)
        change = draws.below(3)
        if change == 0 or stock[kind] < number:
            stock[kind] += number
            told.append(f"{number} {kind} came in.")
        elif change == 1:
            stock[kind] -= number
            told.append(f"We sold {number} {kind}.")
        else:
            stock[kind] = number + 20
            told.append(f"I counted the {kind} again: there are {number + 20}.")
    asked = kinds[0]
    question, answer = f"How many {asked} do we have now?", stock[asked]
    if level > 1:
        question, answer = "How many pieces of all kinds do we have now?", sum(stock.values())
    return _row(answer, messages=_conversation(told, f"{question} {_NUMBER_ONLY}"))


def _appointments(draws: _Draws, level: int) -> dict[str, Any]:
    """Return a conversation about appointments that are moved and exchanged."""
    names = draws.shuffle(_NAMES)[: 3 + level]
    times = [f"{hour}:00" for hour in range(8, 8 + len(names))]
    plan = dict(zip(times, names, strict=True))
    listed = ", ".join(f"{name} at {time}" for time, name in plan.items())
    told = [f"Please keep my appointments for tomorrow: {listed}."]
    for _ in range(_TURNS[level]):
        one, other = draws.shuffle(times)[:2]
        told.append(f"{plan[one]} and {plan[other]} exchange their times.")
        plan[one], plan[other] = plan[other], plan[one]
    time = draws.one_of(times)
    messages = _conversation(told, f"Who comes at {time}? {_NAME_ONLY}")
    return _row(plan[time], "contains", messages=messages)


def _conversation(told: Sequence[str], question: str) -> list[dict[str, str]]:
    messages = list[dict[str, str]]()
    for text in told:
        messages.append({"role": "user", "content": text})
        messages.append({"role": "assistant", "content": "Noted."})
    return [*messages, {"role": "user", "content": question}]


_KINDS: Mapping[str, Callable[[_Draws, int], dict[str, Any]]] = {
    "ledger_lookup": _lookup,
    "ledger_sum": _sum,
    "ledger_chain": _chain,
    "stock_keeping": _stock,
    "appointments": _appointments,
}
