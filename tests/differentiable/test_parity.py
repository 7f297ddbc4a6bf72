"""Two engines, one physics: whatever is compiled gives the numbers of the loop in torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from parity import (
    CLASSICAL,
    RUNS,
    STEPS,
    WRAPPERS,
    among_massless,
    assert_same_run,
    bodies,
    both,
    both_of,
    changed,
    covering,
    crowd,
    first_steps,
    longer,
    name_of,
    one_network,
    start_of,
    wrapped,
)

from aitimestepper import differentiable
from aitimestepper.bodies import Bodies, as_bodies
from aitimestepper.criteria.classical import Constant, EnergyBudget, FreeFall
from aitimestepper.criteria.wrappers import Huayno, HutMakinoMcMillan, Limited, Symmetrized
from aitimestepper.differentiable.adapter import ModelAdapter
from aitimestepper.differentiable.conserved import energy_scale
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.errors import ConfigError
from aitimestepper.features import ERROR_FRACTION, INVARIANT
from aitimestepper.fields import tidal
from aitimestepper.initial import named
from aitimestepper.policy import cheapest_splitting
from aitimestepper.simulate.engine import simulate
from encounters import encounter


@pytest.mark.parametrize("row", covering(1, criterion=tuple(CLASSICAL), wrapper=tuple(WRAPPERS), **RUNS), ids=name_of)
def test_classical_criteria_choose_the_same_steps_in_both(row):
    start = start_of(row)
    criterion = wrapped(row, CLASSICAL[row.criterion](row.integrator), start)
    assert_same_run(start, *both_of(row, start, criterion))


# ---- special systems ----------------------------------------------------------------------------------------------------
def parabolic() -> Bodies:
    """A pair on its way to the pericentre of a parabola: its total energy is zero but for round-off."""
    x, v = np.array([[0.6, 1.1], [-0.3, -0.55]]), np.array([[0.2, -0.9], [-0.1, 0.45]])
    r, speed = np.linalg.norm(x[0] - x[1]), np.linalg.norm(v[0] - v[1])
    return Bodies([1.0, 2.0], x, v * math.sqrt(6.0 / r) / speed)


def special(kind: str) -> Bodies:
    if kind == "star":  # it feels exactly nothing, and there is no energy at all
        position = [[0.0, 0.0, 0.0], [1.0, 0.1, 0.0], [0.0, 2.0, 0.3]]
        return Bodies([1.0, 0.0, 0.0], position, [[0.0, 0.0, 0.0], [0.0, 1.0, 0.2], [-0.6, 0.0, 0.0]])
    if kind == "at rest":
        return Bodies([5.0, 4.0, 3.0], [[1.0, -1.0], [-2.0, -1.0], [1.0, 3.0]], np.zeros((3, 2)))
    if kind == "in units":  # of a galaxy, in metres and kilograms
        position, velocity = [[-3e19, 1e18], [3e19, -2e18]], [[1e4, -9e4], [1e4, 8e4]]
        return Bodies([2e40, 3e40], position, velocity, G=6.674e-11)
    if kind == "parabolic":
        return parabolic()
    return Bodies([1.0, 2.0], [[0.0, 0.0], [3.0, 0.0]], [[0.0, 2.0], [0.0, -2.0]])  # unbound


def rule_for(criterion: str, start: Bodies, integrator: str = "leapfrog"):
    if criterion not in CLASSICAL:
        return one_network(start, features=(criterion, 0), integrator=integrator)
    return Constant(1e12) if criterion == "constant" and start.G != 1 else CLASSICAL[criterion](integrator)


@pytest.mark.parametrize("kind", ["star", "at rest", "in units", "unbound", "parabolic"])
@pytest.mark.parametrize("criterion", [*CLASSICAL, "invariant", "basic", "rich"])
def test_special_systems_are_the_same_in_both(kind, criterion):
    start = special(kind)
    assert_same_run(start, *both(start, Symmetrized(rule_for(criterion, start)), integrator="leapfrog"))


@pytest.mark.parametrize("criterion", ["energybudget", "invariant"])
def test_the_energy_of_a_parabolic_pair_is_measured_against_the_floor(criterion):
    """S is 1e-4 (K + |U|), where |E| is 1e-16 of that: a step that followed |E| would be 1e-6 of this one."""
    start = parabolic()
    K, U = start.kinetic_energy(), start.potential_energy()
    assert abs(K + U) < 1e-14 * K
    assert start.energy_scale() == pytest.approx(1e-4 * (K - U), rel=1e-14)
    ours, theirs = both(start, rule_for(criterion, start))
    assert_same_run(start, ours, theirs)
    error = abs(ours.final.total_energy() - start.total_energy()) / (1e-4 * (K - U))
    assert ours.final_energy_error == pytest.approx(error, abs=1e-11)
    if criterion == "energybudget":
        assert ours.dt_max == pytest.approx(0.4 * (4e-4 / 5e3) ** 0.5 * first_steps(start, FreeFall(1.0)), rel=0.1)


@pytest.mark.parametrize("wrapper", ["bare", "symmetrized", "huayno", "hmm"])
@pytest.mark.parametrize("criterion", ["energybudget", "invariant"])
def test_energies_count_against_those_at_the_start_along_an_encounter_in_both(criterion, wrapper):
    """E = 0, and S of a state grows by 20 to the pericentre: that of the start is meant, in trial steps and pieces as well."""
    start = Bodies.stack([encounter(), encounter(1.0, 0.05), encounter(1.5, 0.2).replace(time=0.3)])
    rule = one_network(start, features=("invariant", 0), integrator="suzuki4") if criterion == "invariant" else None
    inner = EnergyBudget(1e-3) if rule is None else longer(rule, 1.5)
    wrapped = {"bare": lambda c: c, "symmetrized": Symmetrized, "huayno": Huayno, "hmm": HutMakinoMcMillan}[wrapper](inner)
    how = {"criterion": wrapped, "integrator": "suzuki4"}
    states: list[ParticleTorch] = []
    theirs = differentiable.simulate(
        start, steps=150, **how, observer=lambda before, after, error, running: states.append(before), warn=False
    )
    assert_same_run(start, simulate(start, steps=150, **how, warn=False), theirs, 1e-11, 1e-12)
    first = simulate(start, steps=60, **how, warn=False)
    assert_same_run(start, simulate(first.final, steps=90, warn=False), theirs, 1e-11, 1e-12)
    grown = torch.stack([energy_scale(p) for p in states]) / energy_scale(states[0])
    assert (grown.max(0).values > 3).all()


def at_rest(start: Bodies) -> Bodies:
    return start.replace(velocity=start.velocity - (start.momentum() / start.mass.sum(1)[:, None])[:, None])


def moving(start: Bodies) -> Bodies:
    return start.replace(velocity=start.velocity + np.array([14.0, -10.0, 6.0])[: start.position.shape[-1]])


@pytest.mark.parametrize("criterion", ["energybudget", "boekholt", "invariant", "rich"])
def test_a_system_that_moves_as_a_whole_takes_the_steps_of_one_at_rest_in_both(criterion):
    """Its kinetic energy is hundreds of times that about the centre of mass, in which the energy scale is."""
    still = at_rest(bodies(3).select([0, 2, 3, 4]))
    start, rule = moving(still), rule_for(criterion, still)
    assert (start.kinetic_energy() > 100 * start.energy_scale()).all()
    ours, theirs = both(start, rule)
    assert_same_run(start, ours, theirs)
    expected = simulate(still, steps=STEPS, criterion=rule)
    np.testing.assert_allclose(ours.dt_max, expected.dt_max, rtol=1e-9)
    np.testing.assert_allclose(ours.dt_min, expected.dt_min, rtol=1e-9)
    np.testing.assert_allclose(ours.max_energy_error, expected.max_energy_error, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("criterion", ["energybudget", "invariant"])
def test_light_planets_of_a_moving_star_take_the_same_steps_in_both(criterion, wrapper):
    """The star's own kinetic energy is 4e7 times S: whatever is left of S after a subtraction has 8 digits."""
    start = moving(bodies(3).select(1))
    assert start.kinetic_energy() > 1e7 * start.energy_scale()
    rule = one_network(bodies(3), features=("invariant", 0)) if criterion == "invariant" else EnergyBudget(4e-4)
    dt = first_steps(start, rule)[0]
    assert_same_run(start, *both(start, WRAPPERS[wrapper](rule, "leapfrog", 0.95 * dt, 1.05 * dt)))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7, 8, 9, 13, 40])
