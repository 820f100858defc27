"""Verdicts for a pull request, a page of a run, a model's card: Markdown and GitHub commands."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from posixpath import join, normpath
from typing import Any

from pytest_ftgate.errors import ConfigurationError, Diagnostic, did_you_mean
from pytest_ftgate.gates.statements import NextStep
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting import tables
from pytest_ftgate.reporting.checkpoints import (
    CAUTION,
    checkpoint_table,
    loss_sentences,
    trainings,
)
from pytest_ftgate.reporting.flips import example_texts
from pytest_ftgate.reporting.headlines import headline, verdict_words
from pytest_ftgate.reporting.html.case_data import verdict_link
from pytest_ftgate.reporting.ladder import (
    frontier_legend,
    ladder_sentence,
    ladder_table,
    monitoring_sentences,
)
from pytest_ftgate.reporting.next_steps import error_fix, step_command, step_line, step_text
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.reporting.number_text import first_names, quantity
from pytest_ftgate.reporting.phrases import stands_out
from pytest_ftgate.reporting.suite_errors import error_count
from pytest_ftgate.reporting.summary import (
    passed_parts,
    perhaps_lines,
    shown_advice,
    verdict_phrase,
    verdict_word,
)
from pytest_ftgate.reporting.text import escape_controls, one_line, shorten
from pytest_ftgate.reporting.trackers import comparing_check
from pytest_ftgate.reporting.ungated import unfailing_gates, ungated_lines, unselected_line
from pytest_ftgate.reporting.verdict import verdict_section
from pytest_ftgate.results.run import FailedTest, NotEvaluated, Report, node_id, node_name
from pytest_ftgate.settings import DOCS_URL

#: Characters with a meaning in a line of Markdown.
_SPECIAL = re.compile(r"[&*<>\[\\\]^_`{|}~$@#]|:(?=//)|(?<=www)\.", re.IGNORECASE)
_MAX_ROWS = 60
#: The most gates that did not pass whose headlines stand above the table; columns of a cell.
_MAX_OPEN, _MAX_CELL = 5, 160
#: The facts that are addresses, and those that a comment leaves to the page.
_LEFT_OUT = ("run", "source", "command", "duration", "suites")
#: Longer than any comment on GitHub may be: for a text that stays in this process.
_MAX_CHARACTERS = 1_000_000
_SIGNS = {Outcome.PASSED: "✅", Outcome.INCONCLUSIVE: "❔"}
_MARKS = {"PASSED": "🟢", "BLOCKED": "🔴", "INCONCLUSIVE": "🟡"}


def markdown_report(report: Report, limit: int = _MAX_CHARACTERS) -> str:
    """Return *report* as GitHub Flavored Markdown of at most *limit* characters.

    Blocks that do not fit are left out whole and counted; a table is never cut within.
    """
    blocks = [block for section in MARKDOWN_SECTIONS for block in section(report)]
    folded = [block for section in _FOLDED_SECTIONS for block in section(report)]
    blocks += [_FOLD, *folded] if folded else []
    blocks += _fact_section(report)
    fitting: list[str] = []
    left = limit - 200
    for index, block in enumerate(blocks):
        left -= len(block) + 2
        if left < 0:
            count = quantity(len(blocks) - index, "more part")
            fitting.append(f"_{count} left out for their length._")
            break
        fitting.append(block)
    return "\n\n".join([*fitting, *["</details>"] * (_FOLD in fitting)]) + "\n"


def escape_markdown(text: str) -> str:
    """Return foreign *text* in one line, without any Markdown, mention or issue link in effect."""
    text = escape_controls(text).replace("\n", " ")
    return _SPECIAL.sub(_escape_character, text)


def _escape_character(match: re.Match[str]) -> str:
    # GitHub links mentions and issues even if "@" and "#" are entities.
    return f"<span>{match[0]}</span>" if match[0] in "@#" else f"&#{ord(match[0])};"


def _verdict_section(report: Report) -> Iterator[str]:
    word = verdict_word(report)
    yield f"### {_MARKS[word]} {word}: {verdict_phrase(report)}"
    if report.verdict == "passed":
        yield escape_markdown(" · ".join(passed_parts(report.gated_verdicts)))


def _perhaps_section(report: Report) -> Iterator[str]:
    if lines := [f"- {escape_markdown(line)}" for line in perhaps_lines(report)]:
        yield "\n".join(lines)


def _usage_section(report: Report) -> Iterator[str]:
    run = f" · [the run]({report.facts['run']})" if "run" in report.facts else ""
    yield tables.usage_line(report) + run + _page_mark(report)
    changes = tables.changes_line(report.file_changes)
    lines = (tables.override_line(report.overrides), changes, unselected_line(report))
    yield from map(escape_markdown, filter(None, lines))


def _matrix_section(report: Report) -> Iterator[str]:
    """Yield the gates by variants, or where there are more variants, the variants by gates."""
    # Of a green run the rates are above.
    if report.verdict == "passed" and len(report.gated_verdicts) == report.count(Outcome.PASSED):
        return
    ranked = tables.rank_verdicts(report.gated_verdicts)
    for suite in dict.fromkeys(verdict.suite for verdict in ranked):
        verdicts = [v for v in report.gated_verdicts if v.suite == suite]
        if all(v.outcome is Outcome.INVALID for v in verdicts):
            continue  # Nothing is measured of them.
        table = _verdict_matrix(verdicts)
        headers = [f"<code>{escape_markdown(suite)}</code>", *map(escape_markdown, table.headers)]
        yield markdown_table(tables.TextTable(headers, table.rows[:_MAX_ROWS]))
        if len(table.rows) > _MAX_ROWS:
            count = f"{len(table.rows) - _MAX_ROWS} more"
            yield f"_{count}, none worse than the last shown._"


def _verdict_matrix(verdicts: Sequence[Verdict]) -> tables.TextTable:
    """Return the gates by variants, the worst first; the first column has no header."""
    ranked = tables.rank_verdicts(verdicts)
    # Of invalid gates rank_verdicts makes one, which has all their names.
    measured = (verdict for verdict in ranked if verdict.outcome is not Outcome.INVALID)
    gates = [*dict.fromkeys(verdict.gate for verdict in (*measured, *verdicts))]
    variants = [*dict.fromkeys(verdict.variant for verdict in ranked)]
    cells: dict[tuple[str, str], list[str]] = defaultdict(list)
    for verdict in verdicts:
        cells[verdict.gate, verdict.variant].append(_matrix_cell(verdict))
    if len(variants) > len(gates):
        rows = [[name, *(", ".join(cells[gate, name]) for gate in gates)] for name in variants]
        return tables.TextTable(gates, rows)
    rows = [[gate, *(", ".join(cells[gate, name]) for name in variants)] for gate in gates]
    return tables.TextTable(variants, rows)


def _matrix_cell(verdict: Verdict) -> str:
    columns = {column.key: column for column in tables.VERDICT_COLUMNS}
    before, after = columns["before"].cell(verdict), columns["after"]
    now = (after.short_cell or after.cell)(verdict)
    levels = f"{before.removesuffix(' %')} → {now}" if before and now else now
    return f"{_SIGNS.get(verdict.outcome, '❌')} {levels or verdict.outcome}"


def _table_section(report: Report) -> Iterator[str]:
    """Yield every number of the gates, unless all passed or nothing is measured."""
    for suite in dict.fromkeys(verdict.suite for verdict in report.gated_verdicts):
        verdicts = [v for v in report.gated_verdicts if v.suite == suite]
        if all(v.outcome in (Outcome.INVALID, Outcome.PASSED) for v in verdicts):
            continue
        table = tables.verdict_table(verdicts)
        yield markdown_table(table._replace(rows=table.rows[:_MAX_ROWS]))


def _training_section(report: Report) -> Iterator[str]:
    for training in trainings(report):
        sentences = "".join(f"- {escape_markdown(text)}\n" for text in loss_sentences(training))
        table = markdown_table(checkpoint_table(training))
        yield f"**{escape_markdown(training.name)} by checkpoint**\n\n{sentences}\n{table}"
        yield f"<sub>{CAUTION}</sub>"


def _worst_section(report: Report) -> Iterator[str]:
    """Yield the worst gate that did not pass, a case, how many there are and what to do."""
    for verdict in [*_blocking(report)][:1]:
        words = verdict_words(verdict)
        yield _verdict_title(report, verdict)
        yield from _case_table(verdict)
        parts = [escape_markdown(part) for part in (words.levels, words.cases) if part]
        counts = " · ".join(parts) + _cases_mark(report, verdict)
        worst = f"{words.worst_label} {first_names(words.worst, 3)}" if words.worst else ""
        lines = (*map(escape_markdown, (words.doubt, worst, words.cause)), counts)
        if any(lines):
            yield "<br>".join(filter(None, lines)).removeprefix(" · ")
        steps = {step.role: step for step in reversed(verdict.next)}
        texts = [_step_text(step) for step in verdict.next if steps[step.role] is step]
        if texts:
            yield "<br>".join(texts)


def _case_table(verdict: Verdict) -> Iterator[str]:
    """Yield the case that the terminal shows as a table: the question, and what was said to it."""
    flip = next((flip for flip in verdict.flips if flip.regressed), None)
    if flip is None:
        return
    cells = [*example_texts(flip, "before", _MAX_CELL)]
    row = [one_line(flip.shown), *(text for _, text in cells)]
    signs = {"before": "✅ ", "now": "❌ "}
    headers = [escape_markdown(flip.case), *(signs.get(label, "") + label for label, _ in cells)]
    yield markdown_table(tables.TextTable(headers, [[shorten(text, _MAX_CELL) for text in row]]))


def _other_section(report: Report) -> Iterator[str]:
    """Yield a line for each of the other gates that did not pass."""
    others = [*_blocking(report)][1:]
    lines = [
        f"- {_verdict_title(report, verdict)}{_cases_mark(report, verdict)}"
        for verdict in others[: _MAX_OPEN - 1]
    ]
    more = len(others) - len(lines)
    lines += [f"- _{quantity(more, 'more gate')} below_"] * (more > 0)
    if lines:
        yield "\n".join(lines)


def _verdict_title(report: Report, verdict: Verdict) -> str:
    name, source = escape_markdown(node_name(verdict)), tables.source_link(report, verdict)
    name = f"[{name}]({source})" if source else name
    words = verdict_words(verdict)
    # A gate that passed is named for a part that fell, of which its headline tells.
    text = words.headline if verdict.outcome is Outcome.PASSED else words.title
    return f"**{name}** {verdict.outcome}: {escape_markdown(text)}"


def _cases_mark(report: Report, verdict: Verdict) -> str:
    return _page_mark(report, verdict_link(verdict, "regressed")) if verdict.regressed else ""


def _step_text(step: NextStep) -> str:
    """Return a step with its role, and its command as code that can be copied."""
    command = step_command(step)
    code = f": <code>{escape_markdown(command)}</code>" if command else ""
    # An address of our own may be followed.
    text = escape_markdown(step_text(step)).replace(escape_markdown(DOCS_URL), DOCS_URL)
    return f"**{step.role}** {text}{code}"


def _blocking(report: Report) -> Iterator[Verdict]:
    """Yield the gates that did not pass, and those that passed though a part of them fell."""
    for verdict in tables.rank_verdicts(report.gated_verdicts):
        if verdict.outcome is not Outcome.PASSED or stands_out(verdict):
            yield verdict


def _runs_section(report: Report) -> Iterator[str]:
    """Yield the table of an agent's runs for each gate that has one, whether it passed or not."""
    from pytest_ftgate.reporting.runs import run_table

    for verdict in report.verdicts:
        if verdict.runs:
            table = run_table(verdict.runs)
            headers = [f"runs of {escape_markdown(verdict.variant)}", *table.headers[1:]]
            yield markdown_table(table._replace(headers=headers))


