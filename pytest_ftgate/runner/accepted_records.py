"""The accepted records of a run's suites, and what the suites would be accepted with today."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ftgate.errors import Diagnostic, SuiteError
from pytest_ftgate.gates.design import Levels, shared_levels
from pytest_ftgate.runner.replies import Replies
from pytest_ftgate.suite.model import Suite

if TYPE_CHECKING:
    from pytest_ftgate.gates.samples import Samples
    from pytest_ftgate.results.accepted import AcceptedRecord
    from pytest_ftgate.results.exam import Exam

#: How the names of records end.
_RECORD = ".accepted.json"


class AcceptedRecords:
    """Reads the accepted record beside each suite, once. A run that accepts compares with none."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._records: dict[str, AcceptedRecord | None] = {}
        self._exams: dict[tuple[str, ...], Exam] = {}

    def of(self, suite: Suite) -> AcceptedRecord | None:
        """Return the accepted record beside *suite*, or None without one.

        Raises:
            SuiteError: the file is not a valid record, or there is none and that of another suite,
                which is gone, lies beside *suite*.
        """
        if suite.name not in self._records:
            self._replies.finish_imports()
            record: AcceptedRecord | None = None
            # Most suites have no record, and the import of the reader is slow.
            if suite.accepted_path.exists():
                from pytest_ftgate.results.accepted import record_of_suite

                record = record_of_suite(suite.accepted_path, suite.name)
            else:
                _check_renamed(suite)
            self._records[suite.name] = record
        return self._records[suite.name]

    def kept(self, suite: Suite) -> AcceptedRecord | None:
        """Return what this run goes on with: the record, unless it writes a new one.

        Raises:
            SuiteError: the accepted record is not valid.
        """
        return None if self._replies.settings.accept else self.of(suite)

    def samples(self, suite: Suite, name: str, kind: str) -> tuple[Samples | None, Samples | None]:
        """Return the samples that were accepted last, and first if others followed.

        *name* is that of the variant in the record, *kind* that of the gate.

        Raises:
            SuiteError: the accepted record is not valid.
        """
        record = self.of(suite)
        if record is None:
            return None, None
        from pytest_ftgate.results.accepted import accepted_samples

        return accepted_samples(record, suite, name, kind)

    def limits(self, suite: Suite) -> Mapping[str, float]:
        """Return the default limits of gates, by name, that were accepted with *suite*.

        Raises:
            SuiteError: the accepted record is not valid.
        """
        record = self.of(suite)
        return record.limits if record and not self._replies.settings.accept else {}

    def levels(self, suite: Suite) -> Levels:
        """Return the error rates of each drop check of *suite*.

        Raises:
            SuiteError: the accepted record is not valid.
        """
        record = self.of(suite)
        return shared_levels(suite, record.count_results) if record else shared_levels(suite)

    def exam(self, suite: Suite) -> Exam:
        """Return what decides the gates of *suite* today; made once."""
        # The functions of a module share its name.
        key = (suite.name, *(gate.name for gate in suite.gates.values()))
        if key not in self._exams:
            from pytest_ftgate.results.exam import exam_of

            self._exams[key] = exam_of(suite)
        return self._exams[key]


def _check_renamed(suite: Suite) -> None:
    """Raise SuiteError if the record of a suite that is gone lies beside *suite*, which has none.

    A suite that was renamed without its record would be compared with nothing. A record that has
    none of its cases is that of another one, which was deleted.
    """
    path, ids = suite.path, {case.id for case in suite.cases}
    for found in sorted(path.parent.glob(f"*{_RECORD}")) if path.is_file() else ():
        record = _record_in(found)
        name = record.suite.rpartition("/")[2] if record else path.name
        same_kind = name.endswith(".py") == path.name.endswith(".py")
        if record is None or found.with_name(name).exists() or not same_kind:
            continue
        if ids.isdisjoint(record.case_ids):
            continue
        message = (
            f"the record of {name}, which is gone, and {path.name} has none; if that was renamed, "
            f"rename this file to {suite.accepted_path.name} and write {suite.name} as its "
            '"suite"; else delete it'
        )
        raise SuiteError(suite.name, [Diagnostic(found.name, 0, message)])


def _record_in(path: Path) -> AcceptedRecord | None:
    """Return the accepted record in *path*, or None if the file holds something else."""
    from pytest_ftgate.results.accepted import read_record

    with suppress(SuiteError, ValueError, OSError):
        return read_record(path, "")
    return None
