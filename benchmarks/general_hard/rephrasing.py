"""Robustness to rephrasing: items as those of other families, in unpolished wordings.

Each skill is a way of wording. The items under it are of three kinds: changes of a stock, as the
stories of `hard-languages`; an order of people, as the puzzles of `hard-reasoning`; and entries to
look up, as the ledgers of `hard-long-context`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random
from typing import NamedTuple

from items import OWN, Item, Task, worked_out

#: A thing that is said in several wordings, the plain one first, with what stands in them.
_Said = tuple[tuple[str, ...], tuple[object, ...]]


class Puzzle(NamedTuple):
    """What is said, what is asked, and the answer."""

    said: list[_Said]
    asked: _Said
    answer: str


_NAMES = (
    *("Marta", "Jonas", "Aisha", "Pavel", "Lucia", "Henrik", "Yuki", "Omar", "Ines", "Tomas"),
    *("Greta", "Samir", "Noemi", "Viktor", "Leila", "Anton", "Sofia", "Malik", "Elena", "Bruno"),
)
_START = (
    "There are {} crates in the store.",
    "The store holds {} crates to begin with.",
    "At first, the number of crates in the store is {}.",
    "We begin with a stock of {} crates.",
)
_MORE = (
    "Then {} crates are delivered.",
    "A lorry brings another {} crates.",
    "The stock grows by {} crates.",
    "Next, {} more crates come in.",
)
_FEWER = (
    "Then {} crates are taken away.",
    "A customer fetches {} of the crates.",
    "The stock shrinks by {} crates.",
    "Next, {} crates leave the store.",
)
_TIMES = (
    "Then the stock becomes {} times as large.",
    "After that, the number of crates is multiplied by {}.",
    "The stock is now brought to {} times what it was.",
)
_HOW_MANY = (
    "How many crates are in the store at the end?",
    "What does the stock come to after all this?",
    "Once everything has happened, how many crates does the store hold?",
)
_TALLER = (
    "{0} is taller than {1}.",
    "{1} is shorter than {0}.",
    "{1} does not reach the height of {0}.",
    "Next to {1}, {0} is the taller one.",
)
_TALLEST = (
    "Counted from the tallest, who is number {}?",
    "If they stand in a row by height, the tallest first, who has place {}?",
    "Who comes at place {} from the top by height?",
)
_STORED = (
    "The {0} is in box {1}.",
    "Box {1} holds the {0}.",
    "You find the {0} in box {1}.",
    "In box {1} there is the {0}.",
)
_WHICH_BOX = (
    "In which box is the {}?",
    "What is the number of the box that holds the {}?",
    "Where would you find the {}? Name the box.",
)
_THINGS = ("key", "lamp", "rope", "drum", "clock", "violin", "ladder", "mirror", "kettle", "globe")
_COLOURS = ("red", "blue", "green", "black", "white", "yellow")


def _stock(random: Random, level: int) -> Puzzle:
    steps, most = ((2, 20), (4, 90), (7, 900), (14, 9000), (30, 90_000))[level - 1]
    total = random.randrange(5, most)
    said: list[_Said] = [(_START, (total,))]
    for _ in range(steps):
        kind = random.random()
        wordings: tuple[str, ...]
        if kind < 0.15 and total < most * 5:
            number = random.randrange(2, 5)
            total, wordings = total * number, _TIMES
        elif kind < 0.6 or total < 6:
            number = random.randrange(2, most)
            total, wordings = total + number, _MORE
        else:
            number = random.randrange(2, min(total, most))
            total, wordings = total - number, _FEWER
        said.append((wordings, (number,)))
    return Puzzle(said, (_HOW_MANY, ()), str(total))


def _order(random: Random, level: int) -> Puzzle:
    names = random.sample(_NAMES, (3, 4, 6, 10, 18)[level - 1])
    said: list[_Said] = [(_TALLER, pair) for pair in pairwise(names)]
    place = random.randrange(2, len(names)) if level > 1 else random.randrange(1, 4)
    return Puzzle(random.sample(said, len(said)), (_TALLEST, (place,)), names[place - 1])


def _boxes(random: Random, level: int) -> Puzzle:
    count = (3, 8, 20, 40, 60)[level - 1]
    things = random.sample([f"{c} {thing}" for c in _COLOURS for thing in _THINGS], count)
    boxes = random.sample(range(11, 10 * count + 11), count)
    said: list[_Said] = [(_STORED, pair) for pair in zip(things, boxes, strict=True)]
    return Puzzle(said, (_WHICH_BOX, (things[0],)), str(boxes[0]))._replace(
        said=random.sample(said, count)
    )


_PUZZLES = (_stock, _order, _boxes)


def _plain(said: _Said) -> str:
    return said[0][0].format(*said[1])


# Ways of wording ---------------------------------------------------------------------------------

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def in_words(number: int) -> str:
    """Return a number below a million in English words."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")
    unit, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    high, low = divmod(number, unit)
    rest = f" {'and ' if low < 100 else ''}{in_words(low)}" if low else ""
    return f"{in_words(high)} {name}{rest}"


