"""The invariant features, against plain loops over pairs; and what they must not depend on: units, observer, numbering."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from aitimestepper.differentiable import timescales
from aitimestepper.differentiable.features import describe, measure_scales, scale_row
from aitimestepper.differentiable.history import HistoryBuffer
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.differentiable.timescales import moving_pairs, pair_sums, smooth_minimum_time
from aitimestepper.features import INVARIANT
from aitimestepper.fields import PointMassTidalField


def assert_close(found, expected, tol=1e-12):
    """Check every feature to `tol`, absolute and relative."""
    torch.testing.assert_close(found, expected, rtol=tol, atol=tol)


def by_loops(p: ParticleTorch) -> tuple[list[float], float, float]:
    """Return (the 7 features, shortest time, chi) of the one system of p, straight from the definitions."""
    m, x, v, soft = p.mass[0].tolist(), p.position[0].tolist(), p.velocity[0].tolist(), p.softening.item()
    n = len(m)
    pairs = []
    for i in range(n):
        for j in range(i + 1, n):
            r = [b - a for a, b in zip(x[i], x[j], strict=True)]
            u = [b - a for a, b in zip(v[i], v[j], strict=True)]
            r2, v2 = sum(a * a for a in r) + soft**2, sum(a * a for a in u)
            rv = sum(a * b for a, b in zip(r, u, strict=True))
            pairs.append((p.G * (m[i] + m[j]) / r2**1.5, v2 / r2, p.G * m[i] * m[j] / math.sqrt(r2), r2, v2, rv))
    S2, S4, S8 = (sum(freefall_rate2**k for freefall_rate2, *_ in pairs) for k in (1, 2, 4))
    tau_2, tau_4 = S2 ** (-1 / 2), S4 ** (-1 / 4)
    F = S8 ** (1 / 4)
    w = [max(freefall_rate2 / F - 1 / 32, 0) ** 2 for freefall_rate2, *_ in pairs]
    W = sum(w)
    U = -sum(binding for _, _, binding, *_ in pairs)
    M = sum(m)
    P2 = sum(sum(a * b[k] for a, b in zip(m, v, strict=True)) ** 2 for k in range(len(v[0])))
    K = sum(a * sum(c * c for c in b) for a, b in zip(m, v, strict=True)) / 2 - P2 / (2 * M)
    total = sum(freefall_rate2**2 * binding for freefall_rate2, _, binding, *_ in pairs) / S4 / abs(K + U)
    own = [1 / math.hypot(1 - flyby_rate2 / (2 * freefall_rate2), 0.02) for freefall_rate2, flyby_rate2, *_ in pairs]
    chi = math.hypot(total, sum(a * b for a, b in zip(w, own, strict=True)) / W)
    flyby = math.sqrt(sum(a * flyby_rate2**2 for a, (_, flyby_rate2, *_) in zip(w, pairs, strict=True)) / W)
    rad = sum(a * rv**2 / (r2 * v2) for a, (*_, r2, v2, rv) in zip(w, pairs, strict=True) if v2 > 0) / W
    x, p_over_r = flyby / F, flyby / F * (1 - rad)
    e2 = max(1 + (x - 2) * p_over_r, 0)
    a = p.get_acceleration()[0].tolist()
    pull = sum(mi * sum(c * c for c in ai) for mi, ai in zip(m, a, strict=True))
    fly4 = sum(a / (31 / 32) ** 2 * flyby_rate2**2 for a, (_, flyby_rate2, *_) in zip(w, pairs, strict=True))
    features = [
        math.log(chi),
        math.log(1 + flyby / F),
        math.log(tau_2 / tau_4),
        math.log(p_over_r / (1 + math.sqrt(e2)) + 1e-3),
        math.log(1 + e2),
        math.log(pull * tau_4**2 / abs(K + U)),
        math.log(total / chi + 1e-3),
    ]
    return features, (S4 + fly4) ** (-1 / 4), chi


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize(("dim", "softening", "G"), [(2, 0.0, 1.0), (3, 0.0, 2.5), (3, 0.4, 1.0)])
def test_they_are_the_sums_over_pairs(random_system, n, dim, softening, G):
    for seed in range(5):
        p = random_system(n, dim, seed, softening=softening, G=G)
        features, shortest, chi = by_loops(p)
        assert_close(describe(p, "invariant")[0], torch.tensor(features, dtype=torch.float64))
        sums = pair_sums(p)
        assert sums.shortest.item() == pytest.approx(shortest, rel=1e-12, abs=0)
        assert sums.chi.item() == pytest.approx(chi, rel=1e-12, abs=0)
        assert torch.equal(sums.tau_4, smooth_minimum_time(moving_pairs(p).freefall_rate2))


@pytest.mark.parametrize(("e", "q", "anomaly"), [(0.0, 1.0, 0.3), (0.6, 0.1, 2.0), (0.97, 1e-3, 0.05)])
def test_two_bodies_in_closed_form(two_body, e, q, anomaly):
    """With one pair all smooth minima are the same, U/E = 2 a / r for the system and the pair, and the orbit is known."""
    p = two_body(e=e, q=q, a=3.0, G=2.0, anomaly=anomaly)
    r = 3 * (1 - e * math.cos(anomaly))
    v2 = 2 * (2 / r - 1 / 3)
    chi = math.hypot(6 / r, 1 / math.hypot(r / 6, 0.02))  # sqrt(2) times 6 / r, but for what the pair at most counts
    expected = [math.log(chi), math.log(1 + v2 * r / 2), 0, math.log(3 * (1 - e) / r + 1e-3)]
    pull = q / (1 + q) ** 2 * (2 / r**2) ** 2 * r**3 / 2  # m |a|^2 tau^2, G = 2
    expected += [math.log(1 + e * e), math.log(pull / abs(p.total_energy().item()))]
    expected.append(math.log(6 / r / chi + 1e-3))
    assert_close(describe(p, "invariant")[0], torch.tensor(expected, dtype=torch.float64))


def test_reversed_velocities_give_the_same_bits(random_system, flipped):
    p = random_system(5, 3, systems=50, softening=0.05)
    assert torch.equal(describe(flipped(p), "invariant"), describe(p, "invariant"))
    assert torch.equal(pair_sums(flipped(p)).growth, -pair_sums(p).growth)


@pytest.mark.parametrize("dim", [2, 3])
def test_they_do_not_depend_on_the_observer(random_system, dim):
    p = random_system(5, dim, systems=4, softening=0.1)
    expected = describe(p, "invariant")
    generator = torch.Generator().manual_seed(dim)

    def described(x, v, order=slice(None), **more):
        return describe(
            ParticleTorch.from_tensors(p.mass[:, order], x[:, order], v[:, order], softening=0.1, **more), "invariant"
        )

    shift, boost = (3 * torch.randn(dim, generator=generator, dtype=torch.float64) for _ in range(2))
    rotation = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64))[0]
    order = torch.tensor([3, 0, 4, 2, 1])
    for found in (
        described(p.position + shift, p.velocity),
        described(p.position, p.velocity + boost),
        described(p.position @ rotation.T, p.velocity @ rotation.T),
        described(p.position, p.velocity, order),
        described(p.position, p.velocity, time=7.0, dt=0.3),
    ):
        assert_close(found, expected)
    assert ((described(p.position * 1.01, p.velocity) - expected).abs().amax(1) > 1e-3).all()
    assert ((described(p.position, p.velocity * 1.01) - expected).abs().amax(1) > 1e-4).all()


@pytest.mark.parametrize("units", [(1.989e30, 1.496e11, 5.0226e6), (1e-3, 1.0, 1.0), (1.0, 1e-4, 1.0), (1.0, 1.0, 86400.0)])
def test_they_do_not_depend_on_units(random_system, units):
    mass, length, time = units
    p = random_system(4, 3, systems=5, softening=0.1)
    G = length**3 / (mass * time**2)
    x, v = p.position * length, p.velocity * (length / time)
    q = ParticleTorch.from_tensors(p.mass * mass, x, v, softening=0.1 * length, G=G)
    assert_close(describe(q, "invariant"), describe(p, "invariant"))
    torch.testing.assert_close(pair_sums(q).shortest, time * pair_sums(p).shortest, rtol=1e-12, atol=0)


@pytest.mark.parametrize("n", range(2, 10))
def test_absent_bodies_change_no_bit(random_system, padded, n):
    for dim in (2, 3):
        p = random_system(n, dim, systems=5)
        for size in (n + 1, n + 2, n + 3, 12):
            assert torch.equal(describe(padded(p, size), "invariant"), describe(p, "invariant"))


def test_batch_equals_loop(random_system):
    """They agree to rounding only, since a logarithm rounds differently in a batch than alone."""
    p = random_system(5, 3, systems=9)
    alone = torch.cat([describe(p.select(torch.tensor([i])), "invariant") for i in range(9)])
    assert_close(describe(p, "invariant"), alone, 1e-15)
    one, all_ = pair_sums(p.select(torch.tensor([4]))), pair_sums(p)
    assert all(torch.equal(a, b[4:5]) for a, b in zip(one, all_, strict=True))


def test_only_tight_pairs_count_in_the_terms_of_the_velocities(two_body):
    """A binary and a third body whose free-fall rate is 1e-3 of the binary's rate: its speed is in the energies alone."""
    p = two_body(e=0.3, anomaly=2.0, dim=3)
    x = torch.cat([p.position, torch.tensor([[[10.0, 0.0, 0.0]]]).double()], 1)
    mass = torch.cat([p.mass, torch.tensor([[1e-3]]).double()], 1)

    def sums(speed):
        v = torch.cat([p.velocity, torch.tensor([[[speed, 0.0, speed]]]).double()], 1)
        return pair_sums(ParticleTorch.from_tensors(mass, x, v))

    slow, fast = sums(0.0), sums(30.0)
    for name in ("flyby_over_freefall", "radial", "growth", "shortest", "tau_2", "tau_4"):
        assert torch.equal(getattr(slow, name), getattr(fast, name)), name
    assert fast.energy_scale > 2 * slow.energy_scale
    assert slow.growth.item() == pytest.approx(pair_sums(p).growth.item(), rel=1e-12)


