"""What the repository says of itself: pages, changelog, citation and hooks agree with what is there."""

import importlib
import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PAGES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("chip", "choosing", "extending", "versions")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def recipe(target):
    """Commands of a target of the Makefile."""
    return re.findall(r"^\t@?(.*)$", re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1], re.M)


# --- Contributing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), f"{page.name} links to {link}"
    for path in re.findall(r"`((?:src|tests|docs|benchmarks|examples)/[^\s`*]+)`", text):
        assert (ROOT / path).exists(), f"{page.name} names {path}"
    for script in re.findall(r"python ((?:benchmarks|examples|tests)/\S+?\.py)", text):
        assert (ROOT / script).exists(), f"{page.name} runs {script}"
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"{page.name} says make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_dotted_names_exist(page):
    for name in set(re.findall(r"`(hxtorch(?:\.\w+)+)", page.read_text(encoding="utf-8"))):
        module, attributes = name, []
        while True:
            try:
                found = importlib.import_module(module)
                break
            except ModuleNotFoundError:
                module, _, attribute = module.rpartition(".")
                attributes.insert(0, attribute)
        for attribute in attributes:
            assert hasattr(found, attribute), f"{page.name} names {name}"
            found = getattr(found, attribute)


def test_hooks_check_what_ci_checks():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which mkdocs brings")
    (repo,) = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    assert repo["repo"] == "local"
    entries = [hook["entry"] for hook in repo["hooks"]]
    checks = [line.replace("$(BIN)", ".venv/bin") for line in recipe("test") if "pytest" not in line]
    assert entries[:-1] == checks
    assert entries[-1] == ".venv/bin/python -m pytest tests/test_floors.py"


# --- Version -----------------------------------------------------------------------------------------------


def test_the_changelog_ends_with_this_version():
    text = text_of("CHANGELOG.md")
    releases = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", text, re.MULTILINE)
    assert re.findall(r"^## \[(.*?)\]", text, re.MULTILINE) == ["Unreleased", *(number for number, _ in releases)]
    assert releases[0][0] == PROJECT["version"]
    days = [date.fromisoformat(day) for _, day in releases]
    assert days == sorted(days, reverse=True)
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_citation_is_of_this_version():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, which mkdocs brings")
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert citation["version"] == PROJECT["version"]
    assert f"## [{PROJECT['version']}] - {citation['date-released']}" in text_of("CHANGELOG.md")
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
    assert citation["keywords"] == PROJECT["keywords"]
