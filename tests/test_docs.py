"""Every example of the documentation and of the docstrings runs and prints what the page shows."""

import contextlib
import doctest
import importlib
import io
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import hxtorch

ROOT = Path(__file__).parents[1]
# Pages of the site; a page belongs into its navigation.
NAMES = re.findall(r":\s+(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
PAGES = [ROOT / "README.md", *(ROOT / "docs" / name for name in NAMES)]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass
class Example:
    """A block of code, and the block of text behind it that shows what it prints."""

    language: str
    code: str
    line: int
    output: str | None = None


def examples(page):
    text = page.read_text(encoding="utf-8")
    found = []
    end = 0
    for match in FENCE.finditer(text):
        language, code = match.groups()
        near = match.start() - end < 100  # a line of prose may stand between code and output, not a section
        if language == "text" and near and found and found[-1].output is None:
            found[-1].output = code
        elif language in ("python", "bash", "console"):
            found.append(Example(language, code, text[: match.start()].count("\n") + 2))
        end = match.end()
    return found


WITH_EXAMPLES = [page for page in PAGES if examples(page)]


@pytest.fixture(autouse=True)
def _as_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the examples are small, and threads wait for each other on a busy machine
    yield
    torch.set_num_threads(threads)
    hxtorch.release_hardware()


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pages_print_what_they_show(page):
    if page.name == "nir.md":
        pytest.importorskip("nir", reason="needs the package nir (extra [nir])")
    namespace = {"__name__": "__main__"}
    for example in examples(page):
        printed = run(example, namespace, page)
        if example.output is not None:
            assert matches(printed, example.output), (
                f"{page.name}:{example.line} printed\n{printed}\nbut shows\n{example.output}"
            )


def run(example, namespace, page):
    if example.language == "python":
        code = compile("\n" * (example.line - 1) + example.code, str(page), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, namespace)
        return out.getvalue()
    printed = ""
    for line in example.code.splitlines():
        command = line.removeprefix("$ ")
        # installing packages is not for a test, and the output of a console session follows its command
        if (example.language == "console" and not line.startswith("$ ")) or not command.startswith("hxtorch"):
            continue
        done = subprocess.run(command, shell=True, check=True, capture_output=True, text=True)
        printed += done.stdout
        if example.language == "console":
            assert done.stdout == example.code.split(line + "\n")[1].split("$ ")[0]
    return printed


def matches(printed, shown):
    """Equal, or `shown` are the last lines of a longer output; a line "..." stands for any lines."""
    pattern = r"(?:.*\n)*".join(re.escape(part) for part in re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE))
    return re.fullmatch(rf"(?:.*\n)*{pattern}", printed) is not None


def test_there_are_examples():
    assert len(WITH_EXAMPLES) >= 10
    assert sum(len(examples(page)) for page in WITH_EXAMPLES) >= 25


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_code_escapes_the_tests(page):
    """Code stands in fences that name a language which the tests know; indented code would be skipped."""
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"^```(\S*)\n.*?^```$", text, re.DOTALL | re.MULTILINE)) <= {
        "python", "bash", "console", "text",
    }  # fmt: skip
    prose = FENCE.sub("", text)
    assert not re.findall(r"^\n    \S.*", prose, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_code_fits_on_a_small_laptop(page):
    """91 letters stand beside both columns of the site at a width of 1280 (docs/assets/site.css)."""
    long = [line for example in examples(page) for line in example.code.splitlines() if len(line) > 91]
    assert not long


def test_every_page_is_in_the_navigation():
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages == set(NAMES)


MODULES = [
    item.name for item in pkgutil.walk_packages(hxtorch.__path__, "hxtorch.") if not item.name.endswith("__main__")
]


def test_docstring_examples():
    torch.manual_seed(0)
    tried = 0
    written = sum(
        len(re.findall(r"^\s*>>> ", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in Path(hxtorch.__file__).parent.rglob("*.py")
    )
    for name in MODULES:
        result = doctest.testmod(importlib.import_module(name))
        assert not result.failed, name
        tried += result.attempted
    assert tried == written >= 10


# --- The site ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="needs mkdocs (extra [docs])")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_has_all_pages_and_loads_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) >= 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(https?:[^"]*)"', text)
        assert not [url for url in loaded if "canonical" not in url], page
    assert "<math" in (site / "twin.html").read_text(encoding="utf-8")


LOOKED_AT = (
    "index", "start", "pytorch", "nir", "twin", "errors", "chip", "choosing", "extending", "reference/snn",
)  # fmt: skip


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_the_screen(site, width):
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium (extra [dev])")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as chrome:
        chrome.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": True},
        )
        for name in LOOKED_AT:
            chrome.get((site / f"{name}.html").as_uri())
            assert chrome.execute_script("return document.documentElement.scrollWidth") <= width, name
            assert chrome.execute_script("return document.querySelectorAll('h1').length") == 1, name
