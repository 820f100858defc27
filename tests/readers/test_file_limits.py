"""Files that are too large, too deep, or larger on the inside: each is an error with its name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from ftgate_testing.suite_files import Like
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers import inspect, table
from pytest_ftgate.readers.answer_rows import Columns
from pytest_ftgate.readers.answers import read_answers
from pytest_ftgate.readers.datasets import read_import
from pytest_ftgate.readers.file_limits import NO_LIMITS, FileLimits, depth_of, read_here

MB = 1_000_000
LIMITS = FileLimits(file=2 * MB, document=MB, files=3 * MB, unpacked=4 * MB, cases=9, option="--x")


def sparse(path: Path, size: int) -> Path:
    """Make a file that has *size* bytes and takes no room."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


@every_row("name, size, told", [
    ("a.jsonl", 2 * MB, ""),
    ("a.jsonl", 3 * MB, "has 3 MB; --x allows 2 MB"),
    ("a.yaml", 2 * MB, "has 2 MB; --x allows 1 MB"),
    # What is no archive is an error where it is read.
    ("a.eval", MB, ""),
])  # fmt: skip
def test_a_file_is_as_large_as_it_may_be_or_named_with_its_size(tmp_path, name, size, told):
    assert LIMITS.problem(sparse(tmp_path / name, size)) == told
    assert NO_LIMITS.problem(tmp_path / name) == ""


def test_files_in_a_folder_and_files_of_a_suite_count_together(tmp_path):
    sizes = dict.fromkeys(map(tmp_path.joinpath, "ab"), 2 * MB)
    for path in sizes:
        sparse(path, 2 * MB)

    assert LIMITS.problem(tmp_path) == "has 4 MB; --x allows 2 MB"
    assert LIMITS.problem_of_all(sizes) == "has 4 MB with the other files; --x allows 3 MB"


def test_what_an_archive_and_a_table_state_as_their_content_counts_before_it_is_read(tmp_path):
    archive = packed(tmp_path, {"id": 1, "input": "x" * 5 * MB})
    assert LIMITS.problem(archive) == "has 5 MB unpacked; --x allows 4 MB"

    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    write_table(pa.table({"id": list(range(MB))}), tmp_path / "t.parquet", compression="zstd")
    assert LIMITS.problem(tmp_path / "t.parquet") == Like("has ... MB...")


@every_row("error, told", [
    (MemoryError(), "c does not fit into the memory of this machine (b has 2 MB)"),
    (RecursionError(), "c holds values that nest too deeply (b has 2 MB)"),
])  # fmt: skip
def test_what_cannot_be_read_here_is_named_with_its_largest_file(tmp_path, error, told):
    paths = [sparse(tmp_path / "a", MB), sparse(tmp_path / "b", 2 * MB)]

    def read():
        raise error

    with pytest.raises(ConfigurationError) as raised:
        read_here(read, "c", paths)
    assert str(raised.value) == told


def test_nesting_is_counted_up_to_one_level_too_many():
    assert [depth_of(value, 2) for value in (1, [1], [{"a": 1}], [{"a": [[]]}])] == [0, 1, 2, 3]