def test_bodies_at_rest(random_system):
    p = random_system(4, 3)
    rest = describe(dataclasses.replace(p, velocity=torch.zeros_like(p.velocity)), "invariant")[0]
    assert rest[1].item() == 0.0
    assert rest[[3, 4]].tolist() == pytest.approx([math.log(1e-3), math.log(2.0)])  # on a line, into each other


def test_systems_without_energy_have_finite_features():
    """The systems are a parabolic pair (E = 0), and test particles round a star, which have no energy at all."""
    parabola = ParticleTorch.from_tensors([1.0, 1.0], [[-1.0, 0.0], [1.0, 0.0]], [[0.0, -0.5], [0.0, 0.5]], G=0.5)
    found = describe(parabola, "invariant")[0]
    assert parabola.total_energy().item() == 0
    # K = |U|, and the energy counts as 1e-4 of their sum; that of the pair as a fiftieth
    assert found[0].item() == pytest.approx(math.log(math.hypot(5000, 50)), rel=1e-12)
    assert found[6].item() == pytest.approx(math.log(5000 / math.hypot(5000, 50) + 1e-3), rel=1e-9)
    v = [[0.0, 0.0], [0.0, 0.5], [1 / 3, 0.0]]
    massless = ParticleTorch.from_tensors([1.0, 0.0, 0.0], [[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]], v)
    found = describe(massless, "invariant")[0]
    sums, own = pair_sums(massless), 1 / math.hypot(0.5, 0.02)  # all orbits are circles
    assert sums.total_chi.item() == pytest.approx(own, rel=1e-12)  # as of light bodies, whose energy is that of their orbits
    assert sums.chi.item() == pytest.approx(math.sqrt(2) * own, rel=1e-12)
    light = [math.log(math.sqrt(2) * own), 0.0, math.log(math.sqrt(0.5) + 1e-3)]
    assert found[[0, 5, 6]].tolist() == pytest.approx(light, abs=1e-12)
    assert torch.isfinite(describe(ParticleTorch.stack([parabola, parabola]), "invariant")).all()


