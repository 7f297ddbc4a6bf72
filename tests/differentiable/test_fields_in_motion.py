"""External fields in a moving system: in forces and energy, at the right times, never at absent bodies."""

from __future__ import annotations

import math

import pytest
import torch

from aitimestepper.differentiable.conserved import relative_error
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.differentiable.stepping import step
from aitimestepper.errors import InitialConditionError
from aitimestepper.fields import PointMassTidalField
from aitimestepper.integrators import SPLITTINGS


def circle(t):
    return torch.stack([5 * torch.cos(0.7 * t), 5 * torch.sin(0.7 * t)], dim=-1)


class Uniform:
    """A uniform field g(t) along the first axis, whose orbits are known in closed form."""

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
    """The field of a point mass at the origin, where absent bodies are stored."""

    time_dependent = False

    def acceleration(self, x, t):
        return -x / (x * x).sum(-1, keepdim=True) ** 1.5

    def potential(self, x, t):
        return -1.0 / torch.sqrt((x * x).sum(-1))


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
    ("integrator", "counts"),
    [
        ("leapfrog", (30, 60, 120)),
        ("suzuki4", (8, 16, 32)),
        ("kahan_li6", (6, 9, 13)),
        ("blanes_moan4", (16, 24, 36)),
        ("blanes_moan6", (5, 8, 12)),
        ("chin4", (8, 16, 32)),
    ],
)
def test_a_moving_field_is_evaluated_at_the_right_times(two_body, run_constant, slope, integrator, counts):
    """Against 25 steps of order 8 (error 2e-15): any slip in the time at which a sub-step sees the field costs the order."""
    p = two_body(e=0.2, time=0.4, external_field=PointMassTidalField(20.0, R_of_t=circle))
    reference = run_constant(p, 1.5, 25, "kahan_li8").position
    errors = [(run_constant(p, 1.5, n, integrator).position - reference).abs().max().item() for n in counts]
    assert slope([1 / n for n in counts], errors) == pytest.approx(SPLITTINGS[integrator].order, abs=0.25)


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
def test_the_field_does_not_act_on_absent_bodies(random_system, padded, n, field):
    """The field may have a pole at the origin, where absent bodies are stored."""
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


def test_field_and_bodies_must_share_G(two_body):
    with pytest.raises(InitialConditionError, match=r"field has G = 2.0, the bodies G = 1.0"):
        two_body(external_field=PointMassTidalField(1.0, R0=4.0, G=2.0))


def test_a_body_in_the_pole_of_the_field_is_refused(two_body):
    p = two_body(e=0.0, q=1.0)
    place = p.position[0, 0].tolist()
    with pytest.raises(InitialConditionError, match=r"acceleration by the external field is not finite .* = \[0, 0, 0\]"):
        p.set_external_field(PointMassTidalField(1.0, R0=place))
