"""Each classical criterion against its formula in closed form, and what all must obey: units, observer, padding, sweeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aitimestepper.criteria.base import Criterion
from aitimestepper.criteria.classical import (
    PRS23,
    Aarseth,
    Boekholt,
    Constant,
    EnergyBudget,
    FreeFall,
    HutMakino,
    LastTerm,
    Tidal,
)
from aitimestepper.criteria.own import OwnCriterion
from aitimestepper.criteria.wrappers import Limited, Symmetrized
from aitimestepper.differentiable.criteria import module_for
from aitimestepper.differentiable.gravity import forces, taylor_accelerations
from aitimestepper.differentiable.loop import simulate
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.errors import ConfigError
from aitimestepper.integrators import SPLITTINGS

# every criterion whose step follows the state; each with a number that is not its default
ADAPTIVE = {
    "freefall": FreeFall(0.03),
    "hutmakino": HutMakino(0.04),
    "aarseth": Aarseth(0.03),
    "tidal": Tidal(1e-3),
    "prs23": PRS23(0.03),
    "boekholt": Boekholt(0.03),
    **{f"energybudget {name}": EnergyBudget(1e-5, integrator=name) for name in SPLITTINGS},
}
EACH = pytest.mark.parametrize("name", ADAPTIVE)


def dt_of(criterion: Criterion, p: ParticleTorch, integrator: str = "leapfrog") -> torch.Tensor:
    module = module_for(criterion, integrator)
    return module.choose(p, module.init(p))[0]


def own_chi(energy: float) -> float:
    """Return the potential energy of a pair over its own energy, from E/U = 1 - r v^2 / (2 G M): at most 50."""
    return 1 / math.hypot(energy, 0.02)


def chi_of_two(energy: float) -> float:
    """Return chi of two bodies with mass from E/U: that of the whole system and the pair's own, added in squares."""
    return math.hypot(1 / abs(energy), own_chi(energy))


def limited(dt: float, pairs: list[tuple[float, float, float]]) -> float:
    """Return dt with the ceiling of EnergyBudget: half the dynamical time of the tight pairs, and ln tau_4 changes by 0.6.

    pairs: f = G M / r^3, g = v^2 / r^2 and (r.v) / r^2 of each. Of two bodies the dynamical time is (f^2 + g^2)^(-1/4).
    """
    F = sum(f**4 for f, _, _ in pairs) ** 0.25
    weights = [max(f / F - 1 / 32, 0) ** 2 for f, _, _ in pairs]
    flyby = sum(w * g * g for w, (_, g, _) in zip(weights, pairs, strict=True)) / (31 / 32) ** 2
    dynamical = (sum(f * f for f, _, _ in pairs) + flyby) ** -0.25
    growth = 1.5 * sum(w * s for w, (_, _, s) in zip(weights, pairs, strict=True)) / sum(weights)
    return 1 / math.hypot(1 / dt, 2 / dynamical, growth / 0.6)


# ---- formulas -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize(("e", "q", "anomaly"), [(0.0, 1.0, 0.3), (0.6, 0.1, 0.2), (0.6, 3.0, 2.5), (0.97, 1e-3, 0.05)])
def test_two_bodies_give_the_closed_forms(two_body, dim, e, q, anomaly):
    G, a = 2.0, 3.0
    p = two_body(e=e, q=q, a=a, G=G, dim=dim, anomaly=anomaly)
    r = a * (1 - e * math.cos(anomaly))
    v = math.sqrt(G * (2 / r - 1 / a))
    m1, m2 = 1 / (1 + q), q / (1 + q)
    tau = math.sqrt(r**3 / G)
    chi = chi_of_two(r / (2 * a))
    Q = (G / r**3) ** 2 + (v / r) ** 4
    pair = [(G / r**3, (v / r) ** 2, math.sqrt(G * a) * e * math.sin(anomaly) / r**2)]
    expected = {
        Constant(0.7): 0.7,
        FreeFall(0.03): 0.03 * tau,
        HutMakino(0.04): 0.04 * min(r / v, tau),
        Tidal(1e-3): math.sqrt(1e-3 * r**3 / (G * max(m1, m2))),
        Boekholt(0.03): 0.03 * Q**-0.25,
        EnergyBudget(1e-3, c=0.2): limited(0.2 * math.sqrt(1e-3 / chi) * tau, pair),
        EnergyBudget(1e30): limited(math.inf, pair),  # never above the ceiling
    }
    for name, method in SPLITTINGS.items():
        for tol in (1e-5, 1.0):
            expected[EnergyBudget(tol, name, c=0.44)] = limited(0.44 * (tol / chi) ** (1 / method.order) * tau, pair)
    for criterion, dt in expected.items():
        assert dt_of(criterion, p).item() == pytest.approx(dt, rel=1e-12, abs=0), str(criterion)


