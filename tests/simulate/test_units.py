"""Units: a run is the same in all of them, or refused in one sentence. None gives a wrong error without a word."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper import (
    PRS23,
    Aarseth,
    Bodies,
    Boekholt,
    Constant,
    EnergyBudget,
    FreeFall,
    HutMakino,
    HutMakinoMcMillan,
    Symmetrized,
    Tidal,
    simulate,
)
from aitimestepper.errors import InitialConditionError
from aitimestepper.initial import named as initial

CRITERIA = [
    FreeFall(0.05),
    HutMakino(0.05),
    Aarseth(0.02),
    PRS23(0.1),
    Boekholt(0.05),
    Tidal(1e-3),
    EnergyBudget(1e-4),
    Symmetrized(FreeFall(0.05)),
    HutMakinoMcMillan(FreeFall(0.05)),
    None,  # learned
]
# binary exponents of mass, length and time: powers of two change no bit, unless something overflows or vanishes
UNITS = [
    (100, 40, 60),  # SI units of a planetary system, and more
    (-60, -40, -50),
    (-200, 150, 180),
    (36, 78, 99),
    (-40, -95, -124),
    (99, 256, 208),
    (-393, 308, 659),  # squares vanish
    (-462, -173, 189),
    (-13, 477, 722),
    (286, 169, 235),
    (-100, -231, 189),  # G times the mass vanishes
    (-129, -264, 131),
    (0, 0, 500),
    (0, 0, -500),
    (0, 0, 133),  # only eighth powers of rates vanish or overflow
    (0, 0, -133),
    (0, 0, 140),
    (0, 0, -140),
]


def scaled(mass: int, length: int, time: int) -> Bodies:
    s = initial.random(3, seed=4)
    M, L, T = (math.ldexp(1.0, k) for k in (mass, length, time))
    return Bodies(s.mass * M, s.position * L, s.velocity * (L / T), G=math.ldexp(1.0, 3 * length - mass - 2 * time))


@pytest.mark.parametrize("units", UNITS, ids=str)
@pytest.mark.parametrize("integrator", ["leapfrog", "kahan_li6", "hermite4", "logh", "radau15"])
@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_a_run_is_the_same_in_all_units_or_refused(criterion, integrator, units):
    given = {"criterion": criterion, "integrator": integrator, "tol": 1e-4 if criterion is None else None, "steps": 10}
    try:
        r = simulate(scaled(*units), warn=False, threads=1, **given)
    except InitialConditionError as error:
        assert "choose units of mass, length and time in which they are nearer to 1" in str(error)  # noqa: PT017
        assert units not in UNITS[:2]
        return
    same = simulate(scaled(0, 0, 0), warn=False, threads=1, **given)
    assert r.status == same.status
    np.testing.assert_allclose(r.max_energy_error, same.max_energy_error, rtol=1e-6, atol=1e-14)
    np.testing.assert_allclose(r.final.time / math.ldexp(1.0, units[2]), same.final.time, rtol=1e-9)


def test_energies_that_vanish_are_refused_with_what_they_are():
    with pytest.raises(InitialConditionError, match=r"system 1 has a size of 1e1, .* 1e81 and an energy of 1e-320 in"):
        simulate(Bodies.stack([scaled(0, 0, 0), scaled(0, 0, 0).replace(mass=scaled(0, 0, 0).mass * 1e-160)]), steps=1)


@pytest.mark.parametrize(
    "change",
    [{"softening": 1e300}, {"G": 1e-300}, {"velocity": np.full((3, 3), 1e160)}, {"position": np.diag([1e150, -1e150, 1e150])}],
    ids=lambda change: next(iter(change)),
)
def test_extremes_of_one_kind_are_refused(change):
    with pytest.raises(InitialConditionError, match="choose units"):
        simulate(scaled(0, 0, 0).replace(**change), steps=3, criterion=Constant(1e-3))


def test_massless_bodies_and_coincident_softened_ones_are_no_extremes():
    kozai = initial.kozai()
    assert simulate(kozai, steps=3, criterion=FreeFall()).status == ("ok",)
    alone = Bodies([1.0, 0.0], [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]])
    assert simulate(alone, steps=3, criterion=FreeFall()).status == ("ok",)
    together = Bodies([1.0, 1.0], np.zeros((2, 2)), np.zeros((2, 2)), softening=0.1)
    assert simulate(together, steps=3, criterion=FreeFall()).status == ("ok",)