def test_two_test_particles_close_together_count_for_nothing(random_system):
    p = random_system(3, 2)
    place, drift = torch.tensor([[[30.0, 0.0], [30.0, 1e-5]]]).double(), torch.tensor([[[0.1, 0.0], [0.2, 0.0]]]).double()
    mass = torch.cat([p.mass, torch.zeros(1, 2).double()], 1)
    more = ParticleTorch.from_tensors(mass, torch.cat([p.position, place], 1), torch.cat([p.velocity, drift], 1))
    torch.testing.assert_close(describe(more, "invariant"), describe(p, "invariant"), rtol=0, atol=1e-3)


def test_so_many_equal_pairs_that_none_is_tight(monkeypatch, random_system):
    """This needs more than a million pairs; a larger `TIGHT` does the same here."""
    monkeypatch.setattr(timescales, "TIGHT", 2.0)
    p = random_system(4, 3)
    found = describe(p, "invariant")[0]
    assert found[1].item() == pair_sums(p).radial.item() == 0.0
    assert torch.equal(pair_sums(p).shortest, pair_sums(p).tau_4)


def test_an_external_field_counts_in_the_energies_as_they_are(random_system):
    p = random_system(3, 2)
    alone = describe(p, "invariant")[0]
    p.set_external_field(PointMassTidalField(100.0, R0=8.0))
    found, sums = describe(p, "invariant")[0], pair_sums(p)
    assert torch.equal(sums.energy_scale, p.total_energy().abs())
    assert (found != alone)[[0, 5, 6]].all()
    assert torch.equal(found[1:5], alone[1:5])
    pull = p.get_acceleration()  # the field pulls as well
    assert sums.pulling.item() == pytest.approx((p.mass.unsqueeze(-1) * pull * pull).sum().item(), rel=1e-14)


def test_they_need_no_scale_and_no_history(random_system):
    p = random_system(3)
    assert scale_row(measure_scales(p), INVARIANT, p.time).tolist() == [1.0] * 9
    with pytest.raises(ValueError, match="invariant features look at no past states"):
        HistoryBuffer(2, "invariant")