@pytest.mark.parametrize("q", [1.0, 1e-3])
def test_on_a_circle_the_derivatives_give_the_angular_frequency(two_body, q):
    """|a|, |j|, |s|, |c| = R omega^2, omega^3, omega^4, omega^5."""
    omega = math.sqrt(2.0 / 27.0)
    p = two_body(e=0.0, q=q, a=3.0, G=2.0)
    assert dt_of(Aarseth(0.03), p).item() == pytest.approx(math.sqrt(0.03) / omega, rel=1e-11, abs=0)
    assert dt_of(PRS23(0.03), p).item() == pytest.approx(0.03 / omega, rel=1e-11, abs=0)
    assert dt_of(HutMakino(0.03), p).item() == pytest.approx(0.03 / omega, rel=1e-12, abs=0)
    assert dt_of(Boekholt(0.03), p).item() == pytest.approx(0.03 / (2**0.25 * omega), rel=1e-12, abs=0)


def test_softening_enters_as_a_longer_distance(two_body):
    p = two_body(e=0.0, q=0.5, a=3.0, softening=4.0)
    s3 = 125.0
    v2 = 1.0 / 3.0
    assert dt_of(FreeFall(0.03), p).item() == pytest.approx(0.03 * math.sqrt(s3), rel=1e-13, abs=0)
    assert dt_of(HutMakino(0.03), p).item() == pytest.approx(0.03 * min(5 / math.sqrt(v2), math.sqrt(s3)), rel=1e-13, abs=0)
    # tidal tensor of a Plummer pull: along the pair (3 r^2 - s^2) / s^5, across it -1 / s^3, twice
    norm = (2 / 3) * math.sqrt(((3 * 9 - 25) / 5**5) ** 2 + 2 / s3**2)
    assert dt_of(Tidal(1e-3), p).item() == pytest.approx(math.sqrt(1e-3 * math.sqrt(6) / norm), rel=1e-12, abs=0)


def pair_list(p):
    """Return (r, v, r.v, m_i, m_j) of every pair of system 0."""
    m, found = p.mass[0].tolist(), []
    for i in range(len(m)):
        for j in range(i + 1, len(m)):
            r, v = (x[0, i] - x[0, j] for x in (p.position, p.velocity))
            found.append((r.norm().item(), v.norm().item(), (r @ v).item(), m[i], m[j]))
    return found


