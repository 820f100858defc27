"""Prompt templates: sandboxed Jinja, and placeholders of other template languages.

An undefined variable is an error. A placeholder such as ``{input}`` is sent as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.readers.source import Source
from pytest_ftgate.suite.model import Case

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.nodes import Template as Parsed
    from jinja2.sandbox import ImmutableSandboxedEnvironment

#: The template variables that every case has.
CASE_VARIABLES = ("input", "id", "tags")
#: The template variable that holds the retrieved passages.
PASSAGES = "passages"


class TemplateError(ValueError):
    """A template that does not parse or cannot be rendered.

    Attributes:
        line: the line within the template, or 0.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


@contextmanager
def _translated_errors() -> Iterator[None]:
    from jinja2 import TemplateError as JinjaError

    try:
        yield
    except JinjaError as error:
        raise TemplateError(str(error), getattr(error, "lineno", 0) or 0) from error


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    # Imported here, since most templates need no Jinja, and its import takes tens of milliseconds.
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # keep_trailing_newline stays off: the last newline of a prompt file is not part of the prompt.
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


@lru_cache(maxsize=256)
def _compile(text: str) -> Template:
    with _translated_errors():
        return _environment().from_string(text)


def _parse(text: str) -> Parsed:
    with _translated_errors():
        return _environment().parse(text)


_VARIABLE = re.compile(r"\{\{[ \t]*([A-Za-z_]\w*)[ \t]*\}\}", re.ASCII)
_NEWLINE = re.compile(r"\r\n?")
#: What opens a construct of Jinja, or is part of one if a variable follows.
_OPENING = re.compile(r"\{[{%#]|\{\Z")
#: Words and global names of Jinja, which are no variables.
_RESERVED = {
    *("and", "else", "false", "False", "if", "in", "is", "none", "None", "not", "or", "true"),
    *("True", "cycler", "dict", "joiner", "lipsum", "namespace", "range", "self"),
}


@lru_cache(maxsize=256)
def _split_variables(text: str) -> tuple[tuple[str, str], ...] | None:
    """Return each variable of a template with the text before it, or None for other constructs.

    The last variable name is empty. Most templates have only text and variables. Joining these
    takes a tenth of the time that a Jinja context takes.
    """
    # The list has text and names in turn.
    parts = _VARIABLE.split(_NEWLINE.sub("\n", text).removesuffix("\n"))
    texts, names = parts[::2], parts[1::2]
    if any(map(_OPENING.search, texts)) or not _RESERVED.isdisjoint(names):
        return None
    return tuple(zip(texts, [*names, ""], strict=True))


def _join(parts: tuple[tuple[str, str], ...], values: Mapping[str, Any]) -> str:
    texts = [
        text
        for text_before, name in parts
        for text in (text_before, str(values[name]) if name else "")
    ]
    # Drop empty texts, so that a single value is returned itself, without a copy.
    return "".join([text for text in texts if text])


@lru_cache(maxsize=256)
def template_variables(text: str) -> frozenset[str]:
    """Return the variables of the template *text*.

    Raises:
        TemplateError: the template does not parse.
    """
    if parts := _split_variables(text):
        return frozenset(name for _, name in parts if name)
    parsed = _parse(text)
    from jinja2.meta import find_undeclared_variables

    return frozenset(find_undeclared_variables(parsed))


def literal_parts(text: str, *, with_raw: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the literal parts of the template *text* with their first lines.

    Those of raw blocks are left out, unless *with_raw*.

    Raises:
        TemplateError: the template does not parse.
    """
    if parts := _split_variables(text):
        line = 1
        for part, _ in parts:
            if part:
                yield line, part
            line += part.count("\n")
        return
    is_raw = False
    with _translated_errors():
        tokens = [*_environment().lex(text)]
    for line, kind, part in tokens:
        is_raw = kind == "raw_begin" or (is_raw and kind != "raw_end")
        if kind == "data" and (with_raw or not is_raw):
            yield line, part


def template_text(text: str) -> str:
    """Return the literal text of the template *text*, without its variables.

    Raises:
        TemplateError: the template does not parse.
    """
    return "".join(part for _, part in literal_parts(text, with_raw=True))


#: The most characters that a template may come to: a short one can repeat a text without end.
_LONGEST = 20_000_000


def render_template(text: str, values: Mapping[str, Any]) -> str:
    """Return the template *text* rendered with *values*.

    Raises:
        TemplateError: a variable is undefined, or an expression fails or is forbidden.
    """
    try:
        parts = _split_variables(text)
        # Jinja itself reports an undefined variable.
        if parts and all(not name or name in values for _, name in parts):
            return _join(parts, values)
        template = _compile(text)
        with _translated_errors():
            rendered = template.render(values)
    except TemplateError:
        raise
    # An error of the template's own code, such as adding text to a number.
    except Exception as error:
        raise TemplateError(f"{type(error).__name__}: {error}") from error
    if len(rendered) > _LONGEST:
        raise TemplateError(f"it comes to {len(rendered):,} characters; {_LONGEST:,} are allowed")
    return rendered


def case_variables(cases: Iterable[Case]) -> set[str]:
    """Return the names of the variables that a template for *cases* may use."""
    return {*CASE_VARIABLES, *(key for case in cases for key in case.vars)}


def check_template(
    source: Source, line: int, key: str, template: str, cases: Sequence[Case]
) -> None:
    """Add an error for each cause why a *template* in the suite file cannot be rendered.

    *line* is the line of the template, and *key* its name in messages.
    """
    for _, message in template_errors(template, cases):
        source.add_error(line, f"{key}: {message}")


def template_errors(
    template: str, cases: Sequence[Case], *, of_rubric: bool = False
) -> Iterator[tuple[int, str]]:
    """Yield the line within *template* and the message of each error for *cases*.

    A prompt may name retrieved passages, a rubric the expected answers.
    """
    try:
        used = template_variables(template)
    except TemplateError as error:
        # Braces that are meant as they are have to be marked.
        braces = "{{ opens a variable and {% a statement"
        remedy = f"{braces}: put literal ones into {{% raw %}}…{{% endraw %}}"
        yield error.line, f"not a template: {error}; {remedy}"
        return
    known = case_variables(cases) | ({"expected"} if of_rubric else set())
    others = f"; cases have {', '.join(sorted(known))}"
    lines = template.split("\n")
    for name in sorted(used - known - (set() if of_rubric else {PASSAGES}) if cases else ()):
        line = next((n for n, text in enumerate(lines, 1) if name in text), 0)
        yield line, f'no case has "{name}"{did_you_mean(name, known) or others}'


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
