"""Initial conditions: each maker against what its problem is known for, files of every kind of wrong, sampled batches."""

from __future__ import annotations

import math
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from aitimestepper.bodies import Bodies, as_bodies
from aitimestepper.config import Config
from aitimestepper.criteria.classical import Constant, FreeFall
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.errors import ConfigError, InitialConditionError
from aitimestepper.fields import field_from
from aitimestepper.initial.named import (
    MAKERS,
    InitialConditions,
    agekyan,
    burrau,
    figure8,
    kepler,
    kozai,
    plummer,
    random,
    solar,
    two_body,
)
from aitimestepper.initial.named import file as from_file
from aitimestepper.initial.problems import as_problem, make_problem, period_of, shortest_period
from aitimestepper.simulate.engine import simulate


def run_constant(initial: InitialConditions, duration: float, steps: int) -> Bodies:
    """The state after that many equal steps of order 8."""
    return simulate(initial, t_end=duration, criterion=Constant(duration / steps), integrator="kahan_li8").final


def elements(mass: float, x: np.ndarray, v: np.ndarray, G: float) -> tuple[float, float, float]:
    """(semi-major axis, eccentricity, inclination in degrees) of a relative orbit."""
    x, v = (np.pad(y, (0, 3 - len(y))) for y in (x, v))
    mu, r = G * mass, np.linalg.norm(x)
    a = 1 / (2 / r - v @ v / mu)
    h = np.cross(x, v)
    e = np.linalg.norm(np.cross(v, h) / mu - x / r)
    return float(a), float(e), math.degrees(math.acos(h[2] / np.linalg.norm(h)))


def relative(b: InitialConditions, i: int, j: int):
    return b.mass[i] + b.mass[j], b.position[j] - b.position[i], b.velocity[j] - b.velocity[i], b.G


def at_rest_as_a_whole(b: InitialConditions) -> bool:
    size = (b.mass[:, None] * np.abs(b.position)).sum(0).max(), (b.mass[:, None] * np.abs(b.velocity)).sum(0).max()
    centre, drift = ((b.mass[:, None] * y).sum(0) for y in (b.position, b.velocity))
    return bool(np.abs(centre).max() <= 4e-15 * size[0] and np.abs(drift).max() <= 4e-15 * size[1])


def momentum_share(b: Bodies) -> float:
    """The largest momentum of a system over the sum of m |v|, which is at least 1e-30."""
    size = (b.mass * np.linalg.norm(b.velocity, axis=-1)).sum(1)
    return float((np.linalg.norm(b.momentum(), axis=-1) / np.maximum(size, 1e-30)).max())


# ---- two bodies ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("e", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("q", [1.0, 0.1, 1e-6])
def test_kepler_has_the_elements_that_were_asked_for(e, q, dim):
    b = kepler(e=e, q=q, a=2.5, dim=dim, G=3.0)
    a, ecc, _ = elements(*relative(b, 0, 1))
    assert a == pytest.approx(2.5, rel=1e-12, abs=0)
    assert ecc == pytest.approx(e, rel=0, abs=1e-13)
    assert b.period == pytest.approx(2 * math.pi * math.sqrt(2.5**3 / 3.0), rel=1e-15)
    assert b.position.shape == (2, dim)
    assert b.mass.sum() == pytest.approx(1.0, rel=1e-15)
    assert b.mass[1] / b.mass[0] == pytest.approx(q, rel=1e-15)
    r, v = b.position[1] - b.position[0], b.velocity[1] - b.velocity[0]
    assert np.linalg.norm(r) == pytest.approx(2.5 * (1 + e), rel=1e-14)  # it starts at apocentre
    assert abs(r @ v) < 1e-13
    assert momentum_share(as_bodies(b)) <= 1e-16  # trap 8: unequal masses with net momentum
    assert at_rest_as_a_whole(b)


