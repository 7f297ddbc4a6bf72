"""Steps by splittings into kicks and drifts: order, reversibility, symplecticity, conservation, gradients, cost, and bits."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from aitimestepper.differentiable import particle as particle_module
from aitimestepper.differentiable.conserved import (
    angular_momentum,
    angular_momentum_scale,
    momentum,
    momentum_scale,
    relative_error,
)
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.differentiable.stepping import step
from aitimestepper.integrators import SPLITTINGS

ORDERS = {name: method.order for name, method in SPLITTINGS.items()}
ALL = pytest.mark.parametrize("integrator", ORDERS)
UNDISPLACED = [name for name, method in SPLITTINGS.items() if not method.displacements]


@pytest.mark.parametrize(
    ("integrator", "counts"),
    [
        ("leapfrog", (200, 400, 800)),
        ("suzuki4", (40, 80, 160)),
        ("kahan_li6", (30, 45, 68)),
        ("kahan_li8", (24, 32, 43)),
        ("blanes_moan6", (20, 30, 45)),
        ("chin4", (60, 120, 240)),
    ],
)
def test_error_after_a_period_falls_at_the_order_of_the_method(two_body, run_constant, slope, integrator, counts):
    """Kepler e = 0.4, m2/m1 = 0.3: after one period the state is where it began, in closed form.

    The error of blanes_moan4 there falls like one of order 6 until there are 300 steps; the next test has it.
    """
    p = two_body(e=0.4, q=0.3)
    errors = []
    for n in counts:
        end = run_constant(p, 2 * math.pi, n, integrator)
        errors.append(torch.cat([end.position - p.position, end.velocity - p.velocity]).abs().max().item())
    assert slope([1 / n for n in counts], errors) == pytest.approx(ORDERS[integrator], abs=0.03 * ORDERS[integrator])
    assert errors[-1] < 3e-3


@pytest.mark.parametrize(
    ("integrator", "counts"),
    [
        ("leapfrog", (60, 120, 240)),
        ("suzuki4", (16, 32, 64)),
        ("kahan_li6", (12, 18, 27)),
        ("kahan_li8", (10, 13, 17)),
        ("blanes_moan4", (24, 48, 96)),
        ("blanes_moan6", (8, 12, 18)),
        ("chin4", (16, 32, 64)),
    ],
)
def test_order_holds_for_four_softened_bodies_in_space(random_system, run_constant, slope, integrator, counts):
    p = random_system(4, 3, softening=0.3)
    reference = run_constant(p, 1.0, 60, "kahan_li8").position
    errors = [(run_constant(p, 1.0, n, integrator).position - reference).abs().max().item() for n in counts]
    assert slope([1 / n for n in counts], errors) == pytest.approx(ORDERS[integrator], abs=0.1 * ORDERS[integrator])


@ALL
def test_forward_flip_and_forward_comes_back(random_system, flipped, integrator):
    p = random_system(4, 3, systems=2, softening=0.05)
    steps = [torch.tensor([0.02 + 0.001 * k, 0.03 - 0.001 * k], dtype=torch.float64) for k in range(10)]
    there = p
    for dt in steps:
        there = step(there, dt, integrator)
    assert (there.position - p.position).abs().max() > 0.1
    back = flipped(there)
    for dt in reversed(steps):
        back = step(back, dt, integrator)
    torch.testing.assert_close(back.position, p.position, rtol=0, atol=1e-12)
    torch.testing.assert_close(-back.velocity, p.velocity, rtol=0, atol=1e-12)


@ALL
def test_a_negative_step_undoes_a_step(random_system, integrator):
    p = random_system(3, 2)
    dt = torch.full_like(p.time, 0.05)
    back = step(step(p, dt, integrator), -dt, integrator)
    torch.testing.assert_close(back.position, p.position, rtol=0, atol=1e-13)
    torch.testing.assert_close(back.velocity, p.velocity, rtol=0, atol=1e-13)
    assert back.time.abs().item() < 1e-16


@ALL
def test_momentum_and_angular_momentum_stay_to_round_off(random_system, integrator):
    """They are conserved at any step, here one so long that the energy is off by percents."""
    p = random_system(6, 3, systems=3, softening=0.05)
    end, n = p, 30
    for k in range(n):
        end = step(end, torch.full_like(p.time, 0.05 + 0.001 * k), integrator)
    assert relative_error(p.total_energy(), end.total_energy()).max() > 1e-7
    # each sub-step rounds once, at random: sqrt(30 x 17) ulp of the sum of |m v|, and some margin
    bound = 2.2e-16 * 5 * math.sqrt(n * SPLITTINGS[integrator].stages)
    assert ((momentum(end) - momentum(p)).norm(dim=-1) <= bound * momentum_scale(end)).all()
    if integrator == "chin4":
        bound = 1e-3
    change = (angular_momentum(end) - angular_momentum(p)).norm(dim=-1)
    assert (change <= bound * torch.maximum(angular_momentum_scale(end), angular_momentum_scale(p))).all()


def symplectic_defect(p: ParticleTorch, integrator: str, dt: float) -> float:
    """The largest element of J^T Omega J - Omega for the Jacobian J of (x, m v) -> (x', m v') of three bodies in the plane."""
    m = p.mass.repeat_interleave(2, 1)[0]

    def advance(z):
        x, v = z[:6].view(1, 3, 2), (z[6:] / m).view(1, 3, 2)
        after = step(ParticleTorch.from_tensors(p.mass, x, v), torch.full_like(p.time, dt), integrator)
        return torch.cat([after.position.flatten(), after.velocity.flatten() * m])

    z = torch.cat([p.position.flatten(), p.velocity.flatten() * m])
    J = torch.autograd.functional.jacobian(advance, z)
    one, zero = torch.eye(6, dtype=torch.float64), torch.zeros(6, 6, dtype=torch.float64)
    omega = torch.cat([torch.cat([zero, one], 1), torch.cat([-one, zero], 1)])
    assert (J - torch.eye(12)).abs().max() > 0.5 * dt
    return (J.T @ omega @ J - omega).abs().max().item()


@pytest.mark.parametrize("integrator", UNDISPLACED)
def test_the_step_map_is_symplectic(random_system, integrator):
    assert symplectic_defect(random_system(3, 2), integrator, 0.1) < 1e-12


def test_a_displaced_force_is_symplectic_and_keeps_the_angular_momentum_up_to_dt5(random_system, slope):
    p, steps = random_system(3, 2), (0.08, 0.04, 0.02)
    defects = [symplectic_defect(p, "chin4", dt) for dt in steps]
    ends = [step(p, torch.full_like(p.time, dt), "chin4") for dt in steps]
    turned = [(angular_momentum(end) - angular_momentum(p)).abs().max().item() for end in ends]
    assert slope(steps, defects) == pytest.approx(5, abs=0.3)
    assert slope(steps, turned) == pytest.approx(5, abs=0.3)


def test_energy_error_of_a_constant_step_is_bounded_in_time(two_body, run_constant):
    """Symplectic: over forty periods the error at apocentre stays below the largest of the first one."""
    p = two_body(e=0.5)
    E0, dt = p.total_energy(), torch.full_like(p.time, 2 * math.pi / 60)
    largest, late = [], []
    for k in range(40 * 60):
        p = step(p, dt)
        (largest if k < 60 else late).append(relative_error(E0, p.total_energy()).item())
    assert max(late) < 1.1 * max(largest)


@ALL
def test_gradients_in_position_velocity_and_dt(random_system, integrator):
    p = random_system(3, 2, softening=0.1)

    def advance(x, v, dt):
        after = step(ParticleTorch.from_tensors(p.mass, x, v, softening=0.1), dt, integrator)
        return after.position, after.velocity, after.total_energy()

    inputs = (
        p.position.clone().requires_grad_(),
        p.velocity.clone().requires_grad_(),
        torch.tensor([0.2], dtype=torch.float64).requires_grad_(),
    )
    assert torch.autograd.gradcheck(advance, inputs, rtol=1e-4, atol=1e-7)


@ALL
def test_gradients_of_a_batch_do_not_mix_systems(random_system, integrator):
    p = random_system(3, 2, systems=3)
    dt = torch.tensor([0.01, 0.1, 0.2], dtype=torch.float64, requires_grad=True)
    energies = step(p, dt, integrator).total_energy()
    for i in range(3):
        (gradient,) = torch.autograd.grad(energies[i], dt, retain_graph=True)
        assert gradient[i] != 0
        assert not gradient[[j for j in range(3) if j != i]].any()


@ALL
@pytest.mark.parametrize("n", [2, 3, 6, 9])
def test_absent_bodies_and_neighbours_in_the_batch_change_no_bit(random_system, padded, integrator, n):
    p = random_system(n, 3, systems=3, softening=[0.0, 0.1, 0.2])
    dt = torch.tensor([0.01, 0.05, 0.002], dtype=torch.float64)
    after = step(p, dt, integrator)
    for size in (n + 1, n + 2, 12):
        big = step(padded(p, size), dt, integrator)
        assert torch.equal(big.position[:, :n], after.position)
        assert torch.equal(big.velocity[:, :n], after.velocity)
        assert torch.equal(big.total_energy(), after.total_energy())
        assert not big.position[:, n:].any()
        assert not big.velocity[:, n:].any()
    for i in range(3):
        one = step(p.select(torch.tensor([i])), dt[i : i + 1], integrator)
        assert torch.equal(one.position, after.position[i : i + 1])
        assert torch.equal(one.velocity, after.velocity[i : i + 1])


@ALL
def test_the_input_is_not_modified_and_time_is_one_addition(random_system, integrator):
    p = random_system(3, 2, systems=2, time=[0.1, 0.7], dt=[1.0, 2.0])
    before = {k: t.clone() for k, t in p.tensors().items()}
    dt = torch.tensor([0.3, 0.01], dtype=torch.float64)
    after = step(p, dt, integrator)
    assert all(torch.equal(t, before[k]) for k, t in p.tensors().items())
    assert torch.equal(after.time, torch.tensor([0.1, 0.7], dtype=torch.float64) + dt)
    assert torch.equal(after.dt, dt)


@ALL
def test_a_step_costs_as_many_forces_as_stages(monkeypatch, random_system, integrator):
    p = random_system(3, 2)
    calls = []
    true_forces = particle_module.forces
    monkeypatch.setattr(particle_module, "forces", lambda *a: calls.append(1) or true_forces(*a))
    for _ in range(3):
        p = step(p, torch.full_like(p.time, 0.01), integrator)
        p.total_energy()
    assert len(calls) == 3 * SPLITTINGS[integrator].stages


@ALL
def test_single_precision_stays_single(random_system, integrator):
    p = random_system(3, 2).to(dtype=torch.float32)
    after = step(p, torch.full_like(p.time, 0.05), integrator)
    reference = step(dataclasses.replace(p.to(dtype=torch.float64)), torch.full((1,), 0.05, dtype=torch.float64), integrator)
    assert {t.dtype for k, t in after.tensors().items() if k != "mask"} == {torch.float32}
    torch.testing.assert_close(after.position.double(), reference.position, rtol=0, atol=3e-6)
    assert not torch.equal(after.position.double(), reference.position)
