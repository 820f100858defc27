"""The comment on a pull request: whole within its limit, and inert whatever a model says."""

from __future__ import annotations

import re
from dataclasses import replace

from ftgate_testing.reports import (
    failed_test,
    failing_run,
    gate_not_evaluated,
    inconclusive_verdict,
    outside_of_code,
    report,
)
from ftgate_testing.tables import every_row

from pytest_ftgate.plugin.verdicts import NOT_RUN, PASSED_XFAIL
from pytest_ftgate.recommend.advice import Recommendation
from pytest_ftgate.reporting.markdown import (
    code_block,
    escape_markdown,
    markdown_report,
    workflow_commands,
)
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.results.run import CostReport, NotEvaluated, RequestCounts


def test_a_green_run_is_three_lines_and_its_facts():
    text = markdown_report(report(failing_run().verdicts[3]), 60_000)

    assert text.split("\n\n")[:3] == [
        "### 🟢 PASSED: 1 gate",
        "accuracy: current 98 % (min 50 %)",
        "300 replies: 200 cached, 100 requested in 0:12 · 0.10 USD of 0.30 USD",
    ]
    assert text.count("\n\n") == 3
    assert "<details>" not in text


def test_a_red_run_opens_with_the_worst_gate_and_the_first_step():
    first, title, case, counts, steps, *_ = markdown_report(failing_run(), 60_000).split("\n\n")

    assert first == "### 🔴 BLOCKED: 3 of 4 gates failed"
    assert title == (
        "**forgetting&#91;new&#93;** failed: down 44 points (95 % CI 32 to 56), limit 10"
    )
    assert re.search(r"^\| arithmetic-\d+ .* ✅ before .* ❌ now", case)
    assert "base 78 % → new 34 % · 28 of 64 cases regressed, 0 fixed" in counts
    assert steps.startswith("**fix** mix general data into the training set")
    assert "<br>**see** the regressed cases: <code>pytest --ftgate -vv " in steps


def test_a_reply_in_the_table_of_a_case_is_cut_and_cannot_act():
    said = "| @all www.evil.example [x](http://evil.example) <img> " + "y" * 1_000
    verdict = failing_run().verdicts[0]
    case = replace(verdict.flips[0], now=said)
    text = markdown_report(report(replace(verdict, flips=(case,))), 60_000).partition("<details>")[
        0
    ]

    row = next(line for line in text.split("\n") if "img" in line)
    assert "y" * 150 not in row
    for acts in ("@all", "www.", "://", "<img", "[x]"):
        assert acts not in row
    assert row.count("|") == 5


def test_gates_and_variants_are_a_matrix_whose_rows_are_the_more_numerous():
    made = failing_run()
    text = markdown_report(made, 60_000).partition("<details>")[0]
    many = replace(made, verdicts=tuple(
        replace(made.verdicts[0], variant=f"v{n}") for n in range(4)
    ))  # fmt: skip

    rows = re.findall(r"^\| (\w+) +\| (.*?) +\| (.*?) +\|$", text, re.MULTILINE)
    assert rows == [
        ("forgetting", "❌ 78 → 34 %", ""), ("accuracy", "❌ 98 → 60 %", "✅ 98 %"),
        ("format", "❌ 100 → 80 %", ""),
    ]  # fmt: skip
    assert re.search(r"^\| v3 +\| ❌ 98 → 60 % +\|$", markdown_report(many), re.MULTILINE)


def test_flips_are_folded():
    text = markdown_report(failing_run(), 60_000)

    assert "passed before, fails now" in text
    assert "passed before, fails now" not in outside_of_code(text)
    assert text.count("<details>") == text.count("</details>") == 1


def test_gates_with_one_reason_are_named_once_and_counted():
    nodes = [f"suite.ftgate.yaml::cost[v{number}]" for number in range(5)]
    gates = tuple(NotEvaluated(node=node, reason=NOT_RUN) for node in nodes)

    text = markdown_report(report(not_evaluated=(gate_not_evaluated(), *gates)), 60_000)

    assert text.count(" not evaluated: ") == 2
    names = ", ".join(map(escape_markdown, nodes[:3]))
    assert f"- **{names} and 2 more** not evaluated: the run ended first\n" in text
    assert text.count("**fix** mend the error named above") == 1


