"""The features: values by hand, invariance to the observer and to the units, and bits under padding."""

from __future__ import annotations

import math

import pytest
import torch

from aitimestepper.differentiable.features import describe, measure_scales, requested_features, scale_row, transition
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.features import BASIC, INVARIANT, RICH, TRANSITION, Scales, feature_count, slot_table
from aitimestepper.fields import PointMassTidalField

KINDS = pytest.mark.parametrize("kind", ["basic", "rich"])


def small(**more) -> ParticleTorch:
    """Two bodies whose features are round numbers: softened distance 5, centre of mass at (1, 0) moving by (0, -1)."""
    return ParticleTorch.from_tensors(
        [1.0, 3.0], [[4.0, 0.0], [0.0, 0.0]], [[0.0, 2.0], [0.0, -2.0]], G=2.0, softening=3.0, **more
    )


def test_counts_are_those_of_the_contract():
    assert (len(BASIC), len(RICH), len(TRANSITION), len(INVARIANT)) == (11, 23, 10, 9)
    assert (slot_table("invariant", 0), feature_count("invariant", 0)) == (INVARIANT, 9)
    assert {(kind, K): feature_count(kind, K) for kind in ("basic", "rich", "delta_mag") for K in (0, 1, 3, 5)} == {
        ("basic", 0): 11,
        ("basic", 1): 22,
        ("basic", 3): 44,
        ("basic", 5): 66,
        ("rich", 0): 23,
        ("rich", 1): 46,
        ("rich", 3): 92,
        ("rich", 5): 138,
        ("delta_mag", 0): 11,  # without history it is basic
        ("delta_mag", 1): 10,
        ("delta_mag", 3): 30,
        ("delta_mag", 5): 50,
    }
    assert slot_table("delta_mag", 0) is BASIC
    assert slot_table("delta_mag", 2) is TRANSITION


def test_features_of_a_small_system_by_hand():
    a1, a2 = 2 * 3 * 4 / 125, 2 * 1 * 4 / 125
    expected = {
        "bodies": 2,
        "axes": 2,
        "total mass": 4,
        "mean radius": 2,
        "max radius": 3,
        "mean speed": 2,
        "max speed": 3,
        "mean acceleration": (a1 + a2) / 2,
        "max acceleration": a1,
        "min pair distance": 4,
        "mean pair distance": 4,
        "mean mass": 2,
        "min mass": 1,
        "max mass": 3,
        "mass deviation": 1,
        "min radius": 1,
        "rms radius": math.sqrt(5),
        "min speed": 1,
        "rms speed": math.sqrt(5),
        "min acceleration": a2,
        "rms acceleration": math.sqrt((a1**2 + a2**2) / 2),
        "max pair distance": 4,
        "softening": 3,
    }
    for table, kind in ((BASIC, "basic"), (RICH, "rich")):
        found = describe(small(), kind)
        assert found.shape == (1, len(table))
        for (name, _), value in zip(table, found[0].tolist(), strict=True):
            assert value == pytest.approx(expected[name], rel=1e-14, abs=0), name


def test_pair_distances_of_three_bodies_by_hand():
    x = [[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [0.0, 0.0, 12.0]]
    p = ParticleTorch.from_tensors([1.0, 2.0, 6.0], x, torch.zeros(3, 3))
    found = dict(zip((name for name, _ in RICH), describe(p, "rich")[0].tolist(), strict=True))
    assert found["min pair distance"] == 5
    assert found["max pair distance"] == 13
    assert found["mean pair distance"] == pytest.approx(10, rel=1e-15)
    assert found["mass deviation"] == pytest.approx(math.sqrt(14 / 3), rel=1e-15)
    assert (found["mean speed"], found["max speed"], found["min speed"], found["rms speed"]) == (0, 0, 0, 0)


@pytest.mark.parametrize("mass", [0.1, 0.3, 1 / 3, 0.7, 1e-6])
def test_equal_masses_deviate_by_nothing(mass):
    for n in range(2, 12):
        p = ParticleTorch.from_tensors(mass, torch.eye(n, 3) + torch.arange(n).view(-1, 1), torch.zeros(n, 3))
        assert describe(p, "rich")[0, 14].item() <= 4e-16 * mass


def test_transition_by_hand():
    before, dt = small(), torch.tensor([0.25], dtype=torch.float64)
    after = ParticleTorch.from_tensors([1.0, 3.0], [[4.0, 3.0], [4.0, 3.0]], [[0.0, 1.0], [2.0, -2.0]], G=2.0, softening=3.0)
    a = [2 * 3 * 4 / 125, 2 * 1 * 4 / 125]  # no force between bodies at the same place
    expected = []
    for one, two in ((3.0, 5.0), (1.0, 2.0), a):
        expected += [(one + two) / 2, max(one, two), math.sqrt((one**2 + two**2) / 2)]
    assert transition(before, after, dt)[0].tolist() == pytest.approx([*expected, 0.25], rel=1e-14, abs=0)
    assert [name for name, _ in TRANSITION][::3] == ["mean |dx|", "mean |dv|", "mean |da|", "dt"]


@KINDS
@pytest.mark.parametrize("dim", [2, 3])
def test_features_do_not_depend_on_the_observer(random_system, kind, dim):
    p = random_system(5, dim, systems=2, softening=0.1)
    expected = describe(p, kind)
    generator = torch.Generator().manual_seed(dim)

    def described(x, v, order=slice(None)):
        moved = ParticleTorch.from_tensors(p.mass[:, order], x[:, order], v[:, order], softening=0.1)
        return describe(moved, kind)

    shift, boost = (10 * torch.randn(dim, generator=generator, dtype=torch.float64) for _ in range(2))
    rotation = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64))[0]
    order = torch.tensor([3, 0, 4, 2, 1])
    for name, found in {
        "translation": described(p.position + shift, p.velocity),
        "boost": described(p.position, p.velocity + boost),
        "rotation": described(p.position @ rotation.T, p.velocity @ rotation.T),
        "renumbering": described(p.position, p.velocity, order),
        "time": describe(ParticleTorch.from_tensors(p.mass, p.position, p.velocity, softening=0.1, time=7.0), kind),
        "reversal of velocities": described(p.position, -p.velocity),
    }.items():
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13, msg=lambda text, name=name: f"{name}: {text}")
    different = described(p.position * 1.01, p.velocity)
    assert (different - expected).abs().max() > 1e-3


