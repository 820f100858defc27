"""The version is the same wherever it is stated."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_newest_section_of_the_changelog_is_the_version_of_the_package():
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert versions[0] == PROJECT["version"]


def test_the_citation_has_the_version_the_license_and_the_address_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))

    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["url"] == PROJECT["urls"]["Documentation"]


def test_every_extra_that_a_page_or_an_error_names_is_one_of_the_package():
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    files += (ROOT / "pytest_ftgate").rglob("*.py")
    named = {
        extra.strip()
        for file in files
        for extras in re.findall(r"pytest-ftgate\[([\w, -]+)\]", file.read_text("utf-8"))
        for extra in extras.split(",")
    }

    assert len(named) > 5
    assert named <= PROJECT["optional-dependencies"].keys()


def test_workflows_to_copy_name_the_version_of_the_action():
    files = [ROOT / "docs" / "ci.md", *(ROOT / "examples" / "workflows").glob("*.yml")]
    stated = {v for file in files for v in re.findall(r"@COMMIT # v(\S+)", file.read_text("utf-8"))}

    assert stated == {PROJECT["version"]}
