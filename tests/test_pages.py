"""The pages around the site: their Python runs, and their commands are understood."""

import re
import shlex
from pathlib import Path

import pytest

from aitimestepper.cli.arguments import parse

DOCS = Path(__file__).resolve().parents[1] / "docs"
NAMES = ("start", "units", "which_integrator", "restart", "test_particles", "own", "many")
PAGES = {name: (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in NAMES}
DEVELOP = {path.stem: path.read_text(encoding="utf-8") for path in sorted((DOCS / "develop").glob("*.md"))}
COMMANDS = sorted({line for page in PAGES.values() for line in page.splitlines() if line.startswith("aitimestepper ")})


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_a_page_run_from_top_to_bottom(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGES[name], flags=re.M | re.S))
    assert code
    exec(compile(code, f"{name}.md", "exec"), {"__name__": name})


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_understood(line):
    words = shlex.split(line, comments=True)
    assert parse(words[1:]).command == words[1]


@pytest.mark.parametrize("name", DEVELOP)
def test_what_the_pages_for_developers_name_is_there(name):
    """Paths in code marks; those in the package are also given without its folder."""
    root, found = DOCS.parent, re.findall(r"`([\w/]+\.(?:py|md))`", DEVELOP[name])
    assert len(found) >= 4
    for path in found:
        assert any(
            (base / path).is_file() for base in (root, root / "src/aitimestepper", root / "src/aitimestepper/criteria")
        ), path
    for script in re.findall(r"`python (\S+\.py)", DEVELOP[name]):
        assert (root / script).is_file()
