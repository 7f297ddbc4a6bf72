"""The twin gives the numbers recorded before the rewrite: features, the step of every criterion, and runs of forty steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aitimestepper.constants import NEGLIGIBLE
from aitimestepper.differentiable.criteria import module_for
from aitimestepper.differentiable.features import describe, measure_scales
from aitimestepper.differentiable.history import HistoryBuffer
from aitimestepper.differentiable.loop import simulate
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.differentiable.timescales import pair_sums
from aitimestepper.integrators import SPLITTINGS
from recorded_cases import CASES, RECORDED, criterion_of, state_of

# `sensitivity`: what a change of the last bit of the start did to the recorded numbers
TIMES_SENSITIVITY, LEAST = 30.0, 1e-12


def state(number: int) -> ParticleTorch:
    return ParticleTorch.from_tensors(**state_of(number))


def assert_close(found, recorded, sensitivity=0.0, scale=None):
    scale = np.abs(recorded) if scale is None else scale
    allowed = np.maximum(LEAST, TIMES_SENSITIVITY * np.asarray(sensitivity)) * scale
    assert (np.abs(found - recorded) <= allowed).all(), (found, recorded)


# sums over pairs, and the names that they were recorded with; chi was that of the whole system alone, without own energies
SUMS = {name: name for name in ("tau_2", "tau_4", "radial", "growth", "shortest", "pulling")}
SUMS |= {"total_chi": "chi", "flyby_over_freefall": "fly_over_fall", "energy_scale": "energy"}


def invariants(p: ParticleTorch, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the invariant features that are those recorded, here and there; ln chi with the chi that it was recorded with."""
    here = describe(p, "invariant")[0].numpy()
    # the radial share and tau_8 are no inputs now
    sums, recorded = pair_sums(p), np.delete(RECORDED["features.invariant"][number], [0, 4])
    here[0] = np.log(max(sums.total_chi.item(), NEGLIGIBLE))
    if not sums.massive.item():  # massless bodies alone have what light ones have
        here[[0, 5]] = recorded[[0, 5]]
    return here[:6], recorded


@pytest.mark.parametrize("number", range(len(CASES["states"])))
def test_features_are_those_recorded(number):
    p = state(number)
    for kind in ("basic", "rich"):
        assert_close(describe(p, kind)[0].numpy(), RECORDED[f"features.{kind}"][number])
    assert_close(*invariants(p, number))
    scales = measure_scales(p)
    assert_close(np.array([scales.L0, scales.V0, scales.A0, scales.T0, scales.M0]), RECORDED["features.scales"][number])
    names = CASES["features"]["columns"]["pair_sums"]
    sums, recorded = pair_sums(p), dict(zip(names, RECORDED["features.pair_sums"][number], strict=True))
    for name, before in SUMS.items():
        if name == "total_chi" and not sums.massive.item():
            continue
        assert_close(np.array([getattr(sums, name).item()]), recorded[before])
    for energy in ("kinetic_energy", "potential_energy", "field_power"):
        assert_close(getattr(p, energy)().numpy(), RECORDED[f"features.{energy}"][number])
    dt = torch.from_numpy(RECORDED["features.history_dt"][[number]])
    for name, window in CASES["features"]["history"].items():
        if not name.startswith("history_"):
            continue
        here, history = p, HistoryBuffer(window["history_len"], window["feature_type"])
        for recorded in RECORDED[f"features.{name}"][number]:
            assert_close(history.features_for(here)[0].numpy(), recorded)
            history.push(here, dt)
            here = here.evolve(dt)


@pytest.mark.parametrize("section", ["steps", "learned.steps"])
def test_steps_are_those_recorded(section):
    cases = CASES["steps"] if section == "steps" else CASES["learned"]["steps"]
    for case in cases:
        module = module_for(criterion_of(case), case["integrator"])
        for number in range(len(CASES["states"])):
            p, at = state(number), (case["row"], number)
            dt = module.choose(p, module.init(p))[0].numpy()
            assert_close(dt, RECORDED[f"{section}.dt_torch"][at], RECORDED[f"{section}.sensitivity"][at])


def test_runs_are_those_recorded():
    """The loop in torch repeats runs that the engine recorded, with wrappers of all kinds around the classical criteria."""
    cases = [case for case in CASES["sequences"] if case["integrator"] in SPLITTINGS]
    assert len(cases) == 64
    for case in cases[::3]:
        row, sensitivity, p, taken = case["row"], case["sensitivity"], state(case["state"]), []
        r = simulate(
            p,
            steps=case["steps"],
            criterion=criterion_of(case),
            integrator=case["integrator"],
            observer=lambda before, after, error, running, taken=taken: taken.append((after.dt.item(), error.item())),
        )
        dt, error = np.array(taken).T
        assert_close(dt, RECORDED["sequences.dt"][row], sensitivity["dt"])
        assert_close(error, RECORDED["sequences.energy_error"][row], sensitivity["energy_error"], 1.0)
        assert r.force_evaluations[0] == RECORDED["sequences.force_evaluations"][row]
        for name in ("position", "velocity"):
            found = getattr(r.final, name)[0]
            recorded = RECORDED[f"sequences.{name}"][row][: found.shape[0], : found.shape[1]]
            assert_close(found, recorded, sensitivity[name], np.abs(recorded).max())
