"""Agents as criteria: asked for all systems at once, one step each, and otherwise a criterion like any other."""

import copy
import math

import numpy as np
import pytest

from aitimestepper import resume
from aitimestepper.bench.cost import Charges
from aitimestepper.bench.timing import Effort
from aitimestepper.criteria.agent import AgentCriterion
from aitimestepper.criteria.classical import EnergyBudget, FreeFall
from aitimestepper.criteria.wrappers import Huayno, HutMakinoMcMillan, Limited, Symmetrized
from aitimestepper.errors import ConfigError
from aitimestepper.evaluation.contenders import Contender, rule_named
from aitimestepper.evaluation.runs import Systems, measure
from aitimestepper.initial.suites import make_suite
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.simulation import Simulation

TOL = 1e-3


def analytic(features: np.ndarray) -> np.ndarray:
    return np.zeros(len(features))


def cautious(features: np.ndarray) -> np.ndarray:
    """Smaller steps at pericentre, larger ones where the bodies are far apart."""
    return 0.2 * np.tanh(features[:, 3:4])


@pytest.fixture(scope="module")
def few():
    """Problems of two to four bodies, whose runs end at different times."""
    return make_suite(("kepler", "triple", "planets"), "train", 3, 3).batch()


def run(few, criterion, integrator="blanes_moan4", **more):
    start, ends = few
    return simulate(start, **{"t_end": 0.1 * ends, **more}, criterion=criterion, integrator=integrator, warn=False)


