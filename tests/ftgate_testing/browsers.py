"""Pages in a real browser, which has nothing to do but with them."""

from __future__ import annotations

from pathlib import Path

#: Nothing of the browser's own may be taken for a request of a page.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)
PHONE = {"width": 390, "height": 844}


class OpenedPage:
    """A page as it was opened: what it complained of, and what it asked for."""

    def __init__(self, browser, path: Path, **context) -> None:
        window = {"viewport": {"width": 1200, "height": 900}}
        self.page = browser.new_context(**{**window, **context}).new_page()
        self.trouble: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda told: self.trouble.append(told.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("dialog", self._accept)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]", timeout=30_000)

    def _accept(self, dialog) -> None:
        self.trouble.append(dialog.message)
        # Nothing goes on before it is answered.
        dialog.accept()

    @property
    def count(self) -> str:
        return self.page.locator("#count").inner_text()

    def faults(self) -> list[tuple[str, str]]:
        """Return what axe finds: the rule, and the first element that breaks it."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [(fault["id"], fault["nodes"][0]["html"]) for fault in found]
