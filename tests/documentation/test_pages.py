"""The documentation's snippets run, its tables are what the code says, its links lead somewhere."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from tests.documentation.following import FOLLOWED
from tools.reference_tables import PAGES, fill

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
SNIPPETS = [
    pytest.param(page.name, snippet, id=f"{page.stem}-{number}")
    for page, text in TEXTS.items()
    if page not in FOLLOWED
    for number, snippet in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
]
LARGEST_README = 10_000
LANGUAGES = {"python", "console", "bash", "diff", "yaml", ""}
NOT_IN_THE_GATE = {"sktime"}
"""What a snippet may lack: it brings more packages than the rest of the tests."""


def test_the_readme_has_a_snippet_for_each_door() -> None:
    assert sum(README.name in snippet.values for snippet in SNIPPETS) >= 2


@pytest.mark.parametrize(("page", "snippet"), SNIPPETS)
def test_a_snippet_runs(
    page: str,
    snippet: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        exec(compile(snippet, page, "exec"), {})
    except ModuleNotFoundError as error:
        if error.name not in NOT_IN_THE_GATE:
            raise
        pytest.skip(f"{error.name} is not installed")
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_code_is_out_of_the_tests_reach(page: Path) -> None:
    blocks = re.findall(r"^ *```(\w*).*?\n(.*?)^ *```$", TEXTS[page], re.DOTALL | re.MULTILINE)
    assert {language for language, _ in blocks} <= LANGUAGES
    plain = [block for language, block in blocks if not language]
    assert not [block for block in plain if re.search(r"^(import|from|hpo-control) ", block, re.M)]


def test_a_file_for_another_tool_names_what_is_there() -> None:
    page = ROOT / "docs" / "reinforcement.md"
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXTS[page], re.DOTALL)
    (settings,) = yaml.safe_load(block).values()
    ((address, arguments),) = settings["callback"][0].items()
    module, name = address.rsplit(".", 1)
    assert isinstance(settings["n_timesteps"], float)
    assert getattr(import_module(module), name)(**arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tables_are_what_the_code_says(page: Path) -> None:
    assert fill(TEXTS[page]) == TEXTS[page], "run: python tools/reference_tables.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", TEXTS[page])
    inside = [link for link in links if "://" not in link]
    missing = [link for link in inside if not (page.parent / link).exists()]
    assert not missing


def test_the_readme_stays_a_door() -> None:
    assert len(README.read_bytes()) <= LARGEST_README