@pytest.mark.parametrize("n", [2, 3, 5])
def test_many_bodies_give_the_sums_and_minima_over_pairs(random_system, n):
    G = 1.5
    p = random_system(n, 3, G=G)
    pairs = pair_list(p)
    tau = [math.sqrt(r**3 / (G * (mi + mj))) for r, _, _, mi, mj in pairs]
    smooth = sum(t**-4 for t in tau) ** -0.25
    assert dt_of(FreeFall(0.03), p).item() == pytest.approx(0.03 * smooth, rel=1e-12, abs=0)
    hut = min(min(r / v, t) for (r, v, *_), t in zip(pairs, tau, strict=True))
    assert dt_of(HutMakino(0.03), p).item() == pytest.approx(0.03 * hut, rel=1e-12, abs=0)
    Q = [(G * (mi + mj)) ** 2 / r**6 + v**4 / r**4 for r, v, _, mi, mj in pairs]
    h = math.sqrt(sum(q**2 for q in Q) / sum(q**2.5 for q in Q))
    assert dt_of(Boekholt(0.03), p).item() == pytest.approx(0.03 * h, rel=1e-12, abs=0)
    weights = [t**-4 for t in tau]
    K = sum(mi * mj * v * v for _, v, _, mi, mj in pairs) / (2 * p.mass.sum().item())  # about the centre of mass
    U = -G * sum(mi * mj / r for r, _, _, mi, mj in pairs)
    S = max(abs(K + U), 1e-4 * (K - U))
    total = sum(w * G * mi * mj / r for w, (r, _, _, mi, mj) in zip(weights, pairs, strict=True)) / S / sum(weights)
    F = sum(t**-8 for t in tau) ** 0.25
    tight = [max(t**-2 / F - 1 / 32, 0) ** 2 for t in tau]
    own = [own_chi(1 - r * v * v / (2 * G * (mi + mj))) for r, v, _, mi, mj in pairs]
    chi = math.hypot(total, sum(w * o for w, o in zip(tight, own, strict=True)) / sum(tight))
    rates = [(G * (mi + mj) / r**3, (v / r) ** 2, rv / r**2) for r, v, rv, mi, mj in pairs]
    for tol in (1e-6, 1.0):
        expected = limited(0.44 * math.sqrt(tol / chi) * smooth, rates)
        assert dt_of(EnergyBudget(tol, c=0.44), p).item() == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("softening", [0.0, 0.3])
def test_tidal_is_the_norm_of_the_second_derivatives_of_the_potential(random_system, dim, softening):
    flat = random_system(4, dim, softening=softening, G=1.5)
    p = ParticleTorch.from_tensors(
        flat.mass,
        *(torch.nn.functional.pad(x, (0, 3 - dim)) for x in (flat.position, flat.velocity)),
        softening=softening,
        G=1.5,
    )
    expected = math.inf
    for i in range(4):

        def potential(x, i=i):
            moved = torch.cat([p.position[:, :i], x.view(1, 1, 3), p.position[:, i + 1 :]], 1)
            return forces(moved, p.mass, p.mask, p.softening, p.G).potential[0, i]

        T = -torch.autograd.functional.hessian(potential, p.position[0, i])
        expected = min(expected, math.sqrt(1e-3 * math.sqrt(6) / T.norm().item()))
    for q in (flat, p):
        assert dt_of(Tidal(1e-3), q).item() == pytest.approx(expected, rel=1e-11, abs=0)


def test_aarseth_and_prs23_are_the_smallest_over_bodies(random_system):
    p = random_system(5, 3, softening=0.1, G=1.5)
    series = taylor_accelerations(p.position, p.velocity, p.mass, p.mask, p.softening, p.G, 4)
    a, j, s, c = (d.norm(dim=-1)[0] for d in series)
    aarseth = torch.sqrt(0.03 * (a * s + j**2) / (j * c + s**2))
    prs23 = 0.03 * torch.sqrt(2 * a**2 / (j**2 + a * s))
    assert dt_of(Aarseth(0.03), p).item() == pytest.approx(aarseth.min().item(), rel=1e-12, abs=0)
    assert dt_of(PRS23(0.03), p).item() == pytest.approx(prs23.min().item(), rel=1e-12, abs=0)
    assert aarseth.max() > 1.5 * aarseth.min()


