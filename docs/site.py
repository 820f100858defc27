"""Write the reference pages from the code, and build the site.

    python docs/site.py reference    write docs/reference/*.md, the schemas that the package ships,
                                     and the drawing of statistics.md
    python docs/site.py faults       write docs/contributing/faults.md from the table of the tests
    python docs/site.py weight       lower the rows of docs/weight.md to the lines of code
    python docs/site.py build        build the site into .site/out, with every link checked

Zensical builds what lies in one folder, so the pages are copied to .site/docs first, with the
workflows to copy; links to other files of the repository become plain text there, and staging.py
colours commands and screens. The site has ``llms.txt`` as well, which is made of the menu and the
pages.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from llms import llms_text
from reference_pages import pages
from rule_pictures import pictures
from schemas import write_schemas
from staging import searched, settings, staged
from weight import PAGE, lowered, weights

DOCS = Path(__file__).parent
STAGE = DOCS.parent / ".site"
#: A folder of the repository that the site has as well: files to copy.
_COPIED = "examples/workflows"


# The site ----------------------------------------------------------------------------------------


def write_reference() -> None:
    """Write the pages of the reference, and the schemas that the package ships."""
    write_schemas()
    for name, text in pages().items():
        path = DOCS / "reference" / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    for name, text in pictures().items():
        (DOCS / "pictures" / name).write_text(text, "utf-8")


def stage() -> None:
    """Copy the pages into the folder from which the site is built."""
    shutil.rmtree(STAGE, ignore_errors=True)
    ignored = shutil.ignore_patterns("*.py", "*.toml", "*.yaml", "__pycache__", ".*", "weight.md")
    shutil.copytree(DOCS, STAGE / "docs", ignore=ignored)
    shutil.copy(DOCS.parent / "CHANGELOG.md", STAGE / "docs" / "changelog.md")
    (STAGE / "zensical.toml").write_text(settings(), "utf-8")
    shutil.copytree(DOCS.parent / _COPIED, STAGE / "docs" / _COPIED)
    for path in (STAGE / "docs").rglob("*.md"):
        name = path.relative_to(STAGE / "docs")
        text = _with_links(path.read_text("utf-8"), len(name.parts))
        path.write_text(staged(text, name.as_posix()), "utf-8")
    menu = (DOCS / "zensical.toml").read_text("utf-8")
    (STAGE / "docs" / "llms.txt").write_text(llms_text(menu, STAGE / "docs"), "utf-8")


def _with_links(text: str, depth: int) -> str:
    """Return a page whose links to files of the repository lead to a copy, or are text."""
    up = "../" * (depth - 1)
    outside = re.compile(rf"\[([^\]]+)\]\((?:\.\./){{{depth}}}([^)]+)\)")
    return outside.sub(
        lambda found: (
            f"[{found[1]}]({up}{found[2]})"
            if found[2].startswith(_COPIED)
            else f"{found[1]} (`{found[2]}` in the repository)"
        ),
        text,
    )


def write_faults() -> None:
    """Write the page of the fault matrix."""
    sys.path.insert(0, str(DOCS.parent / "tests"))
    from ftgate_testing import faults

    (DOCS / "contributing" / "faults.md").write_text("\n".join(faults.page()) + "\n", "utf-8")


def lower_weight() -> None:
    """Lower each row of the page of weights whose room has become smaller."""
    PAGE.write_text(lowered(PAGE.read_text("utf-8"), weights()), "utf-8")


def build() -> int:
    """Build the site with every warning as an error, and return the exit code."""
    stage()
    command = [sys.executable, "-m", "zensical", "build", "--strict", "-f", "zensical.toml"]
    code = subprocess.run(command, cwd=STAGE, check=False).returncode
    if code == 0:
        index = STAGE / "out" / "search.json"
        index.write_text(searched(index.read_text("utf-8")), "utf-8")
    return code


if __name__ == "__main__":
    verbs = {
        "reference": write_reference, "faults": write_faults, "weight": lower_weight,
        "build": build,
    }  # fmt: skip
    verb = verbs.get(" ".join(sys.argv[1:]))
    raise SystemExit(verb() if verb else __doc__)
