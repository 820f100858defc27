"""Mathematics and reasoning, by the generators of reasoning-gym."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from random import Random
from typing import Any

import reasoning_gym
from items import Item, Task, worked_out

_SOURCE = f"reasoning-gym {version('reasoning_gym')} (Open-Thought), Apache-2.0"
#: More than a level needs: some generators repeat themselves.
_DRAWN = 400


def _range(name: str, low: int, high: int) -> dict[str, int]:
    return {f"min_{name}": low, f"max_{name}": high}


#: The options of each generator, by level.
_OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "chain_sum": tuple(
        {**_range("terms", terms, terms), **_range("digits", digits, digits)}
        for terms, digits in ((2, 2), (4, 3), (7, 5), (12, 9), (24, 16))
    ),
    "products": tuple(
        {**_range("terms", 2, 2), **_range("digits", low, high), "allow_negation": False}
        for low, high in ((1, 2), (2, 3), (3, 4), (5, 6), (9, 10))
    ),
    "simple_equations": tuple(
        {**_range("terms", low, high), **_range("value", 2, value)}
        for low, high, value in (
            (2, 2, 20),
            (3, 4, 60),
            (5, 7, 500),
            (8, 10, 9000),
            (14, 18, 10**6),
        )
    ),
    "lcm": tuple(
        {**_range("numbers", count, count), **_range("value", low, high)}
        for count, low, high in (
            *((2, 2, 20), (2, 10, 90), (3, 30, 300)),
            *((4, 100, 2000), (5, 10_000, 99_999)),
        )
    ),
    "knights_knaves": tuple(
        {"n_people": people, "depth_constraint": depth, "width_constraint": depth}
        for people, depth in ((2, 2), (3, 2), (4, 2), (6, 3), (8, 3))
    ),
    "zebra_puzzles": tuple(
        {"num_people": people, "num_characteristics": kinds}
        for people, kinds in ((2, 2), (3, 3), (4, 4), (5, 4), (6, 4))
    ),
    "largest_island": tuple(
        {
            **_range("rows", size, size),
            **_range("cols", size, size),
            **_range("num_islands", islands, islands),
            **_range("island_size", 3, 4 * islands),
        }
        for size, islands in ((4, 2), (6, 3), (9, 5), (14, 8), (24, 14))
    ),
    "caesar_cipher": tuple(
        {**_range("words", words, words), **_range("rotation", 1, rotation)}
        for words, rotation in ((1, 1), (2, 3), (4, 25), (10, 25), (30, 25))
    ),
}
MATHEMATICS = ("chain_sum", "products", "simple_equations", "lcm")
REASONING = ("knights_knaves", "zebra_puzzles", "largest_island", "caesar_cipher")


def _items_of(name: str) -> Any:
    def items(random: Random, level: int) -> Iterator[Item]:
        seed = random.randrange(1 << 30)
        options = _OPTIONS[name][level - 1]
        dataset = reasoning_gym.create_dataset(name, seed=seed, size=_DRAWN, **options)
        for index in range(_DRAWN):
            entry = dataset[index]
            yield worked_out(entry["question"], str(entry["answer"]), level)

    return items


def tasks(names: tuple[str, ...]) -> tuple[Task, ...]:
    """Return the tasks of the generators *names*."""
    return tuple(Task(name, _SOURCE, _items_of(name)) for name in names)
