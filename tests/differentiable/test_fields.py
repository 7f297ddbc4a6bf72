"""External fields: force from potential, zero at the origin, full precision, with arrays as with tensors."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch

from aitimestepper.errors import InitialConditionError
from aitimestepper.fields import FIELDS, Circle, ExternalField, PointMassTidalField, tidal


def circle(t):
    use = torch if isinstance(t, torch.Tensor) else np
    return use.stack([5 * use.cos(0.7 * t), 5 * use.sin(0.7 * t)], -1)


KINDS = {
    "fixed number": lambda: PointMassTidalField(30.0, R0=5.0, G=2.0),
    "fixed place": lambda: PointMassTidalField(30.0, R0=[1.0, -4.0], G=2.0),
    "moving": lambda: PointMassTidalField(30.0, R_of_t=circle, G=2.0),
}
T = np.array([0.0, 1.3, 7.0])


def places(n: int, dim: int, systems: int = 3) -> np.ndarray:
    return np.random.default_rng([n, dim]).normal(size=(systems, n, dim))


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_acceleration_is_minus_the_gradient_of_the_potential(kind, dim):
    field = KINDS[kind]()
    x = tensor(places(5, dim)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(field.potential(x, tensor(T)).sum(), x)
    torch.testing.assert_close(field.acceleration(x.detach(), tensor(T)), -gradient, rtol=1e-11, atol=1e-12)
    assert gradient.abs().max() > 0.1


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_and_tensors_give_the_same_field(kind, dim):
    field, x = KINDS[kind](), places(5, dim)
    for quantity in ("acceleration", "potential"):
        found, expected = (getattr(field, quantity)(y, t) for y, t in ((x, T), (tensor(x), tensor(T))))
        assert isinstance(found, np.ndarray)
        # cosines of the two libraries differ in the last bit
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-13, atol=1e-14)
        single = getattr(field, quantity)(tensor(x).float(), tensor(T).float())
        assert single.dtype == torch.float32
        torch.testing.assert_close(single, expected.float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_formulas_of_the_contract(kind):
    field, x = KINDS[kind](), places(4, 2)
    R = {"fixed number": np.array([[5.0, 0.0]]), "fixed place": np.array([[1.0, -4.0]])}.get(kind, circle(T))[:, None]
    d, R1 = np.linalg.norm(R - x, axis=-1), np.linalg.norm(R, axis=-1)
    a = 60.0 * ((R - x) / d[..., None] ** 3 - R / R1[..., None] ** 3)
    potential = -60.0 * (1 / d - 1 / R1 - (x * R).sum(-1) / R1**3)
    np.testing.assert_allclose(field.acceleration(x, T), a, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(field.potential(x, T), potential, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dim", [2, 3])
def test_potential_and_its_gradient_vanish_at_the_origin(kind, dim):
    field = KINDS[kind]()
    x = torch.zeros(3, 3, dim, dtype=torch.float64, requires_grad=True)
    potential = field.potential(x, tensor(T))
    (gradient,) = torch.autograd.grad(potential.sum(), x)
    assert not potential.detach().any()
    assert gradient.abs().max() <= 1e-15
    assert np.abs(field.acceleration(np.zeros((3, 3, dim)), T)).max() <= 1e-15


@pytest.mark.parametrize("distance", [1e2, 1e4, 1e6, 1e8])
def test_a_far_mass_keeps_its_tide_to_full_precision(distance):
    """A star cluster in a galaxy: the tide is 1e-12 of the pull and less; it must not drown in the round-off of the pull."""
    x = [0.3, -0.7, 0.2]
    R = Fraction(int(distance))
    exact_x = [Fraction(v) for v in x]
    u, w = exact_x[0] / R, sum(v * v for v in exact_x) / R**2
    q = w - 2 * u
    # 1/sqrt(1+q) to 12 orders, in exact arithmetic
    inverse, term = Fraction(1), Fraction(1)
    for k in range(1, 13):
        term *= q * (Fraction(1, 2) - k) / k
        inverse += term
    potential = float(-(inverse - 1 - u) / R)
    pull = inverse**3
    acceleration = [float(((R - exact_x[0]) * pull - R) / R**3), *(float(-v * pull / R**3) for v in exact_x[1:])]
    field = PointMassTidalField(1.0, R0=distance)
    where, t = np.array([[x]]), np.zeros(1)
    assert field.potential(where, t).item() == pytest.approx(potential, rel=1e-14, abs=0)
    assert field.acceleration(where, t)[0, 0].tolist() == pytest.approx(acceleration, rel=1e-14, abs=0)


@pytest.mark.parametrize("d", [1.0, 1e-3, 1e-8])
def test_near_the_mass_the_pull_keeps_its_full_precision(d):
    field, t = PointMassTidalField(1.0, R0=[3.0, 4.0]), np.zeros(1)
    x = np.array([[[3.0, 4.0 - d]]])
    d = 4.0 - x[0, 0, 1].item()
    assert field.acceleration(x, t)[0, 0].tolist() == pytest.approx([-3 / 125, 1 / d**2 - 4 / 125], rel=1e-13, abs=1e-15 / d**2)
    expected = -(1 / d - 1 / 5 - (25 - 4 * d) / 125)
    assert field.potential(x, t).item() == pytest.approx(expected, rel=1e-13, abs=0)


def test_named_field_is_the_class_it_stands_for():
    assert tidal(M=7.0, R0=3.0, G=2.0) == PointMassTidalField(7.0, R0=[3.0], G=2.0)
    assert tidal(M=7.0, R0=3.0, z=1.0) == PointMassTidalField(7.0, R0=(3.0, 0.0, 1.0))
    moving = tidal(M=7.0, R0=3.0, period=2.0, phase=0.4, G=2.0)
    assert moving == PointMassTidalField(7.0, R_of_t=Circle(3.0, math.pi, 0.4), G=2.0)
    assert FIELDS["tidal"](M=7.0, R0=3.0).time_dependent is False
    assert moving.time_dependent is True
    x, angle = places(3, 3), math.pi * T + 0.4
    R = np.stack([3 * np.cos(angle), 3 * np.sin(angle), 0 * T], -1)
    expected = [PointMassTidalField(7.0, R0=R[i], G=2.0).acceleration(x[i : i + 1], T[i : i + 1])[0] for i in range(3)]
    np.testing.assert_allclose(moving.acceleration(x, T), expected, rtol=1e-13, atol=1e-13)


def test_fields_are_values():
    field = PointMassTidalField(30, R0=np.array([1.0, -4.0]), G=2.0)
    assert field == PointMassTidalField(30.0, R0=torch.tensor([1.0, -4.0]), G=2.0)
    assert field != PointMassTidalField(30.0, R0=[1.0, 4.0], G=2.0)
    assert hash(field) == hash(PointMassTidalField(30.0, R0=[1.0, -4.0], G=2.0))
    assert repr(field) == "PointMassTidalField(M=30.0, R0=(1.0, -4.0), R_of_t=None, G=2.0)"
    for value in (field, tidal(M=7.0, R0=3.0, period=2.0)):
        assert pickle.loads(pickle.dumps(value)) == value
        with pytest.raises(AttributeError):
            value.M = 3.0


def test_arrays_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\nimport numpy as np\nfrom aitimestepper.fields import tidal\n"
        "assert tidal(7.0, 3.0, period=2.0).acceleration(np.ones((1, 2, 3)), np.zeros(1)).shape == (1, 2, 3)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_follows_the_protocol():
    assert isinstance(PointMassTidalField(1.0, R0=2.0), ExternalField)
    assert not isinstance(object(), ExternalField)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"M": 1.0}, "exactly one of R0"),
        ({"M": 1.0, "R0": 2.0, "R_of_t": circle}, "exactly one of R0"),
        ({"M": -3.0, "R0": 2.0}, "M = -3.0 must be a positive"),
        ({"M": math.nan, "R0": 2.0}, "M = nan must be a positive"),
        ({"M": 1.0, "R0": [0.0, 0.0]}, r"R0 = \[0.0, 0.0\] must be a finite place away"),
        ({"M": 1.0, "R0": [1.0, math.inf]}, r"R0 = \[1.0, inf\] must be a finite place"),
        ({"M": 1.0, "R0": "far"}, r"R0 = 'far' must be a finite place"),
    ],
)
def test_field_refuses_what_is_no_place_and_no_mass(arguments, message):
    with pytest.raises(InitialConditionError, match=message):
        PointMassTidalField(**arguments)


@pytest.mark.parametrize("kind", [np.array, tensor])
def test_field_refuses_too_many_axes_and_wrong_shapes(kind):
    x, t = kind(places(2, 2, 1)), kind([0.5])
    with pytest.raises(InitialConditionError, match="R has 3 axes, the bodies have 2"):
        PointMassTidalField(1.0, R0=[1.0, 2.0, 3.0]).potential(x, t)
    two = [lambda t: circle(t)[0], lambda t: kind([[5.0, 0.0], [5.0, 0.0]]), lambda t: circle(t)[None], lambda t: [5.0]]
    for wrong in two:
        with pytest.raises(InitialConditionError, match=r"R_of_t gave .* for 1 times; it must give an array \(systems, axes\)"):
            PointMassTidalField(1.0, R_of_t=wrong).acceleration(x, t)
    with pytest.raises(InitialConditionError, match="period = 0"):
        tidal(M=1.0, R0=2.0, period=0.0)
    with pytest.raises(InitialConditionError, match="fix the place of the mass, period"):
        tidal(M=1.0, R0=2.0, period=2.0, y=1.0)
