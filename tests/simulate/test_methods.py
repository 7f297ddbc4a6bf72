"""The integrators of the compiled engine: their order, what they conserve, and known solutions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from stopped_runs import started

from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import PRS23, Constant, EnergyBudget, FreeFall, HutMakino
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.errors import ConfigError
from aitimestepper.fields import tidal
from aitimestepper.initial import named as initial
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.simulate.engine import simulate

METHODS = (*SPLITTINGS, "hermite4", "hermite4:n=3", "logh", "radau15")
BURRAU_AT_10 = [  # 320-bit; y of the first is misprinted in the literature as -0.162611088749089
    [1.15298573629971, -0.162610887490898],
    [-2.02509247797820, 0.0972193841460581],
    [0.778480410138085, 0.141392300290086],
]


def kepler_at(t: float, e: float, q: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(positions, velocities) of the orbit of `initial.kepler`, a = 1, from apocentre."""
    M = math.fmod(t, 2 * math.pi) + math.pi
    E = M
    for _ in range(60):
        E -= (E - e * math.sin(E) - M) / (1 - e * math.cos(E))
    b = initial.two_body(e, q, 1.0, E, 1.0, 2)
    return b.position, b.velocity


def run(p: Bodies, integrator: str, dt: float, **until):
    return simulate(p, criterion=Constant(dt), integrator=integrator, **until)


# ---- orders ---------------------------------------------------------------------------------------------------------
ORDERS = {
    "leapfrog": (2, (200, 400, 800)),
    "suzuki4": (4, (60, 120, 240)),
    "kahan_li6": (6, (40, 60, 90)),
    "kahan_li8": (8, (30, 42, 60)),
    "blanes_moan4": (4, (400, 600, 900)),
    "blanes_moan6": (6, (20, 30, 45)),
    "chin4": (4, (100, 200, 400)),
    "hermite4": (4, (200, 400, 800)),
    "hermite4:n=3": (4, (100, 200, 400)),
    "logh": (2, (100, 200, 400)),
}


@pytest.mark.parametrize("integrator", ORDERS)
def test_the_error_falls_with_the_order_of_the_method(integrator, slope):
    """Kepler e = 0.3 to t = 7.1, a time at which no symmetry helps: positions and velocities against the exact orbit."""
    order, counts = ORDERS[integrator]
    x, v = kepler_at(7.1, 0.3, 0.4)
    errors = []
    for n in counts:
        final = run(started(initial.kepler(0.3, 0.4)), integrator, 7.1 / n, t_end=7.1).final
        errors.append(max(abs(final.position[0] - x).max(), abs(final.velocity[0] - v).max()))
    assert slope([1 / n for n in counts], errors) == pytest.approx(order, abs=0.15)
    assert errors[-1] > 1e-13


def test_radau15_gains_fifteen_orders_and_is_exact_to_rounding_with_short_steps(slope):
    x, _ = kepler_at(7.1, 0.3, 0.4)

    def error(n: int) -> float:
        return abs(run(started(initial.kepler(0.3, 0.4)), "radau15", 7.1 / n, t_end=7.1).final.position[0] - x).max()

    assert slope([1 / n for n in (8, 12, 15, 19)], [error(n) for n in (8, 12, 15, 19)]) == pytest.approx(15, abs=3)
    assert error(30) < 5e-15


# ---- the way back ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("integrator", SPLITTINGS)
@pytest.mark.parametrize("system", ["kepler", "triple"])
def test_constant_steps_of_splittings_lead_back_to_the_start(system, integrator, flipped):
    bodies = initial.kepler(0.5, 0.3) if system == "kepler" else initial.figure8()
    start = started(bodies)
    there = run(start, integrator, 0.02, steps=400).final
    back = run(flipped(there), integrator, 0.02, steps=400).final
    assert abs(there.position - start.position).max() > 0.1
    assert abs(back.position - start.position).max() < 1e-12
    assert abs(back.velocity + start.velocity).max() < 1e-12


def test_logh_leads_back_to_the_start(flipped):
    """Its steps are equal in the variable ds = -U dt, of which the first step is told: on the way back another one is first."""
    start = started(initial.kepler(0.5, 0.3))
    there = run(start, "logh", 0.02, steps=400)
    assert there.dt_max[0] > 2 * there.dt_min[0]
    dt = 0.02 * (start.potential_energy() / there.final.potential_energy())[0]
    back = run(flipped(there.final), "logh", dt, steps=400).final
    assert abs(back.position - start.position).max() < 1e-12
    assert abs(back.velocity + start.velocity).max() < 1e-12
    assert back.time[0] == pytest.approx(2 * there.final.time[0], rel=1e-12)


