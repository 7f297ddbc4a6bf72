"""Outer fields: force from potential, zero at the origin, in the energy, and evaluated at the right time."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from aitimestepper.differentiable.conserved import relative_error
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.errors import InitialConditionError
from aitimestepper.fields import ExternalField, PointMassTidalField, tidal
from aitimestepper.integrators import COMPOSITIONS, step


def circle(t):
    return torch.stack([5 * torch.cos(0.7 * t), 5 * torch.sin(0.7 * t)], dim=-1)


FIELDS = {
    "fixed number": lambda: PointMassTidalField(30.0, R0=5.0, G=2.0),
    "fixed place": lambda: PointMassTidalField(30.0, R0=[1.0, -4.0], G=2.0),
    "moving": lambda: PointMassTidalField(30.0, R_of_t=circle, G=2.0),
}


class Uniform:
    """A field that pulls every body alike along the first axis, g(t): its orbits are known in closed form."""

    time_dependent = True

    def __init__(self, g):
        self.g = g

    def acceleration(self, x, t):
        along = torch.zeros_like(x)
        along[..., 0] = self.g(t).unsqueeze(-1)
        return along

    def potential(self, x, t):
        return -self.g(t).unsqueeze(-1) * x[..., 0]


class Centre:
    """A point mass that stands at the origin: its pole is where absent bodies are stored."""

    time_dependent = False

    def acceleration(self, x, t):
        return -x / (x * x).sum(-1, keepdim=True) ** 1.5

    def potential(self, x, t):
        return -1.0 / torch.sqrt((x * x).sum(-1))


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("which", FIELDS)
def test_acceleration_is_minus_the_gradient_of_the_potential(random_system, which, dim):
    field = FIELDS[which]()
    p = random_system(5, dim, systems=3)
    t = torch.tensor([0.0, 1.3, 7.0], dtype=torch.float64)
    x = p.position.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(field.potential(x, t).sum(), x)
    torch.testing.assert_close(field.acceleration(p.position, t), -gradient, rtol=1e-11, atol=1e-12)
    assert gradient.abs().max() > 0.1


@pytest.mark.parametrize("which", FIELDS)
def test_formulas_of_the_contract(random_system, which):
    field = FIELDS[which]()
    p = random_system(4, 2, systems=2)
    t = torch.tensor([0.5, 2.0], dtype=torch.float64)
    R = {"fixed number": torch.tensor([[5.0, 0.0]]), "fixed place": torch.tensor([[1.0, -4.0]])}.get(which, circle(t))
    R = R.to(torch.float64).view(-1, 1, 2)
    x, d, R1 = p.position, (R - p.position).norm(dim=-1), R.norm(dim=-1)
    a = 60.0 * ((R - x) / d.unsqueeze(-1) ** 3 - R / R1.unsqueeze(-1) ** 3)
    potential = -60.0 * (1 / d - 1 / R1 - (x * R).sum(-1) / R1**3)
    torch.testing.assert_close(field.acceleration(x, t), a, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(field.potential(x, t), potential, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("which", FIELDS)
@pytest.mark.parametrize("dim", [2, 3])
def test_potential_and_its_gradient_vanish_at_the_origin(which, dim):
    field = FIELDS[which]()
    x = torch.zeros(2, 3, dim, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 3.3], dtype=torch.float64)
    potential = field.potential(x, t)
    (gradient,) = torch.autograd.grad(potential.sum(), x)
    assert not potential.detach().any()
    assert gradient.abs().max() <= 1e-15
    assert field.acceleration(x.detach(), t).abs().max() <= 1e-15


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
    where, t = torch.tensor([[x]], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    assert field.potential(where, t).item() == pytest.approx(potential, rel=1e-14, abs=0)
    assert field.acceleration(where, t)[0, 0].tolist() == pytest.approx(acceleration, rel=1e-14, abs=0)


@pytest.mark.parametrize("d", [1.0, 1e-3, 1e-8])
def test_near_the_mass_the_pull_keeps_its_full_precision(d):
    field, t = PointMassTidalField(1.0, R0=[3.0, 4.0]), torch.zeros(1, dtype=torch.float64)
    x = torch.tensor([[[3.0, 4.0 - d]]], dtype=torch.float64)
    d = 4.0 - x[0, 0, 1].item()
    assert field.acceleration(x, t)[0, 0].tolist() == pytest.approx([-3 / 125, 1 / d**2 - 4 / 125], rel=1e-13, abs=1e-15 / d**2)
    expected = -(1 / d - 1 / 5 - (25 - 4 * d) / 125)
    assert field.potential(x, t).item() == pytest.approx(expected, rel=1e-13, abs=0)


def test_field_counts_in_forces_and_energy(random_system):
    p = random_system(4, 2, G=2.0)
    a, E = p.get_acceleration(), p.total_energy()
    field = PointMassTidalField(30.0, R0=5.0, G=2.0)
    assert p.set_external_field(field) is p
    expected = a + field.acceleration(p.position, p.time)
    torch.testing.assert_close(p.get_acceleration(), expected, rtol=1e-15, atol=1e-15)
    expected = E + (p.mass * field.potential(p.position, p.time)).sum(1)
    torch.testing.assert_close(p.total_energy(), expected, rtol=1e-14, atol=0)
    p.set_external_field(None)
    assert torch.equal(p.get_acceleration(), a)
    assert torch.equal(p.total_energy(), E)


def test_static_field_conserves_the_energy_at_second_order(two_body, run_constant, slope):
    p = two_body(e=0.3, q=0.5, external_field=PointMassTidalField(20.0, R0=[4.0, 3.0]))
    counts = (200, 400, 800)
    errors = [relative_error(p.total_energy(), run_constant(p, 5.0, n).total_energy()).item() for n in counts]
    assert slope([1 / n for n in counts], errors) == pytest.approx(2, abs=0.1)
    isolated = ParticleTorch.from_tensors(p.mass, p.position, p.velocity)
    moved = (run_constant(p, 5.0, 800).position - run_constant(isolated, 5.0, 800).position).abs().max()
    assert moved > 100 * errors[-1]


@pytest.mark.parametrize(
    ("integrator", "counts"), [("leapfrog", (30, 60, 120)), ("suzuki4", (8, 16, 32)), ("kahan_li6", (6, 9, 13))]
)
def test_moving_field_is_met_at_the_right_times(two_body, run_constant, slope, integrator, counts):
    """Against 25 steps of order 8 (error 2e-15): any slip in the time at which a sub-step sees the field costs the order."""
    p = two_body(e=0.2, time=0.4, external_field=PointMassTidalField(20.0, R_of_t=circle))
    reference = run_constant(p, 1.5, 25, "kahan_li8").position
    errors = [(run_constant(p, 1.5, n, integrator).position - reference).abs().max().item() for n in counts]
    assert slope([1 / n for n in counts], errors) == pytest.approx(COMPOSITIONS[integrator].order, abs=0.25)


def test_uniform_field_moves_the_centre_of_mass_by_its_double_integral(two_body, run_constant):
    start = 0.5
    p = two_body(e=0.4, time=start, external_field=Uniform(lambda t: torch.cos(3 * t)))
    end = run_constant(p, 2.0, 20, "kahan_li8")
    t = start + 2.0
    expected = (math.cos(3 * start) - math.cos(3 * t)) / 9 - math.sin(3 * start) / 3 * 2.0
    centre = (p.mass.unsqueeze(-1) * end.position).sum(1)[0]
    assert centre[0].item() == pytest.approx(expected, abs=1e-9)
    assert abs(centre[1].item()) < 1e-14
    assert end.time.item() == pytest.approx(t, abs=1e-14)


def test_each_system_sees_the_field_at_its_own_time(two_body):
    field = PointMassTidalField(20.0, R_of_t=circle)
    alone = [two_body(e=0.2, time=t, external_field=field) for t in (0.0, 1.0, 2.5)]
    dt = torch.tensor([0.1, 0.02, 0.07], dtype=torch.float64)
    together = step(ParticleTorch.stack(alone), dt, "suzuki4")
    for i, p in enumerate(alone):
        one = step(p, dt[i : i + 1], "suzuki4")
        assert torch.equal(together.position[i : i + 1], one.position)
        assert torch.equal(together.velocity[i : i + 1], one.velocity)


@pytest.mark.parametrize("n", [2, 3, 4, 7])
@pytest.mark.parametrize("field", [Centre(), PointMassTidalField(9.0, R_of_t=circle), PointMassTidalField(9.0, R0=4.0)])
def test_absent_bodies_do_not_meet_the_field(random_system, padded, n, field):
    """Even one with a pole at the origin, where absent bodies are stored."""
    p = random_system(n, 2, systems=2, external_field=field)
    for size in (n + 1, 9):
        big = padded(p, size)
        assert torch.equal(big.get_acceleration()[:, :n], p.get_acceleration())
        assert not big.get_acceleration()[:, n:].any()
        assert torch.equal(big.total_energy(), p.total_energy())
        assert torch.equal(big.field_power(), p.field_power())
        dt = torch.full_like(p.time, 1e-3, requires_grad=True)
        after, big_after = step(p, dt), step(big, dt)
        assert torch.equal(big_after.position[:, :n], after.position)
        assert torch.equal(big_after.velocity[:, :n], after.velocity)
        (slope,) = torch.autograd.grad(after.total_energy().sum(), dt)
        (big_slope,) = torch.autograd.grad(big_after.total_energy().sum(), dt)
        torch.testing.assert_close(big_slope, slope, rtol=1e-12, atol=1e-14)


def test_named_field_is_the_class_it_stands_for(random_system):
    p = random_system(3, 3, systems=2)
    t = torch.tensor([0.3, 2.0], dtype=torch.float64)
    fixed, moving = tidal(M=7.0, R0=3.0, G=2.0), tidal(M=7.0, R0=3.0, period=2.0, phase=0.4, G=2.0)
    assert not fixed.time_dependent
    assert moving.time_dependent
    torch.testing.assert_close(
        fixed.acceleration(p.position, t), PointMassTidalField(7.0, R0=3.0, G=2.0).acceleration(p.position, t)
    )
    angle = math.pi * t + 0.4
    R = torch.stack([3 * torch.cos(angle), 3 * torch.sin(angle), 0 * t], -1)
    expected = torch.cat(
        [PointMassTidalField(7.0, R0=R[i], G=2.0).acceleration(p.position[i : i + 1], t[i : i + 1]) for i in range(2)]
    )
    torch.testing.assert_close(moving.acceleration(p.position, t), expected, rtol=1e-13, atol=1e-13)


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
    ],
)
def test_field_refuses_what_is_no_place_and_no_mass(arguments, message):
    with pytest.raises(InitialConditionError, match=message):
        PointMassTidalField(**arguments)


def test_field_refuses_too_many_axes_and_wrong_shapes(two_body):
    with pytest.raises(InitialConditionError, match="R has 3 axes, the bodies have 2"):
        two_body(external_field=PointMassTidalField(1.0, R0=[1.0, 2.0, 3.0]))
    for wrong in (lambda t: circle(t)[0], lambda t: circle(t).expand(2, 2), lambda t: circle(t)[None], lambda t: [5.0]):
        with pytest.raises(InitialConditionError, match=r"R_of_t gave .* for 1 times; it must give a tensor \(systems, axes\)"):
            two_body(external_field=PointMassTidalField(1.0, R_of_t=wrong))
    with pytest.raises(InitialConditionError, match="period = 0"):
        tidal(M=1.0, R0=2.0, period=0.0)


def test_field_and_bodies_must_share_G(two_body):
    with pytest.raises(InitialConditionError, match=r"field has G = 2.0, the bodies G = 1.0"):
        two_body(external_field=PointMassTidalField(1.0, R0=4.0, G=2.0))


def test_a_body_in_the_pole_of_the_field_is_refused(two_body):
    p = two_body(e=0.0, q=1.0)
    place = p.position[0, 0].tolist()
    with pytest.raises(InitialConditionError, match=r"acceleration by the external field is not finite .* = \[0, 0, 0\]"):
        p.set_external_field(PointMassTidalField(1.0, R0=place))