def _other_words(random: Random, puzzle: Puzzle, level: int) -> str:
    """Say each thing in one of the other wordings, numbers in words."""

    def reworded(said: _Said) -> str:
        wordings, values = said
        numbers = (in_words(value) if isinstance(value, int) else value for value in values)
        return random.choice(wordings[1:]).format(*numbers)

    del level
    return " ".join(map(reworded, [*puzzle.said, puzzle.asked]))


_ASIDES = (
    "My cousin, who turned {} last week, told me about this.",
    "It rained that day, and bus number {} was late again.",
    "I read about something like it on page {} of an old magazine.",
    "By the way, our street has {} lamps, and half of them are broken.",
    "Somebody had left {} umbrellas in the hall, which has nothing to do with it.",
    "I should add that it was {} minutes past the hour, not that it matters.",
    "The dog barked {} times while I wrote this down.",
    "The radio played the same song {} times that morning.",
)


def _roundabout(random: Random, puzzle: Puzzle, level: int) -> str:
    """Ask first and last, and say everything among what does not matter."""
    asked = _plain(puzzle.asked)
    start = (
        "Hello! I hope that you do not mind a long story, but I have been wondering about this for "
        f"a while. What I want to know in the end is this: {asked} Let me begin at the beginning."
    )
    texts = [start]
    for said in puzzle.said:
        if random.random() < 0.1 + 0.15 * level:
            texts.append(random.choice(_ASIDES).format(random.randrange(12, 90)))
        texts.append(_plain(said))
    texts.append(f"So, sorry for going on like this, and to ask it once more: {asked}")
    return " ".join(texts)


def _with_error(random: Random, word: str) -> str:
    at = random.randrange(1, len(word) - 2)
    return random.choice(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        )
    )


def _typing_errors(random: Random, puzzle: Puzzle, level: int) -> str:
    """Misspell some of the words; names and numbers stay as they are."""
    share = (0.1, 0.2, 0.3, 0.4, 0.5)[level - 1]
    words = " ".join(map(_plain, [*puzzle.said, puzzle.asked])).split()
    return " ".join(
        _with_error(random, word)
        if len(word.strip(".,?")) > 3 and word.strip(".,?").islower() and random.random() < share
        else word
        for word in words
    )


_SHORT = {"are": "r", "you": "u", "and": "n", "the": "da", "there": "ther", "box": "bx"}


def _run_together(random: Random, puzzle: Puzzle, level: int) -> str:
    """Say everything in one breath: lower case, no marks, with the short forms of chats."""
    breaths = ("then", "ok so", "also", "right", "n", "well")
    parts = [f"{random.choice(breaths)} {_plain(said)}" for said in puzzle.said]
    text = f"hey quick one {' '.join(parts)} so tell me {_plain(puzzle.asked)} thx"
    words = text.lower().replace(".", "").replace(",", "").replace("?", "").split()
    share = 0.15 * level
    short = [_SHORT[word] if word in _SHORT and random.random() < share else word for word in words]
    return " ".join(short)


_Wording = Callable[[Random, Puzzle, int], str]


def _items(wording: _Wording) -> Callable[[Random, int], Iterator[Item]]:
    def items(random: Random, level: int) -> Iterator[Item]:
        while True:
            for make in _PUZZLES:
                puzzle = make(random, level)
                yield worked_out(wording(random, puzzle, level), puzzle.answer, level)

    return items


TASKS = (
    Task("other_words", OWN, _items(_other_words)),
    Task("roundabout", OWN, _items(_roundabout)),
    Task("typing_errors", OWN, _items(_typing_errors)),
    Task("run_together", OWN, _items(_run_together)),
)
