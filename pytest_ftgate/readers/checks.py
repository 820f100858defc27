"""Checks of a reply, as a suite writes them: alone, as one of several, or as its format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import regex

#: Characters that mean something in a pattern.
_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_"}


class ReplyCheck(NamedTuple):
    """One thing that must hold of a reply.

    Attributes:
        rule: a format that says it.
        score: the score that says the same with *expected*; None if there is none.
        expected: the expected answer of *score*.
        is_form: True if it is about the form of the reply, and not about its content.
        weight: how much it counts in a mean.
    """

    rule: Mapping[str, Any]
    score: Any = None
    expected: Any = None
    is_form: bool = False
    weight: float = 1


def contained(texts: Sequence[str], *, case: bool, every: bool = False) -> ReplyCheck:
    """Return the check that one of *texts*, or every one, is a part of the reply."""
    options = {"whole_words": False} | ({"case": True} if case else {})
    single = len(texts) == 1
    rule = {"texts": [*texts], **options, **({} if every or single else {"any": True})}
    if not all(text.strip() for text in texts):
        return ReplyCheck({"contains": rule})
    score = {"contains": {**options, **({"all": True} if every and not single else {})}}
    return ReplyCheck({"contains": rule}, score, texts[0] if single else [*texts])


def avoided(texts: Sequence[str], *, case: bool) -> ReplyCheck:
    """Return the check that none of *texts* is a part of the reply."""
    options = {"whole_words": False} | ({"case": True} if case else {})
    return ReplyCheck({"avoids": {"texts": [*texts], **options}})


def merged(checks: Iterable[ReplyCheck]) -> list[ReplyCheck]:
    """Return *checks* with one in place of those whose texts must all be, or not be, in a reply."""
    groups: dict[Any, list[ReplyCheck]] = {}
    for number, check in enumerate(checks):
        kind = next(iter(check.rule))
        rule = check.rule[kind]
        joins = kind in ("contains", "avoids") and "any" not in rule
        groups.setdefault((kind, "case" in rule) if joins else number, []).append(check)
    return [_joined(key, group) if group[1:] else group[0] for key, group in groups.items()]


def _joined(key: tuple[str, bool], group: Sequence[ReplyCheck]) -> ReplyCheck:
    kind, case = key
    texts = [*dict.fromkeys(text for check in group for text in check.rule[kind]["texts"])]
    return (
        contained(texts, case=case, every=True) if kind == "contains" else avoided(texts, case=case)
    )


def equal(text: str, *, inverse: bool = False) -> ReplyCheck:
    """Return the check that the reply is *text*; outer white space does not count."""
    text = text.strip()
    if inverse:
        return ReplyCheck({"regex": f"^(?!{escaped(text)}$)"})
    return ReplyCheck({"regex": f"^{escaped(text)}$"}, "exact", text)


def sized(unit: str, low: int | None, high: int | None) -> ReplyCheck:
    """Return the check that the reply has *low* to *high* of *unit*."""
    bounds = {k: v for k, v in (("min", low), ("max", high)) if v is not None}
    return ReplyCheck({"length": {"unit": unit, **bounds}}, is_form=True)


def json_form(schema: Any = None) -> ReplyCheck:
    """Return the check that the reply is JSON, by *schema* if there is one."""
    return ReplyCheck({"json_schema": {} if schema is None else schema}, is_form=True)


def field_schema(
    path: Sequence[str], schema: Mapping[str, Any], *, required: bool = True
) -> ReplyCheck:
    """Return the check that the field at *path* of the reply's JSON fits *schema*."""
    inner: dict[str, Any] = dict(schema)
    for depth, key in enumerate(reversed(path)):
        must = {"required": [key]} if required or depth else {}
        inner = {"type": "object", "properties": {key: inner}, **must}
    return ReplyCheck({"json_schema": inner})


def field_value(path: Sequence[str], value: Any) -> ReplyCheck:
    """Return the check that the field at *path* of the reply's JSON is *value*."""
    check = field_schema(path, {"const": value})
    if value is None or "." in "".join(path):
        return check
    expected: Any = value
    for key in reversed(path):
        expected = {key: expected}
    return check._replace(score="fields", expected=expected)


def matching(pattern: str, flags: str = "", *, inverse: bool = False) -> ReplyCheck | None:
    """Return the check that a pattern of JavaScript matches in the reply.

    None for a pattern that has another meaning in Python, or none.
    """
    named = "u" in flags or "v" in flags
    bare = re.sub(r"\\[^u]", "__", pattern, flags=re.DOTALL)
    if {*flags} - {*"gimsuv"} or _OF_PYTHON.search(bare) or ("\\u{" in bare and not named):
        return None
    body = "".join(_translated(pattern, named=named))
    options = "".join(flag for flag in "ims" if flag in flags)
    start = f"(?{options})" if options else ""
    whole = f"{start}^(?!(?s:.*)(?:{body}))" if inverse else f"{start}{body}"
    try:
        regex.compile(whole)
    except regex.error:
        return None
    check = ReplyCheck({"regex": whole})
    return check if inverse or not body else check._replace(score="regex", expected=whole)


#: What only Python reads: groups with options, what is not tried again, classes by their names.
_OF_PYTHON = re.compile(r"\(\?(?![:=!]|<[=!]|<[A-Za-z_$]\w*>)|[*+?}]\+|\[[^\]]*\[:")
#: Letters behind a backslash that mean something in JavaScript.
_ESCAPES = {*"dDwWsSbBfnrtvcxuk"}
_TOKEN = re.compile(
    r"\\u\{[0-9a-fA-F]+\}|\\[pP]\{[^}]*\}|\\.|\[\^\]|\[\]|\{\d+(?:,\d*)?\}|.", re.DOTALL
)


def _translated(pattern: str, *, named: bool) -> Iterable[str]:
    """Yield the parts of a pattern of JavaScript as Python reads them: its digits are ASCII.

    With *named* it may have classes by their names.
    """
    in_class = False
    for part in _TOKEN.findall(pattern):
        if part == "[^]" and not in_class:
            yield r"[\s\S]"
        elif part[:3] == "\\u{":
            yield f"\\U{int(part[3:-1], 16):08x}"
        elif part[0] == "\\" and part[1:].lower() in _CLASSES:
            yield _class(part[1], in_class=in_class) or part
        elif part[:3] in (r"\p{", r"\P{"):
            yield part if named else f"{part[1]}\\{part[2:]}"
        elif part in (r"\b", r"\B") and not in_class:
            yield f"(?a:{part})"
        elif part == "\\/" or (part[0] == "\\" and part[1].isalpha() and not named):
            # A letter that means nothing there is the letter.
            yield part[1] if part[1] not in _ESCAPES else part
        elif part == "{" and not in_class:
            yield r"\{"
        else:
            in_class = part != "]" and (in_class or part == "[")
            yield part


def _class(letter: str, *, in_class: bool) -> str:
    characters = _CLASSES[letter.lower()]
    if in_class:
        return characters if letter.islower() else ""
    return f"[{'' if letter.islower() else '^'}{characters}]"


def escaped(text: str) -> str:
    """Return *text* as a pattern, with as few escapes as it needs."""
    return _SPECIAL.sub(r"\\\g<0>", text)
