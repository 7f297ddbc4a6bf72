"""Long runs of disturbed bodies: the tolerance that a network is asked for shrinks with their number of orbits."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from aitimestepper import Bodies, EnergyBudget, LearnedStep, PointMassTidalField, Symmetrized, simulate
from aitimestepper.constants import LONG_RUN, LONG_TOLERANCES
from aitimestepper.criteria.wrappers import innermost
from aitimestepper.errors import ConfigError
from aitimestepper.hierarchy import covered_bodies
from aitimestepper.initial import kepler, triple
from aitimestepper.initial.named import plummer
from aitimestepper.initial.scattering import binary_meets_single
from aitimestepper.initial.suites import make_suite
from aitimestepper.models import shipped
from aitimestepper.policy import choose
from aitimestepper.simulate.length import are_meeting, are_planetary, are_sensitive, for_length, kind_of, turns_of

ORBIT = 2 * math.pi


def planets() -> Bodies:
    """A star with two planets of mass 1e-3 at a = 1 and 2, the second without mass in the second system."""
    systems = []
    for outer in (1e-3, 0.0):
        mass = np.array([1.0, 1e-3, outer])
        x = np.array([[0.0, 0.0], [1.0, 0.0], [-2.0, 0.0]])
        v = np.array([[0.0, 0.0], [0.0, math.sqrt(1.001)], [0.0, -math.sqrt(0.5)]])
        systems.append(Bodies(mass, x, v))
    return Bodies.stack(systems)


def test_orbits_are_counted_of_the_tightest_pair_where_a_third_body_disturbs_it():
    start = planets()
    period = ORBIT / math.sqrt(1.001)
    assert turns_of(start, np.array([100.0, 200.0]) * period) == pytest.approx([100, 200], rel=1e-9)
    pair, cloud = (Bodies(i.mass, i.position, i.velocity) for i in (kepler(e=0.5), plummer(32, seed=1)))
    assert turns_of(pair, np.array([1e4])).tolist() == [0.0]
    assert turns_of(cloud, np.array([1e4])).tolist() == [0.0]
    assert turns_of(start, np.full(2, np.inf)).tolist() == [0.0, 0.0]


def test_the_tolerance_shrinks_with_the_square_beyond_forty_orbits():
    start, step = planets(), Symmetrized(LearnedStep(shipped("leapfrog"), 1e-2))
    period = ORBIT / math.sqrt(1.001)
    stars = Bodies([1.0, 0.5, 0.2], [[0.0, 0.0], [1.0, 0.0], [20.0, 0.0]], [[0.0, 0.0], [0.0, math.sqrt(1.5)], [0.0, 0.3]])
    end = LONG_RUN * ORBIT / math.sqrt(1.5)
    assert for_length(step, stars, np.array([0.99 * end])) == step
    long = innermost(for_length(step, start, np.array([0.5, 4.0]) * LONG_RUN * period))
    assert long.shortening(np.full(2, 1e-2)) == pytest.approx([1.0, 0.0625], rel=1e-9)
    asked = innermost(step).calibrated_tolerance(np.array([1e-2, 0.0625e-2]))
    assert long.calibrated_tolerance(np.full(2, 1e-2)) == pytest.approx(of_planets(asked, [1e-2, 0.0625e-2]), rel=1e-9)
    assert innermost(for_length(step, stars, np.array([4.0 * end]))).shortening(np.array([1e-2])) == pytest.approx(
        [0.0625], rel=1e-9
    )
    assert for_length(EnergyBudget(1e-2), start, np.full(2, 1e9)) == EnergyBudget(1e-2)
    with pytest.raises(ConfigError, match="turns = -1"):
        LearnedStep(None, 1e-2, turns=-1.0)


def of_planets(asked: np.ndarray, tol: list[float]) -> np.ndarray:
    """Return what is asked for in sensitive systems, from what is asked for in others."""
    known = [
        np.array(pairs).T for pairs in map(sorted, (shipped("leapfrog").calibration, shipped("leapfrog").sensitive_calibration))
    ]
    other, own = (np.exp(np.interp(np.log(tol), np.log(at), np.log(factor))) for at, factor in known)
    return asked / other * own


MASSES = [  # masses of a system, and whether it is planetary
    ([1.0, 1e-3, 1e-6], True),
    ([1.0, 0.0, 0.0], True),
    ([1.0, 0.8, 1e-3, 0.0], True),  # about both stars
    ([1.0, 0.8, 1e-3], False),  # only one light body
    ([1.0, 1e-3], False),
    ([1.0, 1e-5], True),  # of which the total energy says nothing
    ([1.0, 0.8, 0.0], True),
    ([1.0, 0.5, 0.2], False),
    ([1.0, 0.5, 0.3, 0.0, 0.0], False),  # three heavy ones
]


@pytest.mark.parametrize(("mass", "planetary"), MASSES)
def test_planetary_systems_are_light_bodies_about_one_or_two_heavy_ones(mass, planetary):
    n = len(mass)
    bodies = Bodies(mass, np.random.default_rng(0).normal(size=(n, 3)), np.zeros((n, 3)))
    assert are_planetary(bodies).tolist() == are_sensitive(bodies).tolist() == [planetary]
    padded = Bodies.stack([bodies, Bodies([1.0] * 7, np.random.default_rng(1).normal(size=(7, 3)), np.zeros((7, 3)))])
    assert are_planetary(padded).tolist() == [planetary, False]  # bodies that are not there count as none
    heavier = bodies.replace(mass=bodies.mass * 1e20)
    assert are_planetary(heavier).tolist() == [planetary]


def test_encounters_are_sensitive():
    """A body that comes to a binary from outside or goes away, or two binaries that meet; not what is bound."""
    for name in ("scatter", "binaries"):
        start, _ = make_suite((name,), "train", 40).batch()
        assert are_sensitive(start).mean() > 0.9, name
    start, _ = make_suite(("scatter",), "train", 40).batch()
    assert are_sensitive(start.replace(velocity=-start.velocity)).tolist() == are_sensitive(start).tolist()
    moving = start.replace(velocity=start.velocity + 1e3, position=start.position - 1e3)
    assert are_sensitive(moving).tolist() == are_sensitive(start).tolist()
    for name in ("kepler", "triple", "slow3", "collapse"):
        start, _ = make_suite((name,), "train", 40).batch()
        assert not are_sensitive(start).any(), name


def test_nine_in_ten_encounters_above_the_critical_speed_keep_their_tolerance():
    """They were learned from nowhere; with the factors of bound systems half of them exceeded it."""
    rng = np.random.default_rng(3)
    start = binary_meets_single(rng, 2.5 * np.sqrt(rng.uniform(size=200)), 1.5)
    done = simulate(start, t_end=100.0, tol=1e-5, warn=False)
    assert (done.max_energy_error <= 1e-5).mean() >= 0.9


FIELD = PointMassTidalField(1000.0, (100.0, 0.0, 0.0))


def test_few_bodies_in_a_field_from_outside_count_as_sensitive():
    pair = Bodies([1.0, 0.5], [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], np.zeros((2, 3)), external_field=FIELD)
    assert are_sensitive(pair).tolist() == [True]
    cloud = plummer(32, seed=1)
    in_field = Bodies(cloud.mass, cloud.position, cloud.velocity, external_field=pair.external_field)
    assert are_sensitive(in_field).tolist() == [False]


def test_a_network_is_asked_for_less_in_sensitive_systems():
    model = shipped("blanes_moan4")
    model = dataclasses.replace(
        model, card={**model.card, "calibration": [[1e-3, 0.5]], "sensitive_calibration": [[1e-3, 0.1]]}
    )
    start = Bodies.stack([planets().select([0]), Bodies([1.0, 0.5, 0.2], np.eye(3, 2) * 9, np.zeros((3, 2)))])
    step = innermost(for_length(LearnedStep(model, 1e-3), start, np.ones(2)))
    assert step.sensitive == (True, False)
    assert step.calibrated_tolerance(np.full(2, 1e-3)) == pytest.approx([1e-4, 5e-4], rel=1e-12)
    assert model != dataclasses.replace(model, card={**model.card, "sensitive_calibration": [[1e-3, 0.2]]})


def test_a_run_that_goes_on_keeps_the_tolerance_that_it_began_with():
    bodies, tol = triple(), 1e-3
    first = simulate(bodies, t_end=50.0, tol=tol)
    second = simulate(first, t_end=5000.0)
    assert second.final.run.criterion == first.final.run.criterion
    at_once = simulate(bodies, t_end=5000.0, tol=tol)
    assert innermost(at_once.final.run.criterion).turns is not None
    assert at_once.steps[0] > 1.1 * second.steps[0]


def test_units_do_not_change_the_number_of_orbits():
    start, T, L, M = planets(), 2.0**20, 2.0**40, 2.0**80
    other = Bodies(start.mass * M, start.position * L, start.velocity * (L / T), G=L**3 / (M * T**2))
    assert turns_of(other, np.full(2, 1e4 * T)) == pytest.approx(turns_of(start, np.full(2, 1e4)), rel=1e-12)


def test_a_batch_is_one_of_encounters_if_all_systems_are_and_long_if_one_is():
    met, bound = binary_meets_single(np.random.default_rng(1), [0.5, 1.0], 1.5), planets()
    soon = np.full(2, 50.0)
    assert kind_of(met, soon) == (False, True)
    assert kind_of(met, np.array([50.0, 1e4])) == (True, True)
    assert kind_of(bound, soon) == (False, False)
    flat = (np.pad(y[0], ((0, 0), (0, 1))) for y in (bound.position, bound.velocity))
    both = Bodies.stack([met.select(0), Bodies(bound.mass[0], *flat)])
    assert kind_of(both, soon) == (False, False)
    for start, name in ((met, "blanes_moan6"), (bound, "blanes_moan4"), (both, "blanes_moan4")):
        assert simulate(start, t_end=0.5, tol=1e-5).integrator == name


def test_it_is_part_of_the_criterion():
    step = choose(None, 1e-3).criterion
    long = for_length(step, planets(), np.full(2, 1e4))
    assert dataclasses.replace(innermost(long), turns=None, sensitive=None, long=None) == innermost(step)
    assert long != step
    assert hash(long) != hash(step)


def test_hundreds_of_orbits_are_asked_for_no_long_steps_and_for_no_more_than_is_wanted():
    """Also of two bodies, whose energy would drift: 1000 orbits of e = 0.9 exceeded 1e-4 ten times."""
    model = shipped("blanes_moan4")
    model = dataclasses.replace(model, card={**model.card, "calibration": [[1e-2, 3.0], [1e-7, 3.0]]})
    pairs = Bodies.stack([Bodies(i.mass, i.position, i.velocity) for i in (kepler(e=0.9), kepler(e=0.9))])
    ends = np.array([50.0, 500.0]) * ORBIT
    for tol, asked in ((1e-3, [3e-3, LONG_TOLERANCES["blanes_moan4"]]), (2e-6, [6e-6, 2e-6])):
        step = innermost(for_length(LearnedStep(model, tol), pairs, ends))
        assert step.long == (False, True)
        assert step.calibrated_tolerance(np.full(2, tol)) == pytest.approx(asked, rel=1e-9)
    done = simulate(kepler(e=0.9), t_end=1000 * ORBIT, tol=1e-4)
    assert done.max_energy_error[0] < 0.1e-4


def test_encounters_are_not_asked_for_less_however_late_their_end_is():
    """A long `t_end` says how long the outcome is waited for; where all orbits will be disturbed, nothing is covered."""
    start, ends = make_suite(("scatter",), "train", 60).batch()
    meeting = are_meeting(start)
    assert 0.3 < meeting.mean() < 0.9
    assert not covered_bodies(start)[meeting].any()
    turns = turns_of(start, 1e4 * ends)
    assert (turns[meeting] == 0).all()
    assert (turns[~meeting] > LONG_RUN).all()
    away = start.replace(velocity=-start.velocity)  # what has met already goes its way
    assert not are_meeting(away).any()
    bound, late = make_suite(("triple",), "train", 20).batch()
    assert not are_meeting(bound).any()
    assert (turns_of(bound, 1e4 * late) > LONG_RUN).all()