@pytest.mark.parametrize("criterion", [Aarseth(0.03), PRS23(0.03)])
def test_a_body_without_acceleration_does_not_count(criterion):
    """A star and a massless planet on a circle: the star has no acceleration at all, the planet gives the step."""
    p = ParticleTorch.from_tensors([1.0, 0.0], [[0.0, 0.0], [4.0, 0.0]], [[0.0, 0.0], [0.0, 0.5]])
    expected = (math.sqrt(0.03) if isinstance(criterion, Aarseth) else 0.03) * 8
    assert dt_of(criterion, p).item() == pytest.approx(expected, rel=1e-12, abs=0)


@EACH
def test_massless_pairs_count_for_nothing_but_their_flyby(random_system, name):
    """Two tracers at one place, far from the others: no step of zero, no NaN."""
    p = random_system(3, 2)
    place, drift = torch.tensor([[[30.0, 0.0], [30.0, 1e-5]]]).double(), torch.tensor([[[0.1, 0.0], [0.1, 0.0]]]).double()
    more = ParticleTorch.from_tensors(
        torch.cat([p.mass, torch.zeros(1, 2, dtype=torch.float64)], 1),
        torch.cat([p.position, place], 1),
        torch.cat([p.velocity, drift], 1),
    )
    criterion = ADAPTIVE[name]
    torch.testing.assert_close(dt_of(criterion, more), dt_of(criterion, p), rtol=1e-3, atol=0)


# ---- what all must obey -------------------------------------------------------------------------------------------------
@EACH
@pytest.mark.parametrize("units", [(1.989e30, 1.496e11, 5.0226e6), (1e-3, 1.0, 1.0), (1.0, 1e-4, 1.0), (1.0, 1.0, 86400.0)])
def test_the_step_scales_as_a_time(random_system, name, units):
    mass, length, time = units
    p = random_system(4, 3, systems=2, softening=0.1)
    q = ParticleTorch.from_tensors(
        p.mass * mass,
        p.position * length,
        p.velocity * (length / time),
        softening=p.softening * length,
        G=length**3 / (mass * time**2),
    )
    criterion = ADAPTIVE[name]
    torch.testing.assert_close(dt_of(criterion, q), time * dt_of(criterion, p), rtol=1e-11, atol=0)


@EACH
@pytest.mark.parametrize("dim", [2, 3])
def test_the_step_does_not_depend_on_the_observer(random_system, flipped, name, dim):
    p, criterion = random_system(5, dim, softening=0.05), ADAPTIVE[name]
    expected = dt_of(criterion, p)
    generator = torch.Generator().manual_seed(dim)
    rotation = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64))[0]
    order = torch.tensor([3, 0, 4, 2, 1])
    shift = torch.tensor([3.0, -2.0, 5.0], dtype=torch.float64)[:dim]

    def of(x, v, m=p.mass):
        return dt_of(criterion, ParticleTorch.from_tensors(m, x, v, softening=0.05))

    assert torch.equal(dt_of(criterion, flipped(p)), expected)  # even in the velocities: time has no direction
    same = {
        "translation": of(p.position + shift, p.velocity),
        "rotation": of(p.position @ rotation.T, p.velocity @ rotation.T),
        "boost": of(p.position, p.velocity + shift),
        "renumbering": of(p.position[:, order], p.velocity[:, order], p.mass[:, order]),
    }
    for change, found in same.items():
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=0, msg=lambda text, change=change: f"{change}: {text}")
    assert (of(0.9 * p.position, p.velocity) != expected).all()


@EACH
@pytest.mark.parametrize("n", range(2, 10))
def test_absent_bodies_change_no_bit(random_system, padded, name, n):
    criterion = ADAPTIVE[name]
    for dim in (2, 3):
        p = random_system(n, dim, systems=20)
        expected = dt_of(criterion, p)
        for size in (n + 1, n + 2, n + 3, 13):
            assert torch.equal(dt_of(criterion, padded(p, size)), expected)


