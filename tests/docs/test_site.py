"""The site: the reference is what the code makes, pages exist, and links lead somewhere."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from pytest_ftgate import errors
from pytest_ftgate.settings import DOCS_URL
from pytest_ftgate.suite.loader import anchor

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.append(str(DOCS))
from schemas import mappings_of_schema, suite_schema  # noqa: E402

#: A phrase of so few words may stand at several keys.
LONGEST_REPEATED = 5
#: Pages with links that readers follow: the site's, and those at the top of the repository.
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def loaded(name: str):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reference():
    return loaded("reference_pages")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@cache
def anchors(path: Path) -> set[str]:
    text = without_code(path.read_text("utf-8"))
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", title).lower() for title in titles)
    slugs = {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in plain}
    return slugs | {*re.findall(r'<a id="([^"]+)">', text)}


def broken_links(path: Path):
    text = re.sub(r"`[^`\n]*`", "", without_code(path.read_text("utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, section = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        if re.match(r"[a-z]+:", target):
            continue
        if not linked.exists() or (section and section not in anchors(linked)):
            yield target


def test_every_link_of_every_page_leads_to_a_file_and_a_section():
    assert {page: [*broken_links(page)] for page in PAGES} == {page: [] for page in PAGES}


def test_the_reference_is_what_the_code_makes(reference):
    # After a change: python docs/site.py reference
    made = reference.pages()

    assert {name: (DOCS / "reference" / f"{name}.md").read_text("utf-8") for name in made} == made


def test_the_drawing_of_the_statistics_is_what_the_rule_makes():
    made = loaded("rule_pictures").pictures()

    assert {name: (DOCS / "pictures" / name).read_text("utf-8") for name in made} == made
    manual = (DOCS / "statistics.md").read_text("utf-8")
    assert [name for name in made if f"(pictures/{name})" not in manual] == []
    drawn = re.findall(r'<circle class="(\w+)"', made["verdicts.svg"])
    assert drawn == ["passed", "inconclusive", "failed"]


def test_the_drawing_of_the_parts_names_them_by_the_rule(monkeypatch):
    module, p_values = loaded("rule_pictures"), iter([0.001, 0.001, 0.001, 0.001, 0.02, 0.03])
    monkeypatch.setattr(module, "p_drop", lambda _: next(p_values))

    # The last one would clearly have fallen by Holm's correction alone.
    words = re.findall("clearly fell|may have fallen", module.pictures()["parts.svg"])
    assert words.count("clearly fell") == 5


def test_no_sentence_stands_twice_in_the_reference():
    texts = [path.read_text("utf-8") for path in sorted((DOCS / "reference").glob("*.md"))]
    first = texts[0].split("\n", 1)[0]  # every page begins with the same comment
    counts = Counter(
        sentence.strip(" .")
        for text in texts
        for part in re.split(r"\n\n|\n?\| ", without_code(text.removeprefix(first)))
        for sentence in re.split(r"(?<=[.;:])\s+", " ".join(part.split()))
        if not re.match(
            r"(list of|`none` or |\[|as \[|\*Read by|whole number|number|true or false)", sentence
        )
    )

    assert [s for s, n in counts.items() if n > 1 and len(s.split()) > LONGEST_REPEATED] == []


def test_every_address_of_an_error_is_an_anchor_of_the_reference(reference):
    page = reference.pages()["suite-keys"]
    places = {*re.findall(r'<a id="([^"]+)"></a>', page)}
    keys = [
        (name, key) for name, keys in mappings_of_schema(json.loads(suite_schema())) for key in keys
    ]

    assert len(keys) > 250
    assert len(places) == page.count("<a id=")
    assert {anchor(*name.split("."), key) for name, key in keys} == places


def test_every_error_has_a_meaning_and_a_remedy(reference):
    page = reference.pages()["errors"]
    classes = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }

    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    assert sections.keys() == classes
    for name, text in sections.items():
        assert re.match(r"\n\w.*\n\n\*\*What to do\*\*: \w", text), name


def test_every_mapping_of_the_schema_has_a_title(reference):
    schema = json.loads(suite_schema())
    parts = {"DeclaredSuite": schema, **schema["$defs"]}

    with_keys = {name for name, part in parts.items() if part.get("properties")}
    assert {*reference.TITLES} == with_keys | {"Format", "Score"}


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
