"""Pairwise gravity against closed forms, against its own potential, and to the last bit under padding and batching."""

from __future__ import annotations

import math

import pytest
import torch

from aitimestepper.differentiable.gravity import dot, forces, pairs, taylor_accelerations, tree_sum
from aitimestepper.differentiable.particle import ParticleTorch


def pull(p: ParticleTorch):
    return forces(p.position, p.mass, p.mask, p.softening, p.G)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize(("G", "softening"), [(1.0, 0.0), (6.7, 0.0), (1.0, 0.3), (0.25, 2.0)])
def test_pair_has_the_closed_form_of_a_plummer_softened_pull(dim, G, softening):
    m1, m2, r = 3.0, 0.5, 1.7
    x = torch.zeros(2, dim, dtype=torch.float64)
    x[1, 1] = r
    p = ParticleTorch.from_tensors([m1, m2], x, torch.zeros_like(x), G=G, softening=softening)
    expected = torch.zeros(1, 2, dim, dtype=torch.float64)
    s = math.sqrt(r * r + softening**2)
    expected[0, 0, 1], expected[0, 1, 1] = G * m2 * r / s**3, -G * m1 * r / s**3
    torch.testing.assert_close(pull(p).acceleration, expected, rtol=1e-14, atol=0)
    potential = torch.tensor([[-G * m2 / s, -G * m1 / s]], dtype=torch.float64)
    torch.testing.assert_close(pull(p).potential, potential, rtol=1e-14, atol=0)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("softening", [0.0, 0.4])
def test_force_is_minus_the_gradient_of_the_energy(random_system, dim, softening):
    p = random_system(6, dim, softening=softening, G=2.5)
    x = p.position.clone().requires_grad_(True)
    potential = forces(x, p.mass, p.mask, p.softening, p.G).potential
    (gradient,) = torch.autograd.grad(0.5 * (p.mass * potential).sum(), x)
    torch.testing.assert_close(p.mass.unsqueeze(-1) * pull(p).acceleration, -gradient, rtol=1e-12, atol=1e-13)


