"""Predicted runs: the energy error along a reference is that of the leading error Hamiltonian, and that of true runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aitimestepper import Bodies, Config, FreeFall, Symmetrized, simulate
from aitimestepper.differentiable.adapter import ModelAdapter
from aitimestepper.differentiable.gravity import dot
from aitimestepper.differentiable.network import build_network
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.evaluation.runs import Systems
from aitimestepper.features import ERROR_FRACTION
from aitimestepper.initial.named import InitialConditions, ellipse, kepler, plummer
from aitimestepper.initial.suites import Case, Suite, make_suite
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.simulate.recording import TrajectoryRecorder
from aitimestepper.training.judges.networks import learned_step, trained_parameters
from aitimestepper.training.judges.own import OwnMotion, centred_step
from aitimestepper.training.judges.predicted import converged_prediction, predict_error, predict_for_steps
from aitimestepper.training.judges.reference import ReferenceTrajectories, error_rate, join_references, measure_references
from aitimestepper.training.judges.tolerances import measured_at

ROUNDS = 40  # until the prediction does not change any more


def orbits(*eccentricities: float, turns: float = 2.0, regular: bool = False) -> Suite:
    cases = (Case(f"{e}", f"{e > 0.8}", kepler(e, q=0.1), turns * 2 * math.pi, regular=regular) for e in eccentricities)
    return Suite("", tuple(cases))


def make_references(suite: Suite, integrator: str, tolerances: tuple[float, ...]) -> ReferenceTrajectories:
    made = measure_references(suite, integrator, tolerances, gate=1e-6)
    return join_references([one for one in made if one is not None], suite.family_of.tolist())


@pytest.fixture(scope="module")
def references() -> ReferenceTrajectories:
    return make_references(orbits(0.2, 0.6, 0.9), "leapfrog", (1e-2, 1e-4, 1e-6))


def error_hamiltonian(p: ParticleTorch) -> torch.Tensor:
    """H_2 of kick-drift-kick: -1/12 sum m v.j - 1/24 sum m a^2, j the jerk; a step h changes H by -h^2 of its change."""
    a, h = p.get_acceleration(), 1e-5
    moved = [
        ParticleTorch.from_tensors(p.mass, p.position + s * h * p.velocity + 0.5 * h * h * a, p.velocity).get_acceleration()
        for s in (1, -1)
    ]
    jerk = (moved[0] - moved[1]) / (2 * h)
    return -(p.mass * dot(p.velocity, jerk)).sum(1) / 12 - (p.mass * dot(a, a)).sum(1) / 24


def test_the_rate_of_leapfrog_is_that_of_its_error_hamiltonian(random_system):
    p = random_system(4, 3, systems=20)
    h = torch.full((20,), 1e-4, dtype=torch.float64)
    d = 1e-4 * torch.ones_like(h)
    ahead, behind = (p.clone_detached().evolve(s * d) for s in (1.0, -1.0))
    slope = (error_hamiltonian(ahead) - error_hamiltonian(behind)) / (2 * d)
    torch.testing.assert_close(
        error_rate(*centred_step(p, h, "leapfrog"), "leapfrog"), -slope, rtol=2e-3, atol=2e-3 * slope.abs().max().item()
    )


@pytest.mark.parametrize("integrator", SPLITTINGS)
def test_the_rate_is_one_number_for_all_small_steps(two_body, integrator):
    p = two_body(e=0.5, anomaly=1.0)
    old = {"leapfrog": 0.002, "suzuki4": 0.04, "kahan_li6": 0.06, "kahan_li8": 0.15}
    h = {**old, "blanes_moan4": 0.04, "blanes_moan6": 0.1, "chin4": 0.04}[integrator]
    steps = [torch.tensor([f * h], dtype=torch.float64) for f in (1.0, 0.5)]
    rates = [error_rate(*centred_step(p, one, integrator), integrator).item() for one in steps]
    assert rates[1] == pytest.approx(rates[0], rel=0.15)
    assert abs(rates[0]) > 0


def test_predictions_are_what_runs_come_to(references):
    """EnergyBudget on smooth orbits, time-symmetric: forces to 2 %, errors to 15 %, over a thousandfold range of tolerances."""
    config = Config(judge="run", dt_ceiling=100.0)
    model, systems = build_network(config), Systems.of(orbits(0.2, 0.6, 0.9))
    for tol in (1e-3, 1e-5, 1e-6):
        found = converged_prediction(model, ModelAdapter(config), references, tol, ROUNDS)[0]
        criterion = Symmetrized(learned_step(model, config).at_tolerance(tol))
        done = simulate(systems.start, t_end=systems.ends, criterion=criterion)
        assert found.log_forces.exp().tolist() == pytest.approx(done.force_evaluations.tolist(), rel=0.02)
        assert (found.log_excess.exp() * tol).tolist() == pytest.approx(done.max_energy_error.tolist(), rel=0.15)


def test_predictions_follow_a_network_that_brakes_when_the_error_grows(references):
    config = Config(judge="run", dt_ceiling=100.0)
    systems, braking = Systems.of(orbits(0.2, 0.6, 0.9)), build_network(config)
    braking.limit_inputs(torch.full_like(braking.lowest, -50.0), torch.full_like(braking.highest, 50.0))
    with torch.no_grad():  # one unit looks at |error| by way of two: shorter steps on either side
        braking.hidden[0].weight.zero_()
        braking.hidden[0].bias.zero_()
        for unit, sign in ((0, 1.0), (1, -1.0)):
            braking.hidden[0].weight[unit, ERROR_FRACTION] = 2.0 * sign
            braking.hidden[0].bias[unit] = -1.0
            braking.log_dt.weight[0, unit] = -0.2
    for tol in (1e-4, 1e-5):
        found = converged_prediction(braking, ModelAdapter(config), references, tol, ROUNDS)[0]
        done = simulate(
            systems.start, t_end=systems.ends, criterion=Symmetrized(learned_step(braking, config).at_tolerance(tol))
        )
        assert found.log_forces.exp().tolist() == pytest.approx(done.force_evaluations.tolist(), rel=0.05)
        assert (found.log_excess.exp() * tol).tolist() == pytest.approx(done.max_energy_error.tolist(), rel=0.2)
        blind = converged_prediction(build_network(config), ModelAdapter(config), references, tol, ROUNDS)[0]
        assert (found.log_excess - found.log_forces < blind.log_excess + 5).all()


def test_the_gradient_is_the_slope_of_the_prediction(references):
    """To 1 %: where the ceiling cuts a step, the gradient is that of the step wanted, which keeps it alive."""
    config = Config(judge="run", layers=(4,), seed=1)
    model, adapter = build_network(config), ModelAdapter(config)
    with torch.no_grad():
        model.log_dt.weight.fill_(0.1)
    shown = torch.zeros_like(references.time)

    def loss():
        found = predict_error(model, adapter, references, 1e-4, shown)
        return found.log_forces.sum() + 0.5 * found.log_excess.sum()

    loss().backward()
    weight = trained_parameters(model)[0]
    for unit, feature in ((0, 0), (2, 5), (3, ERROR_FRACTION + 1)):  # the error so far, which is `shown`, is 0
        slopes = []
        for h in (1e-6, -1e-6):
            with torch.no_grad():
                weight[unit, feature] += h
                slopes.append(loss().item())
                weight[unit, feature] -= h
        assert weight.grad[unit, feature].item() == pytest.approx((slopes[0] - slopes[1]) / 2e-6, rel=1e-2, abs=1e-7)


def test_rows_are_the_trajectories_that_were_chosen(references):
    part, points = references.rows(torch.tensor([2, 0]))
    assert torch.equal(part.time, references.time[points])
    assert part.family.tolist() == [1, 0]
    assert part.first[0] == 0
    assert part.time[part.first].tolist() == [0.0, 0.0]
    assert torch.equal(part.features[part.trajectory == 1], references.features[references.trajectory == 0])
    for of_part, of_all in ((part.rate, references.rate), (part.own, references.own)):
        assert torch.equal(of_part[..., part.trajectory == 0], of_all[..., references.trajectory == 2])


def test_of_long_runs_the_beginning_is_taken(monkeypatch):
    suite = make_suite(("kepler", "random3"), "train", 2)
    whole = make_references(suite, "leapfrog", (1e-3,))
    monkeypatch.setattr("aitimestepper.training.judges.reference.POINTS", 500)
    parts = make_references(suite, "leapfrog", (1e-3,))
    assert torch.bincount(parts.trajectory).tolist() == [min(n, 501) for n in torch.bincount(whole.trajectory).tolist()]
    assert torch.equal(parts.rate[..., parts.trajectory == 1], whole.rate[..., whole.trajectory == 1][..., :501])
    assert parts.family.tolist() == [0, 0, 1, 1]


def test_of_many_bodies_fewer_points_are_taken(monkeypatch):
    monkeypatch.setattr("aitimestepper.training.judges.reference.PAIRS", 20_000)
    (made,) = measure_references(Suite("", (Case("", "", plummer(10, seed=1), 3.0),)), "leapfrog", (1e-3,), 1e-6)
    assert len(made.time) == 201


# ---- own energies ----------------------------------------------------------------------------------------------------------
def test_the_total_energy_of_two_bodies_is_their_own():
    made = make_references(orbits(0.6, regular=True), "leapfrog", (1e-2, 1e-4))
    assert torch.equal(made.rate[:, 1], made.rate[:, 0])
    assert (made.rate[:, 0].abs() > 0).any()
    assert not made.rate[:, 2].any()


def test_own_energies_do_not_count_in_chaotic_motion():
    made = make_references(make_suite(("random3", "cluster"), "train", 1), "leapfrog", (1e-2,))
    assert not made.rate[:, 1:].any()
    assert not made.own.any()


def own_error(bodies: Bodies, t_end: float, eta: float, integrator: str, body: int) -> float:
    """Return the largest error of the own energy of a body, about that before it, in a run with the steps of FreeFall."""
    found = []
    for how in ({"criterion": Symmetrized(FreeFall(eta)), "integrator": integrator}, {"integrator": "radau15", "tol": 1e-12}):
        recorder = TrajectoryRecorder()
        simulate(bodies, t_end=t_end, output_every=t_end / 2000, sinks=(recorder.take,), warn=False, **how)
        run = recorder.trajectory()
        states = ParticleTorch.from_tensors(np.tile(run.mass, (len(run.time), 1)), run.position, run.velocity)
        each = torch.eye(len(run.mass), dtype=torch.bool)
        found.append(OwnMotion.of(states, each[body - 1 : body], each[body : body + 1]))
    assert len(found[0].energy) == len(found[1].energy)
    return float(((found[0].energy - found[1].energy) / found[1].scale[0]).abs().max())


def predicted_error(initial: InitialConditions, t_end: float, eta: float, integrator: str) -> float:
    """Return the largest predicted error with the steps of FreeFall."""
    suite = Suite("", (Case("", "", initial, t_end, regular=True),))
    references = make_references(suite, integrator, measured_at((1e-2, 1e-4, 1e-6)))
    found = predict_for_steps(torch.log(eta * references.sums.tau_4), references, 1.0, integrator)
    return float(found.log_excess.exp())


@pytest.mark.parametrize(("integrator", "eta"), [("leapfrog", 0.05), ("blanes_moan4", 0.25)])
def test_the_own_error_of_a_massless_planet_is_that_of_true_runs(integrator, eta):
    initial = kepler(0.5, q=1e-3)._replace(mass=np.array([1.0, 0.0]))
    true = own_error(Bodies(initial.mass, initial.position, initial.velocity), 60.0, eta, integrator, 1)
    assert predicted_error(initial, 60.0, eta, integrator) == pytest.approx(true, rel=0.3)


def test_the_own_error_of_a_moon_holds_an_error_of_its_phase():
    """The star pulls at the moon, whose energy oscillates: being late counts several times as much as the energy it gained."""
    mass, (X, V), (x, v) = np.array([1.0, 1e-3, 1e-9]), ellipse(0.05, 1.0, 0.7, 1.001), ellipse(0.02, 0.025, 1.0, 1e-3)
    initial = InitialConditions(mass, np.array([0 * X, X, X + x]), np.array([0 * V, V, V + v]))
    true = own_error(Bodies(*initial[:3]), 4.0, 0.1, "leapfrog", 2)
    assert predicted_error(initial, 4.0, 0.1, "leapfrog") == pytest.approx(true, rel=0.5)