def test_hermite4_does_not_lead_back(flipped):
    start = started(initial.kepler(0.5, 0.3))
    there = run(start, "hermite4", 0.02, steps=400).final
    back = run(flipped(there), "hermite4", 0.02, steps=400).final
    assert abs(back.position - start.position).max() > 1e-7


# ---- what is conserved ----------------------------------------------------------------------------------------------
def test_logh_follows_an_eccentric_orbit_exactly_but_for_its_phase():
    """e = 0.9, 100 orbits, 100 steps an orbit: the energy to 1e-12, the shape too; leapfrog with as many: 0.3."""
    start = started(initial.kepler(0.9, 0.3))
    r = run(start, "logh", 0.119, steps=10_000)
    assert 99 < r.final.time[0] / (2 * math.pi) < 101
    assert r.dt_max[0] / r.dt_min[0] > 15
    assert r.max_energy_error[0] < 1e-12
    assert r.closest_approach.distance[0] == pytest.approx(0.1, abs=1e-3)
    assert run(start, "leapfrog", 2 * math.pi / 100, t_end=200 * math.pi).max_energy_error[0] > 0.1


def test_logh_lands_at_any_time_without_a_jump_of_its_energy():
    """100 steps an orbit; ends before, in and after the pericentre of e = 0.9, where a step by ds takes 0.003 to 0.006."""
    start, errors = started(initial.kepler(0.9)), []
    for k in range(40):
        r = run(start, "logh", 0.119, t_end=math.pi * (0.95 + 0.0025 * k))
        errors.append(r.final_energy_error[0])
    assert max(errors) < 1e-11


def test_compensated_sums_keep_the_energy_of_kahan_li8_to_1e14_over_100_orbits():
    """Kepler e = 0.5 with 400 steps an orbit (300: 1e-14 of truncation): without compensation 680,000 kicks wander by 4e-14."""
    start = started(initial.kepler(0.5, 0.3))
    r = run(start, "kahan_li8", 2 * math.pi / 400, t_end=200 * math.pi)
    assert r.steps[0] >= 40_000
    assert r.max_energy_error[0] < 1e-14
    assert r.angular_momentum_error[0] < 2e-15


@pytest.mark.parametrize("integrator", METHODS)
def test_momentum_is_kept_to_rounding(integrator):
    start = started(initial.random(5, 3, seed=2), softening=0.1)
    r = run(start, integrator, 1e-3, steps=5000)
    assert r.status == ("ok",)
    assert r.momentum_error[0] < 1e-15
    if integrator == "chin4":  # a force at displaced positions turns with them, but for dt^5
        assert r.angular_momentum_error[0] < 1e-4 * r.max_energy_error[0]
    elif not integrator.startswith("hermite"):
        assert r.angular_momentum_error[0] < 1e-15


def test_a_symmetric_step_drifts_a_million_times_less():
    start, errors = started(initial.kepler(0.9)), []
    for criterion in (FreeFall(0.02), Symmetrized(FreeFall(0.02))):
        errors.append(simulate(start, t_end=200 * math.pi, criterion=criterion).final_energy_error[0])
    assert errors[0] > 1e-3
    assert errors[1] < 1e-7


# ---- the end --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("integrator", METHODS)
def test_every_method_ends_at_the_end_time_to_the_bit(integrator):
    for t_end, time in ((1.0, 0.0), (1 / 3, -7.3), (math.pi, 0.07)):
        for criterion in (Constant(0.037), HutMakino(0.05), Constant(20.0)):
            start = started(initial.kepler(0.6, 0.2), time=time)
            r = simulate(start, t_end=t_end, criterion=criterion, integrator=integrator)
            assert r.final.time[0] == t_end
            assert r.status == ("ok",)


@pytest.mark.parametrize("integrator", ["kahan_li8", "hermite4:n=3", "logh", "radau15"])
def test_the_shortened_last_step_is_as_accurate_as_the_others(integrator):
    """At times that no step would reach: the error against the exact orbit does not depend on where the run ends."""
    errors = []
    for k in range(12):
        t = 3.0 + 0.01 * k
        final = run(started(initial.kepler(0.3)), integrator, 0.05, t_end=t).final
        errors.append(abs(final.position[0] - kepler_at(t, 0.3)[0]).max())
    assert max(errors) < {"kahan_li8": 1e-8, "hermite4:n=3": 3e-6, "logh": 2e-3, "radau15": 1e-14}[integrator]
    assert max(errors) < 1.5 * min(errors) + 1e-14


# ---- known solutions ------------------------------------------------------------------------------------------------
ACCURATE = {"kahan_li8": EnergyBudget(1e-10, "kahan_li8"), "radau15": None}