@KINDS
@pytest.mark.parametrize("n", range(2, 10))
def test_absent_bodies_change_no_bit(random_system, padded, kind, n):
    for dim in (2, 3):
        p = random_system(n, dim, systems=3)
        for size in (n + 1, n + 2, n + 3, 12, 16):
            assert torch.equal(describe(padded(p, size), kind), describe(p, kind))


@pytest.mark.parametrize("n", range(2, 10))
def test_absent_bodies_change_no_bit_of_a_transition(random_system, padded, n):
    p = random_system(n, 3, systems=3, external_field=PointMassTidalField(5.0, R0=30.0))
    dt = torch.tensor([0.1, 0.05, 0.02], dtype=torch.float64)
    expected = transition(p, p.evolve(dt), dt)
    for size in (n + 1, n + 2, 12):
        big = padded(p, size)
        assert torch.equal(transition(big, big.evolve(dt), dt), expected)


@KINDS
def test_batch_equals_loop_to_the_last_bit(random_system, kind):
    p = random_system(5, 3, systems=9)
    expected = torch.cat([describe(p.select(torch.tensor([i])), kind) for i in range(9)])
    assert torch.equal(describe(p, kind), expected)


def in_other_units(p: ParticleTorch, mass: float, length: float, time: float) -> ParticleTorch:
    """Return the bodies with masses, lengths, times and G in units that are smaller by these factors."""
    G = p.G * length**3 / (mass * time**2)
    return ParticleTorch.from_tensors(
        p.mass * mass, p.position * length, p.velocity * (length / time), softening=p.softening * length, G=G
    )


@pytest.mark.parametrize("units", [(1.989e30, 1.496e11, 5.0226e6), (1e-3, 1.0, 1.0), (1.0, 1e-4, 1.0), (1.0, 1.0, 86400.0)])
def test_scaled_features_do_not_depend_on_units(random_system, units):
    mass, length, time = units
    p = random_system(4, 3, systems=2, softening=0.1)
    q = in_other_units(p, mass, length, time)
    ours, theirs = measure_scales(p), measure_scales(q)
    for table, kind in ((BASIC, "basic"), (RICH, "rich")):
        a, b = describe(p, kind) / scale_row(ours, table, p.time), describe(q, kind) / scale_row(theirs, table, q.time)
        torch.testing.assert_close(b, a, rtol=1e-11, atol=1e-13)
    dt = torch.tensor([0.01, 0.02], dtype=torch.float64)
    a = transition(p, p.evolve(dt), dt) / scale_row(ours, TRANSITION, p.time)
    b = transition(q, q.evolve(dt * time), dt * time) / scale_row(theirs, TRANSITION, q.time)
    torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-13)


def test_scales_are_the_dynamics_of_the_set(two_body):
    """Mean radius a/2 and total mass 1 on a circle: L0 = a/2, V0 = sqrt(GM/L0), and the others follow."""
    s = measure_scales(two_body(e=0.0, a=4.0, G=3.0))
    V0 = math.sqrt(3.0 / 2.0)
    found = [s.L0, s.V0, s.A0, s.T0, s.M0]
    assert found == pytest.approx([2.0, V0, V0**2 / 2, 2 / V0, 1.0], rel=1e-14)


def test_a_system_at_rest_has_scales():
    p = ParticleTorch.from_tensors([1.0, 3.0], [[4.0, 0.0], [0.0, 0.0]], torch.zeros(2, 2))
    s = measure_scales(p)
    found = [s.L0, s.V0, s.M0]
    assert found == pytest.approx([2.0, math.sqrt(2.0), 4.0], rel=1e-14)


def test_default_scales_leave_features_as_they_are(random_system):
    p = random_system(3)
    assert torch.equal(scale_row(Scales(), RICH, p.time), torch.ones(23, dtype=torch.float64))
    assert scale_row(Scales(), RICH, p.to(dtype=torch.float32).time).dtype == torch.float32


@KINDS
def test_features_include_the_external_field(random_system, kind):
    p = random_system(3, 2)
    alone = describe(p, kind)
    p.set_external_field(PointMassTidalField(100.0, R0=8.0))
    expected = p.get_acceleration().norm(dim=-1)
    found = describe(p, kind)
    assert found[0, 7].item() == pytest.approx(expected.mean().item(), rel=1e-14)
    assert found[0, 8].item() == pytest.approx(expected.max().item(), rel=1e-14)
    assert not torch.equal(found, alone)
    assert torch.equal(found[:, :7], alone[:, :7])


def test_features_of_the_request_by_hand():
    """The energy error over the tolerance with its sign, then the tolerance."""
    fraction, tol = torch.tensor([0.0, 0.1, -0.5], dtype=torch.float64), torch.tensor([1e-2, 1e-4, 1e-6], dtype=torch.float64)
    found = requested_features(fraction, tol)
    assert found.shape == (3, 2)
    assert found[:, 0].tolist() == pytest.approx([0.0, 0.5 * math.log(2), -0.5 * math.log(26)], rel=1e-14)
    assert found[:, 1].tolist() == pytest.approx([math.log(t) for t in tol.tolist()], rel=1e-14)
