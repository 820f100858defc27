"""Prompts: strict about names, held in a sandbox, and without marks of other languages."""

from __future__ import annotations

import pytest
from ftgate_testing.suite_files import load_variants
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined, meta
from jinja2 import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.templates import (
    TemplateError,
    literal_parts,
    placeholder_message,
    render_template,
    template_text,
    template_variables,
    unfilled_placeholders,
)


@every_row(
    ("template", "text"),
    [
        # Values are put in as they are, and not rendered again.
        ("Q: {{ input }}", 'Q: <b> & "{{ 7 * 7 }}"'),
        ("{{ input }}", '<b> & "{{ 7 * 7 }}"'),
        ("{{ input | upper }}", '<B> & "{{ 7 * 7 }}"'),
    ],
)
def test_values_are_put_in_as_they_are(template, text):
    assert render_template(template, {"input": '<b> & "{{ 7 * 7 }}"'}) == text


@every_row(
    ("template", "told"),
    [
        # An undefined name is never an empty text.
        ("{{ tone }}", "'tone' is undefined"),
        # A template reaches for Python.
        ("{{ input.__class__.__mro__[1].__subclasses__() }}", None),
        ("{{ tags.append('x') }}", None),
        ("{{ cycler.__init__.__globals__ }}", None),
        ("{{ '{0.__class__}'.format(input) }}", None),
        ("{{ input['__class__'] }}", None),
        # It breaks while it runs.
        ("{{ 1 / 0 }}", None),
        ("{% for i in range(10 ** 9) %}{% endfor %}", None),
        ('{% include "other.md" %}', None),
        # A few letters come to more than any model reads.
        ("{{ input | center(30000000) }}", "it comes to 30,000,000 characters; 20,000,000 are"),
    ],
)
def test_a_template_that_is_undefined_forbidden_or_breaks_is_a_template_error(template, told):
    with pytest.raises(TemplateError, match=told):
        render_template(template, {"input": "a", "tags": [], "vars": {}})


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
PIECES = ("{{ a }}", "{{b}}", "{{ in }}", "{{ dict }}", "{{-a}}", "%}", "{#", "\r\n", *"{}\n ä")


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


# Placeholders of other languages ------------------------------------------------------------------

NAMES = ("input", "id", "tags", "text", "name", "question", "date", "order id")
USER = "{{ input }}"


def found(template, *, user=USER, names=NAMES, inputs=("A ticket",)):
    cases = [
        Case(id=str(n), location=f"c:{n}", input=text, score=Rule("exact"))
        for n, text in enumerate(inputs)
    ]
    return unfilled_placeholders(template, [user], names, cases)


MISTAKES = [
    "Classify this order: {input}",
    "<input>\n{input}\n</input>",
    "Line\n\n{ input }\n",
    "{input!r}",
    "{INPUT}",
    "订单{input}",
    '{"text": "{input}"}',
    "Context: {text}\nQuestion: {question}\nAnswer:",
    "=== {text} ===",
    "{{ date }}: {text}{name}",
    "Order: $input",
    "## Input: $INPUT\n## Output:",
    "Order: ${input}",
    "Order: %(input)s",
    "Order: <input>",
    "Order: [input]",
    "# INPUT\n\n[INPUT]\n",
    "Translate [text] to French.",
    "Show me <question> as it is.",
]


@every_row("template", MISTAKES)
def test_a_mark_of_another_language_without_one_of_ours_is_a_mistake(template):
    assert found(template)


MEANT = [
    # Our own, or one beside it.
    "Order: {{ input }}",
    "Use {{ input }}, not {input}.",
    "{% raw %}{input}{% endraw %}",
    "{# {input} #}",
    # Tags and headings.
    "<input>{{ input }}</input>",
    "The order stands between <input> and </input>.",
    "The order stands inside the <input> tags.",
    "Never write an <input> element.",
    "<name>\nAnn\n</name>",
    "[ROLE]\nYou sort.\n[INPUT]\nA ticket.\n[OUTPUT]\nA word.",
    # JSON, and the form of a reply.
    'Answer as {"input": "…", "label": "…"}',
    "{ 'input': 1 }",
    "Return {input: string, label: string}",
    'Return {"name": <name>, "date": "<date>"}',
    "Begin with `<question>` and end with `[text]`.",
    "Replace each name by [NAME] and each date by [DATE].",
    "Cite as [id], or as <id>.",
    # Shells, code, paths, links, LaTeX.
    "echo $HOME; cd $PATH",
    "$input = 5; $input->send(); $input['a']",
    "x[input] = row[name]; f([input]); y = [text]",
    "import { input } from 'x'; const { text } = props",
    "List<input>, Map<name>",
    "GET /users/{id}/orders/<id>/$name",
    "See [input](https://example.com), [text][1], [[name]].\n\n[date]: https://example.com",
    r"\frac{a}{b} \input{file} \text{name} \href{url}{text} $x$ \{input\}",
    "x_{id} and x^{text}",
    "$$input$$ and {inputs}, <inputs>, [inputs], $inputs",
    "The user's input is below. input: text (name)",
    # A name that no case has, and a text that is no template, whose error is told.
    "Dear {friend}, {order id}",
    "{% if %} {input}",
]


