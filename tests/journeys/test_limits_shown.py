"""What no check limits is shown as such: in the plan, in the closing section, and in reports."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.cli.main import main

SUITE = "tickets.ftgate.yaml"


@every_row(
    "cases, gates, line",
    [
        (30, "{accuracy: {min: 0.8}}", "accuracy: 30 cases can rule out a drop of 27 points *"),
        (8, "{accuracy: {min: 0.6}}", "accuracy: 8 cases cannot show that a drop stays below 40 *"),
        (100, "{accuracy: {min: 0, max_drop: none}}", "accuracy: nothing can fail it; *"),
        (100, "{accuracy: {min: 0.8, evidence: point}}", "accuracy: the observed figure decides *"),
    ],
)
def test_plan_and_power_say_once_what_the_limits_of_a_gate_leave_out(
    desk, capsys, cases, gates, line
):
    desk.cases = cases
    desk.suite(gates, current=0, draft=0)

    planned = desk.run("--ftgate-plan")

    planned.stdout.fnmatch_lines([f"  {line}"])
    assert sum(text.startswith(f"  {line[:30]}") for text in planned.outlines) == 1
    capsys.readouterr()
    assert main(["power", SUITE]) == 0
    assert line[:30] in capsys.readouterr().out


def test_a_limit_that_shows_much_has_no_line_in_the_plan(desk):
    desk.suite("{accuracy: {}}", current=0, draft=0)

    assert "accuracy: " not in desk.run("--ftgate-plan").stdout.str()


def test_a_plain_threshold_and_a_minimum_below_guessing_have_no_power(desk):
    desk.suite("{accuracy: {min: 0.4}, format: {min: 0.9, evidence: point}}", current=0)

    planned = desk.run("--ftgate-plan")

    planned.stdout.fnmatch_lines(["  accuracy?current? * min 40 % * 0 % * never"])
    assert "format[current]" not in planned.stdout.str()


def test_a_variant_that_is_not_compared_has_no_power_of_a_comparison_and_shows_its_change(desk):
    desk.suite("{accuracy: {}}", current=0, cheap=15)
    desk.edit("cheap.jsonl", "cheap.jsonl, compared: false")

    planned = desk.run("--ftgate-plan")

    rows = [line.split()[1:] for line in planned.outlines if line.startswith("  accuracy[")]
    assert rows[0] == rows[1]
    told = ["PASSED  2 gates   accuracy: cheap 85 % (−15 not gated), *"]
    desk.run().stdout.fnmatch_lines(told)


def test_beside_a_baseline_with_nothing_to_lose_the_minimum_is_the_limit(desk):
    desk.suite("{accuracy: {min: 0.8}}", current=100, new=5)
    desk.edit("current.jsonl", "current.jsonl, gated: false")

    result = desk.run("--ftgate-variant=new")

    result.stdout.fnmatch_lines(["PASSED  1 gate   accuracy: new 95 % (+95, min 80 %)"])


def test_a_minimum_that_decides_shows_the_change_beside_it(desk):
    desk.suite("{accuracy: {min: 0.9, max_drop: 0.3}}", current=0, draft=12)
    desk.run().stdout.fnmatch_lines(
        [
            "? accuracy?draft? * min 90 %",
            "    passed: down 12 points *limit 30: current 100 % → 88 %",
        ]
    )

    desk.suite("{accuracy: {min: 0.9, max_drop: none}}", current=0, draft=12)
    desk.run().stdout.fnmatch_lines(
        [
            "? accuracy?draft? * min 90 %",
            "    against current 100 % → 88 %, down 12 points, not gated (max_drop: none)",
        ]
    )


def test_no_report_is_green_or_silent_where_nothing_can_fail_the_gates(desk, capsys):
    desk.suite("{accuracy: {min: 0, max_drop: none}}", current=0, draft=4)

    result = desk.run("--ftgate-markdown=r.md", "--ftgate-html=r.html")

    why = "nothing can fail it: min: 0, max_drop: none"
    result.stdout.fnmatch_lines(
        [
            "  not gated  accuracy?current? 100 %, accuracy?draft? 96 % (−4): nothing can",
            "    fail it: min: 0, max_drop: none",
        ]
    )
    markdown = desk.path("r.md").read_text("utf-8")
    assert markdown.startswith("### 🔴 BLOCKED: no gate was evaluated\n")
    assert why in markdown.replace("&#95;", "_")
    assert why in desk.path("r.html").read_text("utf-8")
    capsys.readouterr()
    assert main(["explain", f"{SUITE}::accuracy[draft]"]) == 0
    explained = capsys.readouterr().out
    assert "against current 100 % → 96 %, down 4 points" in explained
    assert "not gated (max_drop: none)" in " ".join(explained.split())
    assert "The gate has no check that could fail, so its test is skipped." in explained


def test_a_minimum_that_guessing_reaches_is_not_said_to_be_missed(desk, capsys):
    desk.suite("{accuracy: {min: 0.4}}", current=2)
    desk.run()
    capsys.readouterr()

    assert main(["explain", f"{SUITE}::accuracy[current]"]) == 0

    explained = " ".join(capsys.readouterr().out.split())
    assert "accuracy 98 % (95 % CI 93 to 100 %), min 40 %" in explained
    assert "but guessing is right in 50 %, so this minimum shows nothing." in explained


def test_a_smaller_exam_is_no_lack_of_evidence_and_several_reasons_fit_in_a_line(desk):
    desk.suite("{accuracy: {max_drop: 0.05}}", current=0, draft=0)
    desk.run("--ftgate-accept")
    desk.cases = 90
    desk.write_cases()

    desk.run("--ftgate-html=r.html")

    page = desk.path("r.html").read_text("utf-8")
    assert "2 of 2 gates: less is tested than was accepted; blocks the build</p>" in page
    assert "--ftgate-inconclusive=warn" not in page.partition("</main>")[0]
    desk.replies("draft", wrong=4)
    result = desk.run()
    result.stdout.fnmatch_lines(
        ["INCONCLUSIVE  2 of 2 gates: for several reasons; blocks the build"]
    )
