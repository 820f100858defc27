"""A suite reads cases and recorded replies from the files of any tool."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from ftgate_testing.answer_files import answer_rows, write_rows
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import RequestRejected, SuiteError
from pytest_ftgate.providers.recorded import RecordedReplies
from pytest_ftgate.requests.request_groups import task_requests
from pytest_ftgate.suite.loader import load_suite

DATA = Path(__file__).parents[1] / "readers" / "data"
PAGE = (Path(__file__).parents[2] / "docs" / "compare.md").read_text("utf-8")
SUITE = """\
cases: {cases}
columns: {columns}
reply: {{score: {score}}}
variants: {{a: {{provider: recorded, replies: {replies}}}}}
gates: {{accuracy: {{max_drop: 0.5}}}}
"""


def suite_of(folder, text):
    path = folder / "s.ftgate.yaml"
    path.write_text(text, "utf-8")
    return load_suite(path, folder)


def suite(folder, *, cases, replies, columns="{}", score="exact"):
    return suite_of(
        folder, SUITE.format(cases=cases, replies=replies, columns=columns, score=score)
    )


def replies(suite, variant="a"):
    """Return the recorded reply to each case."""
    with RecordedReplies() as recorded:
        return [
            recorded.reply_or_error(case_request.request)
            for case_request in task_requests(suite, suite.variants[variant], {})
        ]


def test_one_table_holds_cases_and_replies(tmp_path):
    write_rows(tmp_path / "a.jsonl", answer_rows(3, [1], topic="words"))

    read = suite(tmp_path, cases="a.jsonl", replies="a.jsonl", columns="{tags: topic}")

    assert [(case.id, case.expected, case.tags) for case in read.cases] == [
        (f"q{n}", f"word {n}", ("words",)) for n in range(3)
    ]
    assert [reply.text for reply in replies(read)] == ["word 0", "none", "word 2"]


def test_rows_without_ids_are_paired_by_input(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "id"} for row in answer_rows(3, [1])]
    write_rows(tmp_path / "a.jsonl", rows)
    write_rows(tmp_path / "b.jsonl", rows[::-1])

    read = suite(tmp_path, cases="a.jsonl", replies="b.jsonl")

    assert [reply.text for reply in replies(read)] == ["word 0", "none", "word 2"]


def test_a_text_beside_an_id_is_a_reply(tmp_path):
    write_rows(tmp_path / "a.jsonl", answer_rows(2))
    (tmp_path / "r.csv").write_text("id,text\nq0,word 0\nq1,none\n", "utf-8")

    read = suite(tmp_path, cases="a.jsonl", replies="r.csv")

    assert [reply.text for reply in replies(read)] == ["word 0", "none"]


def test_the_example_of_the_page_runs(tmp_path):
    for name in ("base", "tuned"):
        with (tmp_path / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["ticket", "question", "label", "answer", "channel"])
            writer.writerows([n, f"q {n}", "a", "a", "mail"] for n in range(60))
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

    read = suite_of(tmp_path, example)

    assert read.cases[7].tags == ("mail",)
    assert replies(read, "tuned")[7].text == "a"


def test_a_log_of_a_tool_is_a_file_of_cases_replies_and_scores(tmp_path):
    log = tmp_path / "log.json"
    log.write_bytes((DATA / "inspect_words.json").read_bytes())

    read = suite(tmp_path, cases="log.json", replies="log.json", score="recorded")

    assert [case.id for case in read.cases] == ["w0", "w1", "w2", "w3"]
    assert [(reply.text, reply.score) for reply in replies(read)][1:3] == [
        ("word 1", 1.0),
        ("none", 0.0),
    ]


def test_a_case_without_a_reply_is_no_reply(tmp_path):
    write_rows(tmp_path / "a.jsonl", answer_rows(3))
    write_rows(tmp_path / "b.jsonl", answer_rows(2))

    read = suite(tmp_path, cases="a.jsonl", replies="b.jsonl")

    assert isinstance(replies(read)[2], RequestRejected)


def test_repeated_replies_are_counted_and_cases_are_not_repeated(tmp_path):
    write_rows(tmp_path / "a.jsonl", answer_rows(3) * 2)
    text = SUITE.format(cases="a.jsonl", replies="a.jsonl", columns="{}", score="exact")

    read = suite_of(tmp_path, f"{text}repeats: 2\n")

    assert len(read.cases) == 3
    assert len(task_requests(read, read.variants["a"], {}, repeats=2)) == 6


def test_other_columns_are_other_requests(tmp_path):
    write_rows(tmp_path / "a.jsonl", answer_rows(3, other="x"))
    suites = [
        suite(tmp_path, cases="a.jsonl", replies="a.jsonl", columns=text)
        for text in ("{}", "{reply: other}")
    ]

    prints = {
        case_request.fingerprint
        for read in suites
        for case_request in task_requests(read, read.variants["a"], {})
    }

    assert len(prints) == 6


@every_row(
    ("columns", "message"),
    [
        ("{input: ask}", r"s\.ftgate\.yaml:1: cases: .*input: no row has a \"ask\""),
        ("{inptu: x}", r's\.ftgate\.yaml:2: unknown key "inptu"; did you mean "input"'),
    ],
)
def test_a_wrong_column_is_an_error_of_the_suite(tmp_path, columns, message):
    write_rows(tmp_path / "a.jsonl", answer_rows(3))

    with pytest.raises(SuiteError, match=message):
        suite(tmp_path, cases="a.jsonl", replies="a.jsonl", columns=columns)
