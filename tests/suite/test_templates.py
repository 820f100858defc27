"""Prompts: strict about names, and held in a sandbox."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined, meta
from jinja2 import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pytest_ftgate.suite.templates import (
    TemplateError,
    literal_parts,
    render_template,
    template_text,
    template_variables,
)

ESCAPES = [
    "{{ input.__class__ }}",
    "{{ input.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''.__class__ }}",
    "{{ tags.append('x') }}",
    "{{ vars.update(a=1) }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ '{0.__class__}'.format(input) }}",
    "{{ input['__class__'] }}",
]


def test_values_are_put_in_as_they_are():
    assert render_template("Q: {{ input }}", {"input": '<b> & "x"'}) == 'Q: <b> & "x"'


def test_a_value_that_looks_like_a_template_is_not_rendered_again():
    assert render_template("{{ input }}", {"input": "{{ 7 * 7 }}"}) == "{{ 7 * 7 }}"


def test_an_undefined_name_is_an_error_and_never_an_empty_string():
    with pytest.raises(TemplateError, match="'tone' is undefined"):
        render_template("{{ tone }}", {"input": "a"})


@every_row("template", ESCAPES)
def test_a_template_that_reaches_for_python_is_refused(template):
    with pytest.raises(TemplateError):
        render_template(template, {"input": "a", "tags": [], "vars": {}})


@every_row(
    "template",
    [
        "{{ 1 / 0 }}",
        "{{ input + 1 }}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
        '{% include "other.md" %}',
    ],
)
def test_a_template_that_breaks_while_it_runs_is_a_template_error(template):
    with pytest.raises(TemplateError):
        render_template(template, {"input": "a"})


def test_the_names_of_a_template_are_those_it_takes_from_its_case():
    text = "{{ input }} {% set x = tone %}{% for t in tags %}{{ t }}{{ loop.index }}{% endfor %}"

    assert template_variables(text) == {"input", "tone", "tags"}


def test_a_template_that_does_not_parse_is_an_error():
    with pytest.raises(TemplateError):
        template_variables("{{ input }")


@every_row("value", ["<b>", "", None, 7, ["a", 'b"'], {"k": 1}])
def test_a_template_of_names_alone_says_of_every_value_what_a_filter_would_find(value):
    values = {"input": value, "tone": "calm"}

    plain = render_template("{{ tone }}: {{ input }}{# unsaid #}!\n", values)

    assert plain == render_template("{{ tone }}: {{ input | string }}{# unsaid #}!\n", values)


JINJA = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
PIECES = (
    "{{ a }}",
    "{{b}}",
    "{{ in }}",
    "{{-a}}",
    "{",
    "}",
    "%}",
    "{#",
    "\r\n",
    "\n",
    " ",
    "a",
    "ä",
)


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_text_and_variables_are_read_as_jinja_reads_them(template):
    try:
        parsed = JINJA.parse(template)
    except JinjaError:
        with pytest.raises(TemplateError):
            render_template(template, {})
        return
    data = [(line, part) for line, kind, part in JINJA.lex(template) if kind == "data"]
    assert template_variables(template) == meta.find_undeclared_variables(parsed)
    assert list(literal_parts(template)) == data
    assert template_text(template) == "".join(text for _, text in data)
    values = {"a": "1", "b": "2", "in": "3"}
    assert render_template(template, values) == JINJA.from_string(template).render(values)
