"""A variant looks things up: what is really sent, and whom to blame for what is lost."""

from __future__ import annotations

import os

import pytest
import sklearn.feature_extraction.text  # noqa: F401

# Runs in this process forget what they imported, and this takes a second each time.

REFUNDS = "# Refunds\n\nMoney for ticket is returned within 14 days.\n\n# Plants\n\nFerns.\n"
LATE = "# Parcels\n\nA late ticket is looked into.\n\n# Ferns\n\nThey like shade.\n"
GATES = "{accuracy: {max_drop: 0.05}}"
RAG = "{{provider: anthropic, model: served, base_url: '{url}', retrieve: {retrieve}}}"
FINDER = "def find(case):\n    return PASSAGES\n"


@pytest.fixture
def library(desk, api, monkeypatch):
    """Write a suite whose variant *rag* is answered on loopback, always with *ok*."""
    for name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-loopback")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    desk.path("docs").mkdir()
    desk.path("docs/refunds.md").write_text(REFUNDS, "utf-8")
    desk.path("docs/parcels.md").write_text(LATE, "utf-8")

    def written(retrieve='{from: "docs/*.md", top: 4}', *, passages="[]"):
        desk.path("finder.py").write_text(FINDER.replace("PASSAGES", passages), "utf-8")
        desk.expected = {n: "14 days" if n < 10 else "5 years" for n in range(desk.cases)}
        variants = {
            "current": "{provider: recorded, replies: current.jsonl}",
            "rag": RAG.format(url=api.url, retrieve=retrieve),
        }
        desk.suite_of(variants, GATES)
        suite = desk.path("tickets.ftgate.yaml")
        lines = [line for line in suite.read_text().split("\n") if not line.startswith("reply:")]
        suite.write_text("\n".join(lines), "utf-8")
        replies = [{"id": f"t{n:03}", "text": desk.label(n)} for n in range(desk.cases)]
        desk.write_rows("current.jsonl", replies)
        return desk

    desk.cases = 60
    return written


def plainly(request):
    """Return a request with its content as text, which the API takes as blocks as well."""
    return {
        **request,
        "messages": [
            {**turn, "content": content if isinstance(content, str) else content[0]["text"]}
            for turn in request["messages"]
            for content in [turn["content"]]
        ],
    }


def test_passages_are_sent_and_shown_with_lost_cases_and_whether_the_answer_is_in_them(
    library, api
):
    result = library().run()

    result.assert_outcomes(passed=1, failed=1)
    sent = {request["messages"][0]["content"] for request in map(plainly, api.requests)}
    assert len(sent) == 60
    assert all(one.startswith("These passages may help to answer:\n\n[1] docs/") for one in sent)
    assert all("returned within 14 days" in one and "Ferns" not in one for one in sent)
    result.stdout.fnmatch_lines(
        [
            "    t000  Ticket 0: help",
            "      │ expected  14 days",
            "      │ before    14 days",
            "      │ now       ok",
            "      │ passages  docs/parcels.md: # Parcels A late ticket is looked into.",
            "      │           docs/refunds.md: # Refunds Money for ticket is returned withi…",
            "      │           the answer is in passage 2 of 2",
        ],
        consecutive=True,
    )
    # The replies are cached.
    told = "  note: retrieval: no passage contains the expected answer for 50 of 60"
    library().run("-vv").stdout.fnmatch_lines(
        [told, "    t010 *", "*the answer is in none of the 2 passages"]
    )


def test_only_two_passages_are_shown_unless_more_words_are_wanted(library):
    five = '[{"source": f"page {n}", "text": "words"} for n in range(5)]'
    passages = f"{five} if case.id == 't000' else []"

    few = library('"finder:find"', passages=passages).run("-oftgate_show=2")
    every = library('"finder:find"', passages=passages).run("-vv")

    few.stdout.no_fnmatch_line("*page 2*")
    few.stdout.fnmatch_lines(["*none of the 5 passages", "      │ passages  none was found"])
    every.stdout.fnmatch_lines(["      │           page 4: words"])


@pytest.mark.parametrize("words", ["", "-vv"])
def test_what_a_passage_says_does_not_act(library, words):
    nasty = r'[{"source": "\x1b[2J", "text": "::error::owned\r\n::error::owned \u202e"}]'

    result = library('"finder:find"', passages=nasty).run("--color=no", *filter(None, [words]))

    shown = result.stdout.str()
    assert r"\x1b[2J" in shown
    assert not [line for line in result.outlines if line.lstrip().startswith("::")]
    assert not {"\x1b", "\u202e"} & set(shown)
