"""ParticleTorch: what becomes one and what is refused, values that stay what they are, and the cache of forces."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from aitimestepper.bodies import Bodies
from aitimestepper.differentiable import particle as particle_module
from aitimestepper.differentiable.conserved import energy_scale
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.errors import InitialConditionError
from aitimestepper.fields import PointMassTidalField, tidal
from refused_states import REFUSED, THREE, V, X

CIRCLING = tidal(M=50.0, R0=9.0, period=9.0)


def three(**more) -> ParticleTorch:
    """Return three bodies; `present` is another name of `mask`, as `Bodies` have it."""
    mask = more.pop("present", None)
    return ParticleTorch.from_tensors(**THREE | more, **({} if mask is None else {"mask": mask}))


# ---- shapes and precision -----------------------------------------------------------------------------------------------
def test_a_single_system_becomes_a_batch_of_one():
    p = three(dt=0.1, time=2.0, softening=0.5)
    assert p.position.shape == p.velocity.shape == (1, 3, 2)
    assert p.mass.shape == p.mask.shape == (1, 3)
    assert (p.dt.tolist(), p.time.tolist(), p.softening.tolist()) == ([0.1], [2.0], [0.5])
    assert p.mask.all()
    assert len(p) == 1
    assert p.body_count.tolist() == [3.0]


def test_masses_may_be_one_number_per_body_or_per_system():
    x, v = torch.tensor([X, X], dtype=torch.float64), torch.tensor([V, V], dtype=torch.float64)

    def mass(value):
        return ParticleTorch.from_tensors(value, x, v).mass.tolist()

    assert mass(2.0) == [[2.0] * 3] * 2
    assert mass([1.0, 2.0, 3.0]) == [[1.0, 2.0, 3.0]] * 2
    assert mass([[5.0], [7.0]]) == [[5.0] * 3, [7.0] * 3]
    assert mass([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert ParticleTorch.from_tensors(1, x, v, dt=[0.1, 0.2], time=3, softening=[0, 1]).dt.tolist() == [0.1, 0.2]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_everything_has_one_precision_whatever_it_came_as(dtype):
    """Trap 8: float32 masses beside float64 positions: one precision for all, and no digit of the positions is lost."""
    mass = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float32)
    x = torch.tensor(X, dtype=torch.float64) + 1e-12
    p = ParticleTorch.from_tensors(mass, x, np.array(V, dtype=np.float16), dt=1, time=np.float32(2), softening=0, dtype=dtype)
    after = p.evolve(0.01)
    for state in (p, after):
        assert {name: t.dtype for name, t in state.tensors().items()} == {
            **dict.fromkeys(state.tensors(), dtype),
            "mask": torch.bool,
        }
        assert state.total_energy().dtype == state.get_acceleration().dtype == dtype
    assert torch.equal(p.position[0], x.to(dtype))
    assert torch.equal(p.mass[0], mass.to(dtype))


def test_every_form_of_array_is_read_alike(same_bits):
    rows = np.array(X)
    read_only = rows.copy()
    read_only.setflags(write=False)
    reversed_twice = rows[::-1].copy()[::-1]
    assert reversed_twice.strides[0] < 0
    forms = [
        X,
        rows,
        read_only,
        reversed_twice,
        np.asfortranarray(rows),
        [r.copy() for r in rows],
        torch.tensor(X, dtype=torch.float64),
    ]
    for form in [*forms, torch.tensor(X), tuple(map(tuple, X))]:
        assert same_bits(three(position=form).position, three().position)
    assert same_bits(three(mass=[1, 2, 3]).mass, three().mass)


@pytest.mark.parametrize("make", [np.array, lambda x: torch.tensor(x, dtype=torch.float64)])
def test_later_changes_of_the_callers_arrays_do_not_reach_the_particle(make, same_bits):
    mass, x, v, dt = make([1.0, 2.0, 3.0]), make(X), make(V), make([0.1])
    p = three(mass=mass, position=x, velocity=v, dt=dt)
    before = p.clone_detached()
    a, E = p.get_acceleration().clone(), p.total_energy().clone()
    for array in (mass, x, v, dt):
        array *= 3
    assert all(same_bits(p.tensors()[k], t) for k, t in before.tensors().items())
    assert torch.equal(p.get_acceleration(), a)
    assert torch.equal(p.total_energy(), E)


def test_numbers_given_once_for_all_are_stored_one_each():
    p = ParticleTorch.from_tensors(1.0, torch.tensor([X, X]), torch.tensor([V, V]), softening=0.5)
    p.mass[0, 0] = 9.0
    p.softening[1] = 2.0
    assert p.mass.tolist() == [[9.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    assert p.softening.tolist() == [0.5, 2.0]


def test_masked_bodies_lose_whatever_they_carried():
    x = torch.tensor([*X, [math.nan, 7.0]], dtype=torch.float64)
    v = torch.tensor([*V, [1.0, math.inf]], dtype=torch.float64)
    p = ParticleTorch.from_tensors([1.0, 2.0, 3.0, 4.0], x, v, mask=[True, True, True, False])
    assert p.mass.tolist() == [[1.0, 2.0, 3.0, 0.0]]
    assert not p.position[0, 3].any()
    assert not p.velocity[0, 3].any()
    assert torch.equal(p.total_energy(), three().total_energy())
    assert p.body_count.tolist() == [3.0]


# ---- physics ------------------------------------------------------------------------------------------------------------
def test_plane_equals_space_with_z_zero_through_a_step(random_system, same_bits):
    flat = random_system(4, 2, systems=2, softening=0.1)
    lifted = {k: torch.nn.functional.pad(x, (0, 1)) if x.ndim == 3 else x for k, x in flat.tensors().items()}
    space = ParticleTorch.from_tensors(**lifted)
    assert same_bits(space.total_energy(), flat.total_energy())
    a, b = flat.evolve(0.05), space.evolve(0.05)
    assert same_bits(b.position[..., :2].contiguous(), a.position)
    assert same_bits(b.velocity[..., :2].contiguous(), a.velocity)
    assert not b.position[..., 2].any()


def test_units_are_free(random_system):
    """G x4 with speeds x2 is the same orbit in half the time; masses x4 likewise. Powers of two: to the last bit."""
    p = random_system(4, 3, softening=0.25)
    after = p.evolve(0.1)
    for factor_G, factor_m in ((4.0, 1.0), (1.0, 4.0)):
        q = ParticleTorch.from_tensors(factor_m * p.mass, p.position, 2 * p.velocity, softening=p.softening, G=factor_G)
        faster = q.evolve(0.05)
        assert torch.equal(faster.position, after.position)
        assert torch.equal(faster.velocity, 2 * after.velocity)
        assert torch.equal(q.total_energy(), 4 * factor_m * p.total_energy())
    # lengths x4 (softening too), times x8
    q = ParticleTorch.from_tensors(p.mass, 4 * p.position, p.velocity / 2, softening=4 * p.softening)
    assert torch.equal(q.evolve(0.8).position, 4 * after.position)


def test_energy_of_a_state_worked_out_by_hand():
    p = three(G=2.0)
    kinetic = 0.5 * (1 * 0.25 + 2 * 0.0625 + 3 * 0.25)
    r12, r13, r23 = math.sqrt(5), math.sqrt(2.5**2 + 0.5**2), math.sqrt(1.5**2 + 1.5**2)
    potential = -2.0 * (2 / r12 + 3 / r13 + 6 / r23)
    assert p.kinetic_energy().item() == pytest.approx(kinetic, rel=1e-15, abs=0)
    assert p.potential_energy().item() == pytest.approx(potential, rel=1e-15, abs=0)
    assert p.total_energy().item() == pytest.approx(kinetic + potential, rel=1e-14, abs=0)
    assert torch.equal(p.total_energy_batch(), p.total_energy())


def test_one_step_worked_out_by_hand(two_body):
    """Circular pair, relative acceleration 1/r^2: kick by h/2, drift by h, kick by h/2."""
    h = 0.5
    x, v = -1.0, -1.0  # relative position on the first axis, relative velocity on the second
    p = two_body(e=0.0)
    vx, vy = 0.5 * h, v
    new_x, new_y = x + h * vx, h * vy
    r3 = math.hypot(new_x, new_y) ** 3
    vx, vy = vx - 0.5 * h * new_x / r3, vy - 0.5 * h * new_y / r3
    after = p.evolve(h)
    assert (after.position[0, 1] - after.position[0, 0]).tolist() == pytest.approx([new_x, new_y], rel=1e-14, abs=0)
    assert (after.velocity[0, 1] - after.velocity[0, 0]).tolist() == pytest.approx([vx, vy], rel=1e-13, abs=0)
    assert after.time.tolist() == [h]


def test_evolve_takes_its_own_dt_unless_one_is_given(random_system, same_bits):
    p = random_system(3, 2, systems=2, dt=[0.01, 0.02])
    one = torch.tensor([0.03, 0.01], dtype=torch.float64)
    assert same_bits(p.evolve().position, p.evolve([0.01, 0.02]).position)
    assert p.update_dt(one) is p
    assert same_bits(p.evolve().position, p.evolve(one).position)
    assert same_bits(p.evolve_batch().velocity, p.evolve().velocity)
    assert same_bits(p.evolve(one).dt, one)
    assert p.update_dt(0.5).dt.tolist() == [0.5, 0.5]


# ---- batches ------------------------------------------------------------------------------------------------------------
def test_stacked_systems_of_different_size_keep_every_bit(random_system, same_bits):
    alone = [random_system(n, 3, seed=n, softening=0.01 * n, time=float(n)) for n in (5, 2, 9, 3)]
    batch = ParticleTorch.stack(alone)
    dt = torch.tensor([0.1, 0.02, 0.05, 0.3], dtype=torch.float64)
    after = batch.evolve(dt)
    assert batch.body_count.tolist() == [5, 2, 9, 3]
    for i, p in enumerate(alone):
        n = p.mass.shape[1]
        one = p.evolve(dt[i : i + 1])
        assert same_bits(after.position[i : i + 1, :n], one.position)
        assert same_bits(after.velocity[i : i + 1, :n], one.velocity)
        assert same_bits(after.total_energy()[i : i + 1], one.total_energy())
        assert not after.position[i, n:].any()
        assert not after.velocity[i, n:].any()
        back = after.select(torch.tensor([i]))
        assert same_bits(back.time, one.time)
        assert same_bits(back.total_energy(), one.total_energy())


def test_select_by_mask_and_with_rows(random_system, same_bits):
    p, other = random_system(3, 2, systems=4), random_system(3, 2, seed=9, systems=2, time=5.0)
    chosen = p.select(torch.tensor([False, True, False, True]))
    assert same_bits(chosen.position, p.position[[1, 3]])
    assert same_bits(chosen.total_energy(), p.total_energy()[[1, 3]])
    merged = p.with_rows(torch.tensor([3, 0]), other)
    assert same_bits(merged.position[[3, 0]], other.position)
    assert same_bits(merged.position[[1, 2]], p.position[[1, 2]])
    assert merged.time.tolist() == [5.0, 0.0, 0.0, 5.0]
    expected = torch.stack([other.total_energy()[1], p.total_energy()[1], p.total_energy()[2], other.total_energy()[0]])
    assert same_bits(merged.total_energy(), expected)


@pytest.fixture
def worked() -> ParticleTorch:
    """Three systems in a moving field, each of which did another amount of work on them."""
    systems = [three(time=t, external_field=CIRCLING).evolve(0.1 + t) for t in (0.0, 0.3, 0.7)]
    batch = ParticleTorch.stack(systems)
    assert batch.work_so_far().tolist() == [p.work_so_far().item() for p in systems]
    assert batch.work_so_far().unique().numel() == 3
    assert batch.work_so_far().abs().min() > 1e-6
    return batch


def test_the_work_of_a_moving_field_stays_with_its_systems(worked):
    work = worked.work_so_far()
    chosen = torch.tensor([2, 0])
    assert torch.equal(worked.select(chosen).work_so_far(), work[chosen])
    assert torch.equal(worked.padded_to(5).work_so_far(), work)
    assert torch.equal(worked.clone_detached().work_so_far(), work)
    assert torch.equal(worked.to(dtype=torch.float32).work_so_far(), work.float())
    new = three(external_field=CIRCLING)
    assert worked.with_rows(torch.tensor([1]), new).work_so_far().tolist() == [work[0], 0, work[2]]
    fresh_batch = ParticleTorch.stack([new, new, new])
    merged = fresh_batch.with_rows(chosen, worked.select(chosen))
    assert merged.work_so_far().tolist() == [work[0], 0, work[2]]
    assert torch.equal(fresh_batch.work_so_far(), torch.zeros(3, dtype=torch.float64))


def test_systems_of_one_batch_must_agree(two_body):
    flat, space, heavy = two_body(), two_body(dim=3), two_body(G=2.0)
    tidal = two_body(external_field=PointMassTidalField(1.0, R0=9.0))
    for other in (space, heavy, tidal):
        with pytest.raises(InitialConditionError, match="share the number of axes, G and the external field"):
            ParticleTorch.stack([flat, other])


# ---- arrays and back --------------------------------------------------------------------------------------------------------
def test_bodies_become_a_particle_and_come_back(same_bits):
    field = PointMassTidalField(2.0, R0=15.0, G=2.0)
    bodies = Bodies.stack(
        [
            Bodies([1.0, 2.0, 3.0], X, V, time=0.5, softening=0.1, G=2.0, external_field=field),
            Bodies([4.0, 5.0], X[:2], V[:2], time=1.5, G=2.0, external_field=field),
        ]
    )
    p = ParticleTorch.from_bodies(bodies)
    assert (p.G, p.external_field, p.dt.tolist()) == (2.0, field, [0.0, 0.0])
    assert p.mask.tolist() == bodies.present.tolist() == [[True] * 3, [True, True, False]]
    back = p.to_bodies()
    assert (back.G, back.external_field) == (2.0, field)
    for name, values in bodies.arrays().items():
        assert np.array_equal(back.arrays()[name], values), name
    np.testing.assert_allclose(bodies.total_energy(), p.total_energy().numpy(), rtol=1e-14)
    np.testing.assert_allclose(bodies.energy_scale(), energy_scale(p).numpy(), rtol=1e-14)
    single = ParticleTorch.from_bodies(bodies, dtype=torch.float32)
    assert single.position.dtype == torch.float32
    assert single.to_bodies().position.dtype == np.float64
    p.position[0, 0, 0] = 99.0
    assert back.position[0, 0, 0] == bodies.position[0, 0, 0] == 1.0


def test_a_graph_does_not_follow_into_bodies_and_a_field_of_torch_alone_may():
    class OfTorch:
        time_dependent = False

        def acceleration(self, x, t):
            return -torch.sin(x)

        def potential(self, x, t):
            return -torch.cos(x).sum(-1)

    field = OfTorch()
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    bodies = three(position=x, external_field=field).to_bodies()
    assert bodies.external_field is field
    assert bodies.position[0].tolist() == X


# ---- values -------------------------------------------------------------------------------------------------------------
def test_moving_never_changes_the_particle_it_starts_from(random_system, same_bits):
    p = random_system(4, 3, systems=2, dt=0.1, external_field=PointMassTidalField(3.0, R0=20.0))
    before, versions = p.clone_detached(), {k: t._version for k, t in p.tensors().items()}
    p.evolve(), p.kick(p.dt), p.drift(p.dt), p.select(torch.tensor([1])), p.clone_detached(), p.to(dtype=torch.float32)
    after = p.evolve(0.3)
    after.position.add_(1.0)
    after.velocity.zero_()
    for k, t in p.tensors().items():
        assert same_bits(t, before.tensors()[k])
        assert t._version == versions[k]


def test_a_detached_clone_has_no_graph_and_shares_nothing(random_system, same_bits):
    p = random_system(3, 2, dt=0.1)
    dt = torch.tensor([0.1], dtype=torch.float64, requires_grad=True)
    advanced = p.evolve(dt)
    assert advanced.position.requires_grad
    clone = advanced.clone_detached()
    assert not any(t.requires_grad for t in clone.tensors().values())
    assert not clone.get_acceleration().requires_grad
    assert same_bits(clone.get_acceleration(), advanced.get_acceleration().detach())
    for t in clone.tensors().values():
        t.zero_()
    assert advanced.position.abs().min() > 0
    torch.autograd.grad(advanced.total_energy().sum(), dt)  # the graph is whole


# ---- the cache of forces ------------------------------------------------------------------------------------------------
def fresh(p: ParticleTorch) -> ParticleTorch:
    return ParticleTorch.from_tensors(**p.tensors(), G=p.G, external_field=p.external_field)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.position.mul_(2),
        lambda p: p.position[0, 0].add_(0.5),
        lambda p: p.mass.mul_(3),
        lambda p: p.softening.add_(1),
        lambda p: p.mask[:, 2].fill_(False),
        lambda p: setattr(p, "mass", 2 * p.mass),
        lambda p: setattr(p, "position", p.position + 1.0 * torch.arange(3).view(1, 3, 1)),
        lambda p: setattr(p, "G", 5.0),
        lambda p: p.set_external_field(PointMassTidalField(1e3, R0=20.0)),
    ],
)
def test_forces_are_those_of_the_state_as_it_is_now(change):
    p = three(softening=0.1)
    before = p.get_acceleration().clone(), p.potential_energy().clone()
    change(p)
    assert torch.equal(p.get_acceleration(), fresh(p).get_acceleration())
    assert torch.equal(p.potential_energy(), fresh(p).potential_energy())
    assert not torch.equal(p.get_acceleration(), before[0])
    assert not torch.equal(p.potential_energy(), before[1])


def test_forces_survive_what_the_caller_does_to_the_answer():
    p = three()
    expected = p.get_acceleration().clone()
    p.get_acceleration().zero_()
    assert torch.equal(p.get_acceleration(), expected)
    clone = p.clone_detached()
    clone.get_acceleration().zero_()
    assert torch.equal(p.get_acceleration(), expected)


def test_replaced_fields_do_not_inherit_forces():
    p = three()
    p.get_acceleration()
    heavier = dataclasses.replace(p, mass=2 * p.mass)
    assert torch.equal(heavier.get_acceleration(), 2 * p.get_acceleration())


def test_forces_looked_at_without_a_graph_do_not_cut_the_gradient():
    x = torch.tensor([X], dtype=torch.float64, requires_grad=True)

    def gradient(look_first: bool):
        p = ParticleTorch.stack([three(position=x[0])])
        if look_first:
            with torch.no_grad():
                p.get_acceleration()
        return torch.autograd.grad(p.evolve(0.1).total_energy().sum(), x)[0]

    assert gradient(False).abs().max() > 0.01
    assert torch.equal(gradient(True), gradient(False))


def test_inference_mode_gives_the_same_bits():
    expected = three().evolve(0.1).evolve(0.1)
    with torch.inference_mode():
        p = three().evolve(0.1).evolve(0.1)
        assert torch.equal(p.position, expected.position)
        p.position.mul_(2)
        assert torch.equal(p.get_acceleration(), fresh(p).get_acceleration())


@pytest.mark.parametrize("n", [1, 4])
def test_a_step_costs_one_force_pass(monkeypatch, n):
    calls = []
    true_forces = particle_module.forces
    p = three()
    monkeypatch.setattr(particle_module, "forces", lambda *a: calls.append(1) or true_forces(*a))
    for _ in range(n):
        p = p.evolve(0.01)
        p.total_energy()
        p = p.clone_detached()
        p = p.select(torch.tensor([0]))
    assert len(calls) == n


# ---- what is refused ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *REFUSED,
        ({"dt": [0.1, 0.2]}, r"dt has shape \(2,\), which does not fit \(1,\)"),
        ({"dt": math.inf}, r"dt is not finite \(inf\).* = \[0\]"),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_its_value(changes, message):
    with pytest.raises(InitialConditionError, match=message):
        three(**changes)


def test_one_body_alone_is_refused():
    with pytest.raises(InitialConditionError, match="system 0 has fewer than 2 bodies"):
        ParticleTorch.from_tensors(1.0, [[0.0, 0.0]], [[0.0, 0.0]])


def test_the_system_of_a_batch_that_cannot_be_simulated_is_named():
    x = torch.tensor([X, X], dtype=torch.float64)
    x[1, 2] = x[1, 0]
    with pytest.raises(InitialConditionError, match="body 0 of system 1 is at the same place"):
        ParticleTorch.from_tensors(1.0, x, torch.zeros_like(x))
    assert torch.isfinite(ParticleTorch.from_tensors(1.0, x, torch.zeros_like(x), softening=0.1).get_acceleration()).all()


def test_a_step_of_the_wrong_shape_is_refused(two_body):
    with pytest.raises(InitialConditionError, match=r"dt has shape \(2,\), which does not fit \(1,\)"):
        two_body().evolve(torch.tensor([0.1, 0.2]))
    with pytest.raises(InitialConditionError, match=r"dt has shape \(1, 1\), which does not fit \(1,\)"):
        two_body().update_dt(torch.tensor([[0.1]]))
