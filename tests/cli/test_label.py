"""The verb label: what is shown, what is kept, and what comes of it."""

from __future__ import annotations

import csv
import io
import json
import os
import select
import subprocess
import sys
from collections import Counter

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.hostile import ACTING, COMMANDS
from ftgate_testing.labelling import SUITE, read_lines, write_suite
from ftgate_testing.reports import HOSTILE_NAMES

from pytest_ftgate.readers.label_exports import FORMULA_STARTS

NAME, LABELS = "shop.ftgate.yaml", "shop.pairs.jsonl"


@pytest.fixture
def label(pytester, run_verb, monkeypatch):
    """Type keys at the verb for a suite, a line each; return its exit code and its output."""
    write_suite(pytester.path)

    def run(*options, keys="", by="ada", suite=(NAME,)):
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(keys) + "\n"))
        return run_verb("label", *suite, *(["--by", by] if by else []), *options)

    return run


@pytest.fixture
def kept(pytester):
    """Return the labels that the file has."""
    return lambda: read_lines(pytester.path / LABELS)


def test_each_key_is_a_line_and_labelling_goes_on_where_it_ended(label, kept):
    code, printed = label(keys="12bnsq")

    assert code == 0, printed
    assert [row["answer"] for row in kept()] == ["first", "second", "both", "neither", "unknown"]
    assert [row["place"] for row in kept()] == [1, 2, 3, 4, 5]
    assert {row["by"] for row in kept()} == {"ada"}
    assert printed.endswith(
        f"5 labels added to {LABELS}; 7 pairs left\ncommit {LABELS}, and run pytest --ftgate "
        f"{NAME}\n"
    )
    shown = [line for line in printed.splitlines() if "│ input" in line]
    assert "0 labelled of 12 that differ" in printed
    assert len({*shown}) == len(shown) == 6

    again = label(keys="q")[1]
    assert "5 labelled of 12 that differ" in again
    assert not {*shown[:5]} & {*again.splitlines()}


def test_no_screen_and_no_file_names_a_variant(pytester, label):
    told = label(keys="q")[1] + label("--csv", "r.csv")[1] + label("--page", "r.html")[1]
    told += (pytester.path / "r.csv").read_text("utf-8-sig")
    told += (pytester.path / "r.html").read_text("utf-8").partition('id="pairs">')[2]

    assert not {'"old"', '"new"', " old", " new", "recorded"} & {
        *told.split("</script>")[0].split()
    }
    assert "variant" not in told.partition("</script>")[0].partition("pairs written")[0]


def test_the_order_of_two_replies_is_that_of_no_variant(pytester, label, kept):
    write_suite(pytester.path, differing=40)
    label(keys="1" * 60)

    first = Counter(row["first"] for row in kept() if not row.get("again"))
    assert first.total() == 40
    assert min(first["ok"], first["lost"]) > 8


def test_some_pairs_come_again_in_the_other_order(pytester, label, kept):
    write_suite(pytester.path, differing=40)
    label(keys="1" * 80)

    rows = kept()
    again = [row for row in rows if row.get("again")]
    assert len(again) == 10
    for row in again:
        (before,) = (one for one in rows if one["id"] == row["id"] and not one.get("again"))
        assert (row["first"], row["second"]) == (before["second"], before["first"])
        assert rows.index(row) - rows.index(before) > 5


def test_undo_takes_the_last_own_label_back_and_leaves_those_of_others(label, kept):
    label(keys="1", by="ben")
    label(keys="2uu1q")

    assert [(row["by"], row["answer"]) for row in kept()] == [("ben", "first"), ("ada", "first")]


def test_a_line_that_an_editor_left_open_is_not_torn(pytester, label, kept):
    label(keys="1")
    path = pytester.path / LABELS
    path.write_text(path.read_text("utf-8").rstrip("\n"), "utf-8")
    label(keys="2")

    assert [row["answer"] for row in kept()] == ["first", "second"]


