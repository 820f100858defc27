"""The scripts of the example workflows, against a stand-in of GitHub's command line."""

from __future__ import annotations

import os
import subprocess

import yaml
from ftgate_testing.github import ROOT
from ftgate_testing.tables import every_row

#: Notes what it is told, and lists the issue that a test put there.
GH = """\
#!/bin/sh
echo "$*" >> "$CALLS"
if [ "$1 $2" = "issue list" ]; then echo "$ISSUE"; fi
"""


@every_row("name", ["nightly", "base-watch"])
@every_row("issue", ["", "12"])
def test_one_issue_is_kept(tmp_path, name, issue):
    jobs = yaml.safe_load((ROOT / "examples" / "workflows" / f"{name}.yml").read_text("utf-8"))
    (job,) = jobs["jobs"].values()
    script = job["steps"][-1]["run"]
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    told = {"CALLS": str(tmp_path / "calls"), "ISSUE": issue, "LABEL": "l", "REPORT": "r.md"}

    subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "TITLE": "It drifts", **told}, check=True,
    )  # fmt: skip

    last = (tmp_path / "calls").read_text().splitlines()[-1]
    made = "issue create --title It drifts --label l --body-file r.md"
    assert last == ("issue edit 12 --body-file r.md" if issue else made)
