"""How lost answers went wrong: each in one of six ways, by rules that read the two replies."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gate.parts import LossKind
from pytest_ftgate.score.form import Forms
from pytest_ftgate.score.sheet import Column, Row
from pytest_ftgate.score.tongue import can_tell, language_of
from pytest_ftgate.score.wording import loops, refuses
from pytest_ftgate.suite.model import Case, Suite

__all__ = ["FORMAT", "Losses", "labels_of"]

#: The kind that marks a narrow fine-tune.
FORMAT = "fine-tune's format"
_CONTENT, _EMPTY, _REFUSAL = "wrong content", "empty", "refusal"
_LANGUAGE, _REPETITION = "other language", "repetition"
#: From so many words on a text is said to repeat itself, or to be in some language.
_REPEATED, _TELLING = 6, 4
#: How often a word stands in a text that says little else.
_OVER_AGAIN = 4
_EXAMPLES = 5
_INVENTED = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")
#: How replies of a structured format begin.
_BEGINS = {"json_schema": "{[", "pydantic": "{[", "xml": "<"}


def labels_of(suite: Suite) -> tuple[str, ...]:
    """Return the labels that the suite's replies are held to."""
    return tuple(label for r in suite.reply.format if r.kind == "choice" for label in r.value)


class Losses:
    """Tells of lost answers how they went wrong; what the suite's own format needs is made once.

    Args:
        suite: whose format a fine-tune may have learned to answer everything in.
    """

    def __init__(self, suite: Suite) -> None:
        own = ("python", "tool_call")
        self._rules = tuple(rule for rule in suite.reply.format if rule.kind not in own)
        self._labels, self._folder = labels_of(suite), suite.path.parent
        self._forms = Forms(self._folder)

    def kind(self, before: Row | None, now: Row) -> str:
        """Return the way in which the first reply of *now* went wrong."""
        if not now.replies:
            return _EMPTY
        reply, text = now.replies[0], now.replies[0].text.strip()
        was = before.replies[0].text.strip() if before and before.replies else ""
        if not text and reply.stop != "refusal":
            return _EMPTY
        if reply.stop == "refusal" or (refuses(text) and not refuses(was)):
            return _REFUSAL
        if self._tuned(now.case, reply) and not self._tuned(now.case, replace(reply, text=was)):
            return FORMAT
        if loops(text) or _says_little(text):
            return _REPETITION
        return _LANGUAGE if _strange(text, was, now.case) else _CONTENT

    def count(
        self, before: Column, after: Column, lost: Sequence[str], under: str = ""
    ) -> tuple[LossKind, ...]:
        """Return the kinds of the cases *lost*, the commonest first."""
        found = defaultdict[str, list[str]](list)
        for key in lost:
            found[self.kind(before.rows.get(key), after.rows[key])].append(key)
        ranked = sorted(found.items(), key=lambda one: -len(one[1]))
        return tuple(
            LossKind(
                kind=kind,
                cases=len(ids),
                share=len(ids) / len(lost),
                examples=tuple(ids[:_EXAMPLES]),
                under=under,
            )
            for kind, ids in ranked
        )

    def _tuned(self, case: Case, reply: Reply) -> bool:
        """Tell whether *reply* has the form that the suite asks of its own replies, or its shape.

        A narrow model invents labels for what it was never asked, such as ``japan_capital``.
        """
        text = reply.text.strip()
        if not text or not self._rules:
            return False
        if text in self._labels or (_joint(self._labels) and _INVENTED.fullmatch(text)):
            return True
        if any(text[0] in _BEGINS[rule.kind] for rule in self._rules if rule.kind in _BEGINS):
            return True
        return self._holds(replace(case, format=self._rules, folder=self._folder), reply)

    def _holds(self, case: Case, reply: Reply) -> bool:
        try:
            return self._forms.broken(case, reply) is None
        except FtgateError:
            # A rule that breaks on a reply to another question says nothing about it.
            return False


def _joint(labels: Iterable[str]) -> bool:
    return any("_" in label for label in labels)


def _says_little(text: str) -> bool:
    words = text.casefold().split()
    return len(words) >= _REPEATED and len(set(words)) * _OVER_AGAIN <= len(words)


def _strange(text: str, was: str, case: Case) -> bool:
    """Tell whether *text* is in a language that neither the case nor the earlier reply is in."""
    scripts = [_script(one) for one in (text, was)]
    if all(scripts) and scripts[0] != scripts[1]:
        return True
    if not can_tell() or len(text.split()) < _TELLING:
        return False
    now = language_of(text)
    return now not in ("", "zxx", case.language, language_of(was), language_of(case.shown))


def _script(text: str) -> str:
    """Return the script that most letters of *text* are of, such as ``LATIN``; "" for none."""
    names = (unicodedata.name(c, "").partition(" ")[0] for c in text if c.isalpha())
    common = Counter(names).most_common(1)
    return common[0][0] if common else ""
