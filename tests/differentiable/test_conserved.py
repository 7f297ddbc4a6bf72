"""Energy, momentum, angular momentum, and the measures of how far they moved."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from aitimestepper.differentiable.conserved import (
    angular_momentum,
    angular_momentum_scale,
    energy_scale,
    field_work,
    momentum,
    momentum_scale,
    relative_error,
    roundoff_floor,
)
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.differentiable.stepping import step
from aitimestepper.fields import PointMassTidalField, tidal


@pytest.mark.parametrize("q", [1.0, 0.1, 1e-3])
@pytest.mark.parametrize("e", [0.0, 0.5, 0.99])
def test_two_body_invariants_are_the_closed_forms(two_body, e, q):
    a, G = 2.0, 3.0
    p = two_body(e=e, q=q, a=a, G=G)
    reduced = q / (1 + q) ** 2
    assert p.total_energy().item() == pytest.approx(-G * reduced / (2 * a), rel=1e-12, abs=0)
    expected_L = reduced * math.sqrt(G * a * (1 - e * e))
    assert angular_momentum(p)[0].tolist() == pytest.approx([0, 0, expected_L], rel=1e-12, abs=0)
    assert momentum(p).abs().max() <= 1e-16 * momentum_scale(p).item() * 4


def test_momentum_and_angular_momentum_of_a_known_state():
    p = ParticleTorch.from_tensors(
        [2.0, 5.0], [[1.0, 2.0, 3.0], [-1.0, 0.0, 2.0]], [[0.5, -1.0, 4.0], [2.0, 3.0, -2.0]], G=0.5, softening=1.0
    )
    assert momentum(p).tolist() == [[11.0, 13.0, -2.0]]
    # 2 (x1 cross v1) + 5 (x2 cross v2) = 2 (11, -2.5, -2) + 5 (-6, 2, -3)
    assert angular_momentum(p).tolist() == [[-8.0, 5.0, -19.0]]
    assert momentum_scale(p).item() == pytest.approx(2 * math.sqrt(17.25) + 5 * math.sqrt(17), rel=1e-15, abs=0)
    L_scale = 2 * math.sqrt(14 * 17.25) + 5 * math.sqrt(5 * 17)
    assert angular_momentum_scale(p).item() == pytest.approx(L_scale, rel=1e-15, abs=0)
    # r^2 = 4 + 4 + 1, softened to 10
    assert p.kinetic_energy().item() == pytest.approx(17.25 + 42.5, rel=1e-15, abs=0)
    assert p.potential_energy().item() == pytest.approx(-0.5 * 10 / math.sqrt(10), rel=1e-15, abs=0)


def test_relative_error_is_relative_and_never_hides_a_zero_energy():
    E0 = torch.tensor([-2.0, 4.0, 1e-30, 0.0, 0.0], dtype=torch.float64)
    E1 = torch.tensor([-2.002, 4.0, 1.1e-30, 0.0, 1e-30], dtype=torch.float64)
    error = relative_error(E0, E1)
    assert error[:3].tolist() == pytest.approx([1e-3, 0, 0.1], rel=1e-9, abs=0)
    assert error[3] == 0
    assert error[4] > 1e200
    assert torch.isnan(relative_error(E0[:1], torch.full_like(E0[:1], torch.nan))).all()
    floor = torch.tensor([1.0, 8.0, 1e-3, 1.0, 1e-30], dtype=torch.float64)
    expected = [1e-3, 0, 1e-28, 0, 1]
    assert relative_error(E0, E1, floor).tolist() == pytest.approx(expected, rel=1e-9, abs=0)
    assert torch.isnan(relative_error(E0[:1], torch.full_like(E0[:1], torch.nan), floor[:1])).all()


def test_energies_are_measured_against_what_a_system_has_in_its_own_frame(two_body):
    """S is |E| where that is an ordinary number, and does not depend on how fast the system moves as a whole."""
    p = two_body(e=0.5, q=0.3, anomaly=1.0)
    torch.testing.assert_close(energy_scale(p), p.total_energy().abs(), rtol=1e-14, atol=0)
    moving = ParticleTorch.from_tensors(p.mass, p.position, p.velocity + torch.tensor([3.0, -2.0], dtype=torch.float64))
    torch.testing.assert_close(energy_scale(moving), energy_scale(p), rtol=1e-13, atol=0)
    assert moving.total_energy() > 6


def test_a_parabolic_pair_is_an_ordinary_system():
    """E = 0 exactly: its energy errors are measured against 1e-4 of K + |U|, and round-off is far below any tolerance."""
    p = ParticleTorch.from_tensors([1.0, 1.0], [[-1.0, 0.0], [1.0, 0.0]], [[0.0, -0.5], [0.0, 0.5]], G=0.5)
    assert p.total_energy().item() == 0
    assert energy_scale(p).item() == pytest.approx(1e-4 * 2 * p.kinetic_energy().item(), rel=1e-14)
    assert 1e-13 < roundoff_floor(p).item() < 1e-10


def test_with_an_external_field_the_motion_of_the_frame_counts(two_body):
    p = two_body(e=0.5, q=0.3, anomaly=1.0, external_field=PointMassTidalField(50.0, R0=6.0))
    moving = dataclasses.replace(p, velocity=p.velocity + 3.0)
    assert torch.equal(energy_scale(moving), moving.total_energy().abs())


def test_bodies_without_any_energy_have_a_scale_to_divide_by():
    star_and_planet = ParticleTorch.from_tensors([1.0, 0.0], [[0.0, 0.0], [4.0, 0.0]], [[0.0, 0.0], [0.0, 0.5]])
    assert energy_scale(star_and_planet).item() == torch.finfo(torch.float64).tiny


@pytest.mark.parametrize("n", range(2, 10))
def test_invariants_of_padded_systems_keep_every_bit(random_system, padded, n):
    p = random_system(n, 3, systems=3)
    for size in (n + 1, n + 2, 11, 16):
        big = padded(p, size)
        for f in (momentum, angular_momentum, momentum_scale, angular_momentum_scale, roundoff_floor, energy_scale):
            assert torch.equal(f(big), f(p)), f.__name__
        for name in ("kinetic_energy", "potential_energy", "total_energy", "total_energy_batch"):
            assert torch.equal(getattr(big, name)(), getattr(p, name)()), name


def test_roundoff_floor_bounds_the_noise_of_the_energy_and_little_more(two_body):
    """Rotating a state changes no energy; what changes is round-off. The floor is above it, by less than a factor of 100."""
    p = two_body(e=0.99, anomaly=0.05)
    E = p.total_energy()
    noise = []
    for k in range(1, 200):
        angle = torch.tensor(0.1 * k, dtype=torch.float64)
        rotation = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
        turned = ParticleTorch.from_tensors(p.mass, p.position @ rotation.T, p.velocity @ rotation.T)
        noise.append(relative_error(E, turned.total_energy()).item())
    floor = roundoff_floor(p).item()
    assert max(noise) < floor < 100 * max(noise)


def test_power_of_a_moving_field_is_the_partial_time_derivative(random_system):
    field = tidal(M=50.0, R0=6.0, period=9.0)
    p = random_system(3, 2, systems=2, time=[0.4, 2.0], external_field=field)

    def outer_energy(t):
        return (p.mass * field.potential(p.position, t)).sum(1)

    h = 1e-4
    expected = (outer_energy(p.time + h) - outer_energy(p.time - h)) / (2 * h)
    torch.testing.assert_close(p.field_power(), expected, rtol=1e-7, atol=1e-9)
    assert p.field_power().abs().min() > 1e-3


def test_fields_that_stand_still_or_are_absent_do_no_work(random_system):
    p = random_system(3, 2, systems=2)
    assert p.field_power().tolist() == [0, 0]
    p.set_external_field(tidal(M=50.0, R0=6.0, period=9.0))
    p = step(p, torch.full_like(p.time, 0.1))
    p.set_external_field(PointMassTidalField(50.0, R0=6.0))  # in place of one that did work
    after = step(p, torch.full_like(p.time, 0.1))
    assert field_work(p, after).tolist() == [0, 0]


@pytest.mark.parametrize(("integrator", "order"), [("leapfrog", 2), ("suzuki4", 4), ("kahan_li6", 6)])
def test_energy_less_the_work_of_the_field_converges_at_the_order_of_the_method(two_body, slope, integrator, order):
    """A moving field does work of the order of the energy itself; what is left is the error of the steps, at their order."""
    start = two_body(e=0.2, external_field=tidal(M=5.0, R0=4.0, period=5.0))
    E0 = start.total_energy()
    counts = {"leapfrog": (64, 128, 256), "suzuki4": (16, 32, 64), "kahan_li6": (12, 18, 27)}[integrator]
    errors = []
    for n in counts:
        p, work = start, torch.zeros(1, dtype=torch.float64)
        for _ in range(n):
            after = step(p, torch.full_like(p.time, 2.0 / n), integrator)
            work = work + field_work(p, after)
            p = after
        errors.append(relative_error(E0, p.total_energy() - work).item())
    assert abs(work.item()) > 0.02 * abs(E0.item())
    assert slope([1 / n for n in counts], errors) == pytest.approx(order, abs=0.25)