@pytest.mark.parametrize("integrator", ACCURATE)
def test_the_figure_eight_repeats_itself(integrator):
    """Ten periods; its initial conditions have eight digits, and return to 3e-7."""
    start = started(initial.figure8())
    r = simulate(start, t_end=10 * 6.32591398, criterion=ACCURATE[integrator], integrator=integrator)
    assert abs(r.final.position - start.position).max() < 4e-7
    assert abs(r.final.velocity - start.velocity).max() < 4e-7
    assert r.max_energy_error[0] < 1e-11


@pytest.mark.parametrize("integrator", ACCURATE)
def test_the_pythagorean_problem_is_where_it_should_be_at_10(integrator):
    r = simulate(started(initial.burrau()), t_end=10.0, criterion=ACCURATE[integrator], integrator=integrator)
    assert r.max_energy_error[0] < 1e-10
    np.testing.assert_allclose(r.final.position[0], BURRAU_AT_10, rtol=0, atol=1e-9)
    assert np.linalg.norm(r.final.momentum()) < 1e-14


def test_each_tolerance_is_met_by_the_default_step_of_its_integrator():
    start = started(initial.kepler(0.7, 0.2))
    for integrator, tol in (
        ("leapfrog", 1e-3),
        ("chin4", 1e-4),
        ("blanes_moan4", 1e-5),
        ("blanes_moan6", 1e-7),
        ("suzuki4", 1e-4),
        ("kahan_li6", 1e-6),
        ("kahan_li8", 1e-9),
        ("hermite4", 1e-4),
        ("logh", 1e-3),
    ):
        r = simulate(start, t_end=20 * math.pi, tol=tol, integrator=integrator)
        assert r.max_energy_error[0] < tol, integrator


def test_logh_with_a_tolerance_alone_takes_a_constant_step_of_its_own_variable():
    """EnergyBudget would take half a million steps, for an orbit that has no energy error whatever the step."""
    start, given = started(initial.kepler(0.9)), {"t_end": 20 * math.pi, "integrator": "logh"}
    r = simulate(start, tol=1e-6, **given)
    assert r.criterion.startswith("constant(")
    assert 200 < r.steps[0] < 1000
    assert r.within_tolerance.tolist() == [True]
    assert r.max_energy_error[0] < 1e-12
    assert r.dt_max[0] / r.dt_min[0] > 10
    assert np.array_equal(simulate(start, tol=1e-6, criterion="default", **given).final.position, r.final.position)
    assert simulate(start, tol=1e-6, criterion="energybudget", **given, max_steps=9).criterion == "energybudget(1e-06)"
    # three bodies do have an error: found by trial, for every system of a batch
    both = Bodies.stack([started(initial.figure8(3)), started(initial.random(4, 3, seed=3))])
    for tol, most in ((1e-3, 3000), (1e-6, 100_000)):
        r = simulate(both, t_end=10.0, tol=tol, integrator="logh")
        assert r.within_tolerance.tolist() == [True, True]
        assert (r.max_energy_error > 0.003 * tol).all()
        assert (r.steps < most).all()


def test_radau15_needs_no_tolerance():
    r = simulate(started(initial.kepler(0.9)), t_end=200 * math.pi, integrator="radau15")
    assert r.max_energy_error[0] < 2e-14
    rule = simulate(started(initial.kepler(0.9)), t_end=6.0, criterion=PRS23(0.1), integrator="radau15")
    np.testing.assert_allclose(rule.final.position[0], kepler_at(6.0, 0.9)[0], rtol=0, atol=1e-13)


# ---- outer fields ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("integrator", ["hermite4", "hermite4:n=2", "logh"])
def test_methods_that_know_no_outer_field_say_so(integrator):
    with pytest.raises(
        ConfigError, match=rf"^integrator = {integrator} allows no outer field: use a splitting .* or radau15[.]$"
    ):
        simulate(started(initial.kepler()), steps=1, integrator=integrator, external_field=tidal(M=1.0, R0=9.0))


def test_radau15_keeps_its_accuracy_in_a_moving_field():
    start = started(initial.kepler(0.3), external_field=tidal(M=5.0, R0=4.0, period=5.0))
    ours = simulate(start, t_end=4.0, integrator="radau15")
    other = run(start, "kahan_li8", 4.0 / 800, t_end=4.0)
    assert abs(ours.final.position - other.final.position).max() < 1e-12
    assert ours.max_energy_error[0] < 1e-13


@pytest.mark.parametrize(
    ("text", "message"), [("hermite4:n=0", "write hermite4:n=3, n from 1 to 20"), ("radau", "did you mean 'radau15'")]
)
def test_method_names_are_checked(text, message):
    with pytest.raises(ConfigError, match=message):
        simulate(started(initial.kepler()), steps=1, integrator=text)
