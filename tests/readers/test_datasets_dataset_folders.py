"""A folder of Hugging Face datasets is cases: one split of it, with the names of its labels."""

from __future__ import annotations

import json

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.readers.datasets import read_import

ROWS = [{"question": "Where is my money?", "answer": "refund"}, {"question": "b", "answer": "c"}]


def write(path, rows=ROWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def test_the_split_that_evaluates_is_read_and_the_others_are_named(tmp_path):
    write(tmp_path / "data" / "train.jsonl", [{"question": "no", "answer": "no"}])
    write(tmp_path / "data" / "test.jsonl")

    suite = read_import(tmp_path)

    assert suite.tool == "Hugging Face datasets"
    assert [(case["input"], case["expected"]) for case in suite.cases] == [
        ("Where is my money?", "refund"),
        ("b", "c"),
    ]
    assert [*suite.notes] == ["split test was read; also there: train"]


def test_the_card_of_a_repository_says_which_files_are_a_split(tmp_path):
    write(tmp_path / "en" / "part-1.jsonl")
    write(tmp_path / "de" / "part-1.jsonl", [{"question": "wo", "answer": "da"}])
    (tmp_path / "README.md").write_text(
        "---\nlicense: mit\nconfigs:\n- config_name: en\n  data_files:\n  - split: validation\n"
        "    path: en/part-*\n- config_name: de\n  default: true\n  data_files:\n"
        "  - {split: validation, path: [de/part-*]}\n---\n# Card\n",
        "utf-8",
    )

    suite = read_import(tmp_path)

    assert [case["input"] for case in suite.cases] == ["wo"]
    assert [*suite.notes] == []


def test_files_without_the_name_of_a_split_are_one(tmp_path):
    write(tmp_path / "cases.jsonl")
    (tmp_path / "dataset_info.json").write_text("{}", "utf-8")

    assert len(read_import(tmp_path).cases) == 2


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    write(tmp_path / "secret.jsonl")
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "test.jsonl").symlink_to(tmp_path / "secret.jsonl")

    with pytest.raises(ConfigurationError, match="a folder without"):
        read_import(inner)


@every_row(
    ("files", "told"),
    [
        ({"notes.txt": "x"}, "a folder without .parquet"),
        ({"state.json": "{}", "data.arrow": "x"}, r"of save_to_disk save .*to_parquet"),
        ({"test.csv": "colour,size\nred,1\n"}, "no case was found"),
        ({"README.md": "---\nconfigs: [3]\n---\n", "test.jsonl": "{"}, "README.md: configs"),
        ({"README.md": "---\na: [\n---\n", "test.jsonl": "{"}, "README.md: its head is not YAML"),
    ],
)
def test_a_folder_that_cannot_be_read_says_why(tmp_path, files, told):
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")

    with pytest.raises(ConfigurationError, match=told):
        read_import(tmp_path)


def test_labels_that_are_numbers_become_names_and_a_picture_has_no_text(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    features = {"label": {"names": ["billing", "refund"], "_type": "ClassLabel"}}
    info = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    columns = {"text": ["Money back", "A bill"], "label": [1, 0], "image": [b"\x89", b"\x89"]}
    table = pa.table(columns).replace_schema_metadata(info)
    hub = tmp_path / "hub"
    hub.mkdir()
    write_table(table, hub / "test-00000-of-00001.parquet")

    for path in (hub, hub / "test-00000-of-00001.parquet"):
        cases = read_import(path).cases
        assert [(case["input"], case["expected"]) for case in cases] == [
            ("Money back", "refund"),
            ("A bill", "billing"),
        ]


def test_what_the_library_writes_about_the_data_is_not_read_as_data(tmp_path):
    folder = tmp_path / "test"
    folder.mkdir()
    (folder / "rows.jsonl").write_text('{"question": "2+2?", "answer": "4"}\n', "utf-8")
    for name in ("state.json", "dataset_info.json"):
        (folder / name).write_text("{}", "utf-8")

    (case,) = read_import(tmp_path).cases

    assert (case["input"], case["expected"]) == ("2+2?", "4")


@every_row("name", ["", "test.parquet"])
def test_without_pyarrow_the_message_says_what_to_install(tmp_path, monkeypatch, name):
    (tmp_path / "test.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)

    with pytest.raises(ConfigurationError, match="needs pyarrow: pip install pyarrow"):
        read_import(tmp_path / name)