@every_row("template", MEANT)
def test_what_a_prompt_means_as_it_stands_is_no_mistake(template):
    assert found(template) == []


@every_row(
    ("system", "user"),
    [
        ("The order is in <input>.", "<input>{{ input }}</input>"),
        ("After <input> comes the order.", "<input> {{ input }}"),
        ("The order follows [input].", "[input] {{ input }}"),
    ],
)
def test_a_mark_around_a_variable_of_the_other_template_is_a_name_for_it(system, user):
    assert found(system, user=user) == []
    assert found(system)


def test_a_mark_of_the_other_template_that_uses_no_variable_is_a_mistake_in_both():
    assert found("Sort {input}.", user="Order: {input}")
    assert found("Order: {input}", user="Sort {input}.")


def test_a_mark_that_cases_have_is_what_the_prompt_speaks_of():
    template = "Keep marks such as {name} as they are."

    assert found(template, inputs=["Dear {name}, welcome"]) == []
    assert found(template)


def test_each_variable_is_named_once_in_the_order_of_the_template():
    marks = found("One\n{question}\n{name} {input} {name}")

    assert [tuple(mark) for mark in marks] == [
        ("{question}", "question", 2),
        ("{name}", "name", 3),
        ("{input}", "input", 3),
    ]
    assert placeholder_message(marks) == (
        "{question}, {name}, {input} are sent as they stand: write {{ question }}, {{ name }}, "
        "{{ input }}, or {% raw %}{question}{% endraw %} if you mean this text"
    )


# In a suite --------------------------------------------------------------------------------------

CLAUDE = "one: {provider: anthropic, model: m}"
FILES = {
    "doc.md": "A document.\n",
    "r.jsonl": '{"id": "a", "text": "b"}\n',
    "f.py": "def f(case):\n    return 'b'\n",
}


def warnings(folder, *variants, prompt="Sort.", user=USER):
    """Load a suite whose user message stands in line 1, and whose variants do from line 6 on."""
    head = f'user: "{user}"\nprompt: p.md\n'
    suite = load_variants(folder, *variants, head=head, files={**FILES, "p.md": prompt})
    return [str(one).partition(" sent")[0] for one in suite.warnings]


def test_a_warning_names_the_line_of_the_prompt_once_for_all_variants(tmp_path):
    found = warnings(tmp_path, CLAUDE, "two: {like: one, model: n}", prompt="Be {tone}.\n\n{input}")

    assert found == ["p.md:1: {tone}, {input} are"]


def test_a_warning_names_the_line_of_the_user_message_that_a_variant_takes(tmp_path):
    own = 'own: {like: one, user: "Order {input}"}'

    assert warnings(tmp_path, CLAUDE, user="Order $input") == ["s.ftgate.yaml:1: user: $input is"]
    assert warnings(tmp_path, CLAUDE, own, "heir: {like: own, model: n}") == [
        "s.ftgate.yaml:7: user: {input} is"
    ]


@every_row(
    ("variant", "prompt", "told"),
    [
        # Passages are a variable where they are retrieved.
        (f"{CLAUDE[:-1]}, retrieve: {{from: doc.md}}}}", "{passages}", ["p.md:1: {passages} is"]),
        (CLAUDE, "By {passages}:", []),
        # A variant that is sent no prompt has no warning.
        ("one: {provider: recorded, replies: r.jsonl}", "Sort {input}.", []),
        ("one: {provider: python, function: 'f:f'}", "Sort {input}.", []),
    ],
)
def test_a_variant_is_warned_of_what_it_is_sent(tmp_path, variant, prompt, told):
    assert warnings(tmp_path, variant, prompt=prompt) == told