@pytest.mark.parametrize("criterion", ["tidal", "prs23", "energybudget", "invariant", "rich"])
def test_any_number_of_bodies_is_the_same_in_both(criterion, n):
    """Loops over four or eight numbers at a time have remainders of every length."""
    start = crowd(n, seed=n)
    assert_same_run(start, *both(start, rule_for(criterion, start, "suzuki4"), steps=5, integrator="suzuki4"))


MASSLESS = [(2, 1), (3, 2), (6, 1), (12, 4), (13, 1), (20, 7), (40, 10)]


@pytest.mark.parametrize(("n", "massive"), MASSLESS)
@pytest.mark.parametrize("softening", [0.0, 0.1])
@pytest.mark.parametrize("criterion", ["energybudget", "invariant", "hutmakino", "boekholt"])
def test_systems_with_massless_bodies_are_the_same_in_both(criterion, n, massive, softening):
    """Their own energies count in the step: with chi of the whole system alone some of these would take other ones."""
    start = among_massless(n, massive, softening)
    assert_same_run(start, *both(start, Symmetrized(rule_for(criterion, start, "suzuki4")), steps=8, integrator="suzuki4"))


@pytest.mark.parametrize(("n", "massive"), MASSLESS)
@pytest.mark.parametrize("softening", [0.0, 0.1])
def test_invariant_features_with_massless_bodies_are_the_same_in_both(n, massive, softening):
    """A network that shows one feature in its step, one after the other."""
    start = among_massless(n, massive, softening, seed=1)
    step = one_network(start, features=("invariant", 0), tol=1e-4)
    seen = ModelAdapter.of_model(step.model).observe(ParticleTorch.from_bodies(start)).features[0].numpy()
    plain = simulate(start, steps=1, criterion=step).dt_max[0]
    for k in range(ERROR_FRACTION):

        def shifted(net, k=k):
            net.lowest[k], net.highest[k] = -1e30, seen[k] - 0.1

        other = changed(step, shifted)
        ours, theirs = both(start, other, steps=1)
        assert ours.dt_max == pytest.approx(theirs.dt_max, rel=1e-12, abs=0), INVARIANT[k]
        assert abs(ours.dt_max[0] / plain - 1) > 1e-9, INVARIANT[k]


