"""The embedded model as a judge: too small to be one, and refused with its figures."""

import re
import shutil
from pathlib import Path

import pytest
from platformdirs import user_cache_path

JUDGE = Path(__file__).parents[2] / "examples" / "judge"


@pytest.fixture(scope="session")
def cache() -> Path:
    # Of the session, so that it is found before pytester moves the home folder away.
    return user_cache_path()


def test_a_judge_that_is_no_judge_is_refused_with_its_kappa(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    shutil.copy(JUDGE / "questions.ftgate.yaml", pytester.path)
    for name in ("questions.cases.jsonl", "questions.labels.jsonl", "answers.jsonl"):
        rows = (JUDGE / name).read_text("utf-8").splitlines(keepends=True)
        (pytester.path / name).write_text("".join(rows[:14]), "utf-8")

    result = pytester.runpytest_subprocess("--ftgate", "questions.ftgate.yaml")

    result.stdout.fnmatch_lines(["[?] accuracy?current?*", "*judge not qualified: smollm2-135m*"])
    told = " ".join(result.stdout.str().split())
    kappa = re.search(r"kappa (-?\d\.\d\d) \((-?\d\.\d\d) to (-?\d\.\d\d)\), minimum 0\.40", told)
    assert kappa is not None
    assert float(kappa[2]) < 0.4
