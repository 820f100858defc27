"""The training of docs/training.md works as it stands there, with fewer steps and cases."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def test_the_tutorial_trains_a_model_under_gates(tmp_path):
    text = PAGE.read_text("utf-8")
    files = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", text, re.DOTALL))
    assert [*files] == ["data.py", "tickets.ftgate.yaml", "train.py"]
    for name, content in files.items():
        (tmp_path / name).write_text(content, "utf-8")

    for words in (["data.py"], ["train.py", "6", "3", "6"]):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    assert re.search(r"ftgate: step 3, 6 cases: \w+ general skills", done.stderr)
    assert "stopped at" in done.stdout
    assert (tmp_path / "out/tuned/adapter_model.safetensors").exists()
    rows = (tmp_path / "tickets.cases.jsonl").read_text("utf-8").splitlines()
    assert len([json.loads(row) for row in rows]) == 60