@EACH
@pytest.mark.parametrize("alike", [False, True])
def test_batch_equals_loop_to_the_last_bit(random_system, name, alike):
    """The systems include many equal pairs, for which every term of a smooth minimum counts."""
    criterion = ADAPTIVE[name]
    p = random_system(3, 3, systems=900)  # 9 pairs: not a multiple of what a processor takes at a time
    if alike:
        corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1]], dtype=torch.float64)
        p = ParticleTorch.from_tensors(1.0, corners + 0.02 * p.position, 0.1 * p.velocity)
    alone = torch.cat([dt_of(criterion, p.select(torch.arange(i, i + 3))) for i in range(0, 900, 3)])
    assert torch.equal(dt_of(criterion, p.select(torch.tensor([7]))), alone[7:8])
    assert torch.equal(dt_of(criterion, p), alone)


@EACH
def test_plane_equals_space_with_z_zero(random_system, name):
    p, criterion = random_system(4, 2, systems=2), ADAPTIVE[name]
    lifted = {k: torch.nn.functional.pad(x, (0, 1)) if x.ndim == 3 else x for k, x in p.tensors().items()}
    assert torch.equal(dt_of(criterion, ParticleTorch.from_tensors(**lifted)), dt_of(criterion, p))


@EACH
def test_the_step_follows_the_state_and_a_constant_one_does_not(two_body, name):
    """Trap 6: an adaptive criterion is truly adaptive, a constant one truly constant."""
    near, far = two_body(e=0.9, anomaly=0.0), two_body(e=0.9)
    criterion = ADAPTIVE[name]
    assert dt_of(criterion, far).item() > 5 * dt_of(criterion, near).item()
    assert dt_of(Constant(0.01), far).item() == dt_of(Constant(0.01), near).item() == 0.01
    run = simulate(far, steps=40, criterion=Constant(0.01))
    assert run.dt_min.item() == run.dt_max.item() == 0.01
    run = simulate(far, steps=40, criterion=criterion, integrator=getattr(criterion, "integrator", None) or "leapfrog")
    assert run.dt_max.item() > 1.0001 * run.dt_min.item()


# ---- parameters ---------------------------------------------------------------------------------------------------------
MAKERS = {
    "constant": Constant,
    "freefall": FreeFall,
    "hutmakino": HutMakino,
    "aarseth": Aarseth,
    "tidal": Tidal,
    "prs23": PRS23,
    "boekholt": Boekholt,
    "energybudget": EnergyBudget,
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("wrap", [lambda c: c, Symmetrized, lambda c: Limited(c, 1e-6, 1.0)])
def test_a_sweep_in_one_batch_equals_separate_runs(two_body, name, wrap):
    """One number per system; systems end at different times, and the numbers of the others stay with them."""
    p = two_body(e=0.5, q=0.3)
    values = [0.02, 0.003, 0.05, 0.008, 0.03]
    if name in ("tidal", "aarseth", "energybudget"):  # their steps go with the square root
        values = [v * v for v in values]

    def run(systems, criterion):
        return simulate(systems, t_end=0.4, criterion=wrap(criterion), integrator="leapfrog")

    together = run(p.select(torch.zeros(5, dtype=torch.long)), MAKERS[name](values))
    assert len(set(together.steps.tolist())) == 5
    for i, value in enumerate(values):
        alone = run(p, MAKERS[name](value))
        assert together.steps[i] == alone.steps[0]
        assert np.array_equal(together.final.position[i], alone.final.position[0])
        assert np.array_equal(together.final.velocity[i], alone.final.velocity[0])
        assert together.max_energy_error[i] == alone.max_energy_error[0]


def test_a_sweep_must_fit_the_batch(two_body):
    with pytest.raises(ConfigError, match="freefall: 3 values of eta do not fit 2 systems"):
        simulate(two_body().select(torch.tensor([0, 0])), steps=1, criterion=FreeFall([0.1, 0.2, 0.3]))


def test_the_numbers_of_a_sweep_are_memory(random_system):
    p, module = random_system(3, 2, systems=2), module_for(Constant([0.2, 0.3]))
    dt, memory = module.choose(p, module.init(p))
    assert dt.tolist() == memory.tolist() == [0.2, 0.3]
    single = p.to(dtype=torch.float32)
    assert module.choose(single, module.init(single))[0].dtype == torch.float32


@pytest.mark.parametrize("integrator", SPLITTINGS)
@pytest.mark.parametrize("drift", [0.0, 3.0])
def test_energybudget_follows_test_particles_round_a_star(integrator, drift):
    """No pair has binding energy, at rest not even the whole system: dt is that of light bodies on the tightest orbit."""
    x = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]], dtype=torch.float64)
    v = torch.tensor([[drift, 0.0], [drift, 0.5], [drift + 1 / 3, 0.0]], dtype=torch.float64)
    p = ParticleTorch.from_tensors([1.0, 0.0, 0.0], x, v)
    smooth = (8.0**-4 + 27.0**-4) ** -0.25
    orbits = [(1 / 4**3, 0.5**2 / 4**2, 0.0), (1 / 9**3, (1 / 3) ** 2 / 9**2, 0.0)]
    order = SPLITTINGS[integrator].order
    for tol in (1e-2, 1e-12):
        expected = limited(0.6 * (tol / (math.sqrt(2) * own_chi(0.5))) ** (1 / order) * smooth, orbits)
        assert dt_of(EnergyBudget(tol, integrator, c=0.6), p).item() == pytest.approx(expected, rel=1e-12, abs=0)
    assert simulate(p, t_end=4 * math.pi, criterion=EnergyBudget(1e-3, integrator)).status == ("ok",)


