"""What every body orbits, and which orbits are regular."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from aitimestepper.bodies import Bodies
from aitimestepper.fields import PointMassTidalField
from aitimestepper.hierarchy import covered_bodies, own_energy, own_orbits
from aitimestepper.initial.named import InitialConditions, burrau, ellipse, figure8, kepler, plummer, solar, triple


def bodies_of(initial: InitialConditions, **more) -> Bodies:
    return Bodies(initial.mass, initial.position, initial.velocity, G=initial.G or 1.0, **more)


def orbiting(mass, about, orbits) -> Bodies:
    """Bodies of the given masses; body k + 1 is on an orbit (a, e, anomaly) about the bodies `about[k]`, counted before it."""
    x, v = np.zeros((len(mass), 3)), np.zeros((len(mass), 3))
    mass = np.array(mass, float)
    for k, (host, (a, e, anomaly)) in enumerate(zip(about, orbits, strict=True), start=1):
        host, total = list(host), mass[list(host)].sum() + mass[k]
        dx, dv = ellipse(e, a, anomaly, total)
        share = mass[k] / total
        centre = [(mass[host] @ values[host]) / mass[host].sum() for values in (x, v)]
        x[host] -= share * dx
        v[host] -= share * dv
        x[k], v[k] = centre[0] + (1 - share) * dx, centre[1] + (1 - share) * dv
    return Bodies(mass, x, v)


def hosts(bodies: Bodies) -> list[set[int]]:
    return [set(np.flatnonzero(row).tolist()) for row in own_orbits(bodies).host[0]]


def covered(bodies: Bodies) -> list[bool]:
    return own_orbits(bodies).covered[0].tolist()


@pytest.mark.parametrize("q", [1.0, 1e-3, 1e-12])
@pytest.mark.parametrize("e", [0.0, 0.5, 0.99])
def test_two_bodies_orbit_each_other(e, q):
    pair = bodies_of(kepler(e, q))
    assert (hosts(pair), covered(pair)) == ([{1}, {0}], [True, True])


def test_the_energy_of_two_bodies_is_the_total_over_the_reduced_mass():
    pair = bodies_of(kepler(0.7, 0.1))
    energy, scale = own_energy(pair, own_orbits(pair).host)
    reduced = pair.mass[0].prod() / pair.mass[0].sum()
    np.testing.assert_allclose(energy[0], pair.total_energy()[0] / reduced, rtol=1e-14)
    np.testing.assert_allclose(scale[0], pair.energy_scale()[0] / reduced, rtol=1e-14)


def test_a_massless_body_is_covered_and_the_star_orbits_nothing():
    planet = orbiting([1.0, 0.0], [[0]], [(1.0, 0.95, math.pi)])
    assert (hosts(planet), covered(planet)) == ([set(), {0}], [False, True])
    energy, _ = own_energy(planet, own_orbits(planet).host)
    assert np.isnan(energy[0, 0])
    assert energy[0, 1] == pytest.approx(-0.5)


def test_massless_bodies_orbit_no_massless_body():
    moon = orbiting([1.0, 0.0, 0.0], [[0], [0]], [(1.0, 0.0, 0.0), (1.0, 0.001, 0.0)])
    assert hosts(moon) == [set(), {0}, {0}]


def test_bodies_that_are_not_bound_orbit_nothing():
    assert hosts(Bodies([1.0, 1.0], [[0, 0], [1, 0]], [[0, 0], [0, 9.0]])) == [set(), set()]


@pytest.mark.parametrize(("distance", "regular"), [(0.2, True), (0.9, False)])
@pytest.mark.parametrize("mass", [0.0, 1e-8])
def test_a_moon_is_covered_well_inside_the_hill_radius(distance, regular, mass):
    hill = (1e-3 / 3) ** (1 / 3)
    moon = orbiting([1.0, 1e-3, mass], [[0], [1]], [(1.0, 0.0, 0.3), (distance * hill, 0.0, 0.9)])
    assert hosts(moon)[1:] == [{0}, {1}]
    assert covered(moon) == [True, True, regular]


def test_a_planet_with_a_moon_has_the_orbit_of_both():
    moon = orbiting([1.0, 1e-3, 2e-4], [[0], [1]], [(1.0, 0.3, 0.3), (0.004, 0.0, 0.9)])
    found = own_orbits(moon)
    assert found.group[0].tolist() == [[True, False, False], [False, True, True], [False, False, True]]
    energy, _ = own_energy(moon, found.host, found.group)
    np.testing.assert_allclose(energy[0, :2], -(1.0 + 1.2e-3) / 2, rtol=1e-3)  # the star orbits the planet with its moon
    assert energy[0, 2] == pytest.approx(-1.2e-3 / 0.008)


def test_a_hierarchical_triple_is_covered():
    assert covered(bodies_of(triple(a2=20.0))) == [True, True, True]
    assert hosts(bodies_of(triple()))[2] == {0, 1}
    assert covered(orbiting([1.0, 0.9, 3.0], [[0], [0, 1]], [(1.0, 0.2, 1.0), (12.0, 0.1, 2.0)])) == [True] * 3


def test_a_planet_in_a_wide_binary_orbits_one_star():
    for mass in (0.0, 3e-6):
        planet = orbiting([1.0, mass, 0.8], [[0], [0, 1]], [(1.0, 0.9, math.pi), (50.0, 0.4, 1.0)])
        assert hosts(planet)[1] == {0}
        assert hosts(planet)[2] <= {0, 1}
        assert covered(planet) == [True] * 3


@pytest.mark.parametrize("anomaly", np.linspace(0, 6, 13))
@pytest.mark.parametrize("mass", [0.0, 1e-6])
def test_a_planet_about_a_binary_orbits_both(mass, anomaly):
    planet = orbiting([1.0, 1.0, mass], [[0], [0, 1]], [(1.0, 0.0, 0.0), (5.0, 0.1, anomaly)])
    assert hosts(planet) == [{1}, {0}, {0, 1}]
    assert covered(planet) == [True] * 3


def test_a_planet_too_near_a_binary_is_not_covered():
    near = orbiting([1.0, 1.0, 0.0], [[0], [0, 1]], [(1.0, 0.0, 0.0), (2.2, 0.0, 2.0)])
    assert covered(near) == [True, True, False]


def test_an_outer_planet_orbits_the_star_and_all_inner_planets():
    five = orbiting([1.0, 1e-5, 1e-4, 1e-5], [[0], [0, 1], [0, 1, 2]], [(1, 0.1, 0), (2, 0.1, 2), (4, 0.1, 5)])
    assert hosts(five) == [{2}, {0}, {0, 1}, {0, 1, 2}]
    assert covered(five) == [True] * 4


def test_planets_closer_than_a_few_hill_radii_are_not_covered():
    near = orbiting([1.0, 1e-4, 1e-4], [[0], [0, 1]], [(1, 0.0, 0), (1.1, 0.0, 2)])
    assert covered(near) == [False] * 3


@pytest.mark.parametrize(("axis", "regular"), [(1.5, True), (4.0, False)])
def test_massless_bodies_are_covered_where_they_stay_inside_jupiter(axis, regular):
    orbits = [(5.2, 0.05, 1.0), *((axis * (1 + 0.01 * k), 0.95, k) for k in range(10))]
    system = orbiting([1.0, 1e-3, *[0.0] * 10], [[0]] * 11, orbits)
    assert hosts(system)[2:] == [{0}] * 10
    assert covered(system) == [True, True, *[regular] * 10]


def test_the_outer_planets_are_covered_but_not_pluto_that_crosses_neptune():
    assert covered(bodies_of(solar())) == [True] * 5 + [False]


@pytest.mark.parametrize("initial", [figure8(), burrau(), plummer(16, seed=1), plummer(64, seed=64)])
def test_bodies_without_a_hierarchy_are_not_covered(initial):
    bodies = bodies_of(initial)
    assert own_orbits(bodies).covered.sum() <= (0 if len(initial.mass) == 3 else 4)  # at most two hard binaries


def test_a_binary_that_meets_a_third_body_is_covered_if_that_passes_far_away():
    pair = kepler(0.3)

    def passing(distance: float) -> Bodies:
        position = np.vstack([pair.position, [-20.0, distance]])
        return Bodies(np.append(pair.mass, 0.3), position, np.vstack([pair.velocity, [9.0, 0.0]]))

    assert covered(passing(10.0)) == [True, True, False]
    assert covered(passing(1.0)) == [False] * 3


def test_a_tidal_field_covers_only_what_is_well_inside_its_hill_radius():
    for place, regular in ((50.0, True), (3.0, False)):
        field = PointMassTidalField(1.0, place)
        assert covered(bodies_of(kepler(0.5, q=0.1), external_field=field)) == [regular] * 2


def test_absent_bodies_and_other_systems_change_nothing():
    batch = Bodies.stack([bodies_of(kepler(0.5)), bodies_of(figure8()), bodies_of(kepler(0.9, 0.1))])
    found = own_orbits(batch)
    assert found.covered.tolist() == [[True, True, False], [False] * 3, [True, True, False]]
    assert not found.host[[0, 2]][:, :, 2].any()
    np.testing.assert_array_equal(covered_bodies(batch), found.covered)


def test_coverage_alone_is_that_of_the_orbits():
    light = orbiting([1.0, 0.0], [[0]], [(1.0, 0.95, math.pi)])
    passing = Bodies([1.0, 1.0], [[0, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 9.0, 0]])
    batch = Bodies.stack([light, passing, bodies_of(triple()), orbiting([1.0, 1e-3], [[0]], [(1.0, 0.3, 1.0)])])
    np.testing.assert_array_equal(covered_bodies(batch), own_orbits(batch).covered)
    alone = bodies_of(kepler(), external_field=PointMassTidalField(1.0, 3.0))
    np.testing.assert_array_equal(covered_bodies(alone), own_orbits(alone).covered)


def test_the_energies_of_many_states_need_one_hierarchy():
    planet = orbiting([1.0, 1e-3, 0.0], [[0], [1]], [(1.0, 0.1, 0.3), (0.01, 0.0, 0.9)])
    found = own_orbits(planet)
    many = Bodies.stack([planet] * 3)
    np.testing.assert_array_equal(own_energy(many, found.host, found.group)[0], own_energy(planet, *found[::2])[0].repeat(3, 0))


def test_large_systems_are_fast():
    rng = np.random.default_rng(0)
    axes = 0.4 * 1.7 ** np.arange(8)
    planets = [(a, 0.03, rng.uniform(0, 6)) for a in axes]
    small = [(rng.uniform(1, 40), 0.3, rng.uniform(0, 6)) for _ in range(1000)]
    solar_system = orbiting([1.0, *[1e-5] * 8, *[0.0] * 1000], [range(k) for k in range(1, 9)] + [[0]] * 1000, planets + small)
    cluster, many = bodies_of(plummer(1000, seed=1)), bodies_of(plummer(300, seed=1))
    for bodies, limit in ((solar_system, 0.1), (cluster, 0.05), (many, 0.5)):
        best = math.inf
        for _ in range(3):
            began = time.perf_counter()
            own_orbits(bodies)
            best = min(best, time.perf_counter() - began)
        assert best < limit
    assert not own_orbits(cluster).covered.any()
    assert own_orbits(solar_system).covered[0, :9].all()
