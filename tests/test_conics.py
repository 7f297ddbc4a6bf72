"""Two bodies on conics: Kepler's equations to rounding, and elements that lead back to the same state."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper.conics import (
    Shape,
    conic_of,
    eccentric_anomaly,
    hyperbolic_anomaly,
    less_sine,
    perifocal_from_f,
    perifocal_from_mean,
    placed,
    sinh_less,
    wrapped,
)

COUNT = 2000
RNG = np.random.default_rng(7)
NEAR_ONE = 10 ** RNG.uniform(-15.5, -2, COUNT)
SHAPES = {
    "circles": np.zeros(COUNT),
    "nearly circles": 10 ** RNG.uniform(-17, -1, COUNT),
    "ellipses": RNG.uniform(0, 0.99, COUNT),
    "nearly parabolas, bound": 1 - NEAR_ONE,
    "parabolas": np.ones(COUNT),
    "nearly parabolas, unbound": 1 + NEAR_ONE,
    "hyperbolas": RNG.uniform(1.01, 30, COUNT),
}


def sampled(e: np.ndarray, seed: int = 3) -> tuple[np.ndarray, Shape, np.ndarray]:
    """gm, orbits of eccentricity e and true anomalies: a third in the reference plane, a third nearly so, some retrograde."""
    rng = np.random.default_rng(seed)
    thirds = np.arange(len(e)) % 3
    inc = np.where(thirds == 0, 0.0, np.where(thirds == 1, 10 ** rng.uniform(-17, -1, len(e)), rng.uniform(0, np.pi, len(e))))
    inc[:20] = np.pi
    shape = Shape(10 ** rng.uniform(-2, 2, len(e)), e, inc, *rng.uniform(-np.pi, np.pi, (2, len(e))))
    most = np.where(e >= 1, np.arccos(-1 / np.maximum(e, 1)), np.pi)
    return rng.uniform(0.1, 3, len(e)), shape, 0.97 * rng.uniform(-1, 1, len(e)) * most


def off(found: tuple[np.ndarray, np.ndarray], wanted: tuple[np.ndarray, np.ndarray]) -> float:
    return max(
        float((np.linalg.norm(a - b, axis=-1) / np.linalg.norm(b, axis=-1)).max()) for a, b in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("kind", SHAPES)
def test_elements_lead_back_to_the_state(kind):
    gm, shape, f = sampled(SHAPES[kind])
    state = placed(shape, *perifocal_from_f(gm, shape.q, shape.e, f))
    a, found, place = conic_of(gm, *state)
    assert off(placed(found, *perifocal_from_f(gm, found.q, found.e, place.f)), state) < 1e-12
    w = np.where(np.isinf(a), 0.0, found.q / a)
    assert off(placed(found, *perifocal_from_mean(gm, found.q, found.e, place.M, w)), state) < 1e-12
    assert found.q == pytest.approx(shape.q, rel=1e-12)
    assert found.e == pytest.approx(shape.e, abs=1e-12)
    assert found.inc == pytest.approx(shape.inc, abs=1e-12)
    if kind == "parabolas":
        assert np.isinf(a).mean() > 0.5  # the others are off by more than rounding
        assert (np.abs(a) > 1e12 * shape.q).all()
    elif "parabolas" not in kind:
        assert a == pytest.approx(shape.q / (1 - shape.e), rel=1e-11)


def test_elements_are_those_that_an_orbit_was_made_with():
    gm, shape, f = sampled(RNG.uniform(0.05, 0.95, COUNT))
    shape = shape._replace(inc=RNG.uniform(0.1, 3.0, COUNT))
    _, found, place = conic_of(gm, *placed(shape, *perifocal_from_f(gm, shape.q, shape.e, f)))
    for name, values in {**found._asdict(), "f": place.f}.items():
        wanted = {**shape._asdict(), "f": f}[name]
        assert np.abs(wrapped(values - wanted) if name in ("Omega", "omega", "f") else values - wanted).max() < 2e-11, name


def test_directions_that_do_not_exist_are_zero():
    gm, shape, f = sampled(np.zeros(10))
    found = conic_of(gm, *placed(shape._replace(inc=np.zeros(10)), *perifocal_from_f(gm, shape.q, shape.e, f)))[1]
    assert not found.Omega.any()
    assert not found.omega.any()
    assert not found.inc.any()


def test_keplers_equation_to_rounding():
    e = np.concatenate([RNG.uniform(0, 1, COUNT), 1 - 10 ** RNG.uniform(-15.5, 0, COUNT), [0.0, 0.0, 1 - 1e-12]])
    M = np.concatenate([RNG.uniform(-9, 9, COUNT), 10 ** RNG.uniform(-30, 0.49, COUNT), [0.0, 1.0, -1e-20]])
    E = eccentric_anomaly(M, e)
    residual = (1 - e) * E + e * less_sine(E) - wrapped(M)
    assert (np.abs(residual) <= 1e-15 * np.abs(wrapped(M))).all()
    assert (np.sign(E) == np.sign(wrapped(M))).all()


def test_the_hyperbolic_equation_to_rounding_at_any_anomaly():
    e = 1 + 10 ** RNG.uniform(-15.5, 3, COUNT)
    M = 10 ** RNG.uniform(-30, 290, COUNT) * np.sign(RNG.normal(size=COUNT))
    H = hyperbolic_anomaly(M, e)
    found = (e - 1) * H + e * sinh_less(H)
    assert (np.abs(found / M - 1) <= 4e-16 * np.maximum(10, 2 * np.abs(H))).all()  # sinh amplifies the rounding of H


def test_small_differences_keep_their_digits():
    x = np.array([1e-8, 1e-3, 0.5, 0.999999, 1.0, 1.000001, 3.0])
    exact = (
        x**3 / 6 * (1 - x**2 / 20 * (1 - x**2 / 42 * (1 - x**2 / 72 * (1 - x**2 / 110 * (1 - x**2 / 156 * (1 - x**2 / 210))))))
    )
    assert less_sine(x[:6]) == pytest.approx(exact[:6], rel=1e-14)
    assert less_sine(x[6]) == pytest.approx(3 - np.sin(3), rel=1e-15)
    assert sinh_less(x[2:]) == pytest.approx(np.sinh(x[2:]) - x[2:], rel=1e-14)


def test_no_mass_no_orbit():
    a, shape, place = conic_of(np.array([0.0, 1.0]), np.eye(3)[:2], np.eye(3)[1:])
    assert np.isnan([a[0], shape.e[0], shape.inc[0], shape.Omega[0], place.f[0], place.M[0]]).all()
    assert np.isfinite([a[1], shape.e[1], place.f[1], place.M[1]]).all()
