"""Instructions and formats: texts and objects with many rules, and edits by rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random

from items import OWN, SCORERS, Item, Task

_WORDS = (
    *("river", "garden", "market", "window", "silver", "mountain", "lantern", "harbour", "orange"),
    *("letter", "winter", "copper", "forest", "castle", "pepper", "velvet", "bridge", "candle"),
    *("meadow", "island", "pencil", "barrel", "saddle", "ribbon", "thunder", "marble", "falcon"),
    *("basket", "needle", "shadow", "timber", "violin", "walnut", "anchor", "cotton", "magnet"),
)
_TOPICS = (
    *("a morning in a harbour town", "how bread is baked", "a walk through a forest", "a lost key"),
    *("the first day at a new school", "why people keep gardens", "a train that is late"),
    *("a clock that has stopped", "rain in a big city", "a letter from an old friend"),
)
_Rule = tuple[str, list[object]]


def _text_rules(random: Random, count: int) -> list[_Rule]:
    """Return *count* rules that one text can hold to, each with its check."""
    words = random.sample(_WORDS, 4)
    lines = random.randrange(3, 7)
    each = random.randrange(5, 9)
    times = random.randrange(2, 4)
    initials = "".join(random.choice("abdefghilmnoprstw") for _ in range(lines))
    letter = random.choice("jqvxzk")
    letter = letter if not any(letter in word for word in words) else "q"
    rules: list[_Rule] = [
        (f"Write exactly {lines} lines.", ["lines", lines]),
        ("Do not write a comma.", ["without", ","]),
        (f"Use the word “{words[0]}” exactly {times} times.", ["times", words[0], times]),
        ("Write in lower case only.", ["lower"]),
        (f"Do not use the letter “{letter}”.", ["without", letter]),
        (f"Write exactly {each} words in every line.", ["words_each", each]),
        (
            f"The first letters of the lines must be, from top to bottom: {', '.join(initials)}.",
            ["initials", initials],
        ),
        (f"The last word of the text must be “{words[1]}”.", ["ends", words[1]]),
        (f"No word may occur twice, “{words[0]}” aside.", ["once", words[0]]),
    ]
    if count < len(rules):
        # The rule about the lines comes first: others rest on it.
        return [rules[0], *random.sample(rules[1:-2] if count < 5 else rules[1:], count - 1)]
    return rules


def _text_items(random: Random, level: int) -> Iterator[Item]:
    count = (1, 2, 4, 6, 9)[level - 1]
    while True:
        rules = _text_rules(random, count)
        text = "\n".join(f"- {rule}" for rule, _ in rules)
        question = f"Write a short text about {random.choice(_TOPICS)}. Reply with the text only."
        yield {
            "input": f"{question}\n{text}",
            "expected": json.dumps([check for _, check in rules], ensure_ascii=False),
            "score": {"python": f"{SCORERS}:rules"},
            "max_tokens": 256,
        }


_Edit = tuple[str, Callable[[list[str]], list[str]]]


def _edit(random: Random) -> _Edit:
    n, letter = random.randrange(2, 5), random.choice("aeirst")
    edits: tuple[_Edit, ...] = (
        ("reverse the order of the words", lambda w: w[::-1]),
        (f"move the first {n} words to the end", lambda w: w[n:] + w[:n]),
        (
            f"write every word that contains “{letter}” in upper case",
            lambda w: [x.upper() if letter in x.lower() else x for x in w],
        ),
        ("write every word in lower case", lambda w: [x.lower() for x in w]),
        (
            f"swap the first letter and the last letter of word {n}",
            lambda w: [
                x[-1] + x[1:-1] + x[0] if i == n and len(x) > 1 else x for i, x in enumerate(w, 1)
            ],
        ),
        (f"delete word {n + 1}", lambda w: w[:n] + w[n + 1 :] if len(w) > 4 else w),
        (
            f"repeat word {n} right after itself",
            lambda w: w[:n] + w[n - 1 :],
        ),
        ("swap the first word and the last word", lambda w: [w[-1], *w[1:-1], w[0]]),
        (
            f"append the number of letters of word {n} as a word at the end",
            lambda w: [*w, str(len(w[n - 1]))],
        ),
        ("sort the words by length, equal ones in their order", lambda w: sorted(w, key=len)),
    )
    return random.choice(edits)


def _edit_items(random: Random, level: int) -> Iterator[Item]:
    count, length = ((1, 5), (3, 6), (6, 7), (11, 9), (20, 12))[level - 1]
    while True:
        words = random.sample(_WORDS, length)
        steps = [_edit(random) for _ in range(count)]
        result, short = list(words), False
        for text, change in steps:
            # Some rules speak of five words.
            short = short or len(result) <= 4 or (text.startswith("delete") and len(result) < 6)
            result = change(result)
        if short:
            continue
        listed = "\n".join(f"{number}. {text}" for number, (text, _) in enumerate(steps, 1))
        question = (
            f"Edit this line of words, step by step, each step on the result of the one before:\n"
            f"{' '.join(words)}\n{listed}\n"
            "End with a line that reads 'Answer: ' and the final line of words."
        )
        yield {
            "input": question,
            "expected": " ".join(result),
            "score": {"python": f"{SCORERS}:final_exact"},
            "max_tokens": (256, 512, 768, 1024, 1536)[level - 1],
        }


def _field(random: Random, key: str) -> tuple[str, object]:
    word, other = random.sample(_WORDS, 2)
    a, b = random.randrange(11, 99), random.randrange(11, 99)
    fields: tuple[tuple[str, object], ...] = (
        (f'"{key}" is the number of letters in “{word} {other}”', len(word + other)),
        (f'"{key}" is “{word}” written backwards', word[::-1]),
        (f'"{key}" is true if {a} is larger than {b}, else false', a > b),
        (f'"{key}" is a list of the numbers from {a} to {a + 3}', [*range(a, a + 4)]),
        (f'"{key}" is null', None),
        (f'"{key}" is the product of {a % 10 + 2} and {b}, as a string', str((a % 10 + 2) * b)),
        (f'"{key}" is an object whose only key "{word}" is {b}', {word: b}),
        (
            f'"{key}" is a list of the vowels of “{word}”, in order',
            [c for c in word if c in "aeiou"],
        ),
        (f'"{key}" is “{other}” without its first and last letter', other[1:-1]),
        (f'"{key}" is the remainder of {a * b} divided by {a % 7 + 3}', a * b % (a % 7 + 3)),
    )
    return random.choice(fields)


def _object_items(random: Random, level: int) -> Iterator[Item]:
    count = (2, 4, 7, 12, 24)[level - 1]
    while True:
        keys = random.sample(_WORDS, count)
        fields = [_field(random, key) for key in keys]
        listed = "\n".join(f"- {text}" for text, _ in fields)
        expected = {key: value for key, (_, value) in zip(keys, fields, strict=True)}
        question = "Write a JSON object with these keys and no others. Reply with the object only."
        yield {
            "input": f"{question}\n{listed}",
            "expected": json.dumps(expected, ensure_ascii=False),
            "score": {"python": f"{SCORERS}:same_object"},
            "max_tokens": 128 + 32 * count,
        }


TASKS = (
    Task("texts_by_rules", OWN, _text_items),
    Task("edits_by_rules", OWN, _edit_items),
    Task("objects_by_rules", OWN, _object_items),
)
