"""The assertions of promptfoo by their types: what each checks of a reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers import checks
from pytest_ftgate.readers.checks import ReplyCheck
from pytest_ftgate.readers.imported_files import parse_document
from pytest_ftgate.readers.text import text_of

# One maker for each kind: it returns the check, or None if the value is none that it can keep.

Maker = Callable[[Any], ReplyCheck | None]


def document_of(text: str) -> Any:
    """Return what *text* is as YAML or JSON, or *text* itself if it is none."""
    try:
        return parse_document(text, "", core=True)
    except ConfigurationError:
        return text


#: A field of a text that lists values: in quotes, or up to the next comma.
_FIELD = re.compile(r'[\s,]*(?:"((?:[^"\\]|""|\\.)*)"\s*(?=,|$)|([^",\s][^,]*))', re.DOTALL)


def listed_texts(value: Any) -> list[str] | None:
    """Return the texts of a list, or of one text that separates them by commas; None for others."""
    if isinstance(value, list):
        return [text_of(one) or "" for one in value]
    if not isinstance(value, str) or not value:
        return None
    texts, end = list[str](), 0
    while value[end:].replace(",", "").strip():
        match = _FIELD.match(value, end)
        if not match:
            return None
        quoted, plain = match.groups()
        texts.append(
            plain.strip() if quoted is None else re.sub(r'"(")|\\(["\\])', r"\1\2", quoted)
        )
        end = match.end()
    return texts


def _contains(*, case: bool, every: bool | None, inverse: bool = False) -> Maker:
    """Return the maker of ``contains`` of one text (*every* is None), of all or of any."""

    def make(value: Any) -> ReplyCheck | None:
        texts = [text_of(value) or ""] if every is None else listed_texts(value)
        if isinstance(value, bool | Mapping) or not texts or not all(texts):
            # Of a list with an empty text JavaScript knows the answer.
            return None
        if inverse:
            return checks.avoided(texts, case=case)
        return checks.contained(texts, case=case, every=bool(every))

    return make


def _equals(value: Any) -> ReplyCheck | None:
    if isinstance(value, Mapping | list):
        return ReplyCheck({"json_schema": {"const": value}})
    return checks.equal(_shown(value)) if _shown(value).strip() else None


def _not_equal(value: Any) -> ReplyCheck | None:
    if isinstance(value, Mapping | list) or not _shown(value).strip():
        return None
    return checks.equal(_shown(value), inverse=True)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else text_of(value) or ""


def _matched(text: Any, pattern: str, *, inverse: bool = False) -> ReplyCheck | None:
    """Return the check that *pattern* matches, of an assertion whose value is *text*."""
    return checks.matching(pattern, inverse=inverse) if isinstance(text, str) and text else None


def _schema(value: Any) -> Any:
    """Return the schema of an assertion: {} for none, None for what is none."""
    schema = document_of(value) if isinstance(value, str) else value
    if schema in (None, "", True, False):
        return {}
    if not isinstance(schema, Mapping):
        return None
    # promptfoo reads drafts up to 7, whose lists of items are tuples.
    old = "$schema" not in schema and re.search(r"'(?:items': \[|dependencies')", repr(schema))
    return {**({"$schema": "http://json-schema.org/draft-07/schema#"} if old else {}), **schema}


def _is_json(value: Any) -> ReplyCheck | None:
    schema = _schema(value)
    return None if schema is None else checks.json_form(schema)


def _contains_json(value: Any) -> ReplyCheck | None:
    schema = _schema(value)
    call = f"contains_json(reply.text, {schema!r})"
    rule = {"contains_json": f"def NAME(case, reply):\n    return {call}\n"}
    return None if schema is None else ReplyCheck(rule)


def _words(value: Any) -> ReplyCheck | None:
    bounds = value if isinstance(value, Mapping) else {"min": value, "max": value}
    limits = {k: int(bounds[k]) for k in ("min", "max") if str(bounds.get(k, "")).isdecimal()}
    if not any(limits.values()):
        return None
    return checks.sized("words", limits.get("min"), limits.get("max"))


def _is_sql(value: Any) -> ReplyCheck | None:
    is_kept = not value and find_spec("sqlglot")
    return ReplyCheck({"code": "sql"}, is_form=True) if is_kept else None


MAKERS: Mapping[str, Maker] = {
    "equals": _equals,
    "not-equals": _not_equal,
    "contains": _contains(case=True, every=None),
    "icontains": _contains(case=False, every=None),
    "contains-all": _contains(case=True, every=True),
    "icontains-all": _contains(case=False, every=True),
    "contains-any": _contains(case=True, every=False),
    "icontains-any": _contains(case=False, every=False),
    "not-contains": _contains(case=True, every=None, inverse=True),
    "not-icontains": _contains(case=False, every=None, inverse=True),
    "not-contains-any": _contains(case=True, every=False, inverse=True),
    "not-icontains-any": _contains(case=False, every=False, inverse=True),
    "regex": lambda value: _matched(value, value),
    "not-regex": lambda value: _matched(value, value, inverse=True),
    "starts-with": lambda value: _matched(value, f"^{checks.escaped(str(value))}"),
    "not-starts-with": lambda value: _matched(value, f"^(?!{checks.escaped(str(value))})"),
    "ends-with": lambda value: _matched(value, f"{checks.escaped(str(value))}$"),
    "is-json": _is_json,
    "contains-json": _contains_json,
    "is-sql": _is_sql,
    "word-count": _words,
    "not-empty": lambda _: checks.sized("characters", 1, None),
}
