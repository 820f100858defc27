"""Checks of training data: labels, duplicates, leaked cases, secrets, personal data."""

from __future__ import annotations

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

from pytest_ftgate.gates.notes import Finding, FindingKind, NoteValue, Remedy, Severity, note
from pytest_ftgate.requests.preflight import contaminated_lines
from pytest_ftgate.requests.reply import Reply, read_reply
from pytest_ftgate.scoring.formats import FormatChecker
from pytest_ftgate.suite.few_shot import near_pairs
from pytest_ftgate.suite.gate_kinds import DataGate
from pytest_ftgate.suite.model import Case, ThoughtMarks
from pytest_ftgate.suite.rule import Rule, choice_labels
from pytest_ftgate.suite.training_data import TrainingExample


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row of a training file: the parsed example, and the row as written."""

    example: TrainingExample
    raw: Any

    @property
    def line(self) -> int:
        """The line of the file at which the row begins."""
        return self.example.line

    @property
    def answer(self) -> str | None:
        """The answer that the row teaches, or None if it teaches none."""
        return self.example.answer if self.example.usable else None

    @property
    def answer_text(self) -> str:
        """The answer that the row teaches, or "" if it teaches none."""
        return self.answer or ""

    @property
    def texts(self) -> Sequence[str]:
        """All texts of the row."""
        example = self.example
        turns = (text for _, text in example.turns)
        return [*filter(None, (example.system, example.answer)), *turns]


_Rows = Sequence[TrainingRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingDataRules:
    """The rules for a training file.

    Attributes:
        cases: the eval cases of the trained model.
        format: the format rules of replies.
        thoughts: the marks around a thought in an answer; None for the known ones.
        folder: the first folder in which functions of the suite are looked up.
        gate: the limits that the suite declares, or their defaults.
        context: the context size of the model in tokens, or None if unknown.
    """

    cases: tuple[Case, ...] = ()
    format: tuple[Rule, ...] = ()
    thoughts: ThoughtMarks | None = None
    folder: Path = Path()
    gate: DataGate = field(default_factory=DataGate)
    context: int | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the ``choice`` rules of the format."""
        return choice_labels(self.format)


#: The name of a finding, see ``suite.training_data.FINDINGS``, its severity and its remedy.
_About = tuple[str, Severity, Remedy]
_ABOUT: Mapping[FindingKind, _About] = {
    FindingKind.FEW_ROWS: ("size", Severity.ERROR, Remedy.SHOW_EXAMPLES),
    FindingKind.TURNS: ("roles", Severity.ERROR, Remedy.JOIN_TURNS),
    FindingKind.TOO_LONG: ("truncated", Severity.ERROR, Remedy.SHORTEN),
    FindingKind.UNVERIFIED: ("unverified", Severity.WARNING, Remedy.REVIEW),
    FindingKind.DUPLICATE: ("duplicate", Severity.WARNING, Remedy.REMOVE),
    FindingKind.NEAR_DUPLICATE: ("near duplicate", Severity.WARNING, Remedy.VARY),
    FindingKind.LEAK: ("leak", Severity.ERROR, Remedy.TAKE_OUT),
    FindingKind.NEAR_LEAK: ("near leak", Severity.WARNING, Remedy.TAKE_OUT),
    FindingKind.CONFLICT: ("conflict", Severity.ERROR, Remedy.CHOOSE),
    FindingKind.FORMAT: ("format", Severity.ERROR, Remedy.WRITE_AS_REPLIES),
    FindingKind.THOUGHTS: ("thought", Severity.NOTE, Remedy.CHECK_THOUGHTS),
    FindingKind.MIXED_THOUGHTS: ("thought", Severity.WARNING, Remedy.CHECK_THOUGHTS),
    FindingKind.MISSING_LABEL: ("missing label", Severity.ERROR, Remedy.ADD_LABELS),
    FindingKind.RARE_LABEL: ("balance", Severity.WARNING, Remedy.ADD_RARE),
    FindingKind.DOUBTFUL_LABEL: ("doubtful label", Severity.NOTE, Remedy.READ_LABELS),
    FindingKind.NEW_FACTS: ("facts", Severity.NOTE, Remedy.RETRIEVE),
}


