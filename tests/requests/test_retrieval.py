"""What is retrieved for a case and becomes of it in the calls; documents cut into passages."""

from __future__ import annotations

from collections import Counter

import pytest
from ftgate_testing.properties import examples
from ftgate_testing.suite_files import load_variants
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.requests import request_groups as plan
from pytest_ftgate.requests.request import Passage
from pytest_ftgate.requests.retrieval import (
    Passages,
    most_similar_passages,
    prepend_passages,
    split_passages,
)
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
    listed = "".join(f"\n  - {case}" for case in cases)
    variant = f"rag: {{provider: anthropic, model: m, retrieve: {retrieve}{more}}}"
    files = {**DOCS, "finder.py": finder}
    return load_variants(folder, variant, files=files, cases=listed, head=head)


def asks(folder, retrieve, repeats=1, **rest):
    found = suite(folder, retrieve, **rest)
    return plan.task_requests(found, found.variants["rag"], {}, repeats)


# Ranking -------------------------------------------------------------------------------------

WORDS = st.lists(st.sampled_from(["money", "parcel", "days", "fern", "shade", "B"]), max_size=6)
SPOKEN = WORDS.map(" ".join)
NAMED = st.lists(SPOKEN, max_size=5).map(
    lambda texts: tuple((f"{n}.md", text) for n, text in enumerate(texts))
)


@examples(0.3)
@given(NAMED, SPOKEN)
def test_every_passage_that_is_shown_shares_a_word_with_what_is_asked(documents, asked):
    for one in most_similar_passages(documents, 20, asked, 9):
        assert set(one.text.lower().split()) & set(asked.lower().split())


LETTERS = (("a", "plan A"), ("b", "plan B"))
THREE = (("a", "a parcel"), ("b", "money is returned"), ("c", "money and a parcel"))
RANKED = {
    "the most alike comes first": (THREE, "is money returned", "bc"),
    "of equals the first": (tuple((name, "the same words") for name in "cab"), "same words", "cab"),
    "a single letter is a word": (LETTERS, "B", "b"),
}


@every_row(("documents", "asked", "sources"), RANKED.values(), ids=RANKED)
def test_passages_are_ranked_by_the_words_that_they_share(documents, asked, sources):
    found = most_similar_passages(documents, 20, asked, 3)

    assert [one.source for one in found] == [*sources]


# In the calls --------------------------------------------------------------------------------


def test_each_case_is_put_with_its_own_passages(tmp_path):
    first, second = asks(tmp_path, FILES)

    shown = "[1] docs/refunds.md\n# Refunds\n\nMoney is returned within 14 days."
    asked = "When is my money returned"
    told = f"These passages may help to answer:\n\n{shown}\n\n{asked}"
    assert first.request.messages == (("user", told),)
    assert [one.source for one in second.request.passages] == ["docs/parcels.md"]


def fingerprints(folder, root=None):
    """Read the suite in *folder* once more, and return the fingerprints of its requests."""
    found = load_suite(folder / "s.ftgate.yaml", root or folder)
    made = plan.task_requests(found, found.variants["rag"], {})
    return [one.request.fingerprint for one in made]


def test_a_document_that_changes_changes_the_requests_that_show_it_and_no_other(tmp_path):
    suite(tmp_path, FILES)
    before = fingerprints(tmp_path)
    (tmp_path / "docs/refunds.md").write_text("# Refunds\n\nMoney is returned in 30 days.\n")
    after = fingerprints(tmp_path)

    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True]


def test_where_pytest_is_started_changes_no_request(tmp_path):
    suite(tmp_path, FILES)

    assert fingerprints(tmp_path) == fingerprints(tmp_path, tmp_path.parent)


@every_row(
    ("template", "shown"),
    [
        ("{{ passages }}|{{ input }}", "[1] docs/refunds.md\n{text}|{asked}"),
        ("{% for p in passages %}{{ p.source }}: {{ p.text }}{% endfor %}",
         "docs/refunds.md: {text}"),
        ("{% if passages %}{{ passages | length }}{% endif %}: {{ input }}", "1: {asked}"),
    ],
)  # fmt: skip
def test_a_template_may_say_where_the_passages_stand(tmp_path, template, shown):
    first, _ = asks(tmp_path, FILES, head=f'user: "{template}"\n')

    text, asked = "# Refunds\n\nMoney is returned within 14 days.", "When is my money returned"
    assert first.request.messages == (("user", shown.format(text=text, asked=asked)),)


def test_a_system_prompt_may_have_the_place_too(tmp_path):
    (tmp_path / "p.md").write_text("Use: {{ passages }}")

    first, _ = asks(tmp_path, FILES, head="prompt: p.md\n")

    assert first.request.messages[0][1].startswith("Use: [1] docs/refunds.md")
    assert first.request.messages[1] == ("user", "When is my money returned")


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


CONVERSATION = "{id: c, expected: x, messages: [{role: user, content: my money}]}"
HIDDEN = "{id: r, input: my money, expected: x, vars: {passages: by hand}}"


@every_row(("case", "end"), [(CONVERSATION, "\n\nmy money"), (HIDDEN, "within 14 days.")])
def test_a_conversation_and_a_case_with_a_var_of_that_name_are_given_passages(tmp_path, case, end):
    # The template is not that of a conversation.
    (ask,) = asks(tmp_path, FILES, cases=(case,), head='user: "{{ passages }}"\n')

    assert "within 14 days" in ask.request.messages[0][1]
    assert ask.request.messages[0][1].endswith(end)


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

    told = (Passage(source="", text="about r"), Passage(source="wiki", text="more"))
    assert first.request.passages == told