def test_kepler_comes_back_after_its_period():
    b = kepler(e=0.5, q=0.2, a=2.0, G=5.0)
    end = run_constant(b, b.period, 300)
    np.testing.assert_allclose(end.position[0], b.position, rtol=0, atol=1e-11)
    np.testing.assert_allclose(end.velocity[0], b.velocity, rtol=0, atol=1e-11)
    halfway = run_constant(b, b.period / 2, 150)
    separation = np.linalg.norm(halfway.position[0, 1] - halfway.position[0, 0])
    assert separation == pytest.approx(2.0 * 0.5, rel=1e-10)  # pericentre


@pytest.mark.parametrize("anomaly", [0.0, 1.0, 3.0, 5.5])
def test_any_phase_and_orientation_is_the_same_orbit(anomaly):
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    b = two_body(0.6, 0.3, 2.0, anomaly, 1.5, 3, rotation)
    a, e, _ = elements(*relative(b, 0, 1))
    assert (a, e) == pytest.approx((2.0, 0.6), rel=1e-12)
    assert np.linalg.norm(b.position[1] - b.position[0]) == pytest.approx(2 * (1 - 0.6 * math.cos(anomaly)), rel=1e-13)
    assert np.abs(b.position[:, 2]).max() > 0.01


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"e": 1.0}, "e = 1.0"),
        ({"e": -0.1}, "e = -0.1"),
        ({"e": math.nan}, "e = nan"),
        ({"q": 0.0}, "q = 0.0"),
        ({"q": math.inf}, "q = inf"),
        ({"a": -1.0}, "a = -1.0"),
        ({"dim": 4}, "dim = 4"),
    ],
)
def test_kepler_refuses_what_is_no_orbit(arguments, named):
    with pytest.raises(InitialConditionError, match=f"kepler: {named} is out of range"):
        kepler(**arguments)


# ---- the other problems -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dim", [2, 3])
def test_figure8_comes_back_after_its_period(dim):
    """The published eight digits of the start close the orbit to 1e-7."""
    b = figure8(dim)
    start = as_bodies(b)
    assert b.period == 6.32591398
    assert b.position.shape == (3, dim)
    assert np.abs(start.momentum()).max() < 1e-15
    assert np.abs(start.angular_momentum()).max() < 1e-8
    np.testing.assert_allclose(run_constant(b, b.period, 100).position[0], b.position, rtol=0, atol=2e-7)
    third = run_constant(b, b.period / 3, 34)  # the bodies have changed places
    np.testing.assert_allclose(third.position[0, [1, 2, 0]], b.position, rtol=0, atol=2e-7)


def test_burrau_reaches_its_reference_state():
    """Positions at t = 10 against the solution in 40 digits; order 8, symmetrized free-fall steps (measured: 2.8e-9)."""
    b = burrau()
    assert b.mass.tolist() == [5, 4, 3]
    assert not b.velocity.any()
    assert np.linalg.norm(b.position[[0, 0, 1]] - b.position[[1, 2, 2]], axis=1).tolist() == [3, 4, 5]
    assert not (b.mass[:, None] * b.position).sum(0).any()
    r = simulate(b, t_end=10.0, criterion=Symmetrized(FreeFall(0.09)), integrator="kahan_li8")
    reference = [
        [1.15298573629971, -0.162610887490898],
        [-2.02509247797820, 0.0972193841460584],
        [0.778480410138085, 0.141392300290086],
    ]
    assert (np.array([5, 4, 3]) @ np.array(reference)).tolist() == pytest.approx(
        [0, 0], abs=2e-14
    )  # no misprint: centre at rest
    assert r.final.time.item() == 10.0
    np.testing.assert_allclose(r.final.position[0], reference, rtol=0, atol=1e-8)
    assert r.max_energy_error.item() < 2e-8