def assert_same(one, two):
    for name in ("steps", "force_evaluations", "max_energy_error", "dt_min", "dt_max"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.status == two.status
    for name in ("position", "velocity", "time"):
        np.testing.assert_array_equal(getattr(one.final, name), getattr(two.final, name))


@pytest.mark.parametrize("wrap", [lambda c: c, Symmetrized, lambda c: Limited(Symmetrized(c), 0.001, 0.05)])
@pytest.mark.parametrize("integrator", ["leapfrog", "blanes_moan4"])
def test_the_answer_0_gives_the_bits_of_the_analytic_step(few, integrator, wrap):
    tol = 1e-2 if integrator == "leapfrog" else TOL
    agent = run(few, wrap(AgentCriterion(analytic, tol, integrator)), integrator)
    assert_same(agent, run(few, wrap(EnergyBudget(tol)), integrator))


def test_and_with_hermite_the_step_to_rounding(few):
    """Systems of this method are not in lanes, where sums have an order of their own."""
    agent, budget = (run(few, c, "hermite4", t_end=1.0) for c in (AgentCriterion(analytic, TOL, "hermite4"), EnergyBudget(TOL)))
    np.testing.assert_array_equal(agent.steps, budget.steps)
    np.testing.assert_allclose(agent.final.position, budget.final.position, rtol=1e-9, atol=1e-9)


def test_also_under_a_guard_which_repeats_steps(few):
    """A turn goes on until a step is accepted, and the agent is asked once for it."""
    criteria = AgentCriterion(analytic, 0.1, "blanes_moan4"), EnergyBudget(0.1)
    agent, budget = (run(few, c, guard=True, tol=1e-6) for c in criteria)
    assert agent.rejected_steps.sum() > 0
    assert_same(agent, budget)


def test_threads_companions_and_pauses_do_not_change_a_bit(few, tmp_path):
    criterion = AgentCriterion(cautious, TOL, "blanes_moan4")
    whole = run(few, criterion)
    assert_same(whole, run(few, criterion, threads=2, output=tmp_path / "run.h5", output_steps=3))
    start, ends = few
    alone = simulate(start.select([4]), t_end=0.1 * ends[4], criterion=criterion, integrator="blanes_moan4", warn=False)
    assert alone.steps[0] == whole.steps[4]
    n = int(start.body_count[4])
    np.testing.assert_array_equal(alone.final.position[0, :n], whole.final.position[4, :n])
    later = resume(tmp_path / "run.h5", criterion=AgentCriterion(cautious, TOL, "blanes_moan4"), warn=False)
    np.testing.assert_array_equal(later.final.position, whole.final.position)


def test_a_run_in_two_parts_is_one_run(few):
    start, _ = few
    criterion = Symmetrized(AgentCriterion(cautious, TOL, "blanes_moan4"))
    whole, first = (simulate(start, steps=n, criterion=criterion, integrator="blanes_moan4", warn=False) for n in (40, 15))
    second = simulate(first, steps=25, warn=False)
    assert_same(second, whole)
    assert copy.deepcopy(first).final.run is None  # a function is not copied with the bodies


def test_a_simulation_object_makes_the_same_steps(few):
    start, ends = few
    one, end = start.select([3]), 0.05 * float(ends[3])
    criterion = AgentCriterion(cautious, TOL, "blanes_moan4")
    simulation = Simulation(one, criterion=criterion, integrator="blanes_moan4")
    simulation.integrate(end)
    whole = simulate(one, t_end=end, criterion=criterion, integrator="blanes_moan4", warn=False)
    there = whole.final.present[0]
    np.testing.assert_allclose(simulation.bodies.position[0], whole.final.position[0, there], rtol=1e-9)


def test_the_answer_is_the_decimal_logarithm_of_the_step(few):
    first = {}
    for a in (0.0, 0.5, -1.0):
        result = simulate(
            few[0], steps=1, criterion=AgentCriterion(lambda f, a=a: np.full(len(f), a), TOL, "leapfrog"), warn=False
        )
        first[a] = result.dt_max
    np.testing.assert_allclose(first[0.5], first[0.0] * math.sqrt(10), rtol=1e-14)
    np.testing.assert_allclose(first[-1.0], first[0.0] / 10, rtol=1e-14)


def test_what_an_agent_sees_is_the_same_for_scaled_turned_and_moving_systems(few, random_system):
    start, seen = random_system(n=4, systems=3), []

    def look(features):
        seen.append(features.copy())
        return np.zeros(len(features))

    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    for changed in (
        start,
        start.replace(position=7.0 * start.position, velocity=start.velocity / math.sqrt(7.0)),
        start.replace(position=start.position @ turn, velocity=start.velocity @ turn),
        start.replace(position=start.position[:, ::-1], velocity=start.velocity[:, ::-1], mass=start.mass[:, ::-1]),
        start.replace(velocity=-start.velocity),
    ):
        simulate(changed, steps=1, criterion=AgentCriterion(look, TOL, "leapfrog"), warn=False)
    for other in seen[1:]:
        np.testing.assert_allclose(other, seen[0], rtol=1e-4, atol=1e-5)
    assert seen[0].dtype == np.float32
    assert seen[0].shape == (3, 9)
    np.testing.assert_allclose(seen[0][:, 8], math.log(TOL), rtol=1e-6)


def test_an_error_of_the_agent_is_raised_and_an_answer_of_another_shape_refused(few):
    def broken(features):
        raise ZeroDivisionError("the agent's own")

    with pytest.raises(ZeroDivisionError, match="own"):
        run(few, AgentCriterion(broken, TOL, "blanes_moan4"))
    with pytest.raises(ConfigError, match="shape"):
        run(few, AgentCriterion(lambda features: features, TOL, "blanes_moan4"))


def test_an_answer_that_is_no_number_breaks_off_with_a_status(few):
    result = run(few, AgentCriterion(lambda f: np.where(f[:, 4] > 0, np.nan, 0.0), TOL, "blanes_moan4"))
    assert set(result.status) == {"non_finite"}


@pytest.mark.parametrize("wrapper", [Huayno, HutMakinoMcMillan])
def test_wrappers_that_look_ahead_are_refused(few, wrapper):
    with pytest.raises(ConfigError, match="agent"):
        run(few, wrapper(AgentCriterion(analytic, TOL, "blanes_moan4")))


def test_an_agent_for_another_integrator_is_refused(few):
    with pytest.raises(ConfigError, match="made for integrator = leapfrog"):
        run(few, AgentCriterion(analytic, TOL, "leapfrog"))
    with pytest.raises(ConfigError, match="integrator"):
        AgentCriterion(analytic, TOL, "radau15")


@pytest.mark.parametrize(
    "wrong", [{"tol": 0.0}, {"tol": (1e-3, 1e-4)}, {"factor": -1.0}, {"factor": math.nan}, {"function": 3}]
)
def test_bad_numbers_are_refused_in_a_sentence(wrong):
    with pytest.raises(ConfigError, match="agent"):
        AgentCriterion(**{"function": analytic, **wrong})


def test_resume_needs_the_agent_again(few, tmp_path):
    run(few, AgentCriterion(analytic, TOL, "blanes_moan4"), output=tmp_path / "run.h5")
    with pytest.raises(ConfigError, match="give it again"):
        resume(tmp_path / "run.h5")
    with pytest.raises(ConfigError, match="give that one again"):
        resume(tmp_path / "run.h5", criterion=FreeFall(0.02))


def test_the_bench_measures_an_agent_like_any_rule(tmp_path, few):
    """At the step parameter c tol^(1/p) an agent that answers 0 is EnergyBudget."""
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\n"
        "from aitimestepper.criteria.agent import AgentCriterion\n"
        "def zero(features):\n    return np.zeros(len(features))\n"
        "def mine(value):\n    return AgentCriterion(zero, 1e-4, 'blanes_moan4').scaled(value)\n"
    )
    systems = Systems(few[0], 0.1 * few[1])
    agent, budget = (Contender(rule_named(name), "symmetrized", "blanes_moan4") for name in (f"{path}:mine", "energybudget"))
    one = measure(systems, agent, 2.2 * 1e-4 ** (1 / 4), 100_000)
    two = measure(systems, budget, budget.step_parameter(1e-4), 100_000)
    np.testing.assert_array_equal(one.forces, two.forces)
    np.testing.assert_allclose(one.error, two.error, rtol=1e-6)
    charge = Charges(2, Effort(1, 0.01)).of(agent)  # it cannot be timed with leapfrog, which other rules are timed with
    assert charge.at([2])[0] > 10.0  # force evaluations of two bodies, some nanoseconds each, in a call into Python