def test_a_spent_budget_is_to_be_raised():
    cost = CostReport(asked=0.5, stopped="budget of 1 USD (--ftgate-max-usd) reached", unasked=100)
    sent = RequestCounts(replies=50, sent=50)
    stopped = report(not_evaluated=(gate_not_evaluated(),), cost=cost, requests=sent)

    assert "**fix** raise the budget" in markdown_report(stopped, 60_000)


def test_words_stay_readable():
    assert escape_markdown("accuracy 95 % → 78 % against current, −17 points") == (
        "accuracy 95 % → 78 % against current, −17 points"
    )


def test_a_code_block_outlasts_the_fences_within():
    assert code_block("````\nx").startswith("`````text\n")


@every_row("limit", [1_000, 3_000, 8_000])
def test_what_does_not_fit_is_counted_and_no_table_is_cut(limit):
    many = failing_run().verdicts[0]
    text = markdown_report(report(*(replace(many, variant=f"v{n}") for n in range(30))), limit)

    assert len(text) <= limit
    assert re.search(r"_\d+ more parts? left out for their length\._", text)
    outside_of_code(text)
    for line in text.split("\n"):
        assert not line.startswith("|") or line.endswith("|")


def test_a_table_of_very_many_gates_is_cut_by_rows_with_a_count():
    many = failing_run().verdicts[0]
    text = markdown_report(report(*(replace(many, variant=f"v{n}") for n in range(62))), 900_000)

    assert "_2 more, none worse than the last shown._" in text


def test_an_inconclusive_gate_says_what_would_settle_it():
    text = outside_of_code(markdown_report(report(inconclusive_verdict()), 60_000))

    assert text.startswith(
        "### 🟡 INCONCLUSIVE: 1 of 1 gate; blocks, --ftgate-inconclusive=warn lets it pass"
    )
    assert "** inconclusive: down 4.0 points " in text
    assert re.search(r"^\*\*fix\*\* c\d+, .*, and run again", text, re.MULTILINE)
    assert re.search(r"^- \*\*fix\*\* add cases: about \d+ ", text, re.MULTILINE)


def test_the_ladder_is_told_in_short(advice):
    good = report(failing_run().verdicts[3], advice=(advice,))
    shown = markdown_report(good, 60_000).partition("Ladder of")[2]

    assert "fine-tune: lora" in shown
    for reason in advice.reasons:
        assert f"- {escape_markdown(note_text(reason.note))}" in shown
    assert re.search(r"\| lora &#42; +\| fine-tuned +\| 91 % \(89 to 93\) +\|", shown)


def test_a_red_run_speaks_of_a_ladder_only_to_roll_back(advice):
    rollback = replace(advice, recommendation=Recommendation.ROLL_BACK)
    red, back = (
        markdown_report(replace(failing_run(), advice=(one,)), 60_000) for one in (advice, rollback)
    )

    assert "Ladder of" not in red
    assert "Ladder of" in back


# Workflow commands: at the line of a gate, at most ten, and none that a reply could forge ---------


def test_a_failed_gate_is_marked_at_its_line():
    _, second, *_ = workflow_commands(failing_run())

    assert second.startswith(
        "::error file=suite.ftgate.yaml,line=7,title=accuracy[new] failed::accuracy down 38 points"
    )


def test_files_are_named_from_the_root_of_the_repository():
    assert next(workflow_commands(failing_run(), "llm/tests")).startswith(
        "::error file=llm/tests/suite."
    )
    assert next(workflow_commands(failing_run(), ".")).startswith("::error file=suite.ftgate.yaml,")


def test_ten_at_the_most_and_the_most_important_first():
    failed, passed = failing_run().verdicts[0], failing_run().verdicts[3]
    many = [passed, *(inconclusive_verdict(n) for n in range(1, 9)), *[failed] * 6]

    told = list(workflow_commands(report(*many, not_evaluated=(gate_not_evaluated(),))))

    assert ["failed" in one for one in told[:6]] == [True] * 6
    assert "not evaluated" in told[6]
    assert ["inconclusive" in one for one in told[7:10]] == [True] * 3
    assert told[10:] == ["… and 5 more"]


def test_a_failed_test_of_a_gate_that_passed_is_an_error_of_its_file():
    (told,) = workflow_commands(report(failing_run().verdicts[3], failed_tests=(failed_test(),)))

    assert told.startswith("::error file=test_it.py,line=1,title=test_it[current] failed test::")
    assert told.endswith(PASSED_XFAIL)


def test_an_inconclusive_gate_warns_where_it_does_not_block():
    assert next(workflow_commands(report(inconclusive_verdict(), lenient=True))).startswith(
        "::warning "
    )