def test_kozai_is_an_inner_circle_under_a_steep_outer_circle():
    b = kozai()
    assert b.mass.tolist() == [1, 0, 1]
    a, e, inclination = elements(*relative(b, 0, 1))
    assert (a, e, inclination) == pytest.approx((1, 0, 0), abs=1e-12)
    a, e, inclination = elements(*relative(b, 0, 2))
    assert (a, e) == pytest.approx((10, 0), abs=1e-12)
    assert inclination == pytest.approx(89.9, abs=1e-9)
    assert b.period == pytest.approx(2 * math.pi)
    assert at_rest_as_a_whole(b)


def test_solar_has_the_orbits_of_the_planets():
    """Osculating elements about the Sun, au and days, inclinations to the invariable plane; Pluto carries no mass here."""
    b = solar()
    assert math.sqrt(b.G) == pytest.approx(0.01720209895, rel=1e-15)
    expected = {
        1: (5.20, 0.048, 0.32),
        2: (9.55, 0.054, 0.93),
        3: (19.2, 0.047, 0.99),
        4: (30.1, 0.009, 0.74),
        5: (39.5, 0.249, 15.55),
    }
    for planet, (a, e, inclination) in expected.items():
        found = elements(*relative(b, 0, planet))
        assert found[0] == pytest.approx(a, rel=0.01)
        assert found[1] == pytest.approx(e, abs=0.005)
        assert found[2] == pytest.approx(inclination, abs=0.15)
    a, _, _ = elements(*relative(b, 0, 1))
    assert b.period == pytest.approx(2 * math.pi * math.sqrt(a**3 / (b.G * (b.mass[0] + b.mass[1]))), rel=2e-3)
    assert at_rest_as_a_whole(b)


@pytest.mark.parametrize(("n", "seed"), [(2, 0), (32, 0), (500, 3)])
def test_plummer_is_in_standard_units_and_virial_equilibrium(n, seed):
    b = plummer(n, seed)
    p = as_bodies(b)
    assert b.mass.tolist() == [1 / n] * n
    assert p.total_energy().item() == pytest.approx(-0.25, rel=1e-12)
    assert p.kinetic_energy().item() == pytest.approx(0.25, rel=1e-12)
    assert b.period == pytest.approx(2 * math.sqrt(2))
    assert at_rest_as_a_whole(b)
    assert np.array_equal(plummer(n, seed).position, b.position)
    assert not np.array_equal(plummer(n, seed + 1).position, b.position)


