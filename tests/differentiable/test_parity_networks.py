"""Two engines, one physics, for learned steps: features, network, ceiling and step of the kernels are those of torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parity import (
    RUNS,
    STEPS,
    WRAPPERS,
    assert_same_run,
    bodies,
    both,
    both_of,
    changed,
    covering,
    first_steps,
    longer,
    name_of,
    network,
    one_network,
    start_of,
    wrapped,
)

from aitimestepper import differentiable
from aitimestepper.bodies import Bodies, as_bodies
from aitimestepper.config import Config
from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.differentiable.adapter import ModelAdapter
from aitimestepper.differentiable.network import FullyConnectedNN, build_network, model_from, network_from
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.features import ERROR_FRACTION
from aitimestepper.fields import tidal
from aitimestepper.initial import named
from aitimestepper.models import SHIPPED
from aitimestepper.simulate.engine import simulate
from results import same_bits

NETWORKS = RUNS | {
    "field": ("alone", "tide"),
    "depth": (1, 2, 3),
    "fourier": (0, 5),
    "scaled": (True, False),
    "tol": (None, 3e-5),
}
EVEN = tuple((name, 0) for name in ("basic", "rich", "delta_mag", "invariant"))
LOOKING_BACK = tuple((name, K) for name in ("basic", "rich", "delta_mag") for K in (1, 3))
LOOK_AROUND = covering(2, features=EVEN, wrapper=tuple(WRAPPERS), activation=("tanh", "relu", "gelu"), **NETWORKS)
LOOK_BACK = covering(3, features=LOOKING_BACK, wrapper=("bare", "limited"), activation=("silu", "elu", "sigmoid"), **NETWORKS)


@pytest.mark.parametrize("row", LOOK_AROUND + LOOK_BACK, ids=name_of)
def test_networks_choose_the_same_steps_in_both(row):
    """Huayno divides differences of dt by 2e-3 dt: the 5e-15 that rounding makes of ln dt, twice, is up to 3e-12 there."""
    start = start_of(row)
    tol = 5e-12 if row.wrapper == "huayno" else 1e-12
    ours, theirs = both_of(row, start, wrapped(row, network(start, row), start))
    assert_same_run(start, ours, theirs, tol)
    assert "expected_step_error" in ours.reports


@pytest.mark.parametrize("features", EVEN + LOOKING_BACK, ids=str)
def test_steps_of_the_networks_compared_do_follow_their_inputs(features):
    """The comparison above is sensitive: in 20 steps dt changes by more than 0.3 %."""
    start = bodies(2)
    r = simulate(start, steps=STEPS, criterion=one_network(start, features=features))
    assert np.median(r.dt_max / r.dt_min) > 1.003


# ---- networks that were trained on runs ---------------------------------------------------------------------------------
def sensitive(start, tol: float) -> LearnedStep:
    """Return a calibrated network with the energy error so far as an input, limited to the states about `start`."""
    step = longer(one_network(start, features=("invariant", 0)).at_tolerance(tol), 10.0)  # so that there is an error to see
    step = changed(step, lambda net: None, calibration=[(1e-2, 0.5), (1e-6, 0.1)])
    wanted = torch.full((len(start),), tol, dtype=torch.float64)
    seen = ModelAdapter.of_model(step.model).observe(ParticleTorch.from_bodies(start), tol=wanted).features
    lowest, highest = seen.amin(0) - 0.005, seen.amax(0) + 0.005
    lowest[ERROR_FRACTION], highest[ERROR_FRACTION] = -5.0, 5.0
    return changed(step, lambda net: net.limit_inputs(lowest, highest))


def blinded(step: LearnedStep) -> LearnedStep:
    def ignore_input(net: FullyConnectedNN) -> None:
        net.lowest[ERROR_FRACTION] = net.highest[ERROR_FRACTION] = 0.0

    return changed(step, ignore_input)


@pytest.mark.parametrize("wrapper", ["bare", "smooth", "hmm"])
@pytest.mark.parametrize("field", ["alone", "circling"])
@pytest.mark.parametrize("tol", [1e-4, 1e-6])
def test_a_network_trained_on_runs_gets_the_same_error_in_both(wrapper, field, tol):
    """Its input is 10 (E - E0) / S / tol, which amplifies rounding, 1e-15 |U|, by 10 / tol."""
    start = bodies(3, field=tidal(M=2.0, R0=6.0, period=2.0, phase=0.4) if field == "circling" else None)
    start = start.select([0, 2, 3, 4])  # system 1 is a moving star: its binding energy is 1e-6 of the energy that rounds
    step = sensitive(start, tol)
    criterion = WRAPPERS[wrapper](step, "leapfrog", 1e-9, 1.0)
    ours, theirs = both(start, criterion)
    assert_same_run(start, ours, theirs, 1e-13 / tol)
    assert ours.tol.tolist() == [tol] * 4
    blind, blind_there = both(start, WRAPPERS[wrapper](blinded(step), "leapfrog", 1e-9, 1.0))
    assert_same_run(start, blind, blind_there)  # nothing else is amplified
    assert np.abs(blind.dt_max - ours.dt_max).max() > 1e-4 * ours.dt_max.max()
    assert ours.reports["steps_outside_training"].sum() > 0


@pytest.mark.parametrize("integrator", SHIPPED)
def test_the_networks_of_the_package_choose_the_same_steps_in_both(integrator):
    start, tol = (
        bodies(3).select([0, 3, 4]),
        {"leapfrog": 1e-2, "chin4": 1e-3, "blanes_moan4": 1e-4, "blanes_moan6": 1e-6}[integrator],
    )
    step = LearnedStep.load("default", tol, integrator)
    assert_same_run(start, *both(start, Symmetrized(step)), 1e-13 / tol)


# ---- kinds of networks --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("features", [*EVEN, ("delta_mag", 2)], ids=str)
def test_a_network_trained_in_single_precision_is_simulated_in_double_in_both(features):
    start = bodies(3)
    step = one_network(start, features=features, dtype="float32")
    assert {x.dtype for x in network_from(step.model).parameters()} == {torch.float32}
    ours, theirs = both(start, step)
    assert_same_run(start, ours, theirs)
    single = differentiable.LearnedModule(network_from(step.model), ModelAdapter.of_model(step.model))
    rounded = differentiable.simulate(start, steps=STEPS, criterion=single)
    assert 1e-12 < np.abs(rounded.dt_max / ours.dt_max - 1).max() < 1e-3


@pytest.mark.parametrize("shape", [{"dropout": 0.5}, {"dropout": 0.2, "layers": (7, 8, 9, 1)}, {"layers": (1,)}], ids=str)
def test_networks_of_any_shape_are_the_same_in_both_without_their_dropout(shape):
    start, config = bodies(2), Config(feature_type="basic", seed=2, **shape)
    step = LearnedStep(model_from(build_network(config).train(), config))
    ours, theirs = both(start, step)
    assert_same_run(start, ours, theirs)
    assert same_bits(simulate(start, steps=STEPS, criterion=step), ours)


@pytest.mark.parametrize("features", ["basic", "invariant"])
@pytest.mark.parametrize("above", [1.0, 10.0])
def test_every_step_that_the_ceiling_cut_is_counted(features, above):
    """The count includes steps at which dt times (ceiling over dt) rounds to less than the ceiling."""
    start = bodies(2)
    step = one_network(start, features=(features, 0))
    ceiling = ModelAdapter.of_model(step.model).observe(ParticleTorch.from_bodies(start)).ceiling.numpy()
    ours, theirs = both(start, longer(step, np.median(above * ceiling / first_steps(start, step))))
    capped = ours.reports["steps_at_ceiling"]
    assert np.array_equal(capped, theirs.reports["steps_at_ceiling"])
    assert 0 < capped.sum() < 5 * STEPS if above == 1.0 else capped.tolist() == [STEPS] * 5


@pytest.mark.parametrize("features", [("basic", 0), ("rich", 2), ("delta_mag", 0), ("delta_mag", 3), ("invariant", 0)], ids=str)
@pytest.mark.parametrize("activation", ["tanh", "gelu", "elu"])
def test_networks_choose_side_by_side_what_they_choose_alone(features, activation):
    """To the bit: features of all kinds, windows of past states, and functions that the C library has."""
    systems = [as_bodies(named.random(3, seed=seed)) for seed in range(9)]
    start = Bodies.stack(systems)
    step = one_network(start, features=features, activation=activation, fourier=2)
    together = simulate(start, steps=STEPS, criterion=step, integrator="leapfrog", threads=1, warn=False)
    for b, one in enumerate(systems):
        alone = simulate(one, steps=STEPS, criterion=step, integrator="leapfrog", threads=1, warn=False)
        assert np.array_equal(alone.final.position[0], together.final.position[b])
        assert np.array_equal(alone.reports["expected_step_error"][0], together.reports["expected_step_error"][b])
