"""docs/ensembles.md: its Python and its specification run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import aitimestepper as ats
from aitimestepper.cli.arguments import parse
from aitimestepper.ensembles.spec import spec_of

PAGE = (Path(__file__).resolve().parents[2] / "docs/ensembles.md").read_text(encoding="utf-8")


def test_its_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)), {})
    assert len(ats.Ensemble.load("triples")) == 200


def test_its_specification_and_its_commands_are_valid():
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.S)
    read = spec_of(tomllib.loads(text))
    assert read.source.chunk(0, 200).groups[0].bodies.mass.shape == (200, 3)
    commands = re.findall(r"^aitimestepper (.*)$", PAGE, flags=re.M)
    assert len(commands) == 4
    for line in commands:
        assert parse(line.split()).command == "ensemble"
    assert "MEASURED" not in PAGE
