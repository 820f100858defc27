"""Placeholders of other template languages, such as ``{input}``: they are sent as they stand."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from jinja2 import TemplateError

from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.templates import literal_parts, template_text, template_variables

#: Marks that hardly anything but a template has.
_SURE = (
    r"\$?\{{ *{0}(?:![rsa])?(?::[<>^]?[\d.,]*[a-z%]?)? *\}}(?!\}}| *(?:=[^=]|from\b))"
    r"|%\({0}\)[sdrf]"
)
#: Marks that also stand for what the model is to write, or for code.
_USUAL = (
    r"(?<![$\\])\${0}(?![\w\[(])(?! *(?::?=|->))"
    r"|<{0}>(?![\s-]*(?:tag|element|field|block|section)s?\b)"
    r"|\[{0}\](?![\w\[(:\]])"
)
#: Names whose usual marks are the model's to write, such as a path with ``<id>``.
_OFTEN_WRITTEN = ("id", "tags")
#: What stands before a part of a path, of a word, of a command of LaTeX, or of an escaped sign.
_BEFORE_WORD = re.compile(
    r"(?:[A-Za-z0-9_^\\/$]|\\[A-Za-z]+\*?(?:\[[^\]\n]*\])?(?:\{[^{}\n]*\})+)\Z"
)
#: What stands before a usual mark in code, and in JSON, which shows the form of a reply.
_BEFORE_VALUE = re.compile(r"(?:`|[\"'] *: *[\"']?|[\])(\[=] *)\Z")
_HEADING = re.compile(r"^\[[^\]\n]+\] *$", re.MULTILINE)


class UnfilledPlaceholder(NamedTuple):
    """A mark that is no template, as it is written, with the variable and the line."""

    text: str
    name: str
    line: int


def unfilled_placeholders(
    template: str, others: Sequence[str], names: Collection[str], cases: Sequence[Case]
) -> list[UnfilledPlaceholder]:
    """Return the first placeholder for each variable that *template* does not use.

    *names* are the variables, *others* the other templates of the same request. A mark that stands
    around a variable there, or in a case, is a name for it and no mistake.
    """
    try:
        used = template_variables(template)
        unused = [name for name in names if name.isidentifier() and name not in used]
        marks = (_first_unknown(template, others, name, cases) for name in unused)
        return sorted(filter(None, marks), key=lambda one: (one.line, template.index(one.text)))
    except TemplateError:  # reported with the template itself
        return []


def placeholder_message(found: Sequence[UnfilledPlaceholder]) -> str:
    """Return what is sent, and what to write for it."""
    marks, first = ", ".join(mark.text for mark in found), found[0].text
    variables = ", ".join(f"{{{{ {mark.name} }}}}" for mark in found)
    are = "are sent as they stand" if len(found) > 1 else "is sent as it stands"
    raw = f"{{% raw %}}{first}{{% endraw %}}"
    return f"{marks} {are}: write {variables}, or {raw} if you mean this text"


def _first_unknown(
    template: str, others: Sequence[str], name: str, cases: Sequence[Case]
) -> UnfilledPlaceholder | None:
    marks = _marks(template, name)
    return next((m for m in marks if not _is_known(m, (template, *others), cases)), None)


def _marks(template: str, name: str) -> Iterator[UnfilledPlaceholder]:
    """Yield each mark with *name*."""
    word = "(?i:input)" if name == "input" else name
    kinds = _SURE if name in _OFTEN_WRITTEN else f"{_SURE}|{_USUAL}"
    has_headings = len(_HEADING.findall(template)) > 1
    for line, text in literal_parts(template):
        for match in re.finditer(kinds.format(word), text):
            mark, before = match.group(), text[: match.start()].rpartition("\n")[2]
            is_value = mark[0] in "<[" and _BEFORE_VALUE.search(before)
            is_heading = mark[0] == "[" and has_headings
            if not (_BEFORE_WORD.search(before) or is_value or is_heading):
                yield UnfilledPlaceholder(mark, name, line + text.count("\n", 0, match.start()))


def _is_known(mark: UnfilledPlaceholder, templates: Sequence[str], cases: Sequence[Case]) -> bool:
    """Return True if *mark* names a part of the request: around a variable, or in a case."""
    closing = f"{mark.text[0]}/{mark.text[1:]}"
    named = (text for text in templates if mark.name in template_variables(text))
    if any(mark.text in template_text(text) for text in named):
        return True
    if any(closing in template_text(text) for text in templates):
        return True
    texts = (text for case in cases for text in (case.input, *(said for _, said in case.messages)))
    return any(mark.text in text for text in texts)
