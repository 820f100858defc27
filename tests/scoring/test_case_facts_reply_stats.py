"""Statistics of replies: of many that are the same, and of blank ones."""

from __future__ import annotations

from collections import Counter

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring import case_facts as module
from pytest_ftgate.scoring.case_facts import reply_stats


def stats(*texts, stop="end"):
    return reply_stats([Reply(text=text, stop=stop) for text in texts])


def test_a_blank_reply_has_no_length_but_counts_as_a_reply():
    found = stats("two words", " ", "", "one")

    assert found.word_counts == {2: 1, 1: 1}
    assert found.character_counts == {9: 1, 3: 1}
    assert (found.written_count, found.reply_count) == (2, 4)


def test_texts_are_the_same_whatever_white_space_is_around_them():
    assert stats("a", " a", "a\n", "b").most_common_count == 3
    assert stats("a", "b", "c").most_common_count == 0


def test_a_refusal_that_the_provider_marks_counts_once():
    marked = stats("I cannot help with that.", "no", stop="refusal")

    assert marked.refusal_count == 2
    assert stats("I cannot help with that.", "no").refusal_count == 1


def test_without_replies_all_counts_are_zero():
    found = stats()

    assert (found.most_common_count, found.refusal_count, found.reply_count) == (0, 0, 0)


def test_statistics_are_the_same_whether_texts_are_read_together_or_in_parts(monkeypatch):
    texts = ("billing", "refund", "", "I cannot help with that.", "It is billing, surely")
    stops = ("end", "length", "refusal")
    replies = [Reply(text=texts[n % 5], stop=stops[n % 3]) for n in range(100)]
    together = reply_stats(replies)

    monkeypatch.setattr(module, "_READ_AT_ONCE", 7)

    assert reply_stats(replies) == together
    assert together.reply_count == 100


def test_the_statistics_of_replies_are_those_of_their_stripped_texts():
    found = reply_stats(
        [
            Reply(text=" two words\n"),
            Reply(text="two words", stop="length"),
            Reply(text="I cannot help with that."),
            Reply(text="I cannot help with that.", stop="refusal"),
            Reply(text="no", stop="refusal"),
            Reply(text="", stop="refusal"),
            Reply(text="\t"),
        ]
    )

    assert found == module.ReplyStats(
        word_counts=Counter({2: 2, 5: 2, 1: 1}),
        character_counts=Counter({9: 2, 24: 2, 2: 1}),
        written_count=5,
        most_common_count=2,
        refusal_count=4,
        reply_count=7,
    )
    assert [*map(type, (found.written_count, found.most_common_count))] == [int, int]


def test_the_same_text_counts_once_for_each_of_its_replies():
    found = stats(*["a"] * 300, *["b"] * 301, "I cannot help with that.")

    assert (found.most_common_count, found.reply_count, found.refusal_count) == (301, 602, 1)
    assert found.word_counts == {1: 601, 5: 1}
