"""Repair steps, and the reader that finds errors with them."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.scoring.score import (
    CORRECT,
    INCORRECT,
    ContentScore,
    FormatError,
    LenientReader,
    binary_score,
    strip_fence,
)


def test_a_reply_is_correct_or_not():
    assert (binary_score(True), binary_score(False)) == (CORRECT, INCORRECT)
    assert (ContentScore(1.0, ""), ContentScore(0.0, "")) == (CORRECT, INCORRECT)


FENCE = "```"


@every_row(
    ("text", "content"),
    [
        ("no fence", "no fence"),
        ("a `b` c", "a `b` c"),
        (f"{FENCE}json\na\n{FENCE}", "a"),
        (f"{FENCE} json \na\nb\n{FENCE}", "a\nb"),
        (f"{FENCE}a b\nc\n{FENCE}", "a b\nc"),
        (f"{FENCE}a{FENCE}", "a"),
        (f"{FENCE}{FENCE}", ""),
        (f"{FENCE}\n{FENCE}", ""),
        (f"{FENCE}json\na", "a"),
        (f"Here:\n{FENCE}\na\n{FENCE}\n{FENCE}\nb\n{FENCE}", "a"),
        (f"Here:\n{FENCE}\na", "a"),
        (f"Here:\n{FENCE}a{FENCE} or {FENCE}", f"a{FENCE} or"),
        (f"{FENCE}a {FENCE} b", "a"),
        # A closing fence without an opening one.
        (f'{{"a": 1}}\n{FENCE}', f'{{"a": 1}}\n{FENCE}'),
        (f"[1]\n{FENCE}\nx", f"[1]\n{FENCE}\nx"),
        (f"[1]\n{FENCE}\nx\n{FENCE}", "x"),
    ],
)
def test_the_content_of_the_first_fence_is_without_its_language(text, content):
    assert strip_fence(text) == ("fenced", content)


def reader(valid, *, structured=False, kind="bad"):
    """Return a reader that accepts the text *valid*, and may cut an "x" and then a "y"."""
    return LenientReader(
        lambda text: None if text == valid else FormatError(kind, text),
        (
            lambda text: ("an x", text.removesuffix("x")),
            lambda text: ("a y", text.removesuffix("y")),
        ),
        structured,
    )


@every_row("structured", [False, True])
def test_the_first_repair_that_changed_a_text_gives_its_kind(structured):
    found = {
        text: reader("a", structured=structured).find_error(text)
        for text in ("a", "ax", "ay", "ayx", f"{FENCE}\na\n{FENCE}", f"{FENCE}\nayx\n{FENCE}")
    }

    assert found == {
        "a": None,
        "ax": FormatError("an x", lenient=True),
        "ay": FormatError("a y", lenient=True),
        "ayx": FormatError("an x", lenient=True),
        f"{FENCE}\na\n{FENCE}": FormatError("fenced", lenient=True),
        f"{FENCE}\nayx\n{FENCE}": FormatError("fenced", lenient=True),
    }


def test_a_repair_that_does_not_help_names_the_error_of_structured_data_alone():
    assert reader("a").find_error("bx") == FormatError("bad", "bx")
    assert reader("a", structured=True).find_error("bx") == FormatError("an x", "bx")
    assert reader("a", structured=True).find_error("b") == FormatError("bad", "b")
    cut = reader("a", structured=True, kind="truncated")
    assert cut.find_error("bx") == FormatError("truncated", "bx")


def test_a_text_of_which_nothing_is_left_is_not_repaired():
    assert reader("").find_error("x") == FormatError("bad", "x")