def finding(
    kind: FindingKind,
    lines: Collection[int] = (),
    about: _About | None = None,
    /,
    **values: NoteValue,
) -> Finding:
    """Return the finding of *kind* in *lines*; *values* are those of its message."""
    name, severity, remedy = about or _ABOUT[kind]
    return Finding(
        kind=name,
        severity=severity,
        message=note(kind, **values),
        count=len(lines),
        lines=tuple(sorted(lines)),
        next=note(remedy),
    )


def in_lines(
    kind: FindingKind, rows: Iterable[TrainingRow], name: str = "rows", **values: NoteValue
) -> Iterator[Finding]:
    """Yield the finding of *kind* in *rows*, if there are any; its note calls them *name*."""
    lines = [row.line for row in rows]
    if lines:
        yield finding(kind, lines, None, **{name: len(lines)}, **values)


def _or_warning(found: Finding, *, is_many: bool) -> Finding:
    """Return a finding that is a note by itself, as a warning if it *is_many*."""
    return replace(found, severity=Severity.WARNING) if is_many else found


#: Each third of the rows is classified by a classifier that is trained on the other two.
_FOLDS = 3
_SEED = 0
#: The inverse of the regularisation strength, for one row.
_INVERSE_REGULARISATION = 10.0
#: A label is doubtful if another label is at least this many times as likely.
_DOUBTFUL_ODDS = 10.0
#: From this share of the rows on, doubtful labels are a warning; fewer may be hard, not wrong.
_MANY_DOUBTFUL = 0.01


def doubtful_label_findings(answered: _Rows) -> Iterator[Finding]:
    """Yield a finding with the rows for which a classifier strongly prefers another label.

    There is no finding if the accuracy of the classifier is less than half-way from guessing to 1.
    The answers of all rows are labels.
    """
    label_counts = Counter(row.answer for row in answered)
    rows = [row for row in answered if label_counts[row.answer] >= _FOLDS]
    names, labels = np.unique([row.answer_text for row in rows], return_inverse=True)
    if len(names) < 2:  # noqa: PLR2004 - a single label has no alternative
        return
    probabilities = _label_probabilities([row.example.input_text for row in rows], labels)
    if probabilities is None:
        return
    best = probabilities.argmax(axis=1)
    guess_rate = np.bincount(labels).max() / len(labels)
    if (best == labels).mean() < (1.0 + guess_rate) / 2.0:
        return
    at = np.arange(len(labels))
    odds = probabilities[at, best] / np.maximum(probabilities[at, labels], np.finfo(float).tiny)
    doubtful = np.flatnonzero(odds >= _DOUBTFUL_ODDS)
    if doubtful.size:
        clearest = doubtful[odds[doubtful].argmax()]
        label, other = str(names[labels[clearest]]), str(names[best[clearest]])
        values = {"line": rows[clearest].line, "label": label, "other": other}
        lines = [rows[i].line for i in doubtful]
        found = finding(FindingKind.DOUBTFUL_LABEL, lines, rows=len(lines), **values)
        yield _or_warning(found, is_many=len(lines) / len(rows) >= _MANY_DOUBTFUL)


def _label_probabilities(texts: Sequence[str], labels: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the probability of each label, cross-validated, of shape (texts, labels).

    None if no text contains a word.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    try:
        features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(texts)
    except ValueError:
        return None
    classifier = SGDClassifier(
        loss="log_loss",
        alpha=1 / (_INVERSE_REGULARISATION * len(texts)),
        max_iter=20,
        tol=1e-2,
        random_state=_SEED,
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    with warnings.catch_warnings():
        # A fit that does not converge is less accurate, which the caller checks.
        warnings.simplefilter("ignore")
        probabilities: NDArray[np.float64] = cross_val_predict(
            classifier, features.tocsr(), labels, cv=folds, method="predict_proba"
        )
    return probabilities


#: Patterns of secrets in the formats of their issuers. A model can repeat its training data.
_SECRET_PATTERNS = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY",
    "an Anthropic key": r"\bsk-ant-[\w-]{20,}",
    "an OpenAI key": r"\bsk-(?!ant-)(?:proj-)?[\w-]{20,}",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_\w{36,}|github_pat_\w{22,})",
    "a GitLab token": r"\bglpat-[\w-]{20,}",
    "a Slack token": r"\bxox[abeoprs]-[\w-]{10,}",
    "a Google key": r"\bAIza[\w-]{35}\b",
    "a Stripe key": r"\b[rs]k_live_\w{20,}",
    "an npm token": r"\bnpm_\w{36}\b",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "a signed token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "a password": r"(?i)\b(?:password|passwd|api[_-]?key|secret|access[_-]?token)\b[\"']?\s*[:=]\s*"
    r"[\"']?(?=\S*\d)[^\s\"',;]{8,}",
}
_PERSONAL_DATA_PATTERNS = {
    "an e-mail address": r"\b[\w.+-]+@(?!example\.|test\.)[\w-]+\.[\w.-]*\w",
    "a telephone number": r"(?<![\w.])(?:\+\d{1,3}[ -]?)(?:\(?\d{1,4}\)?[ -]?){2,5}\d{2,4}\b",
    "a bank account": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "a card number": r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-])",
    "a social security number": r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])",
}
#: Letters of an IBAN are digits of this base.
_IBAN_BASE = 36


