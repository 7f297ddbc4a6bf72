from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper.config import Config
from aitimestepper.constants import LOG_GAIN
from aitimestepper.criteria.base import Criterion
from aitimestepper.criteria.classical import Boekholt, FreeFall, Tidal
from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.errors import UserError
from aitimestepper.features import Scales
from aitimestepper.models import Model
from aitimestepper.report.compare import (
    Curve,
    classical_curves,
    classical_rules,
    error_at_forces,
    forces_at_error,
    learned_curve,
    work_precision,
)
from aitimestepper.simulate.engine import simulate


@pytest.fixture
def learned() -> LearnedStep:
    """A network that was not trained: any will do."""
    rng = np.random.default_rng(1)
    shapes = {"hidden.0.weight": (8, 11), "hidden.0.bias": (8,)}
    shapes |= {
        f"{head}.{part}": shape for head in ("log_dt", "log_error") for part, shape in (("weight", (1, 8)), ("bias", (1,)))
    }
    weights = {name: 0.1 * rng.normal(size=shape) for name, shape in shapes.items()}
    weights["log_dt.bias"] = np.full(1, math.log(0.02) / LOG_GAIN)
    weights |= {"frequencies": np.zeros((11, 0)), "lowest": np.full(11, -np.inf), "highest": np.full(11, np.inf)}
    config = Config(seed=1, layers=(8,), energy_threshold=1e-4, normalize=False)
    return LearnedStep(Model(config, weights, scales=Scales(1.0, 1.0, 1.0, 1.0, 1.0)))


def symmetrized_boekholt(eta: np.ndarray) -> Criterion:
    return Symmetrized(Boekholt(eta))


# ---- sweeps ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rule", [FreeFall, Tidal, symmetrized_boekholt])
def test_a_sweep_equals_separate_runs(two_body, rule):
    """To the bit, although the systems leave the batch one after the other."""
    p = two_body(e=0.7, q=0.3)
    parameters = np.array([0.2, 0.05, 0.1])
    curve = work_precision(p, 5.0, "x", rule, parameters)
    runs = [simulate(p, t_end=5.0, criterion=rule(eta)) for eta in sorted(parameters, reverse=True)]
    np.testing.assert_array_equal(curve.force_evaluations, [r.force_evaluations.item() for r in runs])
    np.testing.assert_array_equal(curve.max_error, [r.max_energy_error.item() for r in runs])
    np.testing.assert_array_equal(curve.final_error, [r.final_energy_error.item() for r in runs])
    assert (curve.learned, curve.symmetrized) == (False, rule is symmetrized_boekholt)


def test_a_learned_sweep_equals_separate_tolerances(two_body, learned):
    p = two_body(e=0.4)
    tolerances = np.array([1e-4, 1e-6])
    curve = work_precision(p, 0.6, "net", learned.at_tolerance, tolerances, learned=True)
    assert curve.learned
    for tol, forces, error in zip(tolerances, curve.force_evaluations, curve.max_error, strict=True):
        one = simulate(p, t_end=0.6, criterion=LearnedStep(learned.model, tol=float(tol)))
        assert forces == one.force_evaluations.item()
        assert error == one.max_energy_error.item()


def test_runs_that_do_not_arrive_are_left_out(two_body):
    curve = work_precision(two_body(), 5.0, "x", FreeFall, np.array([0.2, 1e-4]), max_steps=300)
    assert len(curve.force_evaluations) == 1
    assert curve.force_evaluations[0] < 300


def test_the_integrator_is_counted_in_force_evaluations(two_body):
    curve = work_precision(two_body(e=0.2), 3.0, "x", FreeFall, np.array([0.5]), integrator="suzuki4")
    run = simulate(two_body(e=0.2), t_end=3.0, criterion=FreeFall(0.5), integrator="suzuki4")
    assert curve.force_evaluations[0] == run.force_evaluations.item() == 5 * run.steps.item() + 1


def test_a_batch_cannot_be_compared(random_system):
    with pytest.raises(UserError, match="needs one system, not a batch of 2"):
        work_precision(random_system(systems=2), 1.0, "x", FreeFall, np.array([0.1]))


def test_a_comparison_needs_time(two_body):
    with pytest.raises(UserError, match="takes no time: the system is at t = 3 already"):
        classical_curves(two_body(time=3.0), 3.0)


# ---- all rules -------------------------------------------------------------------------------------------------------
def test_all_classical_rules_spend_the_same(two_body, learned):
    """Cost is what the parameters are chosen for, on a problem that they were not chosen on."""
    p = two_body(e=0.5, q=0.1)
    curves = classical_curves(p, 4.0, points=3, max_steps=300)
    curves.append(learned_curve(p, 4.0, learned, points=3, max_steps=300))
    assert [c.label for c in curves] == [*classical_rules(), "learned"]
    assert [c.label for c in curves if c.symmetrized] == ["FreeFall, symmetrized", "Boekholt, symmetrized"]
    forces = np.array([c.force_evaluations for c in curves])
    wanted = np.median(forces, axis=0)
    assert wanted[-1] == pytest.approx(240, rel=0.05)  # 0.8 max_steps
    np.testing.assert_allclose(forces[:-1], np.broadcast_to(wanted, forces[:-1].shape), rtol=0.1)
    np.testing.assert_allclose(forces[-1, 1:], wanted[1:], rtol=0.2)
    assert forces[-1, 0] >= wanted[0]  # coarser than its ceiling a learned step never is
    assert all((np.diff(c.max_error) < 0).all() for c in curves[:-1])


# ---- reading a curve -------------------------------------------------------------------------------------------------
def test_interpolation_is_exact_on_a_power_law(power_law):
    curve = power_law("x", a=50.0, b=3.0)
    for n in (100.0, 317.0, 1000.0, 9999.0):
        if n > 100:
            assert forces_at_error(curve, 50.0 / n**2) == pytest.approx(n, rel=1e-12)
        assert error_at_forces(curve, n) == pytest.approx(3.0 / n**2, rel=1e-12)


def test_outside_of_the_runs_nothing_is_said(power_law):
    curve = power_law("x", a=1.0)
    assert math.isnan(forces_at_error(curve, 1e-9))
    assert math.isnan(forces_at_error(curve, 1e-3))
    assert math.isnan(error_at_forces(curve, 99.0))
    assert math.isnan(error_at_forces(curve, 10_001.0))
    nothing = Curve("x", *np.zeros((3, 0)))
    assert math.isnan(forces_at_error(nothing, 1e-3))
    assert math.isnan(error_at_forces(nothing, 100.0))


def test_a_lucky_run_does_not_count():
    """The second of four runs is better than the third: what counts is where the error stays below."""
    curve = Curve("x", np.array([1.0, 10, 100, 1000]), np.array([1e-1, 1e-6, 1e-2, 1e-4]), np.ones(4))
    assert forces_at_error(curve, 1e-3) == pytest.approx(math.sqrt(100 * 1000))
    assert math.isnan(forces_at_error(curve, 1e-5))