#: Compares two files where this process may take 300 MB more than it has.
SMALL = """
import resource, sys
from pytest_ftgate.cli.main import main
# First without a limit: libraries reserve addresses for each core when they are imported.
main(["compare", sys.argv[1], sys.argv[3]])
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 300_000_000,) * 2)
sys.exit(main(["compare", sys.argv[1], sys.argv[2]]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")
def test_a_file_beyond_memory_is_an_error_of_a_comparison_and_no_traceback(tmp_path):
    small = tmp_path / "small.jsonl"
    small.write_text(json.dumps({"id": "1", "reply": "a", "expected": "a"}) + "\n", "utf-8")
    (tmp_path / "also.jsonl").write_bytes(small.read_bytes())
    large = sparse(tmp_path / "large.json", 900 * MB)

    done = subprocess.run(
        [sys.executable, "-c", SMALL, str(small), str(large), str(tmp_path / "also.jsonl")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "does not fit into the memory of this machine (large.json has 900 MB)" in " ".join(
        f"{done.stdout} {done.stderr}".split()
    )


# Archives -----------------------------------------------------------------------------------------


def packed(folder: Path, *samples: dict) -> Path:
    path = folder / "log.eval"
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"status": "success", "eval": {"task": "t"}}))
        for number, sample in enumerate(samples):
            archive.writestr(f"samples/{number}_epoch_1.json", json.dumps(sample))
    return path


def test_a_log_that_unpacks_to_more_than_any_log_does_is_refused_before_it_is(
    tmp_path, monkeypatch
):
    path = packed(tmp_path, *({"id": n, "input": "x" * MB} for n in range(3)))
    assert len(read_answers(path, Columns()).rows) == 3

    monkeypatch.setattr(inspect, "_MAX_BYTES", 2 * MB)
    with pytest.raises(ConfigurationError, match="has 0 MB and unpacks to 3 MB: no log of Inspect"):
        read_answers(path, Columns())


def test_an_entry_that_states_less_than_it_holds_is_no_log(tmp_path):
    path = packed(tmp_path, {"id": 1, "input": "x" * MB})
    held, size = path.read_bytes(), len(json.dumps({"id": 1, "input": "x" * MB}))
    stated = size.to_bytes(4, "little")
    assert held.count(stated) == 2
    path.write_bytes(held.replace(stated, (10).to_bytes(4, "little")))

    with pytest.raises(ConfigurationError, match="is no Inspect log: Bad CRC-32"):
        read_answers(path, Columns())


def test_of_a_sample_what_is_compared_is_kept_and_what_the_user_names(tmp_path):
    events = [{"event": "model", "text": "x"}]
    sample = {"id": 1, "input": "q", "output": {}, "events": events, "store": {"topic": "t"}}
    path = packed(tmp_path, sample)

    log = inspect.read_archive(path, "log.eval", Columns(by=("store.topic",)).first_keys)
    (row,) = read_answers(path, Columns(by=("store.topic",))).rows

    assert log["samples"] == [
        {"messages": [], "id": 1, "input": "q", "output": {}, "store": {"topic": "t"}}
    ]
    assert row.tags == ("t",)


def test_a_text_that_stands_for_many_rows_of_a_table_is_counted_in_each(tmp_path, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), pa.array(["x" * 1000]))
    path = tmp_path / "t.parquet"
    write_table(pa.table({"id": list(range(3000)), "reply": texts}), path)
    assert len(read_answers(path, Columns()).rows) == 3000

    monkeypatch.setattr(table, "_MAX_BYTES", 2 * MB)
    with pytest.raises(ConfigurationError, match="unpacks to more than 2 MB"):
        read_answers(path, Columns())


# Importers ----------------------------------------------------------------------------------------

BOMB = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))])
REPEATS = "not YAML: its aliases repeat more than 100,000 values"


@every_row("name, content, told", [
    ("x.yaml", BOMB, rf"x.yaml:\d+: {REPEATS}"),
    ("x.yaml", "a: &a {b: *a}", rf"x.yaml:\d+: {REPEATS}"),
    ("x.yaml", f"tests: {'[' * 500}{']' * 500}", "x.yaml: it cannot be read"),
    ("x.json", f"{'[' * 5_000}{']' * 5_000}", "x.json: it cannot be read"),
    ("README.md", f"---\n{BOMB}\n---\n", f"README.md: its head is {REPEATS}"),
])  # fmt: skip
def test_an_importer_expands_no_aliases_without_end(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_text(content, "utf-8")
    (tmp_path / "test.csv").write_text("input,expected\na,b\n", "utf-8")

    with pytest.raises(ConfigurationError, match=told):
        read_import(tmp_path if name == "README.md" else path)