def sensitive_data_findings(rows: _Rows) -> Iterator[Finding]:
    """Yield a finding with the rows that seem to hold secrets, and one for personal data."""
    for about, patterns in (
        (("secret", Severity.ERROR, Remedy.REVOKE), _SECRET_PATTERNS),
        (("personal", Severity.WARNING, Remedy.INVENT), _PERSONAL_DATA_PATTERNS),
    ):
        found = _lines_by_pattern(rows, patterns)
        lines = {line for lines in found.values() for line in lines}
        names, counts = tuple(found), tuple(map(len, found.values()))
        if lines:
            yield finding(
                FindingKind.SENSITIVE, lines, about, rows=len(lines), names=names, counts=counts
            )


def _lines_by_pattern(rows: _Rows, patterns: Mapping[str, str]) -> dict[str, list[int]]:
    """Return the lines in which each pattern matches, by its name."""
    compiled = {name: re.compile(pattern) for name, pattern in patterns.items()}
    lines_by_name = defaultdict[str, list[int]](list)
    for row in rows:
        text = "\n".join(row.texts)
        for name, pattern in compiled.items():
            if any(_has_valid_checksum(name, match.group()) for match in pattern.finditer(text)):
                lines_by_name[name].append(row.line)
    return lines_by_name


def _has_valid_checksum(name: str, text: str) -> bool:
    """Return True if the check digits of *text* are right, or if its kind has none."""
    if name == "a card number":
        return _is_luhn_valid([int(character) for character in text if character.isdigit()])
    if name == "a bank account":
        iban = text.replace(" ", "")
        rotated = iban[4:] + iban[:4]
        digits = "".join(str(int(character, _IBAN_BASE)) for character in rotated)
        return int(digits) % 97 == 1
    return True


def _is_luhn_valid(digits: list[int]) -> bool:
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


#: Punctuation before or behind a word.
_AROUND_WORD = regex.compile(r"^\p{P}+|\p{P}+$")


def normalise_text(text: str) -> str:
    """Return the words of *text* in lower case, without surrounding punctuation."""
    words = (_AROUND_WORD.sub("", word) for word in text.lower().split())
    return " ".join(filter(None, words)) or text.strip()


_QuestionKey = tuple[str, ...]


def question_key(row: TrainingRow) -> _QuestionKey:
    """Return the question of a row, normalised for case and punctuation."""
    example = row.example
    turns = (f"{role} {normalise_text(text)}" for role, text in example.turns)
    return (normalise_text(example.system), *turns)


def duplicate_findings(rows: _Rows) -> Iterator[Finding]:
    """Yield a finding with the rows that repeat an earlier row, and one for near duplicates."""
    first_lines: dict[tuple[_QuestionKey, str], int] = {}
    duplicates: dict[int, int] = {}
    for row in rows:
        key = question_key(row), normalise_text(row.example.answer or "")
        if key in first_lines:
            duplicates[row.line] = first_lines[key]
        first_lines.setdefault(key, row.line)
    near = _near_duplicates([row for row in rows if row.line not in duplicates])
    for kind, repeats in ((FindingKind.DUPLICATE, duplicates), (FindingKind.NEAR_DUPLICATE, near)):
        for line, earlier in list(repeats.items())[:1]:
            yield finding(kind, repeats, rows=len(repeats), line=line, earlier=earlier)


