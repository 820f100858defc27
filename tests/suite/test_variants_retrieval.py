"""What a variant may retrieve from: files that are there and can be read, or a function."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import SuiteError
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Retrieval

RAG = "rag: {provider: anthropic, model: m, retrieve: %s}"
PLAIN = "rag: {provider: anthropic, model: m}"
DOCS = {"docs/a.md": "A.", "docs/deep/b.md": "B.", "docs/c.txt": "C.", "docs/d.png": b"\x89PNG"}


@pytest.fixture
def desk(tmp_path):
    """Write documents around a folder of prompts, and load a suite in it, variants from line 3."""
    for name, content in DOCS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "c.jsonl").write_text('{"input": "q", "expected": "a", "vars": {"tone": "x"}}\n')

    def loaded(*variants, head=""):
        named = "".join(f"  {one}\n" for one in variants)
        gates = "gates: {accuracy: {min: 0.5}}"
        text = f"cases: c.jsonl\n{gates}\nvariants:\n{named}{head}"
        (folder / "s.ftgate.yaml").write_text(text, "utf-8")
        return load_suite(folder / "s.ftgate.yaml", tmp_path).variants

    return loaded


def paths(found):
    return ["/".join(path.parts[-2:]) for path in found["rag"].retrieve.paths]


def errors(loaded, *variants, **rest):
    with pytest.raises(SuiteError) as caught:
        loaded(*variants, **rest)
    return [str(error).removeprefix("prompts/s.ftgate.yaml:") for error in caught.value.errors]


@every_row(
    ("written", "files"),
    [
        ('"../docs/**/*.md"', ["docs/a.md", "deep/b.md"]),
        ("../docs/c.txt", ["docs/c.txt"]),
        ('["../docs/c.txt", "../docs/*.md", "../docs/a.md"]', ["docs/c.txt", "docs/a.md"]),
    ],
)
def test_files_are_named_by_a_path_a_glob_or_a_list_and_are_read_once(desk, written, files):
    assert paths(desk(RAG % f"{{from: {written}}}")) == files


def test_a_function_is_named_in_place_of_files(desk):
    assert desk(RAG % '"pkg.mod:find"')["rag"].retrieve == Retrieval(function="pkg.mod:find")


def test_how_much_is_retrieved_has_defaults_and_bounds(desk):
    found = desk(RAG % "{from: ../docs/a.md}")["rag"].retrieve

    assert (found.top, found.chunk) == (4, 120)
    assert errors(desk, RAG % "{from: ../docs/a.md, chunk: 19, top: 0}") == [
        '4: variant "rag": chunk is 19, but must be greater than or equal to 20',
        '4: variant "rag": top is 0, but must be greater than or equal to 1',
    ]


def test_what_is_retrieved_is_inherited_and_can_be_taken_back(desk):
    found = desk(RAG % '"a:b"', "more: {like: rag, model: n}", "less: {like: rag, retrieve: }")

    assert [bool(one.retrieve) for one in found.values()] == [True, True, False]


@every_row(
    ("written", "message"),
    [
        ('{from: "../docs/*.rst"}', "retrieve: from: no file matches ../docs/*.rst"),
        ("{from: ../docs}", "retrieve: from: ../docs is a folder; name a file in it"),
        ("{from: gone.md}", "retrieve: from: gone.md does not exist (looked in prompts/)"),
        ("{from: []}", 'variant "rag": retrieve: from is an empty list; name a file or a glob'),
        (
            "{from: c.jsonl}",
            "retrieve: prompts/c.jsonl contains cases with their answers; leave it out",
        ),
        ('{from: "/docs/*.md"}', "/docs/*.md is no glob: Non-relative patterns are unsupported"),
        ('{from: "../docs/**.md"}', "../docs/**.md is no glob: Invalid pattern"),
        (
            '"../docs/*.md"',
            '"../docs/*.md" is no module:function; for files write retrieve: {from:',
        ),
        ("{form: a.md}", 'unknown key "form"; did you mean "from"?'),
        ("5", "retrieve must be a mapping of keys to values, not 5"),
    ],
)
def test_what_cannot_be_retrieved_from_is_an_error_with_its_line(desk, written, message):
    found = errors(desk, RAG % written)

    assert [one for one in found if one.startswith("4: ") and message in one] != []


def test_what_is_no_text_cannot_be_retrieved_from(desk):
    found = errors(desk, RAG % "{from: ../docs/d.png}")

    assert found == ["docs/d.png:1: retrieve: the file is not UTF-8 from here on: save it as UTF-8"]


@pytest.mark.parametrize("key", ["user", "prompt"])
def test_a_template_that_shows_passages_needs_something_to_retrieve(desk, tmp_path, key):
    (tmp_path / "prompts/p.md").write_text("{{ passages }}")
    template = {"user": '"{{ passages }}"', "prompt": "p.md"}[key]
    told = '4: variant "rag": a template names "passages", but nothing is retrieved; '

    assert errors(desk, PLAIN, head=f"{key}: {template}\n") == [
        told + 'add retrieve: {from: "docs/*.md"}'
    ]
    assert errors(desk, PLAIN.replace("m}", f"m, {key}: {template}}}"))[0].startswith(told)
    assert desk(RAG % '"a:b"', head=f"{key}: {template}\n")


def test_a_provider_that_is_never_prompted_may_share_a_template_with_passages(desk):
    python = 'own: {provider: python, function: "a:b"}'

    assert desk(python, RAG % '"a:b"', head='user: "{{ passages }}"\n')


def test_passages_of_a_case_s_own_need_nothing_to_retrieve(desk, tmp_path):
    row = '{"input": "q", "expected": "a", "vars": {"passages": "by hand"}}\n'
    (tmp_path / "prompts/c.jsonl").write_text(row)

    assert desk(PLAIN, head='user: "{{ passages }}"\n')


def test_a_provider_without_a_prompt_cannot_retrieve(desk):
    (found,) = errors(desk, 'rag: {provider: python, function: "a:b", retrieve: "a:c"}')

    assert "retrieve means nothing to provider python" in found