@pytest.mark.parametrize("energy", [0.9, 0.5, 0.1, 0.01, 0.0, -0.5])
def test_energybudget_of_two_bodies_depends_on_their_masses_only_through_the_whole_system(energy):
    """A massless planet has the own orbit of any other of that E/U; with mass it counts in the whole system as well."""
    for q in (0.0, 1e-9, 0.3, 1.0):
        r, speed = 3.0, math.sqrt(2 * (1 - energy) / 3.0)
        mass, share = [1 / (1 + q), q / (1 + q)], torch.tensor([[q / (1 + q)], [-1 / (1 + q)]], dtype=torch.float64)
        x, v = torch.tensor([[[-r, 0.0]], [[0.6 * speed, 0.8 * speed]]], dtype=torch.float64)
        p = ParticleTorch.from_tensors(mass, share * x, share * v)
        floor = 1e-4 * (1 + abs(1 - energy))  # E counts as 1e-4 (K + |U|) or more
        total = 1 / max(abs(energy), floor) if q else own_chi(energy)  # alone it counts as light ones
        pair = [(1 / r**3, (speed / r) ** 2, 0.6 * speed / r)]
        expected = limited(0.2 * math.sqrt(1e-6 / math.hypot(total, own_chi(energy))) * r**1.5, pair)
        assert dt_of(EnergyBudget(1e-6, c=0.2), p).item() == pytest.approx(expected, rel=1e-11, abs=0), q


def test_a_massless_planet_has_the_step_of_any_light_one_beside_another_binary(two_body):
    """The planets are on one and the same orbit, and so little of the total energy that only their own counts."""
    binary = two_body(e=0.3)
    place, speed = torch.tensor([[[[1e6, 0.0], [1e6, 0.2]]], [[[0.0, 0.0], [0.05, 0.0]]]], dtype=torch.float64)

    def step(planet):
        mass = torch.cat([1e6 * binary.mass, torch.tensor([[1e-3, planet]], dtype=torch.float64)], 1)
        x, v = torch.cat([1e4 * binary.position, place], 1), torch.cat([10.0 * binary.velocity, speed], 1)
        return dt_of(EnergyBudget(1e-6), ParticleTorch.from_tensors(mass, x, v)).item()

    own = own_chi(1 - 0.2 * 0.05**2 / (2 * 1e-3))
    pair = [(1e-3 / 0.2**3, 0.05**2 / 0.2**2, 0.0)]
    expected = limited(0.4 * math.sqrt(1e-6 / own) * math.sqrt(0.2**3 / 1e-3), pair)
    assert step(0.0) == pytest.approx(expected, rel=1e-6)
    assert step(1e-10) == pytest.approx(step(0.0), rel=1e-6)


