"""The page in a real browser: it works, asks nobody, lets nobody in, and can be read by all."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from ftgate_testing.browsers import PHONE, OpenedPage
from ftgate_testing.reports import HOSTILE, failing_run, large
from ftgate_testing.tables import heavy
from ftgate_testing.trained import training_report

from pytest_ftgate.reporting.html.page import html_page
from pytest_ftgate.results.run import read_run

pytestmark = pytest.mark.slow

#: A run record to make the pictures of the docs from: FTGATE_PICTURES=run.json.
PICTURED = os.environ.get("FTGATE_PICTURES")
DOCS = Path(__file__).parents[3] / "docs" / "pictures"


@pytest.fixture(scope="module")
def plain(advice) -> str:
    """Return the page that most tests look at; drawing it takes a second."""
    made = failing_run(["wholly other words, and far more of them"])
    return html_page(replace(made, advice=(advice,)))


class Opened(OpenedPage):
    """A report as it was opened."""

    def choose(self, name: str, value: str) -> None:
        self.page.locator(f"#filters [name={name}]").select_option(label=value)

    def wait_for(self, count: str) -> None:
        self.page.locator("#count", has_text=re.compile(f"^{count}")).wait_for()

    def follow(self, address: str) -> None:
        """Go to *address*, and wait until the page has followed."""
        script = """(hash) => new Promise((done) => {
            addEventListener("hashchange", () => setTimeout(done), {once: true});
            location.hash = hash;
        })"""
        self.page.evaluate(script, address)

    @property
    def ids(self) -> list[str]:
        return self.page.locator("#list .id").all_inner_texts()


@pytest.fixture
def opened(browser, tmp_path, plain):
    made: list[Opened] = []

    def open_(report=None, **context) -> Opened:
        path = tmp_path / f"report-{len(made)}.html"
        path.write_text(html_page(report) if report else plain, "utf-8")
        made.append(Opened(browser, path, **context))
        return made[-1]

    yield open_
    for one in made:
        one.page.context.close()


def test_it_opens_at_the_worst_gate_without_a_complaint_and_asks_for_nothing_but_itself(opened):
    one = opened()

    assert one.trouble == []
    assert [url.partition(":")[0] for url in one.asked] == ["file"]
    assert one.page.locator("h1").inner_text().endswith("Blocked")
    drawn = one.page.locator("[data-chart]").count()
    assert one.page.locator("svg.plot[aria-label]").count() == drawn >= 5
    assert one.count == "28 of 64 replies"


def test_cases_are_chosen_by_kind_variant_gate_and_words_and_put_in_order(opened):
    one = opened()

    one.choose("gate", "accuracy")
    assert one.count == "38 of 100 replies"
    assert one.ids[:2] == ["c002", "c003"]
    one.choose("kind", "all")
    assert one.count == "100 of 100 replies"
    one.choose("order", "longest reply first")
    assert one.ids[0] == "c000"
    one.choose("order", "by id")
    assert one.ids == sorted(one.ids)
    one.choose("variant", "all")
    assert one.count == "200 of 200 replies"
    one.page.locator("#filters [name=words]").fill("OTHER words")
    one.wait_for("2 of ")
    assert one.ids == ["c000", "c000"]
    one.page.locator("#filters [name=words]").fill("")
    one.choose("gate", "forgetting")
    one.choose("kind", "regressed")
    one.choose("tag", "arithmetic")
    assert one.count == "28 of 128 replies"


def test_an_address_brings_back_the_same_choice_and_the_same_case(opened):
    one = opened()
    one.choose("gate", "accuracy")
    one.choose("kind", "fixed")
    address = one.page.evaluate("location.hash")

    assert address == "#gate=accuracy&variant=new&kind=fixed"
    one.follow("#case=c003&variant=new")
    assert one.ids == ["c003"]
    assert "Now: new" in one.page.locator("#list .inside").inner_text()
    one.page.get_by_role("button", name="case: c003").click()
    assert one.count == "100 of 100 replies"
    one.follow(address)
    assert one.count.startswith("0 of ")
    one.follow("#v-unknown=1&gate=nonsense&kind=<img>")
    assert one.trouble == []


def test_a_case_stands_beside_itself_by_variant(opened):
    one = opened()
    one.choose("gate", "accuracy")
    one.page.get_by_role("button", name="Side by side").click()

    assert one.count == "38 cases with 38 of 100 replies"
    assert one.page.locator("#list thead th").all_inner_texts() == [
        "case", "current\n38 of 38 right", "new\n0 of 38 right"
    ]  # fmt: skip
    cell = one.page.get_by_role("button", name="c002, new: regressed")
    assert "late_delivery" in cell.inner_text()
    cell.click()
    assert "Before: current" in one.page.locator("#list .opened").inner_text()
    one.page.locator("#more").click()
    assert one.page.locator("#list tbody tr:not(.opened)").count() == 38


def test_a_case_opens_with_what_was_asked_expected_and_said_and_what_differs(opened):
    made = failing_run()
    (suite,) = made.suites
    first, *rest = suite.cases
    old, new = (f'{{"label": "refund", "days": {days}, "by": "post"}}' for days in (14, 15))
    answers = {
        name: replace(first.answers[name], text=text, correct=correct)
        for name, text, correct in (("current", old, 1.0), ("new", new, 0.0))
    }
    first = replace(first, expected=old, answers={**first.answers, **answers})
    compared = replace(suite, name="a.jsonl → b.jsonl", cases=(first, *rest))
    one = opened(replace(made, suites=(compared,)))
    one.follow("#gate=accuracy&variant=new&case=c000")

    text = one.page.locator("#list .inside").first.inner_text()
    for told in ("ask c000", "Before: current", "Now: new", "400 ms · 50 + 5 tokens"):
        assert told in text
    assert not one.page.locator("#rerun").is_visible()  # files of answers are no suite
    changed = one.page.locator(".differences")
    assert changed.locator("del").all_inner_texts() == ["4"]
    assert changed.locator("ins").all_inner_texts() == ["5"]
    changed.get_by_role("button", name="Expected → now").click()
    assert changed.locator("ins").all_inner_texts() == ["5"]


@pytest.mark.heavy
def test_cases_leave_the_page_as_json_lines_a_command_and_a_key(opened):
    one = opened()
    one.page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    one.follow("#gate=accuracy&variant=new&kind=regressed")
    with one.page.expect_download() as download:
        one.page.locator("#save").click()
    rows = [json.loads(row) for row in download.value.path().read_text("utf-8").splitlines()]

    assert download.value.suggested_filename == "regressed-cases.jsonl"
    assert len(rows) == 38
    assert (rows[0]["id"], rows[0]["before"], rows[0]["outcome"]) == ("c002", "refund", "regressed")
    one.page.locator("#rerun").click()
    command = one.page.evaluate("copied")
    assert command.startswith("pytest --ftgate --ftgate-case=c002 --ftgate-case=c003 ")
    assert command.endswith(" suite.ftgate.yaml")
    one.page.locator("#list summary").first.click()
    one.page.get_by_role("button", name="must_pass").click()
    assert one.page.evaluate("copied") == '"must_pass": true'
    one.page.get_by_role("button", name="Copy link to this case").click()
    assert one.page.evaluate("copied").endswith("#gate=accuracy&variant=new&case=c002")
    assert one.page.locator("code.command + button").count() >= 1


def test_a_thought_is_folded_under_its_reply_and_cannot_act(opened):
    made = failing_run()
    (suite,) = made.suites
    first, *rest = suite.cases
    thought = "<img src=x onerror=alert(1)> refund?"
    new = replace(first.answers["new"], thought=thought)
    first = replace(first, answers={**first.answers, "new": new})
    one = opened(replace(made, suites=(replace(suite, cases=(first, *rest)),)))
    one.follow("#gate=accuracy&variant=new")
    one.page.locator("#list .case > summary").first.click()
    folded = one.page.locator("#list .inside details", has_text="Thought")
    folded.first.wait_for(state="attached")

    assert folded.count() == 1
    assert not folded.locator("pre").is_visible()
    folded.locator("summary").click()
    assert folded.locator("pre").inner_text() == thought
    assert one.trouble == []


@pytest.mark.heavy
def test_a_failed_gate_and_a_mark_of_a_chart_lead_to_their_cases(opened):
    one = opened()
    one.page.locator("#verdicts").get_by_role("link", name="See its 38 regressed cases").click()

    one.wait_for("38 of 100 replies")
    one.page.get_by_role("link", name=re.compile("^arithmetic: 94 → 6 %")).click()
    one.wait_for("28 of 64 replies")
    assert one.page.locator("#filters [name=tag]").input_value() == "arithmetic"


@pytest.mark.heavy
def test_values_of_a_chart_are_told_on_hover_and_it_is_drawn_as_wide_as_the_page(opened):
    one = opened()
    mark = one.page.locator("#forgetting .mark").nth(1)
    mark.hover()

    assert "arithmetic: 94 → 6 %" in one.page.locator(".tip").inner_text()
    one.page.set_viewport_size(PHONE)
    one.page.wait_for_function(
        "document.querySelector('.plot').getBoundingClientRect().right < 390"
    )
    assert one.page.evaluate("document.documentElement.scrollWidth") == 390
    sizes = (
        "[...document.querySelectorAll('.plot text')].map((x) => x.getBoundingClientRect().height)"
    )
    assert min(one.page.evaluate(sizes)) > 11
    row = one.page.locator(".verdicts summary").first
    badge = row.locator(".badge").bounding_box()
    assert badge["x"] + badge["width"] < 390
    assert badge["y"] <= row.locator("strong").bounding_box()["y"] + 4


@pytest.mark.heavy
def test_the_picture_of_a_training_has_bands_limits_and_the_last_checkpoint_before_a_loss(opened):
    one = opened(replace(training_report("ppp", "p?f"), suites=failing_run().suites))
    chart = one.page.locator("#checkpoints .chart")

    assert one.trouble == []
    assert "last before the loss" in chart.inner_text()
    assert "general skills" in chart.inner_text()
    # A band and a dashed limit for each of two rates, and the line before the loss.
    assert chart.locator("polygon").count() == 2
    assert chart.locator("line[stroke-dasharray]").count() == 3
    chart.locator(".mark").last.hover()
    assert "general skills: 50 % (45 % to 55 %)" in one.page.locator(".tip").inner_text()


#: The elements that a reader would have to scroll sideways for, but for those that scroll by
#: themselves: wide tables, and the list of sections.
BEYOND = """() => [...document.querySelectorAll("body *")]
    .filter((x) => x.checkVisibility() && !x.closest(".scroll, nav, .skip, .verdicts thead"))
    .filter((x) => x.getBoundingClientRect().right > innerWidth + 0.5)
    .map((x) => x.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("scheme", ["light", heavy("dark")])
def test_a_phone_shows_the_verdict_first_and_nothing_scrolls_sideways(opened, scheme):
    one = opened(color_scheme=scheme, viewport=PHONE)
    top = one.page.locator(".hero")

    # What got worse and what to do stand on the first screen.
    for part in ("h1", ".worst .gate", ".worst .sentence", ".worst .next"):
        box = top.locator(part).first.bounding_box()
        assert box["y"] + box["height"] <= PHONE["height"], part
        assert box["x"] + box["width"] <= PHONE["width"], part
    order = one.page.locator(".sections > section").evaluate_all("(all) => all.map((x) => x.id)")
    assert order[:3] == ["verdicts", "cases", "forgetting"]
    one.page.locator("#list .case > summary").first.click()
    one.page.evaluate("document.querySelectorAll('details').forEach((x) => { x.open = true; })")
    assert one.page.evaluate(BEYOND) == []
    one.page.get_by_role("button", name="Side by side").click()
    assert one.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_gate_is_a_row_that_opens_and_the_worst_ones_are_open(opened):
    one = opened()
    rows = one.page.locator(".verdicts > details")
    opened_rows = one.page.locator(".verdicts > details[open] > summary .badge")

    assert opened_rows.all_inner_texts() == ["failed", "failed", "failed"]
    assert rows.last.locator(".badge").first.inner_text() == "passed"
    assert not rows.last.locator(".headline").is_visible()
    rows.last.locator("summary").first.click()
    assert rows.last.locator(".headline").is_visible()
    assert one.page.locator(".verdicts > details svg.bar-of").count() == rows.count()


@pytest.mark.heavy
def test_a_table_is_sorted_by_a_click_on_its_header(opened):
    one = opened()
    table = one.page.locator("#ladder table.sortable").first
    header = table.get_by_role("columnheader", name="USD/month")
    column = header.evaluate("(x) => x.cellIndex + 1")
    cells = table.locator(f"tbody tr > :nth-child({column})")

    header.get_by_role("button").click()
    most = cells.all_inner_texts()
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    least = cells.all_inner_texts()
    assert least == sorted(most, key=lambda text: float(text.replace(",", "")))
    assert most[0] != least[0]


@pytest.mark.heavy
def test_replies_that_several_bases_share_have_one_column(opened):
    made = failing_run()
    (suite,) = made.suites
    cases = [
        replace(case, answers={**case.answers, "base of old": case.answers["base of new"]})
        if "base of new" in case.answers
        else case
        for case in suite.cases
    ]
    bases = {**suite.bases, "current": "base of old"}
    one = opened(replace(made, suites=(replace(suite, cases=tuple(cases), bases=bases),)))
    one.follow("#gate=forgetting&view=matrix")

    heads = one.page.locator("#list thead th").all_inner_texts()
    assert [head.partition("\n")[0] for head in heads] == [
        "case", "base of new, base of old", "new"
    ]  # fmt: skip


def test_a_row_of_the_list_shows_what_was_said_before_and_is_said_now(opened):
    one = opened()
    one.follow("#gate=accuracy&variant=new&kind=regressed")
    row = one.page.locator("#list .reply").first

    assert row.inner_text().split()[:2] == ["refund", "→"]
    assert "late_delivery" in row.locator("b").inner_text()


@pytest.mark.heavy
def test_a_phone_shows_families_and_their_skills_on_a_tap(opened):
    made = failing_run()
    forgot = made.verdicts[2]
    family, *_ = (part for part in forgot.slices if part.kind == "family")
    skills = [replace(s, family=family.name) for s in forgot.slices if s.kind == "skill"]
    verdicts = (*made.verdicts[:2], replace(forgot, slices=(family, *skills)))
    one = opened(replace(made, verdicts=verdicts), viewport=PHONE)
    names = one.page.locator("#forgetting .plot text", has_text="· ")

    assert names.count() == 0
    one.page.get_by_role("button", name=f"Show the {len(skills)} skills").click()
    assert names.count() == len(skills)


@pytest.mark.heavy
def test_the_theme_is_switched_and_kept_and_follows_the_system_before(opened):
    ground = "getComputedStyle(document.body).backgroundColor"
    one = opened(color_scheme="dark")

    dark = one.page.evaluate(ground)
    one.page.locator("#theme").click()
    light = one.page.evaluate(ground)
    one.page.reload()

    assert light != dark
    assert one.page.evaluate(ground) == light


def test_printed_it_is_black_on_white_with_every_gate_opened(opened):
    one = opened(color_scheme="dark")

    one.page.emulate_media(media="print")
    one.page.evaluate("dispatchEvent(new Event('beforeprint'))")

    assert one.page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert one.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert not one.page.locator("nav").is_visible()
    assert one.page.locator("details.card:not([open])").count() == 0


def test_a_keyboard_is_enough(opened):
    one = opened()
    focused = "document.activeElement.querySelector('.id').textContent"

    one.page.keyboard.press("Tab")
    assert one.page.evaluate("document.activeElement.textContent") == "Skip to the verdicts"
    one.follow("#gate=accuracy&variant=new")
    one.page.keyboard.press("j")
    assert one.page.evaluate(focused) == "c001"
    one.page.keyboard.press("n")
    assert one.page.evaluate(focused) == "c002"
    one.page.keyboard.press("Enter")
    one.page.locator("#list .inside").wait_for()
    for _ in range(20):
        one.page.keyboard.press("j")
    assert one.page.evaluate(focused) == "c022"
    one.page.keyboard.press("/")
    assert one.page.evaluate("document.activeElement.name") == "words"
    assert one.page.locator(".top").bounding_box()["y"] == 0


@pytest.mark.parametrize("scheme", ["light", heavy("dark")])
def test_axe_finds_no_serious_fault(opened, scheme):
    one = opened(color_scheme=scheme, bypass_csp=True)
    if scheme == "dark":
        one.page.get_by_role("button", name="Side by side").click()
    one.page.evaluate("document.querySelectorAll('details').forEach((x) => { x.open = true; })")

    assert one.faults() == []


def test_hostile_replies_are_text_and_nothing_else(opened):
    one = opened(failing_run([*HOSTILE.values()]))
    title = one.page.title()
    one.follow("#gate=accuracy&variant=new")
    for place in range(len(HOSTILE)):
        one.page.locator(".case > summary").nth(place).click()
    one.page.locator("#list .inside").nth(len(HOSTILE) - 1).wait_for()

    shown = one.page.locator("#list .inside").all_inner_texts()

    assert (one.trouble, len(one.asked), one.page.title()) == ([], 1, title)
    assert one.page.locator("main img, main script:not([type]), iframe, object").count() == 0
    assert not {"\x1b", "\x00", "\u202e", "\u2028", "\x85"} & set("".join(shown))
    for told in (
        "<script>",
        "</script></style>",
        "::error::owned",
        "| a | b |",
        "```",
        "\\u001b[2J",
    ):
        assert told in "".join(shown)
    for told in ("\\u202egnillib", "\\u2028::error", "a\\u0000b", "{{ 7 * 7 }}", "more characters"):
        assert told in "".join(shown)


def test_the_policy_stops_a_script_that_got_into_the_page(browser, tmp_path, plain):
    path = tmp_path / "report.html"
    forced = plain.replace("<main", "<script>document.title = 'owned'</script><main")
    path.write_text(forced, "utf-8")

    one = Opened(browser, path)

    assert one.page.title() != "owned"
    assert any("Content Security Policy" in told for told in one.trouble)
    one.page.context.close()


@pytest.mark.heavy
def test_many_cases_open_and_are_found(opened):
    one = opened(large())
    one.choose("kind", "all")
    one.choose("variant", "all")
    one.choose("gate", "accuracy")

    assert one.trouble == []
    assert one.count == "50,000 of 50,000 replies"
    one.page.locator("#filters [name=words]").fill("case-00042")
    one.wait_for("5 of ")


def taken(page, name: str, most: int, folder: Path) -> None:
    """Take a picture of a section, at most so many pixels high."""
    top, high = page.locator(f"#{name}").evaluate(
        "(x) => [x.getBoundingClientRect().top + scrollY, x.offsetHeight]"
    )
    clip = {"x": 0, "y": top + 16, "width": 1200, "height": min(most, high)}
    page.screenshot(path=folder / f"report-{name}.png", clip=clip, full_page=True)


@pytest.mark.heavy
def test_pictures_are_made_of_it(opened, tmp_path):
    report = read_run(Path(PICTURED)) if PICTURED else None
    folder = DOCS if PICTURED else tmp_path
    folder.mkdir(exist_ok=True)
    one = opened(report)
    one.page.screenshot(path=folder / "report-verdicts.png")
    one.page.locator("#list summary").first.click()
    for name, most in (("variants", 640), ("forgetting", 1_130), ("cases", 900)):
        taken(one.page, name, most, folder)
    taken(opened().page, "ladder", 1_430, folder)
    dark = opened(report, color_scheme="dark")
    dark.page.screenshot(path=folder / "report-dark.png")
    # What a phone shows first: the worst gate, in letters that can be read there.
    small = opened(report, viewport=PHONE, device_scale_factor=2)
    clip = {"x": 0, "y": 50, "width": PHONE["width"], "height": 520}
    small.page.screenshot(path=folder / "report-small.png", clip=clip)

    sizes = {path.name: path.stat().st_size for path in folder.glob("*.png")}
    assert len(sizes) == 7
    assert {name: size for name, size in sizes.items() if size > 300_000} == {}
