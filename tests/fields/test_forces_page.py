"""The examples of docs/forces.md run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from aitimestepper import Bodies, simulate
from aitimestepper.initial.named import kepler

PAGE = (Path(__file__).parents[2] / "docs/forces.md").read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore::aitimestepper.errors.SlowPythonWarning")
def test_its_examples_run():
    place = np.array([[8.001, 0.0, 0.0], [7.999, 0.0, 0.0]])  # kpc
    cluster = Bodies([1e3, 1e3], place, [[0.0, 221.0, 0.0], [0.0, 219.0, 0.0]], G=4.30091e-6)
    pair = kepler(0.3, dim=3)
    known = {"cluster": cluster, "planets": pair, "bodies": pair, "simulate": simulate}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    assert len(blocks) == 3
    for block in blocks:
        exec(block.replace("t_end=1e4", "t_end=100.0").replace("t_end=1.0", "t_end=0.02"), known)
    assert known["result"].max_energy_error[0] < 1e-10
    assert known["result"].integrator == "radau15"
