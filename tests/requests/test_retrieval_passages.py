"""Documents cut into passages: whole, short enough, and each able to stand alone."""

from __future__ import annotations

from collections import Counter

from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st

from pytest_ftgate.requests.request import Passage
from pytest_ftgate.requests.retrieval import Passages, prepend_passages, split_passages

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
def test_no_word_is_missing(text, most):
    assert Counter(text.split()) <= Counter(words(texts(text, most)))


@given(DOCUMENTS, MOST)
def test_no_passage_is_longer_than_it_may_be(text, most):
    assert all(1 <= len(one.split()) <= most for one in texts(text, most))


@given(PLAIN.map("\n\n".join), MOST)
def test_without_headings_every_word_is_shown_once_and_in_order(text, most):
    assert words(texts(text, most)) == text.split()


def test_a_short_document_is_one_passage_as_it_was_written():
    assert texts("First.\n\n- a\n- b\n") == ["First.\n\n- a\n- b"]


def test_each_section_is_a_passage_of_its_own_under_its_heading():
    found = texts("Before.\n# One\nText of one.\n\n## Two\n\nText of two.")

    assert found == ["Before.", "# One\n\nText of one.", "## Two\n\nText of two."]


def test_a_heading_may_be_a_line_with_a_line_below_it():
    assert texts("One\n===\ntext\n\nTwo\n---\nmore") == ["One\n===\n\ntext", "Two\n---\n\nmore"]


def test_headings_in_a_row_stay_with_what_follows_them():
    assert texts("# Manual\n\n## Refunds\n\nIn two weeks.") == [
        "# Manual\n## Refunds\n\nIn two weeks."
    ]


def test_each_part_of_a_long_section_carries_its_heading():
    found = texts(f"# Refunds\n\n{LONG}")

    assert [one.split("\n\n")[0] for one in found] == ["# Refunds", "# Refunds"]


def test_paragraphs_are_kept_whole_where_they_fit():
    paragraph = " ".join(["word"] * 12)

    assert texts(f"{paragraph}\n\n{paragraph}") == [paragraph, paragraph]


def test_a_long_paragraph_is_broken_at_the_end_of_a_sentence():
    first, second = ("It is " + "very " * 11 + end for end in ("late.", "early!"))

    assert texts(f"{first}\n{second}") == [first, second]


def test_a_long_table_is_broken_between_its_lines():
    rows = [f"| a{n} | b{n} |" for n in range(8)]

    assert texts("\n".join(rows)) == ["\n".join(rows[:4]), "\n".join(rows[4:])]


def test_a_comment_in_a_block_of_code_is_no_heading():
    text = "# Install\n\n```\n# first\npip install it\n```"

    assert texts(text) == [text]


@every_row("text", ["", "\n\n", "  \n\t"])
def test_a_document_without_words_has_no_passages(text):
    assert texts(text) == []


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


def test_nothing_found_changes_nothing():
    assert prepend_passages(Passages(), (("user", "hi"),)) == (("user", "hi"),)