def test_a_large_plummer_sphere_is_made_without_an_array_of_all_pairs():
    b = plummer(2500, 1)
    tracemalloc.start()
    again = plummer(2500, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(again.position, b.position)
    assert peak < 20e6  # all pairs: 75 MB for their distances alone
    assert as_bodies(b).total_energy().item() == pytest.approx(-0.25, rel=1e-12)


def test_plummer_has_plummers_profile():
    """Half the mass within 1.3 a and a quarter within 0.81 a, a = 3 pi / 16; speeds isotropic and below escape."""
    b = plummer(2000, 1)
    a = 3 * math.pi / 16
    r = np.linalg.norm(b.position, axis=1) / a
    assert np.quantile(r, [0.25, 0.5]) == pytest.approx([0.8113, 1.3048], rel=0.08)
    speed = np.linalg.norm(b.velocity, axis=1)
    assert (speed < 1.15 * np.sqrt(2 / a) * (1 + r**2) ** -0.25).all()
    radial = np.abs((b.position * b.velocity).sum(1)) / (r * a * speed)
    assert radial.mean() == pytest.approx(0.5, abs=0.03)  # |cos| of an isotropic direction
    assert np.abs((b.position / (r * a)[:, None]).mean(0)).max() < 0.05


def test_plummer_has_plummers_speeds():
    """Share of the escape speed: density x^2 (1 - x^2)^3.5 at every radius; 3000 stars."""
    a, shares = 3 * math.pi / 16, []
    for seed in (1, 2, 3):
        b = plummer(1000, seed)
        r = np.linalg.norm(b.position, axis=1) / a
        shares.append(np.linalg.norm(b.velocity, axis=1) / np.sqrt(2 / a) * (1 + r**2) ** 0.25)
    x = np.linspace(0, 1, 20001)
    expected = np.cumsum(x**2 * (1 - x**2) ** 3.5)
    found = np.sort(np.concatenate(shares))
    distance = np.abs(np.interp(found, x, expected / expected[-1]) - np.arange(3000) / 3000).max()
    assert distance < 0.025  # 1.36 / sqrt(3000): 5 % of true samples are further; an exponent of 1.5 is 0.046 away


@pytest.mark.parametrize("dim", [2, 3])
def test_random_is_bound_with_the_virial_ratio_it_promises(dim):
    ratios = []
    for seed in range(30):
        b = random(4, dim, seed)
        p = as_bodies(b)
        K, U = p.kinetic_energy().item(), p.potential_energy().item()
        ratios.append(K / -U)
        assert b.position.shape == (4, dim)
        assert (b.mass >= 10**-0.5).all()
        assert (b.mass <= 10**0.5).all()
        assert at_rest_as_a_whole(b)
    assert 0.2 <= min(ratios) < 0.25
    assert 0.45 < max(ratios) <= 0.5 + 1e-12
    assert np.array_equal(random(4, dim, 7).velocity, random(4, dim, 7).velocity)
    assert not np.array_equal(random(4, dim, 7).velocity, random(4, dim, 8).velocity)


def test_agekyan_is_a_triangle_at_rest_within_its_region():
    b = agekyan(0.3, 0.4)
    assert b.mass.tolist() == [1, 1, 1]
    assert not b.velocity.any()
    assert at_rest_as_a_whole(b)
    assert b.position[1] - b.position[0] == pytest.approx([1, 0])
    assert b.position[2] - b.position[0] == pytest.approx([0.8, 0.4])
    for x, y in ((-0.1, 0.5), (0.1, 0.0), (0.4, 0.9), (math.nan, 0.1)):
        with pytest.raises(InitialConditionError, match=f"agekyan: x = {x}, y = {y} must satisfy"):
            agekyan(x, y)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: plummer(1), "plummer: n = 1 must be at least 2"),
        (lambda: random(1), "random: n = 1 must be at least 2"),
        (lambda: random(3, 5), "dim = 5 must be 2 or 3"),
        (lambda: figure8(1), "dim = 1 must be 2 or 3"),
        (lambda: burrau(4), "dim = 4 must be 2 or 3"),
    ],
)
def test_makers_name_what_they_cannot_make(make, message):
    with pytest.raises(InitialConditionError, match=message):
        make()


# ---- files --------------------------------------------------------------------------------------------------------------
ROWS_2D = [[1.0, -0.5, 0.25, 0.0, -0.5], [0.5, 1.0, -0.5, 0.0, 1.0], [0.25, 3.0, 3.0, 0.125, 0.0]]
ROWS_3D = [[1.0, -0.5, 0.25, 0.5, 0.0, -0.5, 0.0], [2.0, 1.0, -0.5, -0.25, 0.0, 1.0, 0.125]]


@pytest.mark.parametrize("rows", [ROWS_2D, ROWS_3D])
@pytest.mark.parametrize("form", ["txt", "csv in a txt", "npy", "npy of float32", "npy in Fortran order"])
def test_files_hold_mass_position_velocity(tmp_path, rows, form):
    path = tmp_path / ("bodies.npy" if form.startswith("npy") else "bodies.txt")
    array = np.array(rows, dtype=np.float32 if "float32" in form else np.float64)
    if form.startswith("npy"):
        np.save(path, np.asfortranarray(array) if "Fortran" in form else array)
    else:
        join = ", " if form.startswith("csv") else "   "
        lines = ["# mass, position, velocity", "", *(join.join(map(repr, row)) + "  # a body" for row in rows), ""]
        path.write_text("\n".join(lines))
    b = from_file(str(path))
    dim = (len(rows[0]) - 1) // 2
    assert b.mass.tolist() == [row[0] for row in rows]
    assert b.position.tolist() == [row[1 : 1 + dim] for row in rows]
    assert b.velocity.tolist() == [row[1 + dim :] for row in rows]
    problem = make_problem(Config(ic=f"file:{path}", G=2.0, softening=0.5))
    assert problem.bodies.position[0].tolist() == b.position.tolist()
    assert problem.bodies.velocity[0].tolist() == b.velocity.tolist()  # as given, whatever G is
    assert (problem.bodies.G, problem.bodies.softening.item()) == (2.0, 0.5)


class RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickled_array_is_refused_and_not_run(tmp_path):
    path, proof = tmp_path / "bodies.npy", tmp_path / "proof"
    np.save(path, np.array([RunsCode(proof)], dtype=object), allow_pickle=True)
    proof.unlink(missing_ok=True)
    with pytest.raises(InitialConditionError, match=r"bodies.npy is not an array of numbers: it holds object"):
        from_file(str(path))
    path.write_bytes(pickle.dumps(RunsCode(proof)))
    with pytest.raises(InitialConditionError, match=r"bodies\.npy is not an array of numbers"):
        from_file(str(path))
    assert not proof.exists()


BAD_TEXTS = {
    "empty": ("", "bodies.txt is empty; write one row per body"),
    "only comments": ("# nothing\n\n", "bodies.txt is empty"),
    "ragged": ("1 0 0 0 0\n1 1 0 0\n", r"rows have \[4, 5\] numbers; all must have 5 \(2D\) or 7 \(3D\)"),
    "six columns": ("1 0 0 0 0 0\n1 1 0 0 0 0\n", r"found shape \(2, 6\); every row must be mass, position, velocity"),
    "one body": ("1 0 0 0 0\n", "found 1 body; gravity needs at least 2 rows"),
    "words": ("1 zero 0 0 0\n1 1 0 0 0\n", "bodies.txt: could not convert string to float: .*zero"),
    "nan": ("1 0 0 0 0\n1 nan 0 0 0\n", "row 2, column 2 is nan; all numbers must be finite"),
    "infinite": ("1 0 0 0 -inf\n1 1 0 0 0\n", "row 1, column 5 is -inf; all numbers must be finite"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_text_files_are_named_with_their_fault(tmp_path, case):
    content, message = BAD_TEXTS[case]
    path = tmp_path / "bodies.txt"
    path.write_text(content)
    with pytest.raises(InitialConditionError, match=message):
        from_file(str(path))
    with pytest.raises(InitialConditionError, match=message):
        make_problem(Config(ic=f"file:{path}"))


def test_bad_binary_files_are_named_with_their_fault(tmp_path):
    path = tmp_path / "bodies.npy"
    whole = tmp_path / "whole.npy"
    np.save(whole, np.array(ROWS_2D))
    archive = tmp_path / "archive.npz"
    np.savez(archive, x=np.array(ROWS_2D))
    bad = {
        "not an array of numbers": [b"", b"\x93NUMPY", whole.read_bytes()[:-9], b"PK\x03\x04 no archive", archive.read_bytes()],
    }
    for message, contents in bad.items():
        for content in contents:
            path.write_bytes(content)
            with pytest.raises(InitialConditionError, match=f"bodies.npy is {message}"):
                from_file(str(path))
    for array, message in (
        (np.array(["a", "b"]), "bodies.npy is not an array of numbers"),
        (np.array(ROWS_2D) + 1j, "bodies.npy is not an array of numbers.*complex"),
        (np.zeros(5), r"found shape \(5,\)"),
        (np.zeros((2, 3, 5)), r"found shape \(2, 3, 5\)"),
        (np.zeros((0, 5)), "found 0 bod"),
    ):
        np.save(path, array)
        with pytest.raises(InitialConditionError, match=message):
            from_file(str(path))
    text = tmp_path / "bodies.txt"
    text.write_bytes(b"\xff\xfe\x00garbage")
    with pytest.raises(InitialConditionError, match=r"bodies\.txt is no text"):
        from_file(str(text))


def test_missing_files_and_folders_are_named(tmp_path):
    for path in (tmp_path / "missing.txt", tmp_path / "missing.npy"):
        with pytest.raises(InitialConditionError, match=rf"cannot read the initial conditions .*{path.name}: No such file"):
            from_file(str(path))
    with pytest.raises(InitialConditionError, match=r"cannot read the initial conditions .*: Is a directory"):
        from_file(str(tmp_path))


# ---- problems from settings ---------------------------------------------------------------------------------------------
def test_every_name_makes_a_problem_that_runs():
    for name in MAKERS:
        if name == "file":
            continue
        problem = make_problem(Config(ic=name))
        assert problem.period > 0
        assert momentum_share(problem.bodies) <= 1e-14
        r = simulate(problem.bodies, t_end=problem.period / 100, tol=1e-4)
        assert r.status == ("ok",), name


def test_settings_reach_the_bodies():
    config = Config(ic="kepler:e=0.3,q=0.5,a=4,dim=3", G=2.0, softening=0.1, external_field="tidal:M=10,R0=50")
    bodies, period = make_problem(config)
    assert bodies.position.shape == (1, 2, 3)
    assert bodies.external_field == field_from(config)
    assert (bodies.G, bodies.external_field.M, bodies.external_field.G) == (2.0, 10.0, 2.0)
    assert bodies.softening.item() == 0.1
    assert np.linalg.norm(bodies.position[0, 1] - bodies.position[0, 0]) == pytest.approx(4 * 1.3, rel=1e-14)
    assert period == pytest.approx(2 * math.pi * math.sqrt(64 / 2), rel=1e-12)
    assert field_from(Config()) is None


@pytest.mark.parametrize("G", [4.0, 0.25])
@pytest.mark.parametrize("name", ["figure8", "kepler:e=0.5", "plummer:n=4", "random", "kozai", "solar"])
def test_another_G_is_the_same_problem_in_another_unit_of_time(name, G):
    """Same places, speeds times sqrt(G), period over sqrt(G): a figure-eight stays one."""
    standard = 0.01720209895**2 if name == "solar" else 1.0
    one, other = make_problem(Config(ic=name)), make_problem(Config(ic=name, G=G))
    factor = math.sqrt(G / standard)
    assert [p.bodies.G for p in (one, other)] == [standard, G]
    assert np.array_equal(other.bodies.position, one.bodies.position)
    np.testing.assert_allclose(other.bodies.velocity, factor * one.bodies.velocity, rtol=1e-14, atol=1e-18)
    assert other.period == pytest.approx(one.period / factor, rel=1e-12)
    energy = other.bodies.total_energy() / one.bodies.total_energy()
    assert energy.item() == pytest.approx(G / standard, rel=1e-11)


def test_period_of_two_bodies_and_of_many():
    b = kepler(e=0.7, q=0.2, a=3.0, G=2.0)
    assert period_of(as_bodies(b)).item() == pytest.approx(b.period, rel=1e-12)
    crossing = period_of(as_bodies(plummer(20))).item()
    assert crossing == pytest.approx(2 * math.sqrt(2), rel=1e-12)  # M^2.5 / (2 |E|)^1.5
    both = Bodies.stack([as_bodies(kepler(e=0.7, a=3.0)), as_bodies(burrau())])
    found = period_of(both)
    E = both.total_energy()[1]
    assert found[0] == pytest.approx(2 * math.pi * 27**0.5, rel=1e-12)
    assert found[1] == pytest.approx(12**2.5 / (2 * -E) ** 1.5, rel=1e-12)
    drifting = as_bodies(b).replace(velocity=b.velocity + 100.0)  # motion as a whole is no part of an orbit
    assert period_of(drifting).item() == pytest.approx(b.period, rel=1e-10)


@pytest.mark.parametrize(
    ("mass", "speed"),
    [(1.0, 9.0), (0.5, math.sqrt(2)), ([1.0, 0.0], 9.0)],  # hyperbola, energy of exactly 0, test particle flying by
)
def test_bodies_that_are_not_bound_have_a_time_too(mass, speed):
    flyby = Bodies(mass, [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, speed]])
    assert 0 < period_of(flyby).item() < math.inf
    assert shortest_period(flyby).item() == math.inf


def test_the_shortest_period_is_that_of_the_tightest_bound_pair():
    """Sun and planets: Jupiter. A pair that passes close but fast is none."""
    b = as_bodies(solar())
    orbits = [b.orbit(0, planet).period.item() for planet in range(1, 6)]
    assert shortest_period(b).item() == pytest.approx(min(orbits), rel=1e-12) == pytest.approx(orbits[0], rel=1e-12)
    passing = Bodies([1.0, 1e-3, 1e-3], [[0.0, 0], [1.0, 0], [1.0, 1e-3]], [[0.0, 0], [0, 1.0], [0, -1.0]])
    assert shortest_period(passing).item() == pytest.approx(passing.orbit(0, 1).period.item(), rel=0.01)
    pair = Bodies(*kepler(a=2.0)[:3])
    assert shortest_period(Bodies.stack([passing, pair])).tolist() == [shortest_period(b).item() for b in (passing, pair)]
    cluster = as_bodies(plummer(400))
    r, v = (np.linalg.norm(x[0][:, None] - x[0][None], axis=-1) for x in (cluster.position, cluster.velocity))
    i, j = np.triu_indices(400, 1)
    axis = 1 / (2 / r[i, j] - v[i, j] ** 2 / (2 / 400))
    expected = 2 * math.pi * math.sqrt(axis[axis > 0].min() ** 3 / (2 / 400))
    assert shortest_period(cluster).item() == pytest.approx(expected, rel=1e-9)


def saved(path: Path, mass, position, velocity) -> str:
    np.save(path, np.hstack([np.array(mass)[:, None], position, velocity]))
    return f"file:{path}"


def test_the_period_of_a_file_is_that_of_its_tightest_pair(tmp_path):
    """Star, planet, far companion: the crossing time of the whole is 1.8e7 orbits of the planet."""
    b = kepler(e=0.7, q=0.2, a=3.0)
    assert make_problem(Config(ic=saved(tmp_path / "pair.npy", *b[:3]))).period == pytest.approx(b.period, rel=1e-12)
    mass, x = [1.0, 1e-6, 1e-3], [[0.0, 0.0], [1.0, 0.0], [4000.0, 0.0]]
    v = [[0.0, 0.0], [0.0, 1.0], [0.0, 0.016]]
    made = make_problem(Config(ic=saved(tmp_path / "planet.npy", mass, x, v)))
    assert made.period == pytest.approx(2 * math.pi, rel=1e-5)
    assert period_of(made.bodies).item() > 1e7 * made.period
    mass, x = [1.0, 1.0, 1.0], [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    v = [[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]  # nobody is bound
    made = make_problem(Config(ic=saved(tmp_path / "apart.npy", mass, x, v), G=2.0))
    assert made.period == period_of(made.bodies).item() < math.inf


# ---- batches ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dim", [2, 3])
def test_sampled_orbits_cover_what_was_asked_and_are_reproducible(dim):
    config = Config(ic=f"kepler:dim={dim},a=2", num_orbits=60, e_min=0.2, e_max=0.8, q_min=0.01, q_max=1.0, seed=5)
    p = make_problem(config).bodies
    assert len(p) == 60
    e, phase = [], []
    for i in range(60):
        x, v = p.position[i, 1] - p.position[i, 0], p.velocity[i, 1] - p.velocity[i, 0]
        found = elements(1.0, x, v, 1.0)
        assert found[0] == pytest.approx(2.0, rel=1e-11)
        e.append(found[1])
        phase.append(math.copysign(1.0, float(x @ v)))
    assert 0.2 <= min(e) < 0.25
    assert 0.75 < max(e) <= 0.8
    q = np.log10(p.mass[:, 1] / p.mass[:, 0])
    assert -2 <= q.min() < -1.8
    assert -0.2 < q.max() <= 0
    assert np.median(q) == pytest.approx(-1, abs=0.3)  # uniform in the logarithm
    assert 15 < phase.count(1.0) < 45  # on the way out and on the way in
    assert momentum_share(p) <= 1e-15
    assert (p.body_count == 2).all()
    assert np.array_equal(make_problem(config).bodies.position, p.position)
    assert np.array_equal(make_problem(config).bodies.velocity, p.velocity)
    other = Config(**{**config.to_dict(), "seed": 6})
    assert not (make_problem(other).bodies.position == p.position).any()
    more = Config(**{**config.to_dict(), "num_orbits": 80})
    assert np.array_equal(make_problem(more).bodies.position[:60], p.position)  # a larger batch begins as the smaller one
    if dim == 3:
        assert (np.abs(p.position[..., 2]).max(1) > 1e-4).all()


@pytest.mark.parametrize(("ic", "bodies"), [("plummer:n=5", 5), ("random:n=4,dim=2", 4), ("random", 3)])
def test_sampled_families_have_a_seed_for_every_system(ic, bodies):
    p = make_problem(Config(ic=ic, num_orbits=4, seed=10)).bodies
    assert p.position.shape[:2] == (4, bodies)
    assert len(set(p.position[:, 0, 0].tolist())) == 4
    assert momentum_share(p) <= 1e-14
    from_text = make_problem(Config(ic=f"{ic}{',' if ':' in ic else ':'}seed=12", num_orbits=2, seed=99)).bodies
    assert np.array_equal(from_text.position, p.position[2:])
    alone = make_problem(Config(ic=f"{ic}{',' if ':' in ic else ':'}seed=11")).bodies
    assert np.array_equal(alone.position[0], p.position[1])


def test_the_period_of_a_batch_is_its_longest():
    systems = [kepler(a=1.0), kepler(a=4.0), kepler(a=2.0)]
    assert as_problem(systems, Config()).period == pytest.approx(16 * math.pi)
    mixed = as_problem([kepler(), burrau(), figure8()], Config())
    assert mixed.bodies.body_count.tolist() == [2, 3, 3]
    assert mixed.period == 7.0


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"ic": "keplr"}, InitialConditionError, "unknown initial conditions 'keplr': did you mean 'kepler'"),
        ({"ic": "kepler:ee=0.5"}, InitialConditionError, "kepler has no argument 'ee': did you mean 'e'"),
        ({"ic": "kepler:e=round"}, InitialConditionError, "e = 'round' must be a number"),
        ({"ic": "kepler:dim=2.5"}, InitialConditionError, "dim = '2.5' must be a whole number"),
        ({"ic": "file"}, InitialConditionError, "file needs path"),
        (
            {"ic": "kepler:e=0.5", "num_orbits": 3},
            ConfigError,
            "fixes e, but num_orbits = 3 samples it: give --e-min and --e-max",
        ),
        ({"ic": "kepler:0.5", "num_orbits": 3}, ConfigError, "fixes e, but num_orbits = 3"),
        (
            {"ic": "kepler:q=0.5", "num_orbits": 3},
            ConfigError,
            "fixes q, but num_orbits = 3 samples it: give --q-min and --q-max",
        ),
        ({"ic": "figure8", "num_orbits": 3}, ConfigError, "num_orbits = 3 needs a family to sample from.*not 'figure8'"),
    ],
)
def test_settings_that_make_no_problem_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        make_problem(Config(**settings))
