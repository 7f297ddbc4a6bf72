"""What went wrong in a run is one Python warning with the remedy, and in the advice of the result."""

from __future__ import annotations

import dataclasses
import re
import warnings

import numpy as np
import pytest

from aitimestepper import (
    Bodies,
    Constant,
    EnergyBudget,
    FreeFall,
    LearnedStep,
    SimulationResult,
    SimulationWarning,
    resume,
    simulate,
)
from aitimestepper.initial.named import burrau, figure8, kepler
from aitimestepper.models import FOLDER, shipped


@pytest.fixture
def caught():
    """Return a function that runs a simulation, and returns its result and its warnings."""

    def run(*given, **named):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            result = simulate(*given, **named)
        assert {type(w.message) for w in found} <= {SimulationWarning}
        assert {w.filename for w in found} <= {__file__}  # the line of the user, not one of the package
        return result, [str(w.message) for w in found]

    return run


def test_a_run_that_went_well_says_nothing(caught):
    result, said = caught(kepler(e=0.5), t_end=20.0, tol=1e-5)
    assert (said, result.advice) == ([], ())


def test_a_tolerance_that_was_missed(caught):
    result, said = caught(burrau(), t_end=30.0, criterion=EnergyBudget(1e-6, "kahan_li6", c=2.0))
    assert result.within_tolerance.tolist() == [False]
    assert said == [*result.advice]
    words = rf"the run reached an energy error of {result.max_energy_error[0]:.1e}, above the 1.0e-06 asked for: ask for"
    tighter = float(re.fullmatch(words + r" (\S+)\.", said[0])[1])
    followed = simulate(burrau(), t_end=30.0, criterion=EnergyBudget(tighter, "kahan_li6", c=2.0), warn=False)
    assert followed.max_energy_error[0] < 1e-6  # the advice helps


def test_a_run_that_broke_off(caught):
    result, said = caught(kepler(e=0.5), t_end=20.0, criterion=FreeFall(0.01), max_steps=10)
    assert result.status == ("max_steps",)
    assert said == ["the run used up its steps: allow more of them (max_steps)."]


def test_an_energy_error_that_leaves_no_result(caught):
    result, said = caught(kepler(e=0.9), t_end=20.0, criterion=Constant(0.1))
    assert result.status == ("ok",)
    assert result.max_energy_error[0] > 0.1
    assert re.match(r"the run reached an energy error of \S+, so that its result means little: take shorter steps", said[0])
    assert not caught(kepler(e=0.9), t_end=20.0, criterion=Constant(1e-3))[1]


def test_a_network_outside_of_what_it_knows(caught):
    """Two bodies that fly apart a hundred times faster than on an orbit: unlike everything in the training."""
    far = Bodies([1.0, 1.0], [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 100.0]])
    result, said = caught(far, steps=40, criterion=LearnedStep(shipped("leapfrog"), 1e-3))
    outside = result.reports["steps_outside_training"][0]
    assert outside > 2
    assert any(f"took {outside / 40:.0%} of its steps in states unlike those" in sentence for sentence in result.advice)
    assert len(said) == 1


def test_a_network_that_knows_no_range_says_none(caught):
    """It cannot say 0: a network of two bodies in a chaotic problem would look at home."""
    model = shipped("leapfrog")
    weights = {**model.weights, "lowest": np.full(9, -np.inf), "highest": np.full(9, np.inf)}
    step = LearnedStep(dataclasses.replace(model, weights=weights), 1e-3)
    result, _ = caught(figure8(), steps=5, criterion=step)
    assert result.reports["steps_outside_training"] is None
    assert result.summary()["steps_outside_training"] is None
    assert simulate(figure8(), steps=5, criterion=LearnedStep(model, 1e-3)).reports["steps_outside_training"].tolist() == [0]


def test_at_the_rounding_floor_the_advice_says_so(caught):
    """Burrau at 1e-12 used to be told to ask for 9e-16."""
    result, said = caught(burrau(), t_end=30.0, tol=1e-12)
    assert result.max_energy_error[0] > 1e-12
    assert "that is the rounding error of double precision here" in said[0]
    assert "give a softening if bodies come too close, or ask for no less than that" in said[0]
    assert not re.search(r"ask for \d", said[0])
    assert 0.1 < result.limits.rounding_error[0] / result.max_energy_error[0] < 30


def test_gauss_radau_is_asked_for_what_changes_its_steps(caught):
    """Between 2e-8 and 5e-11 its steps are the same."""
    result, said = caught(burrau(), t_end=60.0, tol=6e-11)
    assert result.integrator == "radau15"
    if not result.within_tolerance[0]:
        assert "ask for 4e-11" in said[0] or "rounding error" in said[0]
    smooth = simulate(kepler(e=0.5), t_end=20.0, tol=6e-11, warn=False)
    assert smooth.limits.rounding_error[0] < 1e-14


def test_a_batch_warns_once_and_names_the_systems(caught):
    start = Bodies.stack([Bodies(*kepler(e)[:3]) for e in (0.9, 0.1, 0.95, 0.93, 0.8, 0.85)])
    result, said = caught(start, t_end=20.0, criterion=EnergyBudget(1e-3, c=8.0))
    missed = np.flatnonzero(~result.within_tolerance)
    assert len(missed) > 3
    assert len(said) == 1
    assert len(result.advice) == len(missed)
    assert said[0].endswith(f"; {len(missed) - 3} more: see the advice of the result.")
    for i, sentence in zip(missed, result.advice, strict=True):
        assert sentence.startswith(f"system {i} ")


