"""The page to label in, in a real browser: by keys alone, offline, and safe from what it shows."""

from __future__ import annotations

import json
from itertools import takewhile
from pathlib import Path

import pytest
from ftgate_testing.browsers import PHONE, OpenedPage
from ftgate_testing.reports import HOSTILE
from ftgate_testing.tables import heavy

from pytest_ftgate.reporting.html.label_page import label_page

pytestmark = pytest.mark.slow

SIZES = {"desk": {"width": 1400, "height": 900}, "phone": PHONE}


def pair(n, *replies, asked="Where is my parcel?", again=False):
    first, second = (*replies, None)[:2]
    label = {
        "draw": "d1", "place": n, "id": f"p{n}", "input": f"i{n}", "first": first,
        "second": second, "instruction": "v1", "again": again,
    }  # fmt: skip
    return {"label": label, "asked": asked, "replies": [*replies]}


PAIRS = [
    pair(1, "It will come on Monday.", "It will come on Friday."),
    pair(2, '{\n  "days": 14\n}', '{\n  "days": 15\n}'),
    pair(3, "late"),
    pair(4, "ok", "lost"),
]


class Opened(OpenedPage):
    """The page as a person has it."""

    def press(self, keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def saved(self) -> list[dict[str, object]]:
        with self.page.expect_download() as download:
            self.press("q")
        text = Path(download.value.path()).read_text("utf-8")
        # Not at the other ends of lines that a text may hold.
        return [json.loads(line) for line in text.split("\n") if line]

    @property
    def boxes(self) -> list[str]:
        return self.page.locator("#pair pre").all_inner_texts()


@pytest.fixture
def opened(browser, tmp_path):
    made = []

    def open_(pairs=PAIRS, by="Ada", instruction="Is it right?", **context):
        path = tmp_path / "review.html"
        path.write_text(label_page(pairs, instruction, by), "utf-8")
        made.append(Opened(browser, path, **{"viewport": SIZES["desk"], **context}))
        return made[-1]

    yield open_
    for one in made:
        one.page.context.close()


def test_pairs_are_labelled_by_keys_and_saved_as_lines(opened):
    one = opened()
    assert one.count == "0 of 4 labelled"
    # The second key is none of a single reply, and an undone label is given again.
    one.press("2b2")
    assert one.count == "2 of 4 labelled"
    one.press("1u")
    one.press("ne")
    one.page.keyboard.type("late")
    one.page.keyboard.press("Enter")

    assert one.page.locator("#pair").inner_text() == "Every pair has a label. Save them."
    rows = one.saved()
    answers = [(row["answer"], row.get("expected")) for row in rows]
    assert answers == [("second", None), ("both", None), ("neither", None), ("neither", "late")]
    assert [{**row, "answer": 0, "by": 0, "expected": 0} for row in rows] == [
        {**pair["label"], "answer": 0, "by": 0, "expected": 0} for pair in PAIRS
    ]
    assert {row["by"] for row in rows} == {"Ada"}
    assert one.trouble == []
    assert [url.partition(":")[0] for url in one.asked if not url.startswith("blob:")] == ["file"]


def test_labels_outlast_the_page(opened):
    one = opened()
    one.press("12")
    one.page.reload()
    one.page.wait_for_selector("html[data-ready]")

    assert one.count == "2 of 4 labelled"


def test_labels_are_saved_under_a_name_or_not_at_all(opened):
    one = opened(by="")
    one.press("1q")

    assert one.page.locator("#told").inner_text() == "Write your name first."
    one.page.keyboard.type("Bo")
    with one.page.expect_download() as download:
        one.page.keyboard.press("Enter")
    assert download.value.suggested_filename == "labels-Bo.jsonl"


def test_labels_can_be_copied_where_nothing_can_be_saved(opened):
    one = opened(permissions=["clipboard-read", "clipboard-write"])
    one.press("1")
    one.page.get_by_role("button", name="Copy labels").click()
    one.page.get_by_role("button", name="Copied").wait_for()

    (line,) = one.page.evaluate("navigator.clipboard.readText()").splitlines()
    assert json.loads(line)["answer"] == "first"


def test_everything_is_reached_by_tab_and_enter(opened):
    one = opened()
    names = []
    for _ in range(12):
        one.page.keyboard.press("Tab")
        names.append(one.page.evaluate("document.activeElement.textContent.trim()"))
    wanted = ["1 only 1 right", "2 only 2 right", "b both right", "n neither", "s cannot say"]
    assert [name for name in names if name in wanted] == wanted
    one.page.get_by_role("button", name="s cannot say").focus()
    one.page.keyboard.press("Enter")
    assert one.count == "1 of 4 labelled"


def test_what_differs_is_marked_in_both_replies_alike(opened):
    one = opened()
    assert one.page.locator("#pair mark").all_inner_texts() == ["Monday.", "Friday."]
    one.press("1")
    assert one.page.locator("#pair mark").all_inner_texts() == ["4", "5"]
    one.press("1n")
    assert one.page.locator("#pair mark").count() == 0
    assert one.page.locator("#pair del, #pair ins").count() == 0


@pytest.mark.parametrize(
    ("scheme", "size"),
    [("light", "desk"), heavy("light", "phone"), heavy("dark", "desk"), heavy("dark", "phone")],
)
def test_axe_finds_no_fault_and_nothing_is_wider_than_the_window(opened, scheme, size):
    long = "word " * 4_000
    pairs = [pair(1, f"{long} one", f"{long} two", asked=long)]
    one = opened(pairs, viewport=SIZES[size], color_scheme=scheme, bypass_csp=True)
    one.press("e")

    assert one.faults() == []
    assert one.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    assert one.page.locator("#pair mark").all_inner_texts() == ["one", "two"]


def test_hostile_texts_are_text_and_nothing_else(opened):
    texts = {**HOSTILE, "huge": "x" * 100_000}
    pairs = [pair(n, text, f"other {text}", asked=text) for n, text in enumerate(texts.values(), 1)]
    one = opened(pairs, by='"><img src=x>', instruction="</title><script>alert(1)</script>")
    title = one.page.title()

    for text in texts.values():
        boxes = one.boxes
        assert not {"\x1b", "\x00", "\u202e", "\u2028", "\x85"} & set("".join(boxes))
        assert boxes[0].startswith("".join(takewhile(str.isprintable, text[:8])))
        assert one.page.locator("main img, main script, iframe, object, svg").count() == 0
        one.press("1")

    assert (one.trouble, len(one.asked), one.page.title()) == ([], 1, title)
    by = one.page.locator("[name=by]").input_value()
    assert by == '"><img src=x>'
    assert [row["first"] for row in one.saved()] == [*texts.values()]


def test_the_policy_allows_the_page_itself_alone():
    text = label_page([pair(1, HOSTILE["closing"], HOSTILE["bidi"])], "Is it right?", "")
    policy = text.partition("Content-Security-Policy")[2].partition(">")[0]

    assert "default-src &#39;none&#39;; script-src &#39;sha256-" in policy
    assert "unsafe" not in policy
    assert text.count("</script>") == 2
    assert not {"\u202e", "\x1b"} & {*text}
