"""The version is the same wherever it is stated, and files for others have their form."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from pytest_ftgate.settings import DOCS_URL

ROOT = Path(__file__).parents[2]
#: The extras of the package in a line that installs it.
EXTRAS = re.compile(r"(?:pytest-ftgate|-e \"\.)\[([\w, -]+)\]")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_newest_section_of_the_changelog_is_the_version_of_the_package():
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert versions[0] == PROJECT["version"]


def test_the_citation_has_the_version_the_license_and_the_address_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))

    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["url"] == PROJECT["urls"]["Documentation"] == DOCS_URL


def test_every_extra_that_a_page_or_an_error_names_is_one_of_the_package():
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    files += (ROOT / "pytest_ftgate").rglob("*.py")
    named = {
        extra.strip()
        for file in files
        for extras in EXTRAS.findall(file.read_text("utf-8"))
        for extra in extras.split(",")
    }
    (listed,) = re.findall(r"Extras: (.*?)\.\n", (ROOT / "docs/index.md").read_text(), re.DOTALL)

    assert len(named) > 5
    assert named | {*re.findall(r"`(\w+)`", listed)} <= PROJECT["optional-dependencies"].keys()


def test_workflows_to_copy_name_the_version_of_the_action():
    files = [ROOT / "docs" / "ci.md", *(ROOT / "examples" / "workflows").glob("*.yml")]
    stated = {v for file in files for v in re.findall(r"@COMMIT # v(\S+)", file.read_text("utf-8"))}

    assert stated == {PROJECT["version"]}


def test_files_for_services_have_the_form_that_the_services_read():
    files = {"citation-file-format": "CITATION.cff", "readthedocs": ".readthedocs.yaml"}
    for schema, file in files.items():
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
        done = subprocess.run(
            [*command, str(ROOT / file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_the_site_is_published_from_where_it_is_built():
    (copied,) = re.findall(r"cp -r (\S+) ", (ROOT / ".readthedocs.yaml").read_text("utf-8"))
    toml = tomllib.loads((ROOT / "docs" / "zensical.toml").read_text("utf-8"))

    assert copied == f".site/{toml['project']['site_dir']}"


def test_the_policy_of_security_is_where_github_finds_it():
    text = (ROOT / ".github" / "SECURITY.md").read_text("utf-8")

    assert "Report a vulnerability" in text
    assert "docs/security.md" in text
