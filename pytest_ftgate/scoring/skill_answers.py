"""Scorers of skills with one right result: worked out, called, or held to rules.

The cases of ``general-hard`` name these functions, so a new name changes the digest of a case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_MARKER = re.compile(r"answer\W{0,4}[:：]", re.IGNORECASE)
_DECORATION = re.compile(r"\\boxed|\\text|[*_`$“”\"'{}\\]")
_GROUPED = re.compile(r"(?<=\d)[,\u00a0\u202f ](?=\d{3}(?!\d))")
_TOKEN = re.compile(r"-?\d+(?:\.\d+)?|[^\W_]+")
_FILLING = frozenset({"and", "the"})
_DECODER = json.JSONDecoder()


def final(case: Any, reply: Any) -> bool:
    """Return True if the result at the end of *reply* is the one that *case* expects.

    It follows the last ``Answer:``, or is the last line. Decoration, upper case and thousands
    separators do not count, and a number may have a unit.
    """
    found = _result(str(reply.text))
    return any(_is_result(found, str(answer)) for answer in case.answers)


def final_exact(case: Any, reply: Any) -> bool:
    """Return True if the words at the end of *reply* are the expected ones, letter by letter."""
    words = re.sub(r"[*`“”\".]", "", _result(str(reply.text))).split()
    return any(words == str(answer).split() for answer in case.answers)


def _result(text: str) -> str:
    """Return what follows the last marker, up to the end of its line; else the last line."""
    parts = _MARKER.split(text)
    lines = [line.strip() for line in parts[-1].splitlines() if line.strip(" *`$")]
    if not lines:
        return ""
    return lines[0] if len(parts) > 1 else lines[-1]


def _is_result(found: str, expected: str) -> bool:
    wanted = _tokens(expected)
    tokens = _tokens(found)
    numbers = [token for token in tokens if _is_number(token)]
    if len(wanted) == 1 and _is_number(wanted[0]):
        return bool(numbers) and float(numbers[-1]) == float(wanted[0])
    return bool(wanted) and tokens[-len(wanted) :] == wanted


def _tokens(text: str) -> list[str]:
    plain = _GROUPED.sub("", _DECORATION.sub("", text.replace("−", "-")).casefold())
    return [token for token in _TOKEN.findall(plain) if token not in _FILLING]


def _is_number(token: str) -> bool:
    return token.removeprefix("-").replace(".", "").isdecimal()


# An answer on each line ---------------------------------------------------------------------------

_NUMBERED = re.compile(r"\W*\d{1,2}\s*[.):]\s+(?=\S)")
#: Words that stand alone on the line of a question without an answer.
_DECLARED = frozenset({"unknown", "refuse"})
#: The words that a line may have around its answer.
_AROUND = 8


def every_line(case: Any, reply: Any) -> bool:
    """Return True if *reply* answers each question of *case* on a line of its own, in order.

    The expected answers are JSON: the accepted answers to each question. A declared word must
    stand alone; another answer may stand in a short sentence.
    """
    expected: list[list[str]] = json.loads(case.expected)
    lines = _lines(str(reply.text))
    numbered = [line for line in lines if _NUMBERED.match(line)]
    if len(numbered) == len(expected):
        lines = [_NUMBERED.sub("", line, count=1) for line in numbered]
    return len(lines) == len(expected) and all(map(_is_line_right, lines, expected))


def _is_line_right(line: str, answers: list[str]) -> bool:
    tokens = _tokens(line)
    wanted = [_tokens(answer) for answer in answers]
    if not _DECLARED.isdisjoint(wanted[0]) or not _DECLARED.isdisjoint(tokens):
        return tokens == wanted[0]
    return any(
        len(tokens) <= len(words) + _AROUND
        and any(tokens[n : n + len(words)] == words for n in range(len(tokens)))
        for words in wanted
    )


# Calls of functions -----------------------------------------------------------------------------


def calls(case: Any, reply: Any) -> bool:
    """Return True if *reply* is a list of exactly the calls that *case* expects, in any order.

    The expected calls are JSON: the accepted values of each argument by the name of the function;
    an accepted ``""`` means that the argument may be left out.
    """
    made = _json_value(str(reply.text))
    made = [made] if isinstance(made, Mapping) else made
    if not isinstance(made, list) or not all(isinstance(call, Mapping) for call in made):
        return False
    expected: list[Mapping[str, Any]] = json.loads(case.expected)
    return len(made) == len(expected) and _can_pair(made, expected)


def _can_pair(made: list[Any], expected: list[Mapping[str, Any]]) -> bool:
    """Return True if each call of *made* can be given one of its own in *expected*."""
    if not made:
        return True
    first, *rest = made
    return any(
        _is_accepted_call(first, wanted) and _can_pair(rest, expected[:n] + expected[n + 1 :])
        for n, wanted in enumerate(expected)
    )


def _is_accepted_call(call: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    name = call.get("name")
    arguments = call.get("arguments", call.get("parameters", {}))
    if not isinstance(name, str) or name not in expected or not isinstance(arguments, Mapping):
        return False
    return _are_accepted(arguments, expected[name])


def _are_accepted(values: Mapping[str, Any], accepted: Mapping[str, Any]) -> bool:
    """Return True if *values* has an accepted value for each key that it needs, and no others."""
    if not values.keys() <= accepted.keys():
        return False
    return all(
        any(_is_same(values[key], choice) for choice in choices) if key in values else "" in choices
        for key, choices in accepted.items()
    )


def _is_same(value: Any, choice: Any) -> bool:
    if isinstance(value, Mapping) and isinstance(choice, Mapping):
        # The values of an accepted object are lists of accepted values.
        parts = {key: part if isinstance(part, list) else [part] for key, part in choice.items()}
        return _are_accepted(value, parts)
    if isinstance(value, list) and isinstance(choice, list):
        return len(value) == len(choice) and all(map(_is_same, value, choice))
    if isinstance(value, str) and isinstance(choice, str):
        return _plain(value) == _plain(choice)
    if isinstance(value, bool) or isinstance(choice, bool):
        return value is choice
    return bool(value == choice)


def _plain(text: str) -> str:
    return re.sub(r"[ ,./\-_*^'\"]", "", text.casefold())


def same_object(case: Any, reply: Any) -> bool:
    """Return True if *reply* holds the JSON object that *case* expects."""
    found, expected = _json_value(str(reply.text)), json.loads(case.expected)
    # In Python 1 equals True, in JSON it does not.
    texts = (json.dumps(value, sort_keys=True) for value in (found, expected))
    return len({*texts}) == 1


def _json_value(text: str) -> Any:
    """Return the first JSON list or object in *text*, or None."""
    for match in re.finditer(r"[\[{]", text):
        try:
            return _DECODER.raw_decode(text, match.start())[0]
        except (ValueError, RecursionError):
            continue
    return None


# Texts that hold to rules -----------------------------------------------------------------------


def rules(case: Any, reply: Any) -> bool:
    """Return True if *reply* is a text that holds to every rule of *case*.

    The expected rules are JSON: lists of a kind and its values. A reply that was cut off holds to
    none of them for certain.
    """
    text = str(reply.text).strip()
    checks: list[list[Any]] = json.loads(case.expected)
    is_text = len(text.split()) > 1 and reply.stop not in ("length", "refusal")
    return is_text and all(_RULES[kind](text, *values) for kind, *values in checks)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.casefold())


def _is_once(text: str, but: str) -> bool:
    words = [word for word in _words(text) if word != but]
    return len(words) == len({*words})


def _initials(text: str) -> Iterator[str]:
    yield from (next(iter(_words(line)), " ")[0] for line in _lines(text))


_RULES: Mapping[str, Callable[..., bool]] = {
    "lines": lambda text, count: len(_lines(text)) == count,
    "without": lambda text, part: part not in text.casefold(),
    "times": lambda text, word, count: _words(text).count(word) == count,
    "lower": lambda text: text == text.lower(),
    "words_each": lambda text, count: all(len(_words(line)) == count for line in _lines(text)),
    "initials": lambda text, letters: "".join(_initials(text)) == letters,
    "ends": lambda text, word: _words(text)[-1:] == [word],
    "once": _is_once,
}
