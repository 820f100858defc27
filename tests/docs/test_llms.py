"""docs/llms.py: the site's llms.txt is made of the menu and of each page's first sentence."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

from pytest_ftgate.settings import DOCS_URL

DOCS = Path(__file__).parents[2] / "docs"
MENU = (DOCS / "zensical.toml").read_text("utf-8")
PAGES = re.findall(r'"([\w/-]+)\.md"', MENU)


@pytest.fixture(scope="module")
def llms():
    spec = importlib.util.spec_from_file_location("docs_llms", DOCS / "llms.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def staged(tmp_path) -> Path:
    """Return the folder of the pages that a build has: the changelog lies elsewhere until then."""
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(DOCS.parent / "CHANGELOG.md", tmp_path / "docs" / "changelog.md")
    return tmp_path / "docs"


def test_each_page_of_the_menu_has_one_line_with_its_address_and_a_sentence(llms, staged):
    text = llms.llms_text(MENU, staged)

    lines = re.findall(rf"^- \[.+\]\({DOCS_URL}(.*?)/?\): (.*)$", text, re.MULTILINE)
    assert [page or "index" for page, _ in lines] == PAGES
    assert all(sentence.strip() for _, sentence in lines)
    assert "](" not in "".join(sentence for _, sentence in lines)
    assert re.match(r"# \S+\n\n> \S.*\n\n- \[", text)


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("<!-- made -->\n# T\n\n```\ncode\n```\n\nOne [link](a.md)\nhere. Two.", "One link here."),
        ("# T\n\n| a |\n|---|\n\n![x](y.svg)\n\nIs it `a.b`? Yes.", "Is it `a.b`?"),
        ("# T\n\n- **Know before**: it prints.\n- Another.", "Know before: it prints."),
        ("# T\n\n**Who?**\nNobody.", "Who?"),
    ],
)  # fmt: skip
def test_the_first_sentence_is_that_of_the_first_prose(llms, page, sentence):
    assert llms.first_sentence(page) == sentence


def test_a_page_without_a_sentence_is_an_error(llms):
    with pytest.raises(ValueError, match="needs a sentence"):
        llms.first_sentence("# T\n\n| a |\n")
