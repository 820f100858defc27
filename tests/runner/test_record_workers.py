"""What a process of pytest-xdist hands over arrives as it was."""

from __future__ import annotations

from ftgate_testing.reports import failing_run

from pytest_ftgate.client.budget import CostReport
from pytest_ftgate.results.builder import RunPart
from pytest_ftgate.results.run import RequestCounts
from pytest_ftgate.runner.record import read_accepted, receive_part, send_part, write_accepted


def test_a_part_arrives_whole_and_its_file_is_deleted(tmp_path):
    part = RunPart(
        requests=RequestCounts(replies=3, sent=2, seconds=0.5, skipped=1),
        cost=CostReport(asked=0.1, variants={"current": 0.2}, unknown={"new": "local"}),
        messages=("one\u2028line", "π"),
        # The name of a file need not be text.
        files=("prompts/a.txt", "caf\udce9.txt"),
        suites=failing_run(["one\u2028line\x85"]).suites,
    )

    sent = send_part(part, tmp_path / ".ftgate")

    assert [path.name[:6] for path in (tmp_path / ".ftgate").iterdir()] == ["cases-"]
    assert receive_part(sent) == part
    assert [*(tmp_path / ".ftgate").iterdir()] == []


def test_without_cases_and_without_what_is_accepted_no_file_is_written(tmp_path):
    part = RunPart(messages=("one",))

    assert receive_part(send_part(part, tmp_path)) == part
    assert read_accepted(write_accepted(tmp_path, {})) == {}
    assert [*tmp_path.iterdir()] == []
