"""Bodies without mass: they feel the others and move nothing, wherever they stand among them, and count in the steps."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest

from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import Aarseth, Boekholt, Constant, EnergyBudget, FreeFall, HutMakino, Tidal
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.errors import InitialConditionError
from aitimestepper.simulate.engine import simulate

CRITERIA = [EnergyBudget(1e-4), FreeFall(0.05), HutMakino(0.05), Boekholt(0.05), Tidal(1e-3), Aarseth(0.01)]
SIZES = [(13, 4), (40, 10), (191, 30), (200, 30), (300, 20)]  # below and above the number from which sums are made of chunks


def mixture(n: int = 40, massive: int = 10, softening: float = 0.05) -> Bodies:
    """Return `massive` bodies with mass in random places among n; two without mass are a millionth apart."""
    rng = np.random.default_rng([n, massive])
    mass = np.zeros(n)
    with_mass = np.sort(rng.permutation(n)[:massive])
    mass[with_mass] = np.exp(0.7 * rng.normal(size=massive)) / massive
    position, velocity = rng.normal(size=(n, 3)), 0.5 * rng.normal(size=(n, 3))
    one, other = np.flatnonzero(mass == 0)[[0, -1]]
    position[one] += 3.0
    position[other] = position[one] + 1e-6
    return Bodies(mass, position, velocity, G=1.5, softening=softening)


def in_order(start: Bodies, order: np.ndarray) -> Bodies:
    arrays = {k: x[:, order] if x.ndim > 1 else x for k, x in start.arrays().items()}
    return Bodies(**arrays, G=start.G)


def massive_first(start: Bodies) -> np.ndarray:
    return np.argsort(start.mass[0] == 0, kind="stable")


def separations(start: Bodies) -> tuple[np.ndarray, np.ndarray]:
    """Return (x_j - x_i, softened distances), infinite for i = j."""
    dx = start.position[0] - start.position[0][:, None]
    r = np.sqrt((dx * dx).sum(-1) + start.softening[0] ** 2)
    np.fill_diagonal(r, np.inf)
    return dx, r


def pulls(start: Bodies) -> np.ndarray:
    dx, r = separations(start)
    return start.G * (start.mass[0][:, None] * dx / r[..., None] ** 3).sum(1)


def energy(state: Bodies) -> float:
    m = state.mass[0]
    kinetic = 0.5 * (m * (state.velocity[0] ** 2).sum(-1)).sum()
    return kinetic - 0.5 * state.G * (m * m[:, None] / separations(state)[1]).sum()


def budget_step(start: Bodies, tol: float) -> float:
    """Return the step of EnergyBudget for leapfrog, straight from its definition."""
    m, (dx, r) = start.mass[0], separations(start)
    i, j = np.triu_indices(len(m), 1)
    r, M, dx, dv = r[i, j], m[i] + m[j], dx[i, j], start.velocity[0][j] - start.velocity[0][i]
    v2 = (dv * dv).sum(-1)
    f = start.G * M / r**3
    F = (f**4).sum() ** 0.25
    w = np.maximum(f / F - 1 / 32, 0) ** 2
    x = np.divide(r * v2, start.G * M, out=np.zeros_like(r), where=M > 0)
    own = (w / np.hypot(1 - x / 2, 0.02)).sum() / w.sum()
    centre = (m[:, None] * start.velocity[0]).sum(0) / m.sum()
    kinetic = 0.5 * (m * ((start.velocity[0] - centre) ** 2).sum(-1)).sum()
    U = (start.G * m[i] * m[j] / r).sum()
    S = max(abs(kinetic - U), 1e-4 * (kinetic + U))
    total = (f**2 * start.G * m[i] * m[j] / r).sum() / (f**2).sum() / S
    dynamical = ((f**2).sum() + (32 / 31) ** 2 * (w * (v2 / r**2) ** 2).sum()) ** -0.25
    growth = 1.5 * (w * (dx * dv).sum(-1) / r**2).sum() / w.sum()
    return limited(0.4 * math.sqrt(tol / math.hypot(total, own)) * (f**2).sum() ** -0.25, dynamical, growth)


def limited(dt: float, dynamical: float, growth: float) -> float:
    """Return dt below half a dynamical time, and below that in which ln tau_4 grows by 0.6; it approaches both smoothly."""
    return 1 / math.hypot(1 / dt, 2 / dynamical, growth / 0.6)


# ---- forces and energies --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("n", "massive"), SIZES)
@pytest.mark.parametrize("softening", [0.0, 0.05])
@pytest.mark.parametrize("criterion", [Constant(1e-8), EnergyBudget(1e-20)], ids=["alone", "with sums over pairs"])
def test_accelerations_are_those_of_a_plain_sum(n, massive, softening, criterion):
    """A tiny step from rest is the acceleration; the pass that makes sums over pairs has forces of its own."""
    start = mixture(n, massive, softening)
    start = start.replace(velocity=0 * start.velocity)
    expected = pulls(start)
    r = simulate(start, steps=1, criterion=criterion, integrator="leapfrog", threads=1)
    found = r.final.velocity[0] / r.final.time[0]
    size = np.linalg.norm(expected, axis=-1)
    assert (np.linalg.norm(found - expected, axis=-1) / size).max() < 1e-12


@pytest.mark.parametrize(("n", "massive"), SIZES)
@pytest.mark.parametrize("integrator", ["leapfrog", "chin4", "hermite4", "radau15"])
def test_states_and_energies_do_not_depend_on_where_the_massless_stand(n, massive, integrator):
    start = mixture(n, massive)
    order = massive_first(start)
    given = {"steps": 10, "criterion": Constant(0.02), "integrator": integrator, "threads": 1}
    mixed, sorted_ = simulate(start, **given), simulate(in_order(start, order), **given)
    for name in ("position", "velocity"):
        ours, theirs = getattr(mixed.final, name)[:, order], getattr(sorted_.final, name)
        assert np.abs(ours - theirs).max() < 1e-13 * np.abs(theirs).max(), name
    error = abs(energy(mixed.final) - energy(start)) / start.energy_scale()[0]
    assert mixed.final_energy_error[0] == pytest.approx(error, abs=1e-13)
    assert mixed.final_energy_error[0] == pytest.approx(sorted_.final_energy_error[0], abs=1e-13)
    if integrator == "leapfrog":
        assert error > 1e-7  # so that there is something to compare


@pytest.mark.parametrize(("n", "massive"), SIZES)
def test_they_do_not_move_the_others(n, massive):
    start = mixture(n, massive)
    kept = np.flatnonzero(start.mass[0] > 0)
    given = {"steps": 20, "criterion": Constant(0.02), "integrator": "suzuki4", "threads": 1}
    together, alone = simulate(start, **given), simulate(in_order(start, kept), **given)
    for name in ("position", "velocity"):
        ours, theirs = getattr(together.final, name)[:, kept], getattr(alone.final, name)
        assert np.abs(ours - theirs).max() < 1e-13 * np.abs(theirs).max(), name
    assert together.max_energy_error == pytest.approx(alone.max_energy_error, abs=1e-13)


# ---- steps ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("n", "massive"), SIZES)
@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_steps_do_not_depend_on_where_the_massless_stand(n, massive, criterion):
    start = mixture(n, massive)
    given = {"steps": 3, "criterion": Symmetrized(criterion), "integrator": "leapfrog", "threads": 1}
    mixed, sorted_ = (simulate(p, **given) for p in (start, in_order(start, massive_first(start))))
    for name in ("dt_min", "dt_max"):
        assert getattr(mixed, name) == pytest.approx(getattr(sorted_, name), rel=1e-12, abs=0), name
    assert mixed.final.time == pytest.approx(sorted_.final.time, rel=1e-12, abs=0)


@pytest.mark.parametrize(("n", "massive"), [(5, 2), (12, 3), *SIZES])
@pytest.mark.parametrize("softening", [0.0, 0.05])
def test_the_step_of_energybudget_is_the_sum_over_all_pairs(n, massive, softening):
    start = mixture(n, massive, softening)
    for tol in (1e-4, 1.0):
        r = simulate(start, steps=1, criterion=EnergyBudget(tol), integrator="leapfrog", threads=1)
        assert r.dt_max[0] == pytest.approx(budget_step(start, tol), rel=1e-12, abs=0)


@pytest.mark.parametrize("n", [2, 12, 13, 40])
@pytest.mark.parametrize("planet", ["first", "last"])
def test_a_massless_planet_on_the_tightest_orbit_sets_the_step(n, planet):
    """One star, one close planet before or after it, others so far that they count for nothing: chi is that of its orbit."""
    rng = np.random.default_rng(n)
    far = 1e4 * rng.normal(size=(n - 2, 3)) / np.sqrt(rng.normal(size=(n - 2, 1)) ** 2 + 1)
    position = np.concatenate([[[0.0, 0, 0], [2.0, 0, 0]], far])
    velocity = np.zeros((n, 3))
    velocity[1] = 0.3, 0.4, 0.0
    mass = np.eye(n)[0]
    order = np.arange(n) if planet == "last" else np.arange(n)[::-1]
    start = in_order(Bodies(mass, position, velocity), order)
    own = 1 / math.hypot(1 - 2.0 * 0.25 / 2, 0.02)  # massless bodies alone count as light ones, whose total is as large
    allowed = 0.4 * math.sqrt(1e-6 / math.hypot(own, own)) * math.sqrt(8.0)
    expected = limited(allowed, ((1 / 8) ** 2 + (0.25 / 4) ** 2) ** -0.25, 1.5 * 2.0 * 0.3 / 4)
    r = simulate(start, steps=1, criterion=EnergyBudget(1e-6), integrator="leapfrog")
    assert r.dt_max[0] == pytest.approx(expected, rel=1e-7)


# ---- closest approaches -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("n", "massive"), SIZES)
def test_the_closest_pair_has_a_body_with_mass(n, massive):
    """The two massless bodies a millionth apart are not looked for where there are more than 12 bodies."""
    start = mixture(n, massive, 0.0)
    for p in (start, in_order(start, massive_first(start)), in_order(start, massive_first(start)[::-1])):
        apart = separations(p)[1]
        assert apart.min() < 2e-6
        apart[(p.mass[0][:, None] == 0) & (p.mass[0] == 0)] = np.inf
        near = simulate(p, steps=1, criterion=Constant(1e-9), threads=1).closest_approach
        assert near.distance[0] == pytest.approx(apart.min(), rel=1e-6)
        assert near.pair[0].tolist() == sorted(int(i) for i in np.unravel_index(apart.argmin(), apart.shape))


@pytest.mark.parametrize("place", [0, 17, 39])
def test_a_comet_is_followed_to_its_pericentre_whatever_its_number(place):
    """Between the steps, as the nearest pair of a star and bodies without mass, which all but one are far away."""
    rng = np.random.default_rng(3)
    n = 40
    position, velocity = 100 + 10 * rng.normal(size=(n, 3)), np.zeros((n, 3))
    star = 20
    position[star], velocity[star], position[place] = 0.0, 0.0, [1.5, 0.0, 0.0]
    velocity[place] = 0.0, math.sqrt(1 / 3), 0.0  # apocentre of a = 1, e = 0.5
    mass = np.eye(n)[star]
    r = simulate(Bodies(mass, position, velocity), t_end=4.0, criterion=EnergyBudget(1e-8), integrator="kahan_li6")
    near = r.closest_approach
    assert near.pair[0].tolist() == sorted([star, place])
    assert near.distance[0] == pytest.approx(0.5, rel=1e-5)
    assert near.time[0] == pytest.approx(math.pi, abs=1e-3)


# ---- results ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("star", [0, 6, 12])
@pytest.mark.parametrize("criterion", [*CRITERIA, Constant(0.01)], ids=str)
def test_one_star_among_massless_bodies_has_a_result_in_plain_numbers(star, criterion):
    """Its energy is zero: no error, no NaN, no infinity."""
    start = in_order(mixture(13, 1), np.roll(massive_first(mixture(13, 1)), star))
    r = simulate(start, steps=20, criterion=criterion, integrator="leapfrog")
    assert r.status == ("ok",)
    assert np.isfinite(r.final.position).all()
    assert r.max_energy_error[0] < 1e-12
    assert start.mass[0, star] > 0
    assert star in r.closest_approach.pair[0].tolist()
    found = json.loads(json.dumps(r.summary(), allow_nan=False))
    assert found["closest_approach"]["distance"] == r.closest_approach.distance[0]


def test_a_system_without_any_mass_is_refused():
    with pytest.raises(InitialConditionError, match="system 0 has no mass at all; at least one body needs some"):
        Bodies(np.zeros(40), np.random.default_rng(0).normal(size=(40, 3)), np.zeros((40, 3)))


# ---- threads ----------------------------------------------------------------------------------------------------------------
ON_THREADS = """
import numpy as np
from aitimestepper import Bodies, EnergyBudget, simulate

rng = np.random.default_rng(0)
n = 300
mass = np.where(rng.random(n) < 0.3, rng.random(n), 0.0)
start = Bodies(mass, rng.normal(size=(n, 3)), 0.5 * rng.normal(size=(n, 3)), softening=0.02)
runs = [simulate(start, steps=3, criterion=EnergyBudget(1e-3), integrator="leapfrog", threads=k) for k in (1, 2, 1, 2)]
bits = {r.final.position.tobytes() + r.final.velocity.tobytes() + r.max_energy_error.tobytes() for r in runs}
assert len(bits) == 1
print("same bits")
"""


def test_massless_bodies_in_between_have_the_same_bits_on_any_number_of_threads():
    """In a process that loads the kernels from disk, see test_parity_bits.py."""
    simulate(mixture(), steps=1, criterion=Constant(1e-9))  # whatever this process has to compile is on disk after it
    done = subprocess.run([sys.executable, "-c", ON_THREADS], capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "same bits"), done.stderr
