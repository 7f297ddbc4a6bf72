"""docs/gym.md: its Python runs, with an agent that nobody trained."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gymnasium")

from aitimestepper.initial import kepler

PAGE = (Path(__file__).resolve().parents[2] / "docs/gym.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)


def test_its_environments_can_be_made_and_stepped():
    made: dict = {}
    exec(BLOCKS[0].replace("num_envs=4096", "num_envs=8"), made)
    assert made["seen"].shape == (8, 9)
    assert np.isfinite(made["reward"]).all()
    assert set(made["infos"]) >= {"time", "dt", "forces", "energy_error", "tol"}
    made["env"].reset(seed=1)
    assert made["env"].step(np.array([0.0], np.float32))[1] < 1.0


def test_its_agent_is_a_criterion_and_a_rule():
    """The answer 0 is the analytic step, which keeps the tolerance of this orbit."""
    made: dict = {
        "model": lambda seen: np.zeros(len(seen)),
        "answer": lambda seen: np.zeros(len(seen)),
        "bodies": kepler(e=0.5),
    }
    exec(BLOCKS[1], made)
    assert made["result"].status == ("ok",)
    assert made["result"].max_energy_error[0] < 1e-5
    exec(BLOCKS[2], made)
    assert made["mine"](0.5).name == "agent"
