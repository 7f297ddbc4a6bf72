"""Fields of galaxies and halos: their formulas, forces from potentials, masses and velocities that textbooks give."""

from __future__ import annotations

import dataclasses
import math
import pickle

import numpy as np
import pytest

from aitimestepper.errors import InitialConditionError
from aitimestepper.fields import LogarithmicHalo, MiyamotoNagaiField, NFWField, PlummerField, UniformField
from some_fields import HALOS

T = np.zeros(2)


def places(dim: int, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(dim).normal(size=(2, 6, dim))


def at(field, *places) -> np.ndarray:
    """The acceleration at places of one system."""
    return field.acceleration(np.array([places], dtype=float), np.zeros(1))[0]


def textbook(field, x: np.ndarray) -> np.ndarray:
    x = x if x.shape[-1] == 3 else np.concatenate([x, 0.0 * x[..., :1]], -1)
    if isinstance(field, UniformField):
        return -(x * np.array(field.g)).sum(-1)
    x, y, z = np.moveaxis(x - np.array(field.center), -1, 0)
    r = np.sqrt(x**2 + y**2 + z**2)
    if isinstance(field, PlummerField):
        return -field.G * field.M / np.sqrt(r**2 + field.b**2)
    if isinstance(field, LogarithmicHalo):
        inside = field.core**2 + x**2 + y**2 / field.q_y**2 + z**2 / field.q_z**2
        return 0.5 * field.v0**2 * (np.log(inside) - math.log(field.core**2))
    if isinstance(field, MiyamotoNagaiField):
        return -field.G * field.M / np.sqrt(x**2 + y**2 + (field.a + np.sqrt(z**2 + field.b**2)) ** 2)
    return -field.G * field.M * np.log1p(r / field.r_s) / r


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("kind", HALOS)
def test_potentials_are_those_of_textbooks_and_forces_their_gradients(kind, dim):
    field, x, h = HALOS[kind], places(dim), 1e-3
    np.testing.assert_allclose(field.potential(x, T), textbook(field, x), rtol=1e-13, atol=1e-14)
    for axis in range(dim):
        e = h * np.eye(dim)[axis]
        values = [field.potential(x + k * e, T) for k in (-3, -2, -1, 1, 2, 3)]
        slope = sum(c * v for c, v in zip((-1, 9, -45, 45, -9, 1), values, strict=True)) / (60 * h)
        np.testing.assert_allclose(field.acceleration(x, T)[..., axis], -slope, rtol=1e-9, atol=1e-10)


def test_the_mass_of_an_nfw_halo_within_a_radius():
    """Integrals of the density rho_0 / (u (1 + u)^2), with r as the square of the variable."""
    field, R, s = NFWField(4 * math.pi * 0.7 * 1.5**3, 1.5), np.array([0.01, 0.4, 1.5, 20.0, 500.0]), np.linspace(0, 1, 40001)
    for r in R:
        x = r * s * s
        mass = np.trapezoid(4 * math.pi * x * 0.7 * 1.5 / (1 + x / 1.5) ** 2 * 2 * r * s, s)
        assert -at(field, (r, 0, 0))[0, 0] * r**2 == pytest.approx(mass, rel=1e-6)
    assert -at(field, (1e-9, 0, 0))[0, 0] == pytest.approx(field.M / (2 * 1.5**2), rel=1e-8)


@pytest.mark.parametrize("u", [1e-9, 1e-5, 1e-3, 0.1, 0.4999999, 0.5000001, 3.0, 1e4])
def test_an_nfw_halo_keeps_its_digits_near_the_centre(u):
    """ln(1 + u) - u/(1 + u) of the formula loses all of them below 1e-8."""
    from decimal import Decimal, localcontext

    with localcontext() as context:
        context.prec = 60
        exact = Decimal(u)
        mass = (1 + exact).ln() - exact / (1 + exact)
        expected, depth = float(mass / exact**2), float((1 + exact).ln() / exact)
    field = NFWField(1.0, 1.0)
    assert -at(field, (0.0, u, 0.0))[0, 1] == pytest.approx(expected, rel=4e-15, abs=0)
    assert -field.potential(np.array([[[0.0, u, 0.0]]]), np.zeros(1))[0, 0] == pytest.approx(depth, rel=1e-15, abs=0)


def test_the_circular_velocity_of_a_logarithmic_halo_is_flat_far_out():
    speed = np.sqrt(-at(LogarithmicHalo(0.8, 0.1), (1e4, 0, 0), (1e6, 0, 0))[:, 0] * [1e4, 1e6])
    assert speed == pytest.approx(0.8, rel=1e-9)


def test_a_disc_without_length_is_plummers_sphere():
    x = places(3)
    disc, sphere = MiyamotoNagaiField(2.0, 0.0, 0.6), PlummerField(2.0, 0.6)
    np.testing.assert_allclose(disc.acceleration(x, T), sphere.acceleration(x, T), rtol=1e-14)
    np.testing.assert_allclose(disc.potential(x, T), sphere.potential(x, T), rtol=1e-14)


def test_the_pull_at_a_centre_is_zero_not_nan():
    for kind, field in HALOS.items():
        if kind != "uniform":
            assert at(field, field.center).tolist() == [[0.0, 0.0, 0.0]], kind


def test_halos_are_values():
    for field in HALOS.values():
        again = pickle.loads(pickle.dumps(field))
        assert again == field
        assert hash(again) == hash(field)
        with pytest.raises(dataclasses.FrozenInstanceError):
            field.G = 3.0
    assert PlummerField(1, 2, [0.5, 0.0]) == PlummerField(1.0, 2.0, np.array([0.5, 0.0, 0.0]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PlummerField(-1.0, 1.0), r"^PlummerField: M = -1.0 must be a positive number[.]$"),
        (lambda: PlummerField(1.0, 0.0), r"^PlummerField: b = 0.0 must be a positive number[.]$"),
        (lambda: PlummerField(1.0, 1.0, (1.0,)), r"^PlummerField: center = .* must be two or three finite numbers[.]$"),
        (lambda: PlummerField(1.0, 1.0, (1.0, math.nan)), r"^PlummerField: center = .* must be two or three finite numbers"),
        (lambda: LogarithmicHalo(1.0, 1.0, q_z=0.0), r"^LogarithmicHalo: q_z = 0.0 must be a positive number[.]$"),
        (lambda: MiyamotoNagaiField(1.0, -0.1, 1.0), r"^MiyamotoNagaiField: a = -0.1 must be a finite number, 0 or more[.]$"),
        (lambda: NFWField(1.0, "far"), r"^NFWField: r_s = .*far.* must be a positive number[.]$"),
        (lambda: UniformField("down"), r"^UniformField: g = .*down.* must be two or three finite numbers[.]$"),
        (
            lambda: UniformField((0.0, 0.0, 1.0)).acceleration(places(2), T),
            r"^UniformField: g = .* points out of the plane of the bodies; leave its third component 0[.]$",
        ),
    ],
)
def test_what_is_no_field_is_refused_in_a_sentence(make, message):
    with pytest.raises(InitialConditionError, match=message):
        make()