# ---- special criteria ---------------------------------------------------------------------------------------------------
def test_wrappers_at_their_limits_are_the_same_in_both():
    """Huayno where the step grows faster than time (dt = 2 tau), a trial that ends in one place for both bodies."""
    leaving = Bodies([1.0, 2.0], [[0.0, 0.0], [0.4, 0.0]], [[-2.0, 1.0], [1.0, -0.5]])
    meeting = Bodies([4.0, 4.0], [[-1.0, 0.0], [1.0, 0.0]], [[-0.5, 0.0], [0.5, 0.0]])
    for start, criterion in ((leaving, Huayno(FreeFall(3.0))), (meeting, Limited(HutMakinoMcMillan(Constant(1.0), 2), 0.5))):
        ours, theirs = both(start, criterion, steps=3)
        assert_same_run(start, ours, theirs)
    assert ours.status == ("non_finite",)
    first = simulate(leaving, steps=1, criterion=Huayno(FreeFall(3.0))).dt_max
    np.testing.assert_allclose(first, 2 * first_steps(leaving, FreeFall(3.0)), rtol=1e-12)


def test_limits_given_to_the_run_are_the_same_in_both():
    start = bodies(2)
    low, high = np.quantile(first_steps(start, FreeFall(0.04)), [0.3, 0.7])
    ours, theirs = both(start, FreeFall(0.04), dt_min=low, dt_max=high)
    assert_same_run(start, ours, theirs)
    assert (ours.dt_min.min(), ours.dt_max.max()) == (low, high)


