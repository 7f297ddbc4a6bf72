"""A kick under a force at displaced positions (chin4), compiled: alone, side by side, in outer fields, and between outputs."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import Constant, EnergyBudget, FreeFall
from aitimestepper.criteria.wrappers import HutMakinoMcMillan, Symmetrized
from aitimestepper.fields import tidal
from aitimestepper.initial import named as initial
from aitimestepper.simulate.engine import simulate

GIVEN = {"integrator": "chin4", "warn": False}
FIELDS = {"alone": None, "tide": tidal(M=2.0, R0=6.0), "circling": tidal(M=2.0, R0=6.0, period=2.0, phase=0.4)}


def triples(count: int, field: str = "alone") -> Bodies:
    """Random triples, softened, each in another state of its field."""
    made = [initial.random(3, 3, seed=seed) for seed in range(count)]
    mass, position, velocity = (np.stack([getattr(one, name) for one in made]) for name in ("mass", "position", "velocity"))
    return Bodies(mass, position, velocity, softening=0.02, time=0.1 * np.arange(count), external_field=FIELDS[field])


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "criterion", [Symmetrized(FreeFall(0.1)), HutMakinoMcMillan(EnergyBudget(1e-3), 2)], ids=["sym", "hmm"]
)
def test_systems_side_by_side_have_the_bits_of_single_runs(field, criterion):
    """Nine triples: whatever the width of a register, some of it stays free."""
    start = triples(9, field)
    together = simulate(start, steps=60, criterion=criterion, **GIVEN)
    for b in range(9):
        alone = simulate(start.select(b), steps=60, criterion=criterion, **GIVEN)
        for name in ("position", "velocity", "time"):
            assert np.array_equal(getattr(alone.final, name)[0], getattr(together.final, name)[b])
        for name in ("max_energy_error", "force_evaluations", "dt_min"):
            assert getattr(alone, name)[0] == getattr(together, name)[b]


@pytest.mark.parametrize("n", [2, 3, 13, 200])
def test_a_step_is_two_drifts_and_three_kicks_one_under_the_displaced_force(n):
    """Against the same step in numpy, for few bodies, many, and for forces in chunks."""
    start = initial.random(n, 3, seed=4)
    m, x, v, dt, soft = start.mass, start.position, start.velocity, 0.02, 0.05

    def acceleration(x: np.ndarray) -> np.ndarray:
        d = x[None] - x[:, None]
        return np.einsum("j,ijk->ik", m, d / ((d * d).sum(-1) + soft * soft)[..., None] ** 1.5)

    y = x + dt / 2 * (v + dt / 6 * acceleration(x))
    w = v + dt / 6 * acceleration(x) + 2 * dt / 3 * acceleration(y + dt * dt / 24 * acceleration(y))
    end = y + dt / 2 * w
    w = w + dt / 6 * acceleration(end)
    r = simulate(Bodies(m, x, v, softening=soft), steps=1, criterion=Constant(dt), **GIVEN)
    np.testing.assert_allclose(r.final.position[0], end, rtol=0, atol=1e-13)
    np.testing.assert_allclose(r.final.velocity[0], w, rtol=0, atol=1e-13 * abs(acceleration(end)).max())
    assert r.force_evaluations[0] == 4


def test_a_row_between_two_steps_is_as_accurate_as_the_run():
    start, errors = triples(9).replace(time=0.0), []
    given = {"t_end": 1.0, "criterion": Constant(0.01), **GIVEN}
    r = simulate(start, **given, output_every=0.0137, sinks=(lambda _, rows: errors.extend(rows["energy_error"]),))
    assert np.array_equal(r.final.position, simulate(start, **given).final.position)
    assert np.shape(errors) == (73, 9)
    assert (np.max(errors, axis=0) <= 1.5 * r.max_energy_error).all()


def test_the_energy_of_eccentric_orbits_does_not_drift():
    """A thousand orbits of e = 0.9, made time-symmetric: the largest error is that of the first pericentres."""
    start = Bodies(*(getattr(initial.kepler(0.9), name) for name in ("mass", "position", "velocity")))
    given = {"criterion": Symmetrized(FreeFall(0.2)), **GIVEN}
    first, last = (simulate(start, t_end=2 * np.pi * orbits, **given) for orbits in (10, 1000))
    assert 1e-4 < last.max_energy_error[0] < 1.1 * first.max_energy_error[0]
