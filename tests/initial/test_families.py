"""Families are the distributions they say, their splits do not overlap, every problem has a stream of its own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper.errors import ConfigError
from aitimestepper.initial.draws import ORBIT, crossing_time, random_rotation, rotations_from
from aitimestepper.initial.families import FAMILIES, LIGHT, SPLIT_SIZE, SPLITS, STANDARD, sample, seed_range
from aitimestepper.initial.hierarchies import Orbit, nested
from aitimestepper.initial.named import InitialConditions, eccentric_anomaly, ellipse, energies

MANY = 400


def uniform(values, low, high):
    """Kolmogorov-Smirnov at one in a thousand."""
    x = np.sort((np.asarray(values) - low) / (high - low))
    n = len(x)
    steps = np.arange(n + 1) / n
    distance = max((steps[1:] - x).max(), (x - steps[:-1]).max())
    return distance * math.sqrt(n) < 1.95


def orbit(mass, x, v):
    """(a, e) of a relative orbit about `mass`."""
    a = 1 / (2 / np.linalg.norm(x) - v @ v / mass)
    ecc = ((v @ v - mass / np.linalg.norm(x)) * x - (x @ v) * v) / mass
    return a, np.linalg.norm(ecc)


def samples(name, count=MANY, dim=3):
    return [sample(FAMILIES[name], name, number, dim) for number in range(count)]


def test_the_splits_do_not_overlap_however_many_problems_are_asked_for():
    ranges = [seed_range(split, SPLIT_SIZE) for split in SPLITS]
    for i, a in enumerate(ranges):
        for b in ranges[i + 1 :]:
            assert a.stop <= b.start or b.stop <= a.start
    assert set(SPLITS) == {"train", "validation", "test"}
    for bad in (0, SPLIT_SIZE + 1):
        with pytest.raises(ConfigError, match=f"{bad} problems a family: it must be from 1"):
            seed_range("train", bad)
    with pytest.raises(ConfigError, match="did you mean 'test'"):
        seed_range("tets", 3)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dim", [2, 3])
def test_a_problem_depends_on_its_number_alone(name, dim):
    first = sample(FAMILIES[name], name, 5, dim)
    sample(FAMILIES[name], name, 6, dim)
    again, other = sample(FAMILIES[name], name, 5, dim), sample(FAMILIES[name], name, 1_000_005, dim)
    assert first.initial.position.shape[1] == dim
    assert np.array_equal(first.initial.position, again.initial.position)
    assert np.array_equal(first.initial.velocity, again.initial.velocity)
    assert first.t_end == again.t_end > 0
    assert first.initial.position.shape != other.initial.position.shape or not np.allclose(
        first.initial.position, other.initial.position
    )


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dim", [2, 3])
def test_all_problems_are_at_rest_as_a_whole_and_bound(name, dim):
    for bodies, t_end, *_ in samples(name, 40, dim):
        scale = bodies.mass.sum() * np.abs(bodies.velocity).max()
        assert np.abs(bodies.mass @ bodies.velocity).max() <= 1e-14 * scale
        assert np.abs(bodies.mass @ bodies.position).max() < 1e-12 * np.abs(bodies.position).max()
        assert math.isfinite(t_end)
        assert (bodies.mass > 0).all() or name in (*LIGHT, "comets", "encounter", "thousand")
        assert bodies.mass[0] > 0
        if (bodies.mass > 0).all() and name != "encounter":
            assert sum(energies(*bodies[:3])) < 0


def test_the_stream_of_a_family_is_its_own():
    a, b = (sample(FAMILIES["kepler"], name, 0) for name in ("kepler", "longrun"))
    assert not np.allclose(a.initial.position, b.initial.position)


def test_kepler():
    found = []
    for bodies, t_end, *_ in samples("kepler"):
        x, v = bodies.position[1] - bodies.position[0], bodies.velocity[1] - bodies.velocity[0]
        a, e = orbit(1.0, x, v)
        normal = np.cross(x, v)
        r = np.linalg.norm(x)
        E = math.atan2((x @ v) / math.sqrt(a), 1 - r / a) if e > 0 else 0.0
        found.append(
            (a, e, math.log10(bodies.mass[1] / bodies.mass[0]), normal[2] / np.linalg.norm(normal), E - (x @ v) / math.sqrt(a))
        )
        assert t_end == 10 * ORBIT
    a, e, q, inclination, phase = np.array(found).T
    assert np.allclose(a, 1, rtol=1e-9)
    assert uniform(e, 0, 0.98)
    assert uniform(q, -3, 0)
    assert uniform(inclination, -1, 1)
    assert uniform(phase % (2 * math.pi), 0, 2 * math.pi)


def test_triple():
    inner_e, outer_e, spacing = [], [], []
    for bodies, t_end, *_ in samples("triple"):
        m, x, v = bodies.mass, bodies.position, bodies.velocity
        a, e = orbit(m[0] + m[1], x[1] - x[0], v[1] - v[0])
        centre = [(m[:2] @ y[:2]) / m[:2].sum() for y in (x, v)]
        A, E = orbit(m.sum(), x[2] - centre[0], v[2] - centre[1])
        assert a == pytest.approx(1, rel=1e-9)
        inner_e.append(e)
        outer_e.append(E)
        spacing.append(A * (1 - E))
        periods = 40 * 2 * math.pi / math.sqrt(m[:2].sum()), 2 * math.pi * math.sqrt(A**3 / m.sum())
        assert t_end == pytest.approx(min(periods), rel=1e-9)
        assert m[0] == 1
    assert uniform(inner_e, 0, 0.9)
    assert uniform(outer_e, 0, 0.6)
    assert uniform(spacing, 4, 12)
    assert uniform([math.log10(b.mass[1]) for b, *_ in samples("triple")], -1, 0)


def test_random3():
    ratios, masses = [], []
    for bodies, t_end, *_ in samples("random3"):
        K, U = energies(*bodies[:3])
        ratios.append(K / -U)
        masses += np.log10(bodies.mass).tolist()
        assert t_end == pytest.approx(8 * bodies.mass.sum() ** 2.5 / (2 * abs(K + U)) ** 1.5)
        assert len(bodies.mass) == 3
    assert uniform(ratios, 0.2, 0.5)
    assert uniform(masses, -0.5, 0.5)


@pytest.mark.parametrize("dim", [2, 3])
def test_cluster(dim):
    sizes = set()
    for bodies, t_end, *_ in samples("cluster", 200, dim):
        K, U = energies(*bodies[:3])
        assert (pytest.approx(0.25), pytest.approx(-0.5)) == (K, U)
        assert t_end == pytest.approx(2 * 2 * math.sqrt(2))
        assert t_end == pytest.approx(2 * crossing_time(bodies))
        sizes.add(len(bodies.mass))
    assert sizes == set(range(5, 17))


def test_planets():
    counts, masses, ratios, eccentricities = [], [], [], []
    for bodies, t_end, *_ in samples("planets"):
        m, x, v = bodies.mass, bodies.position, bodies.velocity
        counts.append(len(m) - 1)
        masses += np.log10(m[1:]).tolist()
        axes = []
        for k in range(1, len(m)):
            centre = [(m[:k] @ y[:k]) / m[:k].sum() for y in (x, v)]
            a, e = orbit(m[: k + 1].sum(), x[k] - centre[0], v[k] - centre[1])
            axes.append(a)
            eccentricities.append(e)
        ratios += (np.array(axes[1:]) / np.array(axes[:-1])).tolist()
        assert t_end == pytest.approx(20 * 2 * math.pi / math.sqrt(m[:2].sum()), rel=1e-9)
    assert set(counts) == {2, 3, 4, 5}
    assert uniform(masses, -5, -2.5)
    assert uniform(ratios, 1.4, 2)
    assert np.mean(eccentricities) == pytest.approx(0.1, abs=0.01)


def test_longrun_is_three_quarters_orbits_and_one_quarter_planets():
    made = samples("longrun")
    pairs = [(b, t) for b, t, *_ in made if len(b.mass) == 3]
    assert pytest.approx(len(pairs) / len(made), abs=0.08) == 0.25
    assert {round(t / ORBIT) for b, t, *_ in made if len(b.mass) == 2} == {1000}
    two = [orbit(1.0, b.position[1] - b.position[0], b.velocity[1] - b.velocity[0])[1] for b, *_ in made if len(b.mass) == 2]
    assert uniform(two, 0.3, 0.99)
    for bodies, t_end in pairs:
        m, x, v = bodies.mass, bodies.position, bodies.velocity
        centre = [(m[:2] @ y[:2]) / m[:2].sum() for y in (x, v)]
        inner, _ = orbit(m[:2].sum(), x[1] - x[0], v[1] - v[0])
        outer, _ = orbit(m.sum(), x[2] - centre[0], v[2] - centre[1])
        ratio = math.sqrt(outer**3 / m.sum() / (inner**3 / m[:2].sum()))
        assert min(abs(ratio / r - 1) for r in (2, 3 / 2, 4 / 3)) < 0.0205
        assert t_end == pytest.approx(10_000 * 2 * math.pi * math.sqrt(inner**3 / m[:2].sum()), rel=1e-9)


@pytest.mark.parametrize("dim", [2, 3])
def test_scatter_arrives_on_a_hyperbola_and_is_given_the_time_to_leave(dim):
    pericentres = []
    for bodies, t_end, *_ in samples("scatter", MANY, dim):
        m, x, v = bodies.mass, bodies.position, bodies.velocity
        centre = [(m[:2] @ y[:2]) / m[:2].sum() for y in (x, v)]
        X, V = x[2] - centre[0], v[2] - centre[1]
        speed2 = V @ V - 2 * m.sum() / np.linalg.norm(X)
        assert speed2 > 0
        assert X @ V < 0
        assert np.linalg.norm(X) == pytest.approx(20, rel=1e-9)
        critical2 = m[0] * m[1] * m.sum() / (m[2] * m[:2].sum())
        assert 0.0099 < speed2 / critical2 < 0.6401
        a, e = orbit(m.sum(), X, V)
        pericentres.append(a * (1 - e))
        assert 2 * 20 / math.sqrt(speed2 + 2 * m.sum()) < t_end < 2 * 20 / math.sqrt(speed2)
    assert uniform(pericentres, 0, 5)


def test_the_standard_five():
    assert STANDARD == ("kepler", "triple", "random3", "cluster", "planets")
    assert isinstance(sample(FAMILIES["kepler"], "kepler", 0).initial, InitialConditions)
    with pytest.raises(ConfigError, match="dim = 4 must be 2 or 3"):
        sample(FAMILIES["kepler"], "kepler", 0, 4)


def test_rotations_made_at_once_are_those_made_one_by_one():
    rng, again = np.random.default_rng(4), np.random.default_rng(4)
    one_by_one = np.array([random_rotation(rng, 3) for _ in range(50)])
    assert np.array_equal(rotations_from(again.normal(size=(50, 3, 3))), one_by_one)
    np.testing.assert_allclose(one_by_one @ one_by_one.swapaxes(1, 2), np.tile(np.eye(3), (50, 1, 1)), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(one_by_one), 1.0, rtol=1e-14)


@pytest.mark.parametrize("dim", [2, 3])
def test_a_hierarchy_draws_orbit_after_orbit(dim):
    """The numbers of a problem are fixed by its seed: first the common plane, then phase and orientation of each orbit."""
    mass, orbits = np.array([1.0, 0.5, 0.2]), [Orbit(1.0, 0.3), Orbit(9.0, 0.1)]
    made = nested(mass, orbits, np.random.default_rng(7), dim)
    rng, position = np.random.default_rng(7), np.zeros((3, 3))
    random_rotation(rng, dim)
    for k, orbit in enumerate(orbits, start=1):
        M, total = rng.uniform(0, 2 * math.pi), mass[: k + 1].sum()
        x = random_rotation(rng, dim) @ ellipse(orbit.e, orbit.a, eccentric_anomaly(M, orbit.e), total)[0]
        position[:k] -= mass[k] / total * x
        position[k] = mass[:k].sum() / total * x
    np.testing.assert_allclose(made.position, position[:, :dim], atol=1e-14)


def test_keplers_equation_ends_where_fifty_iterations_do():
    rng = np.random.default_rng(2)
    for M, e in zip(rng.uniform(0.0, 2.0 * math.pi, 300), 1.0 - 10.0 ** rng.uniform(-8.0, 0.0, 300), strict=True):
        E = math.pi
        for _ in range(50):
            E -= (E - e * math.sin(E) - M) / (1 - e * math.cos(E))
        assert eccentric_anomaly(float(M), float(e)) == E
