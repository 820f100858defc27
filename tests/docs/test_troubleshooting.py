"""docs/how-to/troubleshooting.md: each message that it explains is one that the package prints."""

from __future__ import annotations

import re
from pathlib import Path

from ftgate_testing.pages import DOCS, page

#: Where messages stand: in the code, or on the page of screens that real runs made.
CODE = sorted((DOCS.parent / "pytest_ftgate").rglob("*.py"))
SCREENS = DOCS / "contributing" / "ends.md"


def plain(path: Path) -> str:
    """Return a file with the pieces of its texts joined."""
    text = path.read_text("utf-8")
    return re.sub(r"\s+", " ", re.sub(r'"\s*\n\s*f?"', "", text))


def test_each_message_is_one_that_is_printed():
    messages = re.findall(r"^\| `(.+?)` \|", page("how-to/troubleshooting"), re.MULTILINE)
    printed = " ".join(map(plain, [*CODE, SCREENS]))

    assert len(messages) > 20
    assert [message for message in messages if message not in printed] == []