def test_massless_bodies_are_attracted_but_do_not_attract(random_system):
    p = random_system(4)
    with_tracer = ParticleTorch.from_tensors(
        torch.cat([p.mass, torch.zeros(1, 1, dtype=torch.float64)], 1),
        torch.cat([p.position, torch.tensor([[[3.0, -2.0, 1.0]]], dtype=torch.float64)], 1),
        torch.cat([p.velocity, torch.zeros(1, 1, 3, dtype=torch.float64)], 1),
    )
    assert torch.equal(pull(with_tracer).acceleration[:, :4], pull(p).acceleration)
    away = p.position - torch.tensor([3.0, -2.0, 1.0], dtype=torch.float64)
    expected = (p.mass.unsqueeze(-1) * away / away.norm(dim=-1, keepdim=True) ** 3).sum(1)
    torch.testing.assert_close(pull(with_tracer).acceleration[:, 4], expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("n", range(2, 10))
@pytest.mark.parametrize("dim", [2, 3])
def test_absent_bodies_change_no_bit(random_system, padded, n, dim):
    p = random_system(n, dim, systems=3, softening=[0.0, 0.1, 0.7])
    for size in (n + 1, n + 2, n + 3, 12, 17):
        acceleration, potential = pull(padded(p, size))
        assert torch.equal(acceleration[:, :n], pull(p).acceleration)
        assert torch.equal(potential[:, :n], pull(p).potential)
        assert not acceleration[:, n:].any()
        assert not potential[:, n:].any()


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_batch_equals_loop_to_the_last_bit(random_system, n):
    p = random_system(n, 3, systems=7, softening=0.01)
    together = [pull(p), *taylor_accelerations(p.position, p.velocity, p.mass, p.mask, p.softening, p.G, 4)]
    for i in range(7):
        one = p.select(torch.tensor([i]))
        alone = [pull(one), *taylor_accelerations(one.position, one.velocity, one.mass, one.mask, one.softening, one.G, 4)]
        assert torch.equal(together[0].acceleration[i : i + 1], alone[0].acceleration)
        assert torch.equal(together[0].potential[i : i + 1], alone[0].potential)
        for a, b in zip(together[1:], alone[1:], strict=True):
            assert torch.equal(a[i : i + 1], b)


def test_plane_is_space_with_z_zero_to_the_last_bit(random_system):
    flat = random_system(5, 2, systems=2)
    lifted = {k: torch.nn.functional.pad(x, (0, 1)) if x.ndim == 3 else x for k, x in flat.tensors().items()}
    space = ParticleTorch.from_tensors(**lifted)
    assert torch.equal(pull(space).acceleration[..., :2], pull(flat).acceleration)
    assert not pull(space).acceleration[..., 2].any()
    assert torch.equal(pull(space).potential, pull(flat).potential)


def test_tree_sum_keeps_every_bit_under_trailing_zeros_and_is_accurate():
    generator = torch.Generator().manual_seed(3)
    for n in range(1, 34):
        x = torch.randn(n, 5, generator=generator, dtype=torch.float64) * 10 ** torch.randint(
            -8, 8, (n, 5), generator=generator
        )
        total = tree_sum(x, 0)
        for zeros in (1, 2, 3, 7, 30):
            assert torch.equal(tree_sum(torch.cat([x, torch.zeros(zeros, 5, dtype=torch.float64)]), 0), total)
            assert torch.equal(tree_sum(torch.cat([x, torch.zeros(zeros, 5, dtype=torch.float64)]).T.contiguous(), 1), total)
        for column in range(5):
            exact = math.fsum(x[:, column].tolist())
            # each of the ceil(log2 n) levels rounds once: pairwise summation
            bound = 2.3e-16 * max(1, math.ceil(math.log2(n))) * math.fsum(x[:, column].abs().tolist())
            assert abs(total[column].item() - exact) <= bound


def test_pairs_mark_no_body_with_itself_and_no_absent_body(random_system, padded):
    p = padded(random_system(3, 2, softening=0.5), 5)
    dx, r2, real = pairs(p.position, p.mask, p.softening)
    expected = torch.zeros(5, 5, dtype=torch.bool)
    expected[:3, :3] = ~torch.eye(3, dtype=torch.bool)
    assert torch.equal(real[0], expected)
    assert (r2[~real] == 1).all()
    torch.testing.assert_close(r2[real], (dot(dx, dx) + 0.25)[real], rtol=1e-15, atol=0)
    torch.testing.assert_close(dx[0, 0, 1], p.position[0, 1] - p.position[0, 0], rtol=0, atol=0)


@pytest.mark.parametrize("q", [1.0, 0.1])
def test_derivatives_on_a_circle_are_powers_of_the_frequency(two_body, q):
    p = two_body(e=0.0, q=q, a=2.0, G=3.0)
    omega = math.sqrt(3.0 / 8.0)
    series = taylor_accelerations(p.position, p.velocity, p.mass, p.mask, p.softening, p.G, 4)
    expected = [-(omega**2) * p.position, -(omega**2) * p.velocity, omega**4 * p.position, omega**4 * p.velocity]
    for found, closed_form in zip(series, expected, strict=True):
        torch.testing.assert_close(found, closed_form, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("softening", [0.0, 0.3])
def test_jerk_snap_crackle_are_the_total_time_derivatives(random_system, softening):
    """Nested directional derivatives along the motion (x' = v, v' = a), which share nothing with the Taylor recursion."""
    p = random_system(4, 3, systems=2, softening=softening, G=1.7)

    def acceleration(x, v):
        return forces(x, p.mass, p.mask, p.softening, p.G).acceleration

    def along_the_motion(f):
        return lambda x, v: torch.autograd.functional.jvp(f, (x, v), (v, acceleration(x, v)), create_graph=True)[1]

    jerk = along_the_motion(acceleration)
    snap = along_the_motion(jerk)
    crackle = along_the_motion(snap)
    series = taylor_accelerations(p.position, p.velocity, p.mass, p.mask, p.softening, p.G, 4)
    for found, f in zip(series, (acceleration, jerk, snap, crackle), strict=True):
        expected = f(p.position, p.velocity)
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12 * expected.abs().max().item())


def test_jerk_is_the_finite_difference_of_the_acceleration_along_a_true_orbit(two_body, run_constant):
    p = two_body(e=0.6, q=0.3, anomaly=1.0)
    h = 1e-3
    jerk = taylor_accelerations(p.position, p.velocity, p.mass, p.mask, p.softening, p.G, 2)[1]
    at = {k: run_constant(p, k * h, 4, "kahan_li8").get_acceleration() for k in (-2, -1, 1, 2)}
    difference = (at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / (12 * h)  # fourth order: error about (h / 0.3)^4 / 30
    torch.testing.assert_close(jerk, difference, rtol=1e-8, atol=1e-8)


def test_derivatives_of_padded_systems_keep_every_bit(random_system, padded):
    for n in range(2, 10):
        p = random_system(n, 3, systems=2)
        series = taylor_accelerations(p.position, p.velocity, p.mass, p.mask, p.softening, p.G, 4)
        for size in (n + 1, n + 3, 13):
            big = padded(p, size)
            padded_series = taylor_accelerations(big.position, big.velocity, big.mass, big.mask, big.softening, big.G, 4)
            for a, b in zip(series, padded_series, strict=True):
                assert torch.equal(a, b[:, :n])


@pytest.mark.parametrize("softening", [0.0, 0.2])
def test_gradients_are_right_and_finite_beside_absent_bodies(random_system, padded, softening):
    p = padded(random_system(3, 2, softening=softening), 5)
    position, mass = p.position.clone().requires_grad_(True), p.mass.clone().requires_grad_(True)

    def real_bodies(x, m):
        acceleration, potential = forces(torch.where(p.mask.unsqueeze(-1), x, 0.0), m * p.mask, p.mask, p.softening, p.G)
        return acceleration[:, :3], potential[:, :3]

    assert torch.autograd.gradcheck(real_bodies, (position, mass), atol=1e-7)
    whole = forces(position, mass, p.mask, p.softening, p.G)
    gradients = torch.autograd.grad(whole.acceleration.square().sum() + whole.potential.sum(), (position, mass))
    assert all(torch.isfinite(g).all() for g in gradients)
    assert not gradients[0][:, 3:].any()
