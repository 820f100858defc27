"""Placeholders of other template languages: which are mistakes, and which are meant."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.templates import placeholder_message, unfilled_placeholders

NAMES = ("input", "id", "tags", "text", "name", "question", "date", "category")
USER = "{{ input }}"


def found(template, *, user=USER, names=NAMES, inputs=("A ticket",)):
    cases = [
        Case(id=str(n), location=f"c:{n}", input=text, score=Rule("exact"))
        for n, text in enumerate(inputs)
    ]
    return unfilled_placeholders(template, [user], names, cases)


MISTAKES = [
    "Classify this order: {input}",
    "Text:\n```\n{input}\n```",
    "<input>\n{input}\n</input>",
    "Line\n\n{ input }\n",
    "{input!r}",
    "{INPUT}",
    "({input})",
    "**{input}**",
    "订单{input}",
    '{"text": "{input}"}',
    "Context: {text}\nQuestion: {question}\nAnswer:",
    "Dear {name},",
    "=== {text} ===",
    "{{ date }}: {text}{name}",
    "Order {id}",
    "Order: $input",
    "'$input'",
    "## Input: $INPUT\n## Output:",
    "Order: ${input}",
    "Order: %(input)s",
    "Order: <input>",
    "<INPUT>",
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


def test_a_name_that_no_case_has_is_no_variable():
    assert found("Dear {friend}, {order id}", names=("input", "order id")) == []


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


def test_a_text_that_is_no_template_is_left_to_its_error():
    assert found("{% if %} {input}") == []


# In a suite --------------------------------------------------------------------------------------

SUITE = """\
prompt: p.md
cases: [{{input: a, expected: b, vars: {{tone: kind}}}}]
user: "{user}"
gates: {{accuracy: {{min: 0.5}}}}
variants:
"""


def warnings(folder, *variants, prompt="Sort.", user=USER):
    (folder / "p.md").write_text(prompt, "utf-8")
    path = folder / "s.ftgate.yaml"
    path.write_text(SUITE.format(user=user) + "".join(f"  {v}\n" for v in variants), "utf-8")
    return [str(one).partition(" sent")[0] for one in load_suite(path, folder).warnings]


CLAUDE = "one: {provider: anthropic, model: m}"


def test_a_warning_names_the_line_of_the_prompt_once_for_all_variants(tmp_path):
    found = warnings(tmp_path, CLAUDE, "two: {like: one, model: n}", prompt="Be {tone}.\n\n{input}")

    assert found == ["p.md:1: {tone}, {input} are"]


def test_a_warning_names_the_line_of_the_user_message_that_a_variant_takes(tmp_path):
    own = 'own: {like: one, user: "Order {input}"}'

    assert warnings(tmp_path, CLAUDE, user="Order $input") == ["s.ftgate.yaml:3: user: $input is"]
    assert warnings(tmp_path, CLAUDE, own, "heir: {like: own, model: n}") == [
        "s.ftgate.yaml:7: user: {input} is"
    ]


def test_passages_are_a_variable_where_they_are_retrieved(tmp_path):
    (tmp_path / "doc.md").write_text("A document.\n", "utf-8")
    asks = "one: {provider: anthropic, model: m, retrieve: {from: doc.md}}"

    assert warnings(tmp_path, asks, prompt="By {passages}:") == ["p.md:1: {passages} is"]
    assert warnings(tmp_path, CLAUDE, prompt="By {passages}:") == []


@every_row(
    "variant",
    ["one: {provider: recorded, replies: r.jsonl}", "one: {provider: python, function: 'f:f'}"],
)
def test_a_variant_that_is_sent_no_prompt_has_no_warning(tmp_path, variant):
    (tmp_path / "r.jsonl").write_text('{"id": "a", "text": "b"}\n', "utf-8")
    (tmp_path / "f.py").write_text("def f(case):\n    return 'b'\n", "utf-8")

    assert warnings(tmp_path, variant, prompt="Sort {input}.") == []