def test_looking_for_what_went_wrong_looks_at_all_systems_at_once(monkeypatch):
    """It took 13 of 13.2 seconds for 16,000 systems that all went well."""
    looks = []
    whole = SimulationResult.within_tolerance.fget
    monkeypatch.setattr(SimulationResult, "within_tolerance", property(lambda r: looks.append(1) or whole(r)))
    monkeypatch.setattr(Bodies, "potential_energy", lambda _: pytest.fail("energies are for a tolerance that was missed"))
    simulate(Bodies.stack([Bodies(*kepler(0.3)[:3])] * 50), steps=2, tol=1e-4)
    assert len(looks) == 1


def test_what_is_the_same_for_many_systems_is_said_once(caught):
    start = Bodies.stack([Bodies(*kepler(0.1 * k)[:3]) for k in range(1, 7)])
    result, said = caught(start, t_end=20.0, criterion=FreeFall(0.01), max_steps=10)
    assert said == ["6 systems used up their steps: allow more of them (max_steps)."]
    assert len(result.advice) == 6
    assert result.summary()["advice"] == list(result.advice)


def test_the_tolerance_of_a_guard_is_what_the_run_is_held_to(caught):
    """A guard limits each step, not the run: that it was not enough is said."""
    result, said = caught(kepler(0.9), t_end=20.0, criterion=FreeFall(0.05), tol=1e-7, guard=True)
    assert result.tol.tolist() == [1e-7]
    assert result.within_tolerance.tolist() == [False]
    assert "above the 1.0e-07 asked for" in said[0]


def test_the_advice_is_there_without_the_warning(caught):
    result, said = caught(kepler(e=0.9), t_end=20.0, criterion=Constant(0.1), warn=False)
    assert said == []
    assert len(result.advice) == 1


def test_a_resumed_run_warns_as_well(tmp_path):
    path = tmp_path / "run.h5"
    simulate(kepler(e=0.9), t_end=1.0, criterion=Constant(0.1), output=path, warn=False)
    with pytest.warns(SimulationWarning, match="so that its result means little"):
        resume(path, t_end=20.0)


def test_the_guard_takes_the_tolerance_that_was_given_anywhere():
    """A tenth of it: of `tol`, else of the criterion's own."""
    start = kepler(0.9)
    by_tol = simulate(start, t_end=8.0, criterion=FreeFall(0.2), tol=1e-5, guard=True)
    default = simulate(start, t_end=8.0, criterion=FreeFall(0.2), guard=True)
    assert default.rejected_steps[0] > by_tol.rejected_steps[0] > 0
    own = simulate(start, t_end=8.0, criterion=EnergyBudget(1e-2, c=3.0), guard=True)
    other = simulate(start, t_end=8.0, criterion=EnergyBudget(1e-2, c=3.0), tol=1e-2, guard=True)
    assert own.rejected_steps == other.rejected_steps


def test_a_loaded_model_is_used_as_it_was_calibrated():
    """1000 orbits of e = 0.9 at 1e-4."""
    end = 1000 * 2 * np.pi
    run = simulate(kepler(e=0.9), t_end=end, criterion=LearnedStep.load(FOLDER / "chin4.npz", tol=1e-4))
    assert (run.criterion, run.within_tolerance.tolist()) == ("symmetrized(learned)", [True])
    assert run.max_energy_error[0] > 1e-6


def test_advice_never_names_a_tolerance_that_would_be_refused(caught):
    """A network goes as tight as it was calibrated for."""
    model = shipped("chin4")
    short = dataclasses.replace(model, card={**model.card, "calibration": [[1e-4, 20.0]]})
    result, said = caught(burrau(), t_end=30.0, criterion=LearnedStep(short), tol=1e-4)
    assert result.within_tolerance.tolist() == [False]
    assert "which is as tight as its network goes: leave the model out" in said[0]


def test_without_a_tolerance_no_other_one_is_advised(caught):
    _, said = caught(kepler(e=0.5), t_end=20.0, criterion=FreeFall(0.01), max_steps=10)
    assert "tol" not in said[0]
    _, said = caught(kepler(e=0.5), t_end=20.0, tol=1e-3, max_steps=10)
    assert "or ask for a looser tol" in said[0]


def test_a_large_error_is_said_whatever_else_is(caught):
    """Also within a tolerance that allows it, and where the run broke off."""
    result, said = caught(kepler(e=0.9), t_end=20.0, criterion=EnergyBudget(0.9, c=0.6))
    assert 0.1 < result.max_energy_error[0] < 0.9
    assert result.within_tolerance.tolist() == [True]
    assert "its result means little: ask for a tighter tol" in said[0]
    head_on = Bodies([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], np.zeros((2, 2)))
    result, said = caught(head_on, t_end=10.0, criterion=FreeFall(0.02))
    assert result.status != ("ok",)
    assert len(result.advice) == 2 if result.max_energy_error[0] > 0.1 else 1