def test_a_function_is_called_once_for_a_case_however_often_it_is_asked(tmp_path):
    finder = f"{FINDER}\ndef count(case):\n    return [str(len(find(case)) * len(asked))]\n"

    found = asks(tmp_path, '"finder:count"', repeats=3, finder=finder)

    assert [ask.request.passages[0].text for ask in found] == ["2", "2", "2", "4", "4", "4"]


@every_row(("name", "said"), [("broken", "KeyError: 'price'"), ("exits", "SystemExit: bye")])
def test_whatever_a_function_raises_is_one_error_that_names_function_and_case(tmp_path, name, said):
    told = rf"^retrieve: finder:{name} raised {said} for case r \(s\.ftgate\.yaml:2\)$"
    with pytest.raises(ConfigurationError, match=told):
        asks(tmp_path, f'"finder:{name}"')


@every_row(
    ("returned", "said"),
    [
        ("'text'", "returned str"),
        ("None", "returned NoneType"),
        ("[7]", "returned a passage that is int 7"),
        ("[{'source': 'a'}]", "returned a passage that is dict {'source': 'a'}"),
        ("[{'source': 1, 'text': 'a'}]", "returned a passage that is dict {'source': 1"),
    ],
)
def test_what_are_no_passages_is_reported_with_what_is_required(tmp_path, returned, said):
    told = f"retrieve: finder:of_type {said}.* for case r .*; it must return a list of text"
    with pytest.raises(ConfigurationError, match=told):
        asks(tmp_path, '"finder:of_type"', finder=FINDER.replace("OF_TYPE", returned))


# Documents cut into passages ----------------------------------------------------------------------

LONG = " ".join(f"word{n}" for n in range(30))
# Pieces of which any document may be made, those that mean something to the cutter among them.
PIECES = st.sampled_from(
    ["# Head", "## Sub head", "Under\n=====", "```", "~~~", "One. Two! Three?", "a b", LONG, "\n"]
)
DOCUMENTS = st.lists(st.one_of(PIECES, st.text(max_size=40)), max_size=12).map("\n".join)
PLAIN = st.lists(st.sampled_from(["One. Two! Three?", "a b\nc", LONG, ""]), max_size=8)
MOST = st.integers(20, 60)


def texts(text, most=20):
    return [one.text for one in split_passages("d.md", text, most)]


def words(parts):
    return " ".join(parts).split()


@given(DOCUMENTS, MOST)
def test_no_word_is_missing_and_no_passage_is_longer_than_it_may_be(text, most):
    found = texts(text, most)

    assert Counter(text.split()) <= Counter(words(found))
    assert all(1 <= len(one.split()) <= most for one in found)


@given(PLAIN.map("\n\n".join), MOST)
def test_without_headings_every_word_is_shown_once_and_in_order(text, most):
    assert words(texts(text, most)) == text.split()


LATE, EARLY = ("It is " + "very " * 11 + end for end in ("late.", "early!"))
ROWS = [f"| a{n} | b{n} |" for n in range(8)]
CODE = "# Install\n\n```\n# first\npip install it\n```"
SECTIONS = "Before.\n# One\nText of one.\n\n## Two\n\nText of two."
#: What is done with a document, the document and its passages.
SPLITS = {
    "a short one stays as it was written": ("First.\n\n- a\n- b\n", ["First.\n\n- a\n- b"]),
    "each section is a passage under its heading": (
        SECTIONS,
        ["Before.", "# One\n\nText of one.", "## Two\n\nText of two."],
    ),
    "a heading may be a line with a line below it": (
        "One\n===\ntext\n\nTwo\n---\nmore",
        ["One\n===\n\ntext", "Two\n---\n\nmore"],
    ),
    "headings in a row stay with what follows": (
        "# Manual\n\n## Refunds\n\nIn two weeks.",
        ["# Manual\n## Refunds\n\nIn two weeks."],
    ),
    "paragraphs are kept whole where they fit": (f"{LATE}\n\n{LATE}", [LATE, LATE]),
    "a long paragraph is broken at a sentence": (f"{LATE}\n{EARLY}", [LATE, EARLY]),
    "a long table is broken between its lines": (
        "\n".join(ROWS),
        ["\n".join(ROWS[:4]), "\n".join(ROWS[4:])],
    ),
    "a comment in a block of code is no heading": (CODE, [CODE]),
    **{f"no words in {text!r}": (text, []) for text in ("", "\n\n", "  \n\t")},
}


@every_row(("text", "passages"), SPLITS.values(), ids=SPLITS)
def test_a_document_is_cut_where_its_passages_make_sense_alone(text, passages):
    assert texts(text) == passages


def test_each_part_of_a_long_section_carries_its_heading():
    found = texts(f"# Refunds\n\n{LONG}")

    assert [one.split("\n\n")[0] for one in found] == ["# Refunds", "# Refunds"]


# In a prompt ---------------------------------------------------------------------------------

TWO = Passages([Passage(source="a.md", text="One."), Passage(source="", text="Two.")])


def test_passages_are_shown_numbered_and_with_their_source():
    assert str(TWO) == "[1] a.md\nOne.\n\n[2]\nTwo."


def test_passages_come_before_what_the_user_says_last():
    turns = (("user", "hi"), ("assistant", "yes?"), ("user", "when?"), ("assistant", "In"))

    found = prepend_passages(TWO, turns)

    told = f"These passages may help to answer:\n\n{TWO}\n\nwhen?"
    assert found == (*turns[:2], ("user", told), turns[3])


def test_a_conversation_in_which_no_user_speaks_is_given_a_turn():
    (first, (role, _)) = prepend_passages(TWO, (("system", "Be kind."),))

    assert (first, role) == (("system", "Be kind."), "user")
    assert prepend_passages(Passages(), (first,)) == (first,)
