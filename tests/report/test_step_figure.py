from __future__ import annotations

import numpy as np
import pytest

from aitimestepper.report.step_figure import CLASSICAL, Panel, draw_steps, trajectories_of

PANEL = Panel("two orbits", "kepler0.5", 12.0, 1e-2, "leapfrog", begin=6.0)


def test_all_rules_of_a_panel_take_as_many_steps():
    trajectories = trajectories_of(PANEL)
    assert list(trajectories) == ["learned", *CLASSICAL]
    steps = [len(t.time) for t in trajectories.values()]
    np.testing.assert_allclose(steps, steps[0], atol=2)
    assert {t.time[-1] for t in trajectories.values()} == {12.0}
    assert trajectories["learned"].energy_error.max() == pytest.approx(1e-2, rel=0.9)


def test_the_figure_of_the_steps_is_a_file(tmp_path):
    draw_steps([PANEL, PANEL], tmp_path / "steps.png")
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")