def _near_duplicates(rows: _Rows) -> dict[int, int]:
    """Return line -> earlier line for rows with the same answer and nearly the same question."""
    earlier_lines: dict[int, int] = {}
    for i, j in near_pairs([row.example.input_text for row in rows]):
        row, earlier = rows[i], rows[j]
        if row.example.answer == earlier.example.answer:
            earlier_lines.setdefault(row.line, earlier.line)
    return earlier_lines


@dataclass(frozen=True, slots=True)
class CaseLeaks:
    """The eval cases that occur in a training file.

    Attributes:
        exact: case id -> lines with the same text, apart from case and punctuation.
        near: case id -> further lines with nearly the same text, or with the case in a longer text.
    """

    exact: Mapping[str, Sequence[int]]
    near: Mapping[str, Sequence[int]]

    @property
    def case_ids(self) -> frozenset[str]:
        """The ids of all these cases."""
        return frozenset((*self.exact, *self.near))

    def findings(self, case_count: int) -> Iterator[Finding]:
        """Yield one finding per kind of leak, for a suite of *case_count* cases."""
        for kind, lines_by_case in (
            (FindingKind.LEAK, self.exact),
            (FindingKind.NEAR_LEAK, self.near),
        ):
            cases = tuple(lines_by_case)
            for first, (line, *_) in list(lines_by_case.items())[:1]:
                lines = {line for lines in lines_by_case.values() for line in lines}
                found = finding(
                    kind, lines, count=len(cases), of=case_count, first=first, line=line
                )
                yield replace(found, count=len(cases), cases=cases)


def find_case_leaks(rows: _Rows, cases: Sequence[Case]) -> CaseLeaks:
    """Return the cases that occur in the rows of a training file, also nearly (*near_pairs*)."""
    turns = ((row.line, turn) for row in rows for turn in row.example.turns)
    questions = [(text, line) for line, (role, text) in turns if role == "user"]
    lines_by_text = defaultdict[str, list[int]](list)
    for text, line in questions:
        lines_by_text[normalise_text(text)].append(line)
    keys = {case.id: normalise_text(case.input_text) for case in cases}
    exact = {case_id: lines_by_text[key] for case_id, key in keys.items() if key in lines_by_text}
    near = defaultdict[str, set[int]](set)
    # A case in a longer text is a near leak, and so are the same words in another order.
    for case_id, line in contaminated_lines([row.example for row in rows], cases).items():
        near[case_id].add(line)
    texts = [text for text, _ in questions]
    for i, j in near_pairs([case.input_text for case in cases], texts):
        near[cases[i].id].add(questions[j][1])
    only_near = {
        case.id: sorted(near.get(case.id, set()) - {*exact.get(case.id, ())}) for case in cases
    }
    return CaseLeaks(exact, {case_id: lines for case_id, lines in only_near.items() if lines})