def _detail_section(report: Report) -> Iterator[str]:
    """Yield all steps and numbers of the gates that did not pass, folded."""
    for verdict in _blocking(report):
        if verdict.outcome is Outcome.INVALID:
            continue  # Its headline says all of it.
        noun = verdict.check.noun if verdict.check else "case"
        cases = f"{quantity(verdict.regressed, f'regressed {noun}')} and why"
        title = f"{escape_markdown(node_id(verdict))}: {cases if verdict.regressed else 'why'}"
        steps = "".join(f"- {_step_text(step)}\n" for step in verdict.next)
        text = verdict_section(verdict, verbosity=1, shows_runs=False)
        yield f"**{title}**\n\n{steps}\n{code_block(text)}"


def _page_mark(report: Report, part: str = "") -> str:
    """Return the placeholder of a link to the page, or to *part* of it; "" outside the action."""
    return f"<!-- page:{part} -->" if "run" in report.facts else ""


def _folded(title: str, text: str, before: str = "") -> str:
    """Return *text* as a code block behind *title*; *before* is Markdown above it."""
    return f"<details><summary>{title}</summary>\n\n{before}{code_block(text)}\n\n</details>"


def code_block(text: str) -> str:
    """Return *text* as a code block with a fence that the text cannot close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


#: The most errors of a file that a comment lists.
_MAX_ERRORS = 10


def _error_section(report: Report) -> Iterator[str]:
    for file in report.unread_files:
        errors = [f"\n  - {_error_text(error)}" for error in file.errors[:_MAX_ERRORS]]
        more = len(file.errors) - len(errors)
        errors += [f"\n  - … and {more} more"] if more else []
        yield f"- **{escape_markdown(file.node)}** {error_count(file)}:{''.join(errors)}"
    for names, what, reason in tables.error_groups(report):
        text = escape_controls(reason)
        first, _, rest = text.strip().partition("\n")
        head = f"- **{escape_markdown(names)}** {what}: {escape_markdown(first)}"
        yield f"{head}\n\n{_folded('the whole message', text)}" if rest else head
    if tables.error_groups(report):
        yield f"**fix** {error_fix(report)}"


def _error_text(error: Diagnostic) -> str:
    """Return an error of a suite with a link to the page that explains its key."""
    is_ours = re.fullmatch(re.escape(DOCS_URL) + r"[\w/#-]*", error.address)
    link = f" ([reference]({error.address}))" if is_ours else ""
    return f"{escape_markdown(str(error))}{link}"


def _unfailing_section(report: Report) -> Iterator[str]:
    yield from (f"- {escape_markdown(text)}" for text in unfailing_gates(report))


def _ungated_section(report: Report) -> Iterator[str]:
    for suite in dict.fromkeys(verdict.suite for verdict in report.verdicts):
        lines = [*ungated_lines([v for v in report.verdicts if v.suite == suite])]
        if lines:
            yield f"**{escape_markdown(suite)}: not gated**"
            yield code_block("\n".join(lines).strip("\n"))


def _advice_section(report: Report) -> Iterator[str]:
    for advice in shown_advice(report):
        suite = f"<code>{escape_markdown(advice.suite)}</code>"
        yield f"Ladder of {suite}: {escape_markdown(ladder_sentence(advice))}"


def _ladder_section(report: Report) -> Iterator[str]:
    for advice in shown_advice(report):
        reasons = "\n".join(f"- {escape_markdown(note_text(one.note))}" for one in advice.reasons)
        texts = map(note_text, advice.notes)
        notes = (frontier_legend(advice), *texts, *monitoring_sentences(advice))
        below = "<br>".join(escape_markdown(note) for note in notes if note)
        parts = (reasons, markdown_table(ladder_table(advice)), f"<sub>{below}</sub>")
        yield "\n\n".join(filter(None, parts))


def markdown_table(table: tables.TextTable) -> str:
    """Return *table* with foreign text in its cells as Markdown."""
    from tabulate import tabulate

    return tabulate(
        [[*map(escape_markdown, row)] for row in table.rows],
        table.headers,
        # As "github" is, but with the alignment of columns.
        tablefmt="pipe",
        disable_numparse=True,
        colalign=tables.column_alignment(table),
    )


def _note_section(report: Report) -> Iterator[str]:
    if report.notes:
        yield "\n".join(f"- {escape_markdown(note)}" for note in report.notes)


def _fact_section(report: Report) -> Iterator[str]:
    facts = [
        f"{name} {escape_markdown(value)}"
        for name, value in tables.published_facts(report).items()
        if name not in _LEFT_OUT
    ]
    if facts:
        yield f"<sub>{' · '.join(facts)}</sub>"


#: The sections of the report in their order; each yields blocks that are kept or dropped whole.
MARKDOWN_SECTIONS: tuple[Callable[[Report], Iterator[str]], ...] = (
    *(_verdict_section, _error_section, _worst_section, _other_section, _perhaps_section),
    *(_matrix_section, _usage_section, _training_section, _unfailing_section, _advice_section),
    _note_section,
)
#: Those behind the one fold.
_FOLDED_SECTIONS = (
    *(_detail_section, _table_section, _runs_section, _ungated_section, _ladder_section),
)
_FOLD = "<details><summary>every number, more cases, and why</summary>"


#: GitHub shows at most this many commands of a step, and this many characters of a command.
_MAX_COMMANDS, _MAX_MESSAGE = 10, 1_000


def workflow_commands(report: Report, prefix: str = "") -> Iterator[str]:
    """Yield a command for each gate that did not pass, the worst first, and how many are left out.

    *prefix* is the folder of the suites, relative to the root of the repository.
    """
    blocking = tables.blocking_verdicts(report)
    shown = [v for v in blocking if v.outcome is not Outcome.INCONCLUSIVE]
    missing = [one for one in report.not_evaluated if not one.errors]
    commands = [
        *(_verdict_command(report, verdict, prefix) for verdict in shown),
        *(
            _suite_command(error, file.node, prefix)
            for file in report.unread_files
            for error in file.errors
        ),
        *(_error_command(one, "not evaluated", prefix) for one in missing),
        *(_error_command(test, "failed test", prefix) for test in report.failed_tests),
        *(_verdict_command(report, verdict, prefix) for verdict in blocking[len(shown) :]),
    ]
    yield from commands[:_MAX_COMMANDS]
    if len(commands) > _MAX_COMMANDS:
        yield f"… and {len(commands) - _MAX_COMMANDS} more"


def _verdict_command(report: Report, verdict: Verdict, prefix: str) -> str:
    warns = report.lenient and verdict.outcome is Outcome.INCONCLUSIVE
    file = normpath(join(prefix, verdict.suite))
    title = f"{node_name(verdict)} {verdict.outcome}"
    steps = [f"{step.role}: {step_line(step)}" for step in verdict.next]
    doubt = verdict_words(verdict).doubt
    text = headline(verdict)
    lines = [text, *[doubt] * (doubt not in text), *steps]
    level = "warning" if warns else "error"
    return _command(level, file, verdict.line, title, "\n".join(lines))


def _error_command(gate: NotEvaluated | FailedTest, what: str, prefix: str) -> str:
    suite, _, name = gate.node.partition("::")
    title = f"{name or suite} {what}"
    text = tables.error_text(gate, once=True)
    return _command("error", normpath(join(prefix, suite)), 1, title, text)


def _suite_command(error: Diagnostic, suite: str, prefix: str) -> str:
    text, path = (error.message, error.path) if error.is_in_file else (str(error), suite)
    address = f"\n{error.address}" * bool(error.address)
    file = normpath(join(prefix, path))
    return _command("error", file, error.line or 1, "error in a suite", text + address)


def _command(level: str, file: str, line: int, title: str, message: str) -> str:
    location = f"file={_escape_property(file)},line={line},title={_escape_property(title)}"
    return f"::{level} {location}::{_escape_data(message[:_MAX_MESSAGE])}"


def _escape_data(text: str) -> str:
    text = escape_controls(text).replace("%", "%25")
    return text.replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")


_BEGIN, _END = "<!-- pytest-ftgate: begin -->", "<!-- pytest-ftgate: end -->"
_BLOCK = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}\n?", re.DOTALL)
_FRONT = re.compile(r"\A---\n(.*?)^---[ \t]*\n", re.DOTALL | re.MULTILINE)
#: The key of the results in a front matter, to the next key: ours has a comment.
_INDEX = re.compile(
    r"^model-index:(?P<ours> # by pytest-ftgate)?.*\n(?:[ \-#].*\n|\n)*", re.MULTILINE
)


def write_model_card(path: Path, report: Report, variant: str | None) -> str:
    """Write the verdicts on *variant* into the model card at *path*; return a sentence on it.

    A new file gets the results as metadata too (``model-index``), and so does one that has none of
    other tools. In a file that exists, all else stays as it is.

    Raises:
        ConfigurationError: it is not clear which variant is meant, or it has no verdict.
        OSError: the file cannot be read or written.
    """
    verdicts = _verdicts_on(report, variant)
    text = path.read_text("utf-8") if path.exists() else ""
    block = f"{_BEGIN}\n{card_block(report, verdicts)}{_END}\n"
    if _BLOCK.search(text):
        body = _BLOCK.sub(lambda _: block, text, count=1)
    else:
        body = f"{text.rstrip()}\n\n{block}" if text.strip() else block
    index = model_index(verdicts)
    front = _FRONT.match(body)
    others = front and (found := _INDEX.search(front[1])) and not found["ours"]
    note = "; its model-index is of another tool and stays" if others else ""
    if not others:
        fields = _INDEX.sub("", front[1]) if front else ""
        rest = body[front.end() :] if front else f"\n{body}"
        body = f"---\n{fields}{index}---\n{rest}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body, "utf-8")
    return f"wrote the verdicts on {verdicts[0].variant} to {path}{note}"


def _verdicts_on(report: Report, variant: str | None) -> list[Verdict]:
    names = [*dict.fromkeys(verdict.variant for verdict in report.gated_verdicts)]
    if variant is None and len(names) != 1:
        listed = ", ".join(names) or "none"
        raise ConfigurationError(f"whose model card? write --variant, one of {listed}")
    if variant is not None and variant not in names:
        raise ConfigurationError(
            f"no gate has a verdict on {variant}{did_you_mean(variant, names)}; the run has "
            f"verdicts on {', '.join(names) or 'no variant'}"
        )
    name = variant or names[0]
    return [verdict for verdict in report.gate_verdicts if verdict.variant == name]


def card_block(report: Report, verdicts: list[Verdict]) -> str:
    """Return the Markdown on *verdicts*: a table of the gates, and one of the general skills."""
    return "\n\n".join(_parts(report, verdicts)) + "\n"


def _parts(report: Report, verdicts: list[Verdict]) -> Iterator[str]:
    gated = [verdict for verdict in verdicts if verdict.gated]
    passed = sum(verdict.outcome is Outcome.PASSED for verdict in gated)
    version = report.facts.get("pytest-ftgate", "")
    tool = f"[pytest-ftgate]({DOCS_URL}) {escape_markdown(version)}".strip()
    yield "## Evaluation"
    yield f"{passed} of {quantity(len(gated), 'gate')} passed, on {report.at[:10]}, by {tool}."
    yield markdown_table(tables.verdict_table(verdicts, leave_out=("variant",)))
    for verdict in verdicts:
        cells = [tables.slice_cells(part) for part in verdict.slices if part.kind == "family"]
        if cells:
            yield f"General skills, against the untuned model ({escape_markdown(verdict.gate)}):"
            headers = ["skills", "before", "after", "change (95 % CI)", "cases"]
            yield markdown_table(tables.TextTable(headers, cells, (1, 2, 4)))
    if any(check.before is not None for verdict in verdicts for check in verdict.checks):
        yield "Before is the baseline, or the untuned model for general skills."


def model_index(verdicts: list[Verdict]) -> str:
    """Return the results of *verdicts* as ``model-index``, the metadata of the Hugging Face Hub.

    The value is JSON, which is YAML too, so that no name can break it.
    """
    results = [_result(verdict) for verdict in verdicts if comparing_check(verdict)]
    lines = ",\n".join(f"    {json.dumps(result)}" for result in results)
    name = json.dumps(verdicts[0].variant)
    return f'model-index: # by pytest-ftgate\n  - {{"name": {name}, "results": [\n{lines}]}}\n'


def _result(verdict: Verdict) -> dict[str, Any]:
    check = comparing_check(verdict)
    suite = verdict.suite.removesuffix(".ftgate.yaml")
    has_skills = any(part.kind == "family" for part in verdict.slices)
    measured = f"general skills that are left, {verdict.gate}" if has_skills else verdict.gate
    metric: dict[str, Any] = {
        "type": verdict.gate,
        "name": f"{measured} ({tables.outcome_label(verdict).lower()})",
        "value": round(check.after, 4) if check else None,
    }
    return {
        "task": {"type": "text-generation"},
        "dataset": {"name": f"{suite} ({check.rated if check else 0} cases)", "type": suite},
        "metrics": [metric],
    }