def test_a_right_answer_that_is_typed_is_kept(label, kept):
    label(keys=["e", "late", "1"])

    assert [(row["answer"], row.get("expected")) for row in kept()] == [
        ("neither", "late"),
        ("first", None),
    ]


def test_a_single_reply_is_right_or_wrong(pytester, label, kept):
    # The other side has no answer.
    write_suite(pytester.path, new=lambda _: "", differing=2)

    printed = label(keys="2b1n")[1]

    assert "1 right   n wrong   s cannot say" in printed
    assert "reply 2" not in printed
    assert [(row["second"], row["answer"]) for row in kept()] == [
        (None, "first"),
        (None, "neither"),
    ]


def test_a_second_person_labels_what_the_first_did_only_if_asked(label, kept):
    label(keys="111")
    label(keys="2", by="ben")
    label("--second", keys="22", by="ben")

    assert [(row["by"], row["place"]) for row in kept()] == [
        *(("ada", 1), ("ada", 2), ("ada", 3)),
        *(("ben", 4), ("ben", 1), ("ben", 2)),
    ]


def test_the_declared_number_of_labels_is_the_most_that_are_shown(pytester, label, kept):
    write_suite(pytester.path).write_text(
        SUITE.replace("production.jsonl", "{from: production.jsonl, labels: 6}"), "utf-8"
    )
    label(keys="1" * 40)

    assert max(row["place"] for row in kept()) == 6


def test_variants_that_reply_alike_need_no_label(pytester, label):
    write_suite(pytester.path, differing=0)

    assert label(keys="1") == (0, "no reply differs on 40 inputs: no label is needed\n")


def test_two_files_of_answers_are_labelled_without_a_suite(pytester, label, run_verb):
    asked = [{"id": f"p{n}", "input": f"parcel {n}"} for n in range(30)]
    write_rows(pytester.path / "a.jsonl", [{**row, "reply": "ok"} for row in asked])
    rows = [{**row, "reply": "ok" if n > 7 else "lost"} for n, row in enumerate(asked)]
    write_rows(pytester.path / "b.jsonl", rows)

    code, printed = label("--labels", "t.pairs.jsonl", keys="1" * 4, suite=("a.jsonl", "b.jsonl"))

    assert code == 0, printed
    command = "compare a.jsonl b.jsonl --labels t.pairs.jsonl"
    assert printed.endswith(f"and run pytest-ftgate {command}\n")
    assert "4 of 8 differing inputs labelled" in run_verb(*command.split())[1]


@pytest.mark.parametrize(("options", "says"), [
    (("--page", "x.html", "--csv", "x.csv"), "--page and --csv are two commands"),
    (("--key", "x.json"), "--key says how --import reads; add --import FILE"),
    (("--labels", "x.pairs.jsonl"), "write label SUITE.ftgate.yaml, or label BASE CANDIDATE"),
    (("--variant", "nwe"), 'no variant "nwe" is compared with old; did you mean "new"?'),
    (("--import", "no.csv"), "there is no file no.csv"),
])  # fmt: skip
def test_options_that_do_not_go_together_are_an_error(label, options, says):
    code, printed = label(*options)

    assert code == 1
    assert says in printed


def test_a_suite_without_inputs_says_what_to_write(pytester, label):
    write_suite(pytester.path).write_text(SUITE.replace("inputs: production.jsonl\n", ""), "utf-8")

    assert "has no inputs; write inputs: FILE" in label(keys="1")[1]


def test_no_screen_obeys_a_reply(pytester, label, kept):
    texts = [*HOSTILE_NAMES.values()]
    write_suite(pytester.path, differing=len(texts), new=lambda n: texts[n])

    printed = label(keys="m1" * len(texts))[1]

    assert not ACTING.search(printed)
    assert not COMMANDS.search(printed)
    assert {text for row in kept() for text in (row["first"], row["second"])} >= {"ok"}
    assert len(kept()) == len(texts)


# A table --------------------------------------------------------------------------------------


