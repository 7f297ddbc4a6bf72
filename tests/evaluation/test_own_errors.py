"""Errors of the bodies' own energies, which see what a total energy does not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import PRS23, EnergyBudget
from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.evaluation_set import EvaluationSet, evaluate
from aitimestepper.evaluation.own_errors import natural_units, own_reference
from aitimestepper.evaluation.runs import Systems, measure
from aitimestepper.fields import PointMassTidalField
from aitimestepper.hierarchy import own_energy
from aitimestepper.initial.named import figure8, kepler, solar, triple
from aitimestepper.initial.suites import Case, Suite, make_suite
from aitimestepper.models import shipped
from aitimestepper.simulate.engine import simulate

PLENTY = 10**7
COARSE = Contender(rule_named("freefall"), "plain", "leapfrog")
RADAU = Contender(rule_named("prs23"), "plain", "radau15")
BUDGET = Contender(rule_named("energybudget"), "symmetrized", "leapfrog")


def problem(initial, turns: float) -> Systems:
    position, velocity = (np.pad(x, [(0, 0), (0, 3 - x.shape[1])]) for x in (initial.position, initial.velocity))
    case = Case("", "", initial._replace(position=position, velocity=velocity), 2 * math.pi * turns, regular=True)
    return Systems.of(Suite("", (case,)))


def joined(*systems: Systems) -> Systems:
    ends, regular = (np.concatenate([s[k] for s in systems]) for k in (1, 2))
    return Systems(Bodies.stack([s.start for s in systems]), ends, regular)


def light_planet(e: float = 0.9) -> Systems:
    """A massless planet about a star of mass 1, 100 orbits."""
    mass = np.array([1.0, 0.0])
    planet = kepler(e, q=1e-300)
    return problem(planet._replace(mass=mass), 100)


def test_the_own_error_sees_what_the_total_energy_does_not():
    systems = light_planet()
    own = own_reference(systems, systems.regular)
    assert own.covered.tolist() == [[False, True]]
    done = measure(systems, COARSE, COARSE.step_parameter(0.5), PLENTY, own=own)
    assert done.error[0] < 1e-12
    assert done.own_error[0] > 0.1
    accurate = measure(systems, RADAU, RADAU.step_parameter(0.17), PLENTY, own=own)
    assert accurate.own_error[0] < 1e-9


def test_the_own_error_of_two_bodies_is_that_of_the_total_energy():
    systems = problem(kepler(0.9, 0.1), 10)
    own = own_reference(systems, systems.regular)
    assert (own.covered.all(), own.compared.any()) == (True, False)
    done = measure(systems, BUDGET, BUDGET.step_parameter(1e-2), PLENTY, own=own)
    assert done.own_error == done.error
    # compared by times like others, it is the total error at these times
    forced = own._replace(compared=np.array([True]))
    energy = np.full(own.energy.shape, own_energy(natural_units(systems).start, own.host)[0])
    forced = forced._replace(energy=energy, scale=np.abs(energy))
    compared = measure(systems, BUDGET, BUDGET.step_parameter(1e-2), PLENTY, own=forced)
    assert 0.01 * done.error[0] < compared.own_error[0] <= done.error[0] * (1 + 1e-9)


def test_a_moon_has_an_error_of_its_own():
    moon = kepler(0.0, q=1e-3)
    distance = 0.2 * (1e-3 / 3) ** (1 / 3)
    speed = math.sqrt(moon.mass[1] / distance)
    position = np.vstack([moon.position, moon.position[1] + [distance, 0.0]])
    velocity = np.vstack([moon.velocity, moon.velocity[1] + [0.0, speed]])
    systems = problem(moon._replace(mass=np.append(moon.mass, 0.0), position=position, velocity=velocity), 3)
    own = own_reference(systems, systems.regular)
    assert (own.covered.tolist(), own.compared.tolist()) == ([[True] * 3], [True])
    coarse = measure(systems, BUDGET, BUDGET.step_parameter(1e-2), PLENTY, own=own)
    accurate = measure(systems, RADAU, RADAU.step_parameter(0.1), PLENTY, own=own)
    assert coarse.own_error[0] > 2 * coarse.error[0]
    assert accurate.own_error[0] < 1e-9


@pytest.mark.parametrize("contender", [BUDGET, RADAU])
def test_measuring_own_errors_changes_no_run(contender):
    systems = joined(problem(triple(a2=20.0), 4), problem(kepler(0.9, 0.3), 7), light_planet(0.5), problem(figure8(), 3))
    own = own_reference(systems, systems.regular)
    assert own.compared.tolist() == [True, False, True, False]
    value = contender.step_parameter(1e-2 if contender is BUDGET else 0.1)
    plain, with_own = measure(systems, contender, value, PLENTY), measure(systems, contender, value, PLENTY, own=own)
    for name in ("error", "final_error", "forces", "steps", "sound"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(with_own, name))
    assert plain.own_error is None
    assert (with_own.own_error[:3] > 0).all()
    assert with_own.own_error[3] == 0  # nothing counts


def test_a_problem_has_the_same_own_error_alone():
    systems = joined(problem(triple(a2=20.0), 4), problem(solar(), 1e4 / 365), light_planet(0.5))
    own = own_reference(systems, systems.regular)
    value = BUDGET.step_parameter(1e-3)
    together = measure(systems, BUDGET, value, PLENTY, own=own)
    for k in range(3):
        row = np.array([k])
        alone = measure(systems.rows(row), BUDGET, value, PLENTY, own=own.rows(row))
        np.testing.assert_allclose(alone.own_error, together.own_error[row], rtol=1e-9)


def test_a_run_that_broke_off_has_no_finite_error():
    systems = light_planet()
    done = measure(systems, BUDGET, BUDGET.step_parameter(1e-3), 50, own=own_reference(systems, systems.regular))
    assert np.isinf(done.own_error).all()


def test_nothing_counts_in_problems_that_are_not_regular():
    systems = joined(problem(triple(a2=20.0), 4), light_planet())
    own = own_reference(systems, np.array([False, False]))
    assert not own.covered.any()
    assert not own.compared.any()


def test_natural_units_last_from_one_to_two_and_change_no_bits():
    systems = joined(problem(triple(a2=20.0), 4), problem(kepler(0.9, 0.3), 700))
    scaled = natural_units(systems)
    assert ((scaled.ends >= 1) & (scaled.ends < 2)).all()
    np.testing.assert_array_equal(*(s.start.kinetic_energy() / np.abs(s.start.potential_energy()) for s in (systems, scaled)))


@pytest.mark.parametrize("mass", [None, [1.0, 0.0]])
def test_two_bodies_in_a_field_have_own_errors_against_a_finer_run(mass):
    """The field pulls at both unevenly, so that their own energy is not that of the start."""
    systems = problem(kepler(0.5, 0.3), 5)
    start = systems.start.replace(external_field=PointMassTidalField(1.0, 10.0))
    systems = systems._replace(start=start if mass is None else start.replace(mass=[mass]))
    own = own_reference(systems, systems.regular)
    assert own.compared.tolist() == [True]
    assert own.covered.tolist() == [[mass is None, True]]
    runs = []
    for criterion, integrator in ((Symmetrized(EnergyBudget(1e-2)), "leapfrog"), (PRS23(0.05), "radau15")):
        states = []

        def take(of: Bodies, rows: dict[str, np.ndarray], states: list[Bodies] = states) -> None:
            states += [of.moved(*row) for row in zip(rows["position"], rows["velocity"], rows["time"], strict=True)]

        how = {"criterion": criterion, "integrator": integrator, "warn": False}
        done = simulate(systems.start, t_end=systems.ends, output_every=own.every, sinks=(take,), **how)
        runs.append([own_energy(state, own.host, own.group) for state in (*states, done.final)])
    assert len(runs[0]) == len(runs[1]) > 15
    true, scale = np.transpose(runs[1], (1, 0, 2, 3))
    error = (np.abs(np.array(runs[0])[:, 0] - true) / scale)[:, own.covered].max()
    assert np.ptp(true[..., 1]) > 10 * error * scale[0, 0, 1]
    measured = measure(systems, BUDGET, BUDGET.step_parameter(1e-2), PLENTY, own=own)
    assert measured.own_error[0] == pytest.approx(error, rel=1e-5)
    assert measure(systems, RADAU, RADAU.step_parameter(0.1), PLENTY, own=own).own_error[0] < 1e-9


def test_scores_take_the_larger_one_of_both_errors():
    problems = EvaluationSet.make("leapfrog", (1e-2,), "validation", 2, ("kepler",), first=7000)
    suite = make_suite(("kepler",), "validation", 2, 3, None, 7000)
    assert suite.regular.shape == (2,)
    light = replace(suite.cases[0], initial=suite.cases[0].initial._replace(mass=np.array([1.0, 0.0])))
    cases = tuple(replace(case, regular=True) for case in (light, suite.cases[1]))
    systems = Systems.of(replace(suite, cases=cases))
    problems = problems._replace(systems=systems, own=own_reference(systems, systems.regular))
    scores = evaluate(LearnedStep(shipped("leapfrog")), problems)
    total = evaluate(LearnedStep(shipped("leapfrog")), problems._replace(own=None))
    assert total.log_own_excess is None
    np.testing.assert_array_equal(scores.log_excess, np.maximum(total.log_excess, scores.log_own_excess))
    assert scores.log_excess[0, 0] > total.log_excess[0, 0]
