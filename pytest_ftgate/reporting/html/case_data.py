"""The cases of a run as data of the page, packed and cut to size."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from pytest_ftgate.gates.units import usd
from pytest_ftgate.results.run import Answer, CaseRun, Report, SuiteRun

__all__ = ["Payload", "packed"]

#: Base64 of the packed cases, in characters: with it a page stays below 3 MB.
_MOST = 2_600_000
#: The longest text, in characters, unless there are too many.
_LONGEST = 4_000
#: How often it is tried to make the cases fit; each time less is taken in.
_TRIES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The cases, packed, and what a reader should know is missing of them; "" for nothing."""

    text: str
    cases: int
    left_out: str = ""


def packed(report: Report) -> Payload:
    """Return the cases of *report*, deflated, in base64.

    Where they are too many, texts of replies that did not turn are left out first, and then all
    texts are cut.
    """
    cases = sum(len(suite.cases) for suite in report.suites)
    pool, room, longest = _Pool(_LONGEST, inf), inf, _LONGEST
    made = ""
    for _ in range(_TRIES):
        pool = _Pool(longest, room)
        raw = json.dumps(pool.document(report), ensure_ascii=False, separators=(",", ":"))
        made = _deflated(raw)
        if len(made) <= _MOST:
            break
        over = len(raw) * (1.0 - 0.97 * _MOST / len(made))
        room, longest = (pool.spent - over, longest) if pool.spent > over else (0, longest // 4)
    told = [f"the texts of {pool.left:,} replies that did not turn are left out"] * bool(pool.left)
    told += [f"texts are cut to {longest:,} characters"] * (longest < _LONGEST)
    return Payload(text=made, cases=cases, left_out=f"For size, {'; '.join(told)}." if told else "")


def _deflated(text: str) -> str:
    packer = zlib.compressobj(6, wbits=-15)
    return b64encode(packer.compress(text.encode()) + packer.flush()).decode()


class _Pool:
    """Texts by number, each kept once; without what is left out for size.

    Args:
        longest: characters of a text.
        room: characters that replies may take which did not turn; *spent* is what they took.
    """

    def __init__(self, longest: int, room: float) -> None:
        self._longest, self._room = longest, room
        self.left = self.spent = 0
        self.texts: dict[str, int] = {"": 0}

    def document(self, report: Report) -> dict[str, Any]:
        suites = [self._suite(suite) for suite in report.suites]
        return {"suites": suites, "texts": [*self.texts]}

    def _put(self, text: str) -> int:
        if len(text) > self._longest:
            text = f"{text[: self._longest]}… {len(text) - self._longest:,} more characters"
        return self.texts.setdefault(text, len(self.texts))

    def _suite(self, suite: SuiteRun) -> dict[str, Any]:
        names = list(dict.fromkeys(name for case in suite.cases for name in case.answers))
        places = {name: place for place, name in enumerate(names)}
        return {
            "name": suite.name,
            "baseline": places.get(suite.baseline, -1),
            "variants": names,
            "bases": [places.get(f"base of {name}", -1) for name in names],
            "systems": [self._system(suite, name) for name in names],
            "cases": [list(self._case(suite, case, places)) for case in suite.cases],
        }

    def _system(self, suite: SuiteRun, name: str) -> int:
        return self._put(next((one.system for one in suite.variants if one.name == name), ""))

    def _case(self, suite: SuiteRun, case: CaseRun, places: Mapping[str, int]) -> Iterator[Any]:
        yield from (case.id, int(case.asks == "skills"), case.where)
        yield from (self._put(case.asked), self._put(case.expected))
        held = "held out" if case.asks == "held out" else ""
        yield [*case.tags, *filter(None, (held, case.skill, case.language))]
        before = _before(suite, case)
        yield [
            [places[name], *self._answer(one, whole=_turned(before, one) or self._fits(one))]
            for name, one in case.answers.items()
        ]

    def _fits(self, one: Answer) -> bool:
        size = min(len(one.text), self._longest)
        if one.text not in self.texts and self.spent + size > self._room:
            return False
        self.spent += 0 if one.text in self.texts else size
        return True

    def _answer(self, one: Answer, *, whole: bool) -> Iterator[Any]:
        self.left += not whole and bool(one.text)
        yield from (one.correct, one.valid, one.repeats)
        yield self._put(one.text) if whole else -1
        yield from (self._put(one.fault or one.missing), self._put(one.wrong))
        yield from (
            round(1000 * one.seconds),
            one.tokens.get("input", 0),
            one.tokens.get("output", 0),
        )
        yield "" if one.usd is None else usd(one.usd)
        yield one.stop
        yield [self._put(text) for text in one.called] if whole else []
        yield [self._put(text) for text in one.passages] if whole else []


def _before(suite: SuiteRun, case: CaseRun) -> Answer | None:
    """Return the reply that others are compared with, if it is the same for all of them."""
    bases = [one for name, one in case.answers.items() if name.startswith("base of ")]
    return case.answers.get(suite.baseline) or next(iter(bases), None)


def _turned(before: Answer | None, one: Answer) -> bool:
    if before is None:
        return (one.correct or 0.0) < 1.0
    return (before.correct, before.valid) != (one.correct, one.valid)