@pytest.fixture
def fill(pytester, label):
    """Fill the table of pairs in with *answers*, as another file; return its rows."""

    def fill_in(answers, **columns):
        path = pytester.path / "r.csv"
        if not path.exists():
            label("--csv", path.name)
        rows = [*csv.DictReader(io.StringIO(path.read_text("utf-8-sig")))]
        for row, answer in zip(rows, answers, strict=False):
            row["label"] = answer
        with path.with_name("filled.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, [*columns, *rows[0]])
            writer.writeheader()
            writer.writerows([{**columns, **row} for row in rows])
        return rows

    return fill_in


def test_a_table_is_filled_in_and_taken_over_once(label, fill, kept):
    printed = label("--csv", "r.csv")[1]
    fill(["1", "2", "both", "n", "S"])

    assert printed.startswith("19 pairs written to r.csv and r.key.json\nwrite under label: 1 only")
    assert "5 labels added" in label("--import", "filled.csv", by="cy")[1]
    assert [row["answer"] for row in kept()] == ["first", "second", "both", "neither", "unknown"]
    assert {row["by"] for row in kept()} == {"cy"}
    assert (
        "5 labels taken over before\n0 labels added" in label("--import", "filled.csv", by="cy")[1]
    )
    assert "is there already" in label("--csv", "r.csv")[1]


def test_a_table_of_earlier_replies_is_taken_over_by_its_key(pytester, label, fill, kept):
    fill(["1"] * 19)
    write_suite(pytester.path, differing=13)

    assert "no pair has the id" in label("--import", "filled.csv")[1]
    assert not (pytester.path / LABELS).exists()
    assert "19 labels added" in label("--import", "filled.csv", "--key", "r.key.json")[1]
    # Of those that differ now, one is new.
    assert "12 labelled of 13 that differ" in label(keys="q")[1]


def test_a_cell_is_never_a_formula_and_holds_no_control_character(pytester, label):
    texts = ['=cmd|" /C calc"!A0', "+1", "-1", "@sum", "\x1b[2J"]
    write_suite(pytester.path, differing=5, new=lambda n: texts[n])
    label("--csv", "r.csv")

    text = (pytester.path / "r.csv").read_text("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert "'+1" in cells
    assert not [cell for cell in cells if cell.startswith(FORMULA_STARTS) or "\x1b" in cell]


def test_mistakes_are_told_with_their_lines_and_nothing_is_written(pytester, label, fill):
    label("--csv", "r.csv")
    label(keys="1")
    ids = [row["pair_id"] for row in fill(["2", "maybe", "1", "1", "1"])]
    path = pytester.path / "filled.csv"
    path.write_text(path.read_text("utf-8").replace(ids[2], "x").replace(ids[4], ids[3]), "utf-8")

    code, printed = label("--import", "filled.csv")

    assert code == 1
    head, *errors = printed.splitlines()
    assert head == "filled.csv (1 label fine, none taken over): 4 errors"
    for line, error, says in zip(
        (2, 3, 4, 6),
        errors,
        (
            f" by first before, and second here; remove {LABELS}:1, or this row",
            'label "maybe" is none; write 1, 2, b, n, s',
            'no pair has the id "x": name its key with --key, or write a new table',
            " twice; keep one row",
        ),
        strict=True,
    ):
        assert error.startswith(f"  filled.csv:{line}: ")
        assert says in error
    assert len((pytester.path / LABELS).read_text("utf-8").splitlines()) == 1


def test_a_table_that_names_a_variant_is_refused(label, fill):
    fill(["1"], variant="new")

    assert 'a label has the key "variant"' in label("--import", "filled.csv")[1]


def test_labels_of_another_instruction_are_refused(pytester, label, fill):
    path = write_suite(pytester.path)
    fill(["1"])
    other = "{from: production.jsonl, instruction: Which is kinder?}"
    path.write_text(SUITE.replace("production.jsonl", other), "utf-8")

    printed = label("--import", "filled.csv", "--key", "r.key.json")[1]

    assert "the instruction or the score has changed since" in printed


def test_labels_behind_one_that_is_missing_are_kept_and_told(label, fill, kept):
    fill(["1", "", "1", "1"])

    printed = label("--import", "filled.csv")[1]

    assert "2 labels stand behind one that is missing" in printed
    assert len(kept()) == 3


def test_labels_of_a_judge_are_marked_as_such(label, fill, kept):
    fill(["1"] * 4)
    label("--import", "filled.csv", "--judge-name", "gpt-oss-120b")

    assert {(row["by"], row["judge"]) for row in kept()} == {("gpt-oss-120b", True)}
    # A person labels from the first pair on: only so a judge can be examined.
    assert "0 labelled of 12 that differ" in label(keys="q")[1]


# Other tools ----------------------------------------------------------------------------------


def test_an_export_of_label_studio_is_taken_over(pytester, label, fill, kept):
    ids = [row["pair_id"] for row in fill([])]

    def task(name, *annotations):
        return {"id": 7, "data": {"pair_id": name, "reply_1": "x"}, "annotations": [*annotations]}

    def chosen(by=1, **value):
        kind = "pairwise" if "selected" in value else "choices"
        return {
            "completed_by": by,
            "was_cancelled": False,
            "result": [{"type": kind, "value": value}],
        }

    tasks = [
        task(ids[0], chosen(selected="left"), chosen(by={"email": "b@x.org"}, choices=["both"])),
        task(ids[1], chosen(selected="right")),
        task(ids[2], {"completed_by": 1, "was_cancelled": True, "result": []}),
        task(ids[3]),
    ]  # fmt: skip
    (pytester.path / "export.json").write_text(json.dumps(tasks), "utf-8")

    assert "4 labels added" in label("--import", "export.json")[1]
    assert [(row["by"], row["answer"]) for row in kept()] == [
        *(("1", "first"), ("b@x.org", "both"), ("1", "second"), ("1", "unknown"))
    ]


def test_rows_of_argilla_are_taken_over(pytester, label, fill, kept):
    ids = [row["pair_id"] for row in fill([])]
    names = ["reply-1", "reply-2"]
    ranked = [([1, 2], "submitted"), ([2, 1], "submitted"), ([1, 1], "submitted")]
    ranked += [([1, 2], "discarded"), ([1, 2], "draft")]
    rows = [
        {
            "external_id": name,
            "preference": [
                {"user_id": "u1", "value": {"rank": rank, "value": names}, "status": status}
            ],
        }
        for name, (rank, status) in zip(ids, ranked, strict=False)
    ]
    write_rows(pytester.path / "argilla.jsonl", rows)

    assert "4 labels added" in label("--import", "argilla.jsonl")[1]
    assert [row["answer"] for row in kept()] == ["first", "second", "both", "unknown"]


@pytest.mark.parametrize("content", [
    "[1, 2]",
    '[{"annotations": 3, "data": {}}]',
    '[{"external_id": "x", "p": [{"status": 1}]}]',
    "{",
])  # fmt: skip
def test_a_file_that_is_no_export_is_an_error_with_its_line(pytester, label, content):
    (pytester.path / "x.json").write_text(content, "utf-8")

    code, printed = label("--import", "x.json")

    assert code == 1
    assert "x.json:1: " in printed


# Cases ----------------------------------------------------------------------------------------


def test_inputs_whose_answer_is_known_become_cases_that_the_suite_reads(pytester, label, run_verb):
    path = write_suite(pytester.path)
    label(keys=["1", "2", "b", "n", "s", "e", "late", "q"])

    printed = label("--to-cases", "more.jsonl")[1]

    assert printed.startswith("4 cases written to more.jsonl, with the tag from-production")
    assert printed.endswith("2 labelled inputs without a right answer that the score reads\n")
    rows = read_lines(pytester.path / "more.jsonl")
    assert {json.dumps(row["expected"]) for row in rows} >= {'"late"'}
    assert {(*row["tags"],) for row in rows} == {("from-production",)}
    with (pytester.path / "cases.jsonl").open("a", encoding="utf-8") as cases:
        cases.write((pytester.path / "more.jsonl").read_text("utf-8"))
    code, printed = run_verb("power", path)
    assert code == 0, printed
    assert "36 inputs" in printed


def test_inputs_that_a_stopped_run_left_without_a_reply_are_no_pairs(pytester, label, run_verb):
    path = write_suite(pytester.path)
    replies = pytester.path / "new.jsonl"
    kept = [row for row in read_lines(replies) if row["id"] not in {"p0", "p1", "p30"}]
    write_rows(replies, kept)

    planned = run_verb("power", path)
    shown = label(keys="q")

    assert (planned[0], shown[0]) == (0, 0), planned[1] + shown[1]
    assert "10 of 40 inputs differ by the replies so far" in " ".join(planned[1].split())
    assert "0 labelled of 10 that differ" in shown[1]


def test_no_plan_holds_the_few_cases_beside_inputs_to_the_limit_of_the_inputs(pytester, run_verb):
    path = write_suite(pytester.path)
    path.write_text(SUITE.replace("max_drop: 0.2", "max_drop: 0.1"), "utf-8")

    power = run_verb("power", path)[1]
    plan = pytester.runpytest_inprocess("--ftgate", "--ftgate-plan").stdout.str()

    assert "accuracy[new]: 12 of 40 inputs differ" in " ".join(power.split())
    assert "accuracy[old]" not in power + plan
    assert "without power" not in plan


def test_a_score_that_reads_no_whole_answers_makes_no_cases(pytester, label):
    path = write_suite(pytester.path)
    path.write_text(
        SUITE.replace("{format: {choice: [late, lost, ok]}}", "{score: contains}"), "utf-8"
    )
    label(keys="1")

    assert "--to-cases makes answers for score: choice," in label("--to-cases", "more.jsonl")[1]


# In a terminal --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_pairs_are_labelled_by_single_keys_in_a_terminal(pytester, kept):
    import pty
    import termios
    import tty

    write_suite(pytester.path, inputs=200, differing=70)
    outer, inner = pty.openpty()
    before = termios.tcgetattr(inner)
    termios.tcsetwinsize(inner, (24, 80))
    command = [
        sys.executable,
        "-c",
        "from pytest_ftgate.cli.main import main; raise SystemExit(main())",
    ]
    process = subprocess.Popen(
        [*command, "label", NAME, "--by", "ada"], stdin=inner, stdout=inner, stderr=inner,
        cwd=pytester.path, env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    )  # fmt: skip
    # An arrow and the key Home are no answers; what is typed is not shown as a key.
    keys = ["\x1b[D", "\x1b[1~", "1", "u", *"12bns" * 3, "q"]
    shown = "".join(_typed(outer, key) for key in keys)
    shown += _rest(outer)
    assert process.wait(60) == 0
    assert termios.tcgetattr(inner)[tty.LFLAG] == before[tty.LFLAG]
    os.close(outer)
    os.close(inner)

    rows = kept()
    assert len(rows) == 15
    assert len({row["id"] for row in rows}) >= 12
    assert {row["answer"] for row in rows} == {"first", "second", "both", "neither", "unknown"}
    assert "15 labels added to shop.pairs.jsonl" in shown
    assert "\x1b[2J" in shown
    screens = shown.split("\x1b[2J\x1b[H")
    assert max(len(line) for line in "".join(screens).split("\r\n")) <= 80


def _typed(terminal, key):
    """Return what is shown until the verb waits for *key*, and type it."""
    shown = ""
    while not shown.endswith("q quit\r\n"):
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, shown
        shown += os.read(terminal, 65536).decode()
    os.write(terminal, key.encode())
    if key.startswith("\x1b"):
        # Nothing is drawn anew.
        os.write(terminal, b"?m")
    return shown


def _rest(terminal):
    shown = ""
    while select.select([terminal], [], [], 5)[0]:
        try:
            shown += os.read(terminal, 65536).decode()
        except OSError:
            break
    return shown
