"""How large the page of many cases is, how fast it opens, and how long a filter takes.

    python benchmarks/page.py [CASES] [WORDS]

Ten thousand cases of five variants by default, each reply a text of its own. Measured in Chromium
from the request to the first list, and from a choice to the list that follows, 10 times each.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ftgate_testing.reports import large
from playwright.sync_api import Page, sync_playwright

from pytest_ftgate.reporting.html.case_data import pack_cases
from pytest_ftgate.reporting.html.page import html_page

FILTER = """([kind, view]) => {
  const form = document.getElementById('filters'), before = performance.now();
  form.elements.variant.value = '';
  form.elements.view.value = view;
  form.elements.kind.value = kind;
  form.elements.kind.dispatchEvent(new Event('input', {bubbles: true}));
  document.body.offsetHeight;
  return performance.now() - before;
}"""
SEARCH = """(words) => new Promise((done) => {
  const field = document.getElementById('filters').elements.words, before = performance.now();
  const count = document.getElementById('count');
  new MutationObserver((_, own) => { own.disconnect(); done(performance.now() - before); })
    .observe(count, {childList: true, characterData: true, subtree: true});
  field.value = words;
  field.dispatchEvent(new Event('input', {bubbles: true}));
})"""


def opened(tab: Page, path: Path) -> float:
    """Return the seconds until the first list is there."""
    before = time.perf_counter()
    tab.goto(path.as_uri())
    tab.wait_for_selector("html[data-ready]", timeout=60_000)
    return time.perf_counter() - before


def main(cases: int, words: int) -> None:
    """Make a page, and print the measurements."""
    report = large(cases, words=words)
    path = Path(tempfile.mkdtemp()) / "report.html"
    before = time.perf_counter()
    path.write_text(html_page(report), "utf-8")
    print(f"{cases:,} cases x 5 variants, {words} words a reply")
    print(f"made in      {time.perf_counter() - before:6.2f} s")
    print(f"size         {path.stat().st_size / 1e6:6.2f} MB")
    print(f"left out     {pack_cases(report).left_out or 'nothing'}")
    flags = ["--no-sandbox", "--disable-gpu"]
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        tab = browser.new_page()
        opens = [opened(tab, path) for _ in range(10)]
        kinds = ["", "regressed", "fixed", "right", "wrong"] * 2
        tab.evaluate(FILTER, ["", "list"])
        filters = [tab.evaluate(FILTER, [kind, "list"]) for kind in kinds]
        beside = [tab.evaluate(FILTER, [kind, "matrix"]) for kind in kinds]
        searches = [tab.evaluate(SEARCH, f"case-00{n}") for n in range(10)]
        browser.close()
    for name, told, unit in (
        ("opens", opens, 1),
        ("filters", filters, 1e3),
        ("side by side", beside, 1e3),
        ("searches", searches, 1e3),
    ):
        most, middle = max(told) / unit, statistics.median(told) / unit
        print(f"{name:<12} {middle:6.3f} s, at most {most:.3f} s")


if __name__ == "__main__":
    main(*(int(word) for word in [*sys.argv[1:], "10000", "12"][:2]))