def test_a_criterion_as_text_and_the_default_are_the_same_in_both():
    start = bodies(3).select([0, 3, 4])
    assert_same_run(start, *both(start, "energybudget:tol=1e-4,integrator=suzuki4"))
    ours, theirs = both(start, None, tol=1e-3)
    assert_same_run(start, ours, theirs, 2e-14 / 1e-3)
    assert (ours.criterion, ours.integrator) == ("symmetrized(learned)", cheapest_splitting(1e-3))
    assert ours.tol.tolist() == [1e-3] * 3


@pytest.mark.parametrize(("kind", "power"), [("freefall", 1), ("energybudget", 2), ("invariant", 2), ("basic", 3)])
def test_a_number_for_each_system_stays_with_its_system(kind, power):
    start, numbers = at_rest(bodies(2)), np.array([0.01, 0.02, 0.03, 0.05, 0.08]) ** power
    made = {
        "freefall": FreeFall,
        "energybudget": EnergyBudget,
        "invariant": one_network(start, features=("invariant", 0)).at_tolerance,
        "basic": one_network(start).at_tolerance,
    }[kind]
    ours, theirs = both(start, made(numbers))
    assert_same_run(start, ours, theirs)
    for b in (1, 4):
        alone = simulate(start.select(b), steps=STEPS, criterion=made(numbers[b]))
        assert np.array_equal(alone.final.position[0], ours.final.position[b])


@pytest.mark.parametrize("run", [simulate, differentiable.simulate])
def test_a_criterion_made_for_one_integrator_is_refused_under_another_in_both(run):
    start = bodies(3)
    for criterion, integrator in (
        (EnergyBudget(1e-8, "kahan_li6"), "suzuki4"),
        (one_network(start, integrator="kahan_li8"), "leapfrog"),
        (HutMakinoMcMillan(EnergyBudget(1e-4, "leapfrog")), "suzuki4"),
    ):
        with pytest.raises(ConfigError, match=f"made for integrator = .*, not for {integrator}: leave the integrator out"):
            run(start, steps=3, criterion=criterion, integrator=integrator)


def test_the_work_of_a_moving_field_is_left_out_of_the_error_in_both():
    start = bodies(3, field=tidal(M=5.0, R0=4.0, period=3.0))
    ours, theirs = both(start, Constant(0.01), steps=80)
    assert_same_run(start, ours, theirs)
    moved = np.abs(ours.final.total_energy() - start.total_energy()) / start.energy_scale()
    assert (moved > 20 * ours.final_energy_error).all()
    assert ours.momentum_error is None


# ---- how a run ends -----------------------------------------------------------------------------------------------------
def test_every_way_to_end_is_the_same_in_both():
    """Ends of their own, one there already, one out of steps; two bodies that meet; a step below round-off."""
    start = bodies(2)
    ends = start.time + np.array([0.1, 0.0, 0.3, 50.0, 0.2])
    ours, theirs = both(start, Symmetrized(FreeFall(0.05)), t_end=ends, max_steps=30)
    assert_same_run(start, ours, theirs)
    assert (ours.status, ours.steps[1]) == (("ok", "ok", "ok", "max_steps", "ok"), 0)
    headlong = Bodies([1.0, 1.0], [[-1.0, 0.0], [1.0, 0.0]], np.zeros((2, 2)))
    orbit = as_bodies(named.kepler(0.5))
    pair = Bodies.stack([headlong, orbit])
    ours, theirs = both(pair, FreeFall(0.1), t_end=5.0, max_steps=3000)
    assert ours.status == theirs.status
    assert ours.status[1] == "ok"
    assert ours.status[0] != "ok"
    ours, theirs = both(orbit.replace(time=1e17), Constant(1.0), t_end=2e17)
    assert_same_run(orbit, ours, theirs)
    assert ours.status == ("stuck",)
