"""The site: the reference is what the code makes, pages exist, and links lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest

from pytest_ftgate.settings import DOCS_URL
from pytest_ftgate.suite.schema import suite_schema

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: Pages with links that readers follow: the site's, and those at the top of the repository.
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.fixture(scope="module")
def site():
    spec = importlib.util.spec_from_file_location("site_of_docs", DOCS / "site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", without_code(path.read_text("utf-8")), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", title).lower() for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in plain}


def broken_links(path: Path):
    text = re.sub(r"`[^`\n]*`", "", without_code(path.read_text("utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, section = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        if re.match(r"[a-z]+:", target):
            continue
        if not linked.exists() or (section and section not in anchors(linked)):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_to_a_file_and_a_section(page):
    assert list(broken_links(page)) == []


def test_the_reference_is_what_the_code_makes(site):
    # After a change: python docs/site.py reference
    made = {name: (DOCS / "reference" / f"{name}.md").read_text("utf-8") for name in site.pages()}

    assert made == site.pages()


def test_every_key_of_the_schema_has_a_description(site):
    schema = json.loads(suite_schema())
    parts = {"": schema, **schema["$defs"]}
    without = [
        f"{name}.{key}"
        for name, part in parts.items()
        if name not in ("Format", "Score")
        for key, keys in part.get("properties", {}).items()
        if not keys.get("description")
    ]

    assert without == []
    with_keys = {name for name, part in parts.items() if part.get("properties")}
    assert {*site.TITLES} == with_keys - {"Format"}


def test_every_page_of_the_menu_exists():
    text = (DOCS / "zensical.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]

    assert project["site_url"] == DOCS_URL
    pages = {*re.findall(r'"([\w/-]+\.md)"', text)} - {"changelog.md"}
    assert [page for page in pages if not (DOCS / page).is_file()] == []


def test_the_addresses_in_messages_are_pages_of_the_site():
    calls = [
        (path, name, section)
        for path in (ROOT / "pytest_ftgate").rglob("*.py")
        for name, section in re.findall(
            r'docs_page\("([\w/-]+)"(?:, "([\w-]+)")?\)', path.read_text("utf-8")
        )
    ]

    assert calls
    for path, name, section in calls:
        page = DOCS / f"{name}.md"
        assert page.is_file(), path
        assert not section or section in anchors(page), path


def test_the_project_names_the_same_address():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]

    assert urls["Documentation"] == DOCS_URL
