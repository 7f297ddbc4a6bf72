"""docs/rebound.md: its example runs, and its commands are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/rebound.md").read_text(encoding="utf-8")


def test_the_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    names: dict = {}
    exec(code, names)
    assert names["sim"].t == names["again"].t == 1000.0
    assert str(names["sim"].integrator) == "aitimestepper_ias15"


def test_commands_and_figures_are_there():
    for script in re.findall(r"`python (\S+?\.py)", PAGE):
        assert (ROOT / script).is_file()
    for figure in re.findall(r"\]\((\S+?\.png)\)", PAGE):
        assert (ROOT / "docs" / figure).is_file()