#: Answers are labels if each occurs in this many rows on average, and is at most this long.
_MIN_ROWS_PER_LABEL, _MAX_LABEL_LENGTH = 5, 80
#: The most labels without a row that a finding names.
_MAX_LABELS = 5
#: A label is rare if another has more than so many times as many rows.
_MAX_LABEL_RATIO = 20
#: An answer that occurs at least this often is a label, not a fact.
_MIN_LABEL_ROWS = 3
#: A longer answer, in words, is a sentence, and its first word has a capital for that reason.
_MAX_PHRASE_WORDS = 3
#: From this share of the rows on, answers with facts of their own are a warning.
_MANY_INVENTED = 0.1
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_NAME = re.compile(r"\b[^\W\d_a-z][\w'-]+")
_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+|\n\s*)(?:[\"'(*-]\s*)*(\w+)")


def answer_findings(rows: _Rows, rules: TrainingDataRules) -> Iterator[Finding]:
    """Yield the findings about the answers of a training file."""
    answered = [row for row in rows if row.answer is not None]
    yield from _conflict_findings(answered)
    replies = [read_reply(Reply(text=row.answer_text), rules.thoughts) for row in answered]
    yield from _format_findings(answered, replies, rules)
    yield from _thought_findings(answered, replies)
    yield from _missing_label_findings(answered, rules.labels)
    labelled = [row for row in answered if not rules.labels or row.answer in rules.labels]
    if _are_labels(labelled):
        yield from _balance_findings(labelled)
        yield from doubtful_label_findings(labelled)
    yield from _fact_findings(answered)


def _conflict_findings(answered: _Rows) -> Iterator[Finding]:
    by_question = defaultdict[_QuestionKey, list[TrainingRow]](list)
    for row in answered:
        by_question[question_key(row)].append(row)
    conflicts = [rows for rows in by_question.values() if len({row.answer for row in rows}) > 1]
    if conflicts:
        lines = [row.line for rows in conflicts for row in rows]
        values = {"questions": len(conflicts), "line": lines[0], "other": lines[1]}
        yield finding(FindingKind.CONFLICT, lines, **values)


def _format_findings(
    answered: _Rows, replies: Sequence[Reply], rules: TrainingDataRules
) -> Iterator[Finding]:
    if not rules.format:
        return
    checker = FormatChecker(rules.folder)
    kinds: dict[int, str] = {}
    for row, reply in zip(answered, replies, strict=True):
        case = Case(
            id=f"line {row.line}", location="the training data", input=row.example.input_text,
            score=Rule("exact"), format=rules.format,
        )  # fmt: skip
        error = checker.find_error(case, reply)
        if error:
            kinds[row.line] = error.kind
    if kinds:
        names, counts = zip(*Counter(kinds.values()).most_common(3), strict=True)
        yield finding(FindingKind.FORMAT, kinds, answers=len(kinds), names=names, counts=counts)


def _thought_findings(answered: _Rows, replies: Sequence[Reply]) -> Iterator[Finding]:
    rows = [row for row, reply in zip(answered, replies, strict=True) if reply.thought]
    is_mixed = len(rows) < len(answered)
    kind = FindingKind.MIXED_THOUGHTS if is_mixed else FindingKind.THOUGHTS
    yield from in_lines(kind, rows, "answers")


def _missing_label_findings(answered: _Rows, labels: Sequence[str]) -> Iterator[Finding]:
    answers = {row.answer for row in answered}
    missing = [label for label in labels if label not in answers]
    if missing:
        first, more = tuple(missing[:_MAX_LABELS]), len(missing) > _MAX_LABELS
        found = finding(FindingKind.MISSING_LABEL, count=len(missing), labels=first, more=more)
        yield replace(found, count=len(missing))


def _are_labels(answered: _Rows) -> bool:
    answers = {row.answer_text for row in answered}
    if not 1 < len(answers) <= len(answered) / _MIN_ROWS_PER_LABEL:
        return False
    return max(map(len, answers)) <= _MAX_LABEL_LENGTH


def _balance_findings(labelled: _Rows) -> Iterator[Finding]:
    counts = Counter(row.answer_text for row in labelled)
    (most_frequent, most), *_, (rarest, fewest) = counts.most_common()
    if most > _MAX_LABEL_RATIO * fewest:
        lines = [row.line for row in labelled if row.answer == rarest]
        about_rows = {"rows": most, "rare_rows": fewest, "times": _MAX_LABEL_RATIO}
        yield finding(FindingKind.RARE_LABEL, lines, label=most_frequent, rare=rarest, **about_rows)


def _fact_findings(answered: _Rows) -> Iterator[Finding]:
    answers = [normalise_text(row.answer_text) for row in answered]
    counts = Counter(answers)
    rows = [
        row
        for row, answer in zip(answered, answers, strict=True)
        if counts[answer] < _MIN_LABEL_ROWS and _has_new_fact(row)
    ]
    for found in in_lines(FindingKind.NEW_FACTS, rows, "answers"):
        yield _or_warning(found, is_many=len(rows) / len(answered) >= _MANY_INVENTED)


def _has_new_fact(row: TrainingRow) -> bool:
    """Return True if the answer contains a name or a number that the question does not."""
    answer = row.answer_text
    turns = (text for _, text in row.example.turns)
    question = " ".join((row.example.system, *turns)).lower()
    is_sentence = len(answer.split()) > _MAX_PHRASE_WORDS
    first_words = set(_SENTENCE_START.findall(answer)) if is_sentence else set()
    names = [name for name in _NAME.findall(answer) if name not in first_words]
    numbers = [number for number in _NUMBER.findall(answer) if len(number) > 1]
    return any(fact.lower() not in question for fact in (*names, *numbers))
