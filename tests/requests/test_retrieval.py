"""What is retrieved for a case, and what becomes of it in the calls."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import ConfigurationError, SuiteError
from pytest_ftgate.requests import request_groups as plan
from pytest_ftgate.requests.request import Passage
from pytest_ftgate.requests.retrieval import most_similar_passages
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.loader import load_suite

DOCS = {
    "docs/refunds.md": "# Refunds\n\nMoney is returned within 14 days.\n",
    "docs/parcels.md": "# Parcels\n\nA parcel takes three days.\n",
    "docs/plants.md": "# Plants\n\nFerns like shade.\n",
}
FILES = '{from: "docs/*.md", top: 2}'
CASES = (
    "{id: r, input: When is my money returned, expected: 14 days}",
    "{id: p, input: Where has the parcel gone, expected: three days}",
)
FINDER = """\
asked = []

def find(case):
    asked.append(case.id)
    return [f"about {case.id}", {"source": "wiki", "text": "more", "rank": 3}]

async def find_later(case):
    return find(case)

def broken(case):
    asked.append(case.id)
    raise {}["price"]

async def exits(case):
    raise SystemExit("bye")

def of_type(case):
    return OF_TYPE
"""


def suite(folder, retrieve, *, cases=CASES, more="", head="", finder=FINDER):
    for name, text in {**DOCS, "finder.py": finder}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    listed = "".join(f"  - {case}\n" for case in cases)
    variant = f"  rag: {{provider: anthropic, model: m, retrieve: {retrieve}{more}}}\n"
    gates = "gates: {accuracy: {min: 0.5}}\n"
    path = folder / "s.ftgate.yaml"
    path.write_text(f"{head}cases:\n{listed}{gates}variants:\n{variant}", "utf-8")
    return load_suite(path, folder)


def asks(folder, retrieve, repeats=1, **rest):
    found = suite(folder, retrieve, **rest)
    return plan.task_requests(found, found.variants["rag"], {}, repeats)


# Ranking -------------------------------------------------------------------------------------

WORDS = st.lists(st.sampled_from(["money", "parcel", "days", "fern", "shade", "B"]), max_size=6)
SPOKEN = WORDS.map(" ".join)
NAMED = st.lists(SPOKEN, max_size=5).map(
    lambda texts: tuple((f"{n}.md", text) for n, text in enumerate(texts))
)


@given(NAMED, SPOKEN)
def test_every_passage_that_is_shown_shares_a_word_with_what_is_asked(documents, asked):
    for one in most_similar_passages(documents, 20, asked, 9):
        assert set(one.text.lower().split()) & set(asked.lower().split())


@given(NAMED, SPOKEN, st.integers(1, 5))
def test_fewer_passages_are_the_first_of_more(documents, asked, top):
    assert (
        most_similar_passages(documents, 20, asked, top)
        == most_similar_passages(documents, 20, asked, 9)[:top]
    )


def test_the_most_alike_comes_first():
    documents = (("a", "a parcel"), ("b", "money is returned"), ("c", "money and a parcel"))

    found = most_similar_passages(documents, 20, "is money returned", 3)

    assert [one.source for one in found] == ["b", "c"]


def test_of_equals_the_first_document_comes_first():
    documents = tuple((name, "the same words") for name in "cab")

    assert [one.source for one in most_similar_passages(documents, 20, "same words", 3)] == [
        "c",
        "a",
        "b",
    ]


def test_a_single_letter_is_a_word():
    (found,) = most_similar_passages((("a", "plan A"), ("b", "plan B")), 20, "B", 3)

    assert found.source == "b"


# In the calls --------------------------------------------------------------------------------


def test_each_case_is_put_with_its_own_passages(tmp_path):
    first, second = asks(tmp_path, FILES)

    shown = "[1] docs/refunds.md\n# Refunds\n\nMoney is returned within 14 days."
    asked = "When is my money returned"
    told = f"These passages may help to answer:\n\n{shown}\n\n{asked}"
    assert first.request.messages == (("user", told),)
    assert [one.source for one in second.request.passages] == ["docs/parcels.md"]


def test_a_document_that_changes_changes_the_requests_that_show_it_and_no_other(tmp_path):
    before = asks(tmp_path, FILES)
    (tmp_path / "docs/refunds.md").write_text("# Refunds\n\nMoney is returned in 30 days.\n")
    found = load_suite(tmp_path / "s.ftgate.yaml", tmp_path)
    after = plan.task_requests(found, found.variants["rag"], {})

    same = [
        a.request.fingerprint == b.request.fingerprint for a, b in zip(before, after, strict=True)
    ]
    assert same == [False, True]


def test_where_pytest_is_started_changes_no_request(tmp_path):
    asks(tmp_path, FILES)
    calls = []
    for root in (tmp_path, tmp_path.parent):
        found = load_suite(tmp_path / "s.ftgate.yaml", root)
        calls.append(
            [a.request.fingerprint for a in plan.task_requests(found, found.variants["rag"], {})]
        )

    assert calls[0] == calls[1]


@every_row(
    ("template", "shown"),
    [
        ("{{ passages }}|{{ input }}", "[1] docs/refunds.md\n{text}|{asked}"),
        (
            "{% for p in passages %}{{ p.source }}: {{ p.text }}{% endfor %}",
            "docs/refunds.md: {text}",
        ),
        ("{% if passages %}{{ passages | length }}{% endif %}: {{ input }}", "1: {asked}"),
    ],
)
def test_a_template_may_say_where_the_passages_stand(tmp_path, template, shown):
    first, _ = asks(tmp_path, FILES, head=f'user: "{template}"\n')

    text, asked = "# Refunds\n\nMoney is returned within 14 days.", "When is my money returned"
    assert first.request.messages == (("user", shown.format(text=text, asked=asked)),)


def test_a_system_prompt_may_have_the_place_too(tmp_path):
    (tmp_path / "p.md").write_text("Use: {{ passages }}")

    first, _ = asks(tmp_path, FILES, head="prompt: p.md\n")

    assert first.request.messages[0][1].startswith("Use: [1] docs/refunds.md")
    assert first.request.messages[1] == ("user", "When is my money returned")


def test_a_conversation_does_not_use_the_user_template_and_is_given_its_passages(tmp_path):
    case = "{id: c, expected: x, messages: [{role: user, content: my money}]}"

    (ask,) = asks(tmp_path, FILES, cases=(case,), head='user: "{{ passages }}"\n')

    assert "within 14 days" in ask.request.messages[0][1]
    assert ask.request.messages[0][1].endswith("\n\nmy money")


def test_a_passage_is_never_rendered_as_a_template(tmp_path):
    finder = "def find(case):\n    return ['{{ 7 * 7 }} {% raise %}']\n"
    for head in ("", 'user: "{{ passages }} {{ input }}"\n'):
        first, _ = asks(tmp_path, '"finder:find"', finder=finder, head=head)

        assert "{{ 7 * 7 }} {% raise %}" in first.request.messages[0][1]


def test_worked_examples_are_shown_without_passages(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"input": "my money", "expected": "soon"}\n')
    head = 'user: "{{ passages }}|{{ input }}"\n'

    first, _ = asks(tmp_path, FILES, head=head, more=", examples: {from: t.jsonl}")

    assert first.request.messages[:2] == (("user", "|my money"), ("assistant", "soon"))


def test_what_is_retrieved_hides_a_var_of_that_name(tmp_path):
    case = "{id: r, input: my money, expected: x, vars: {passages: by hand}}"

    (ask,) = asks(tmp_path, FILES, cases=(case,), head='user: "{{ passages }}"\n')

    assert "within 14 days" in ask.request.messages[0][1]


def test_skills_are_asked_without_what_is_retrieved(tmp_path):
    found = suite(tmp_path, '"finder:broken"')
    cases = skill_cases(("logic",))

    made = plan.skill_requests(found, found.variants["rag"], cases, {})

    first = made[0].request
    assert first.messages == (cases[0].messages or (("user", cases[0].input),))
    assert not any(ask.request.passages for ask in made)


def test_files_without_words_leave_every_case_as_it_is(tmp_path):
    (tmp_path / "empty.md").write_text("---\n")

    first, _ = asks(tmp_path, "{from: empty.md}")

    assert first.request.messages == (("user", "When is my money returned"),)


# A function of the team's own ----------------------------------------------------------------


@every_row("name", ["find", "find_later"])
def test_a_function_gives_texts_or_texts_with_their_source(tmp_path, name):
    first, _ = asks(tmp_path, f'"finder:{name}"')

    assert first.request.passages == (
        Passage(source="", text="about r"),
        Passage(source="wiki", text="more"),
    )


def test_a_function_is_called_once_for_a_case_however_often_it_is_asked(tmp_path):
    finder = f"{FINDER}\ndef count(case):\n    return [str(len(find(case)) * len(asked))]\n"

    found = asks(tmp_path, '"finder:count"', repeats=3, finder=finder)

    assert [ask.request.passages[0].text for ask in found] == ["2", "2", "2", "4", "4", "4"]


@every_row(("name", "said"), [("broken", "KeyError: 'price'"), ("exits", "SystemExit: bye")])
def test_whatever_a_function_raises_is_one_error_that_names_function_and_case(tmp_path, name, said):
    with pytest.raises(ConfigurationError) as caught:
        asks(tmp_path, f'"finder:{name}"')

    assert (
        str(caught.value) == f"retrieve: finder:{name} raised {said} for case r (s.ftgate.yaml:2)"
    )


@every_row(
    ("returned", "said"),
    [
        ("'text'", "returned str"),
        ("None", "returned NoneType"),
        ("[7]", "returned a passage that is int 7"),
        ("[{'source': 'a'}]", "returned a passage that is dict {'source': 'a'}"),
        ("[{'source': 1, 'text': 'a'}]", "returned a passage that is dict {"),
    ],
)
def test_what_are_no_passages_is_reported_with_what_is_required(tmp_path, returned, said):
    with pytest.raises(
        ConfigurationError, match=r"for case r .*; it must return a list of text"
    ) as caught:
        asks(tmp_path, '"finder:of_type"', finder=FINDER.replace("OF_TYPE", returned))

    assert f"retrieve: finder:of_type {said}" in str(caught.value)


def test_a_function_that_is_not_there_is_an_error_of_the_suite(tmp_path):
    with pytest.raises(SuiteError, match=r'finder\.py has no "fnid"; did you mean "find"'):
        asks(tmp_path, '"finder:fnid"')