@pytest.mark.parametrize(("integrator", "order"), [(name, method.order) for name, method in SPLITTINGS.items()])
def test_energybudget_of_a_parabolic_pair_is_an_ordinary_step(integrator, order):
    """E = 0: its errors are measured against 1e-4 of K + |U| = 2 |U|, chi is 5000, its own 50; a run keeps the tolerance."""
    p = ParticleTorch.from_tensors([1.0, 1.0], [[-1.0, 0.0], [1.0, 0.0]], [[0.0, -0.5], [0.0, 0.5]], G=0.5)
    assert p.total_energy().item() == 0
    criterion = EnergyBudget(1e-4, integrator, c=0.5)
    expected = limited(0.5 * (1e-4 / math.hypot(5000, 50)) ** (1 / order) * math.sqrt(8.0), [(1 / 8, 1 / 4, 0.0)])
    assert dt_of(criterion, p).item() == pytest.approx(expected, rel=1e-12, abs=0)
    run = simulate(p, t_end=0.1, criterion=Symmetrized(EnergyBudget(1e-2, integrator)))
    assert run.status == ("ok",)
    assert run.within_tolerance.all()


def test_what_is_left_open_is_bound_to_the_integrator(two_body):
    p = two_body(e=0.6, anomaly=2.0)
    for name in SPLITTINGS:
        assert torch.equal(dt_of(EnergyBudget(1e-5), p, name), dt_of(EnergyBudget(1e-5, integrator=name), p))
    assert torch.equal(dt_of(PRS23(), p), dt_of(PRS23(0.02), p))
    assert dt_of(EnergyBudget(1e-5), p, "kahan_li8") > 3 * dt_of(EnergyBudget(1e-5), p)


def test_lastterm_is_prs23_where_its_polynomial_is_unknown(two_body):
    p = two_body(e=0.6, anomaly=2.0)
    expected = dt_of(PRS23((5040e-9) ** (1 / 7)), p).item()
    assert dt_of(LastTerm(1e-9), p).item() == pytest.approx(expected, rel=1e-14, abs=0)


def test_a_python_function_of_ones_own_is_called_for_every_system_with_its_real_bodies(random_system, padded):
    def tightest(time, mass, position, velocity, acceleration, value):
        assert position.shape == velocity.shape == acceleration.shape == (3, 2)
        apart = np.linalg.norm(position[:, None] - position[None], axis=-1) + np.diag([np.inf] * 3)
        return (1 + time) * value * apart.min() ** 1.5 / mass.sum() ** 0.5

    p = random_system(3, 2, systems=2, time=[0.0, 1.0])
    own = OwnCriterion(tightest, value=[0.1, 0.2])
    apart = torch.cdist(p.position, p.position) + torch.diag(torch.full((3,), torch.inf))
    expected = torch.tensor([0.1, 0.4], dtype=torch.float64) * apart.amin((1, 2)) ** 1.5 / p.mass.sum(1).sqrt()
    for q in (p, padded(p, 5)):
        torch.testing.assert_close(dt_of(own, q), expected, rtol=1e-12, atol=0)
    run = simulate(p, steps=3, criterion=Symmetrized(own))
    assert (run.status, run.steps.tolist()) == (("ok", "ok"), [3, 3])


def test_criteria_without_a_form_in_torch_are_refused():
    class Compiled:
        address = 1

    class Unknown(Criterion):
        name = "unknown"

    with pytest.raises(ConfigError, match="is compiled code, which knows no tensors: give a Python function"):
        module_for(OwnCriterion(Compiled()))
    with pytest.raises(ConfigError, match="the criterion unknown has no form in torch: write a StepModule"):
        module_for(Unknown())
