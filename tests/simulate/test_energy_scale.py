"""Energy errors are relative to S = max(|E|, 1e-4 (K + |U|)): ordinary where E is zero, whatever the motion as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from stopped_runs import started

from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import Constant, EnergyBudget, FreeFall
from aitimestepper.fields import PointMassTidalField
from aitimestepper.initial import named as initial
from aitimestepper.simulate.engine import simulate


def parabolic() -> Bodies:
    """A pair whose energy is zero to the last bit: K = 1, U = -1."""
    return Bodies([1.0, 1.0], [[-0.5, 0.0], [0.5, 0.0]], [[0.0, -1.0], [0.0, 1.0]])


def moving(p: Bodies, speed: float) -> Bodies:
    return p.replace(velocity=p.velocity + np.array([speed, -0.5 * speed, 0.0])[: p.position.shape[-1]])


@pytest.mark.parametrize(
    "given",
    [
        {"tol": 1e-3},
        {"tol": 1e-6},
        {"tol": 1e-9},
        {"tol": 1e-5, "integrator": "hermite4"},
        {"tol": 1e-6, "integrator": "logh"},
        {"criterion": EnergyBudget(1e-4)},
    ],
    ids=str,
)
def test_a_pair_without_energy_is_simulated_within_tolerance(given):
    p = parabolic()
    assert p.total_energy().tolist() == [0.0]
    r = simulate(p, t_end=10.0, **given)
    assert r.within_tolerance.tolist() == [True]
    assert all("in states unlike" in sentence for sentence in r.advice)  # nothing in the training has no energy
    assert r.steps[0] < 50_000
    rounding = 1e-15 / 2e-4
    assert r.final_energy_error[0] == pytest.approx(abs(r.final.total_energy()[0]) / 2e-4, rel=0, abs=10 * rounding)


def test_a_tolerance_that_such_a_pair_misses_is_met_by_the_advice():
    missed = simulate(parabolic(), t_end=10.0, criterion=EnergyBudget(1e-4, c=30.0))
    (sentence,) = missed.advice
    advised = float(sentence.split()[-1].rstrip("."))
    assert 1e-8 < advised < 1e-4
    kept = simulate(parabolic(), t_end=10.0, criterion=EnergyBudget(advised, c=30.0))
    assert kept.max_energy_error[0] < 1e-4


@pytest.mark.parametrize("speed", [1.0, 1e3])
@pytest.mark.parametrize("given", [{"criterion": EnergyBudget(1e-4)}, {"tol": 1e-4}, {"tol": 1e-10}], ids=str)
def test_a_motion_as_a_whole_changes_neither_errors_nor_steps(given, speed):
    """To what rounding leaves of an energy about the centre of mass beside one of that motion."""
    p = started(initial.figure8(3))
    still, fast = (simulate(q, t_end=3.0, **given) for q in (p, moving(p, speed)))
    rounding = 1e-15 * speed**2
    assert fast.steps.tolist() == still.steps.tolist()
    # a network sees the energy error over the tolerance
    # Gauss-Radau at its default epsilon sees the rounding of its last coefficient
    rel = 1e-9 + 1000 * rounding if given.get("tol", 1.0) > 1e-9 else 1e-5
    assert fast.dt_max[0] == pytest.approx(still.dt_max[0], rel=rel)
    assert fast.max_energy_error[0] == pytest.approx(still.max_energy_error[0], rel=1e-6, abs=1e-13 + 100 * rounding)


def test_the_step_of_energybudget_is_that_of_the_system_at_rest():
    p = parabolic()
    steps = [simulate(moving(p, speed), steps=1, criterion=EnergyBudget(1e-4)).dt_max[0] for speed in (0.0, 1.0, 30.0)]
    assert steps == pytest.approx([steps[0]] * 3, rel=1e-12)


def longest_step2(x: np.ndarray, v: np.ndarray) -> float:
    """Return the square of the ceiling of EnergyBudget for bodies of mass 1."""
    i, j = np.triu_indices(len(x), 1)
    dx, dv = x[j] - x[i], v[j] - v[i]
    r2, v2, rv = (dx * dx).sum(1), (dv * dv).sum(1), (dx * dv).sum(1)
    f = 2 / r2**1.5
    w = np.maximum(f / (f**4).sum() ** 0.25 - 1 / 32, 0) ** 2
    dynamical = ((f * f).sum() + (32 / 31) ** 2 * (w * (v2 / r2) ** 2).sum()) ** -0.25
    growth = 1.5 * (w * rv / r2).sum() / w.sum()
    return 1 / ((2 / dynamical) ** 2 + (growth / 0.6) ** 2)


def test_with_a_field_the_kinetic_energy_is_as_it_is():
    """Places and speeds count there: a system that moves is another one, with another energy and another step.

    chi^2 of the moving one, of an energy of only 0.05, is larger by what the potential of the tightest pairs is over S.
    """
    field = PointMassTidalField(20.0, R0=5.0)
    still = started(initial.figure8()).replace(external_field=field)
    energy = still.total_energy()[0]
    assert energy < -1
    fast, dt = moving(still, np.sqrt((-0.05 - energy) / 1.875)), []
    pairs = [np.linalg.norm(still.position[0, i] - still.position[0, j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    rates = sum(4 / r**6 for r in pairs)
    ceiling2 = float(longest_step2(still.position[0], still.velocity[0]))  # the motion as a whole does not count
    bound = sum(4 / r**7 for r in pairs) / rates  # masses of 1
    chi2, total2 = [], []
    for p in (still, fast):
        K, U = p.kinetic_energy()[0], p.potential_energy()[0]
        r = simulate(p, steps=1, criterion=Constant(0.01))
        error = abs(r.final.total_energy()[0] - (K + U)) / max(abs(K + U), 1e-4 * (K + abs(U)))
        assert error > 1e-9
        assert r.final_energy_error[0] == pytest.approx(error, rel=1e-4)
        dt.append(simulate(p, steps=1, criterion=EnergyBudget(1e-4), integrator="leapfrog").dt_max[0])
        allowed2 = 1 / (1 / dt[-1] ** 2 - 1 / ceiling2)
        chi2.append((1e-4 * (0.4 * rates**-0.25) ** 2 / allowed2) ** 2)
        total2.append((bound / (K + U)) ** 2)
    assert abs(dt[1] / dt[0] - 1) > 0.1
    assert chi2[1] - chi2[0] == pytest.approx(total2[1] - total2[0], rel=1e-9)
    assert simulate(fast, steps=1, criterion=FreeFall()).dt_max[0] == simulate(still, steps=1, criterion=FreeFall()).dt_max[0]


def test_the_scale_is_fixed_at_the_start():
    """The energy of the rows is that of the states; the error is over S of the first of them."""
    p, rows = parabolic(), {}
    simulate(p, t_end=5.0, criterion=FreeFall(0.05), sinks=(lambda _, new: rows.update(new),), output_every=0.5)
    np.testing.assert_allclose(rows["energy_error"], abs(rows["energy"]) / 2e-4, rtol=1e-12)
    assert p.energy_scale().tolist() == [pytest.approx(2e-4, rel=1e-15)]
