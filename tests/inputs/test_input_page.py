"""The examples of docs/input.md run, in the order of the page."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path

import pytest

from aitimestepper.cli.arguments import parse
from aitimestepper.config import Config
from aitimestepper.initial.problems import make_problem

PAGE = (Path(__file__).resolve().parents[2] / "docs/input.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, flags=re.S)


def test_the_examples_run(tmp_path):
    found: dict[str, object] = {}
    with contextlib.chdir(tmp_path):
        for language, code in BLOCKS:
            if language == "python":
                exec(code, found)
        for line in next(code for language, code in BLOCKS if not language).splitlines():
            problem = make_problem(Config.from_dict(parse(shlex.split(line)[1:]).simulation))
            assert pytest.approx(39.4769, rel=1e-5) == problem.bodies.G, line
    assert pytest.approx(39.4769, rel=1e-5) == found["planets"].G
    assert found["run"].final.quantities().velocity.unit == "km / s"
    assert found["orbits"].a[0] == pytest.approx([5.203, 9.537], rel=0.02)
