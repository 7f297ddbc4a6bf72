"""Bodies: shapes and refusals, values that stay what they are, energies, orbits, and memory that grows with N only."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from aitimestepper.bodies import Bodies, as_bodies, free_fall_time
from aitimestepper.constants import ENERGY_FLOOR
from aitimestepper.errors import InitialConditionError
from aitimestepper.fields import PointMassTidalField
from aitimestepper.initial.named import InitialConditions, kepler
from refused_states import REFUSED, THREE, V, X


def three(**more) -> Bodies:
    return Bodies(**THREE | more)


def random_bodies(n: int = 4, dim: int = 3, systems: int = 1, seed: int = 0, **more) -> Bodies:
    rng = np.random.default_rng([n, dim, systems, seed])
    position, velocity = rng.normal(size=(2, systems, n, dim))
    return Bodies(np.exp(rng.normal(size=(systems, n))), position, velocity, **more)


def same(a: Bodies, b: Bodies) -> bool:
    return all(np.array_equal(x, b.arrays()[name]) for name, x in a.arrays().items()) and a.G == b.G and a.names == b.names


# ---- shapes and precision -----------------------------------------------------------------------------------------------
def test_a_single_system_becomes_a_batch_of_one():
    b = three(time=2.0, softening=0.5)
    assert b.position.shape == b.velocity.shape == (1, 3, 2)
    assert b.mass.shape == b.present.shape == (1, 3)
    assert (b.time.tolist(), b.softening.tolist()) == ([2.0], [0.5])
    assert b.present.all()
    assert len(b) == 1
    assert b.body_count.tolist() == [3]
    assert b.body_count.dtype.kind == "i"
    assert repr(b) == "Bodies(systems=1, bodies=3, axes=2, G=1.0)"


def test_masses_may_be_one_number_per_body_or_per_system():
    def mass(value):
        return Bodies(value, [X, X], [V, V]).mass.tolist()

    assert mass(2.0) == [[2.0] * 3] * 2
    assert mass([1.0, 2.0, 3.0]) == [[1.0, 2.0, 3.0]] * 2
    assert mass([[5.0], [7.0]]) == [[5.0] * 3, [7.0] * 3]
    assert mass([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert Bodies(1, [X, X], [V, V], time=3, softening=[0, 1]).softening.tolist() == [0.0, 1.0]


def test_every_form_of_array_is_read_alike_and_becomes_float64():
    """Trap 8: float32 masses beside float64 positions: one precision for all, and no digit of the positions is lost."""
    rows = np.array(X)
    forms = [X, rows, rows[::-1].copy()[::-1], np.asfortranarray(rows), [r.copy() for r in rows], tuple(map(tuple, X))]
    for form in [*forms, rows.astype(np.float32)]:
        assert same(three(position=form), three())
    fine = rows + 1e-12
    b = three(mass=np.float32([0.1, 0.2, 0.3]), position=fine, velocity=np.array(V, dtype=np.float16))
    assert {x.dtype.str for name, x in b.arrays().items() if name != "present"} == {"<f8"}
    assert all(x.flags.c_contiguous for x in b.arrays().values())
    assert np.array_equal(b.position[0], fine)


def test_later_changes_of_the_callers_arrays_do_not_reach_the_bodies():
    mass, x, v, t = np.array([1.0, 2.0, 3.0]), np.array(X), np.array(V), np.array([2.0])
    b = three(mass=mass, position=x, velocity=v, time=t)
    for array in (mass, x, v, t):
        array *= 3
    assert same(b, three(time=2.0))


def test_bodies_are_read_only():
    for b in (three(), three(present=[True, True, True]), Bodies.stack([three(), three()]), three().select([0])):
        for values in b.arrays().values():
            with pytest.raises(ValueError, match="read-only"):
                values[...] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        three().G = 2.0


def test_absent_bodies_lose_whatever_they_carried():
    b = Bodies([1.0, 2.0, 3.0, 4.0], [*X, [math.nan, 7.0]], [*V, [1.0, math.inf]], present=[True, True, True, False], G=2.0)
    assert b.mass.tolist() == [[1.0, 2.0, 3.0, 0.0]]
    assert not b.position[0, 3].any()
    assert not b.velocity[0, 3].any()
    assert np.array_equal(b.total_energy(), three(G=2.0).total_energy())
    assert b.body_count.tolist() == [3]


# ---- names, parts and combinations --------------------------------------------------------------------------------------
def test_names_stay_with_the_bodies():
    b = Bodies(1.0, [X, X, X], [V, V, V], time=[1, 2, 3], names=["a", "b", "c"], softening=0.1)
    assert b.names == ("a", "b", "c")
    for changed in (b.select([2, 0]), b.replace(velocity=2 * b.velocity), dataclasses.replace(b, time=0.0), as_bodies(b)):
        assert changed.names == b.names
    assert Bodies.stack([b, b]).names == b.names
    assert Bodies.stack([b, three(names=["xyz"] * 3)]).names is None
    for wrong in (["a", "b"], "abc", ["a", "b", 3]):
        with pytest.raises(InitialConditionError, match=r"names = .* must be 3 strings, one for each body"):
            three(names=wrong)


def test_select_takes_numbers_and_masks():
    b = random_bodies(3, 2, systems=4, G=2.0)
    for index in ([1, 3], np.array([1, 3]), [False, True, False, True], slice(1, 4, 2)):
        assert same(b.select(index), Bodies(b.mass[1::2], b.position[1::2], b.velocity[1::2], G=2.0))
    assert len(b.select(2)) == 1
    assert np.array_equal(b.select([3]).position[0], b.position[3])


def test_stacked_systems_of_different_size_keep_every_bit():
    alone = [random_bodies(n, 3, seed=n, softening=0.01 * n, time=float(n)) for n in (5, 2, 9, 3)]
    batch = Bodies.stack(alone)
    assert batch.body_count.tolist() == [5, 2, 9, 3]
    assert batch.time.tolist() == [5, 2, 9, 3]
    for quantity in ("kinetic_energy", "potential_energy", "total_energy", "energy_scale", "momentum", "angular_momentum"):
        expected = np.concatenate([getattr(b, quantity)() for b in alone])
        assert np.array_equal(getattr(batch, quantity)(), expected), quantity
    assert np.array_equal(batch.select([2]).position, alone[2].position)
    np.testing.assert_allclose(free_fall_time(batch), np.concatenate([free_fall_time(b) for b in alone]), rtol=1e-14)


def test_systems_of_one_batch_must_agree():
    field = PointMassTidalField(1.0, R0=9.0)
    flat = three()
    for other in (random_bodies(3, 3), three(G=2.0), three(external_field=field)):
        with pytest.raises(InitialConditionError, match="share the number of axes, G and the external field"):
            Bodies.stack([flat, other])
    both = Bodies.stack([three(external_field=field), three(external_field=PointMassTidalField(1.0, R0=9.0))])
    assert both.external_field == field
    with pytest.raises(InitialConditionError, match="no systems"):
        Bodies.stack([])


def test_replace_checks_what_it_makes():
    b = three(G=2.0)
    assert same(b.replace(softening=0.5), three(G=2.0, softening=0.5))
    with pytest.raises(InitialConditionError, match="velocity is not finite"):
        b.replace(velocity=np.full((3, 2), math.nan))


# ---- anything with mass, position and velocity --------------------------------------------------------------------------
def test_anything_with_mass_position_and_velocity_will_do():
    b = three(G=2.0)
    assert as_bodies(b) is b
    assert same(as_bodies(SimpleNamespace(mass=[1, 2, 3], position=X, velocity=V, G=2.0)), b)
    assert same(as_bodies(InitialConditions(b.mass[0], np.array(X), np.array(V), None, None), G=2.0), b)
    assert as_bodies(kepler(G=3.0)).G == 3.0
    field = PointMassTidalField(1.0, R0=9.0, G=4.0)
    changed = as_bodies(b, G=4.0, softening=0.25, external_field=field)
    assert (changed.G, changed.softening.tolist(), changed.external_field) == (4.0, [0.25], field)
    assert np.array_equal(changed.velocity, b.velocity)
    with pytest.raises(InitialConditionError, match="dict has no position: it needs position or x, y"):
        as_bodies({"mass": 1.0})


def test_tensors_are_arrays_too(torch):
    for tensor in (torch.tensor(X, dtype=torch.float64, requires_grad=True), torch.tensor(X)):
        assert same(three(position=tensor), three())
    b = random_bodies(3, 2, systems=4)
    assert same(b.select(torch.tensor([1, 3])), b.select([1, 3]))
    with pytest.raises(InitialConditionError, match="does not take NumPy arrays"):
        three(external_field=PointMassTidalField(1.0, R_of_t=lambda t: torch.cos(t)))


def test_a_particle_becomes_bodies_without_its_graph(torch):
    from aitimestepper.differentiable.particle import ParticleTorch

    x = torch.tensor([[*X, [9.0, 9.0]]], dtype=torch.float64, requires_grad=True)
    p = ParticleTorch.from_tensors(
        [1.0, 2.0, 3.0, 0.0], x, [[*V, [0.0, 0.0]]], mask=[True] * 3 + [False], time=3.0, softening=0.1, G=2.0
    )
    b = as_bodies(p)
    assert b.body_count.tolist() == [3]
    assert (b.time.tolist(), b.softening.tolist(), b.G) == ([3.0], [0.1], 2.0)
    assert np.array_equal(b.position, p.position.detach().numpy())
    p.position.data.zero_()
    assert b.position[0, 0, 0] == 1.0


# ---- energy and momentum ------------------------------------------------------------------------------------------------
def test_energy_of_a_state_worked_out_by_hand():
    b = three(G=2.0)
    kinetic = 0.5 * (1 * 0.25 + 2 * 0.0625 + 3 * 0.25)
    r12, r13, r23 = math.sqrt(5), math.sqrt(2.5**2 + 0.5**2), math.sqrt(1.5**2 + 1.5**2)
    potential = -2.0 * (2 / r12 + 3 / r13 + 6 / r23)
    assert b.kinetic_energy().item() == pytest.approx(kinetic, rel=1e-15, abs=0)
    assert b.potential_energy().item() == pytest.approx(potential, rel=1e-15, abs=0)
    assert b.total_energy().item() == pytest.approx(kinetic + potential, rel=1e-14, abs=0)


@pytest.mark.parametrize(("n", "systems", "cut"), [(3, 5, False), (7, 40000, True), (300, 3, True), (700, 2, True)])
def test_energies_are_those_of_a_direct_sum_however_they_are_cut_into_blocks(n, systems, cut):
    b = random_bodies(n, 3, systems, softening=0.1, G=3.0)
    assert (len(list(b.pair_blocks())) > 1) is cut
    for s in sorted({0, systems // 2, systems - 1}):
        m, x, v = b.mass[s], b.position[s], b.velocity[s]
        i, j = np.triu_indices(n, 1)
        distance = np.sqrt(((x[i] - x[j]) ** 2).sum(1) + 0.01)
        assert b.potential_energy()[s] == pytest.approx(-3.0 * (m[i] * m[j] / distance).sum(), rel=1e-12)
        assert b.kinetic_energy()[s] == pytest.approx(0.5 * (m[:, None] * v**2).sum(), rel=1e-13)
        rate2 = 3.0 * (m[i] + m[j]) / distance**3
        assert free_fall_time(b)[s] == pytest.approx((rate2**2).sum() ** -0.25, rel=1e-13)


@pytest.mark.parametrize("dim", [2, 3])
def test_energies_and_free_fall_time_are_those_of_the_torch_twin(torch, dim):
    from aitimestepper.differentiable.particle import ParticleTorch
    from aitimestepper.differentiable.timescales import moving_pairs, smooth_minimum_time

    field = PointMassTidalField(3.0, R0=20.0)
    b = Bodies.stack([random_bodies(n, dim, 2, softening=0.05, external_field=field) for n in (2, 5, 12)])
    p = ParticleTorch.from_tensors(b.mass, b.position, b.velocity, softening=b.softening, mask=b.present, external_field=field)
    for quantity in ("kinetic_energy", "potential_energy", "total_energy"):
        np.testing.assert_allclose(getattr(b, quantity)(), getattr(p, quantity)().numpy(), rtol=1e-13)
    np.testing.assert_allclose(free_fall_time(b), smooth_minimum_time(moving_pairs(p).freefall_rate2).numpy(), rtol=1e-13)


def test_free_fall_time_overflows_in_no_units():
    expected = free_fall_time(three())
    for unit in (1e-60, 1e60):
        far = three(position=unit * np.array(X))
        np.testing.assert_allclose(free_fall_time(far), expected * unit**1.5, rtol=1e-13)


def test_a_parabolic_pair_has_no_energy_but_a_scale():
    b = Bodies([1.0, 1.0], [[-0.5, 0.0], [0.5, 0.0]], [[0.0, 1.0], [0.0, -1.0]])
    K, U = b.kinetic_energy(), b.potential_energy()
    assert (K.item(), U.item(), b.total_energy().item()) == (1.0, -1.0, 0.0)
    assert b.energy_scale().item() == ENERGY_FLOOR * 2.0 == 2e-4


@pytest.mark.parametrize("speed", [0.0, 3.0, 1e6])
def test_the_energy_scale_does_not_see_motion_as_a_whole(speed):
    b = random_bodies(5, 3, 4)
    at_rest = b.velocity - (b.momentum() / b.mass.sum(1)[:, None])[:, None]
    moving = b.replace(velocity=at_rest + np.array([speed, -speed, 0.5 * speed]))
    E = b.replace(velocity=at_rest).total_energy()
    np.testing.assert_allclose(moving.energy_scale(), np.abs(E), rtol=1e-15 * (1 + speed) + 1e-14)


def test_in_an_external_field_the_kinetic_energy_is_taken_as_it_is():
    field = PointMassTidalField(3.0, R0=20.0)
    b = three(velocity=np.array(V) + 5.0, external_field=field)
    K, U = b.kinetic_energy(), b.potential_energy()
    assert np.array_equal(b.energy_scale(), np.maximum(np.abs(K + U), 1e-4 * (K + np.abs(U))))
    outer = (b.mass * field.potential(b.position, b.time)).sum(1)
    assert pytest.approx(three().potential_energy() + outer, rel=1e-14) == U
    assert b.total_energy() == pytest.approx(K + U)


def test_the_external_field_acts_at_the_time_of_each_system():
    field = PointMassTidalField(3.0, R_of_t=lambda t: np.stack([20 * np.cos(t), 20 * np.sin(t)], -1))
    b = Bodies(1.0, [X, X], [V, V], time=[0.0, 2.0], external_field=field)
    each = [three(mass=1.0, time=t, external_field=field).potential_energy().item() for t in (0.0, 2.0)]
    assert b.potential_energy().tolist() == each
    assert each[0] != each[1]


def test_test_particles_alone_have_a_scale_to_divide_by():
    b = Bodies([1.0, 0.0], [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]])
    assert b.total_energy().item() == 0.0
    assert b.energy_scale().item() == np.finfo(float).tiny


@pytest.mark.parametrize("dim", [2, 3])
def test_momentum_and_angular_momentum(dim):
    b = random_bodies(6, dim, 3)
    assert b.momentum().shape == (3, dim)
    np.testing.assert_allclose(b.momentum(), (b.mass[..., None] * b.velocity).sum(1), rtol=1e-13, atol=1e-13)
    x, v = (np.pad(a, ((0, 0), (0, 0), (0, 3 - dim))) for a in (b.position, b.velocity))
    np.testing.assert_allclose(b.angular_momentum(), (b.mass[..., None] * np.cross(x, v)).sum(1), rtol=1e-12, atol=1e-12)
    assert b.angular_momentum().shape == (3, 3)
    if dim == 2:
        assert not b.angular_momentum()[:, :2].any()


@pytest.mark.parametrize("e", [0.0, 0.3, 0.99])
def test_the_orbit_of_a_pair_has_its_elements(e):
    pair = kepler(e=e, q=0.2, a=2.5, G=3.0)
    b = Bodies(np.append(pair.mass, 0.0), np.vstack([pair.position, [1.0, 7.0]]), np.vstack([pair.velocity, [0, 0]]), G=3.0)
    for i, j in ((0, 1), (1, 0)):
        orbit = b.orbit(i, j)
        assert orbit.semi_major_axis == pytest.approx(2.5, rel=1e-12)
        assert orbit.eccentricity == pytest.approx(e, abs=1e-12)
        assert orbit.period == pytest.approx(pair.period, rel=1e-12)
    for i, j in ((0, 0), (0, 3), (-1, 0)):
        with pytest.raises(InitialConditionError, match=f"orbit of bodies {i} and {j}: give two different numbers from 0 to 2"):
            b.orbit(i, j)


def test_unbound_pairs_have_an_orbit_without_a_period():
    x = [[[0.0, 0.0], [2.0, 0.0]]] * 3
    v = [[[0.0, 0.0], [0.0, s]] for s in (2.0, 1.0, 1.0)]
    orbit = Bodies([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], x, v).orbit(0, 1)  # escape speed 1
    assert orbit.period.tolist() == [math.inf] * 3
    assert orbit.semi_major_axis[0] == pytest.approx(-1 / 3)
    assert orbit.eccentricity.tolist() == pytest.approx([7.0, 1.0, 1.0])


# ---- memory -------------------------------------------------------------------------------------------------------------
def test_memory_grows_with_the_bodies_and_not_with_their_pairs():
    """An array of all pairs of 4000 bodies is 128 MB; measured: 9 MB."""
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(2, 4000, 3))
    tracemalloc.start()
    b = Bodies(1 / 4000, x, v)
    b.total_energy(), b.energy_scale(), free_fall_time(b)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


# ---- what is refused ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *REFUSED,
        ({"time": [0.1, 0.2]}, r"time has shape \(2,\), which does not fit \(1,\)"),
        ({"external_field": PointMassTidalField(1.0, R0=9.0, G=2.0)}, "field has G = 2.0, the bodies G = 1.0"),
        ({"external_field": PointMassTidalField(1.0, R0=X[1])}, r"by the external field is not finite .* = \[0, 1, 0\]"),
        ({"external_field": PointMassTidalField(1.0, R0=[1.0, 2.0, 3.0])}, "R has 3 axes, the bodies have 2"),
    ],
)
def test_every_mistake_is_named_with_its_value(changes, message):
    with pytest.raises(InitialConditionError, match=message):
        three(**changes)


def test_one_body_alone_is_refused():
    with pytest.raises(InitialConditionError, match="system 0 has fewer than 2 bodies"):
        Bodies(1.0, [[0.0, 0.0]], [[0.0, 0.0]])


def test_bodies_at_the_same_place_are_found_wherever_they_are():
    rng = np.random.default_rng(3)
    for dim in (2, 3):
        x = rng.normal(size=(4, 300, dim))
        x[:, :, 0] = rng.integers(-3, 3, (4, 300))  # many share an axis
        x[2, 217], x[3, 8] = x[2, 41], x[3, 7]
        assert len(Bodies(1.0, x[:2], np.zeros_like(x[:2]))) == 2
        with pytest.raises(InitialConditionError, match="body 41 of system 2 is at the same place"):
            Bodies(1.0, x, np.zeros_like(x))
        softening = [0.0, 0.0, 0.1, 0.0]
        with pytest.raises(InitialConditionError, match="body 7 of system 3 is at the same place"):
            Bodies(1.0, x, np.zeros_like(x), softening=softening)
        present = np.ones((4, 300), dtype=bool)
        present[3, 8] = present[0, 5] = present[0, 9] = False  # absent bodies all stand at the origin
        assert np.isfinite(Bodies(1.0, x, 0 * x, softening=softening, present=present).total_energy()).all()


@pytest.mark.parametrize(
    ("x", "too_close"),
    [
        ([[0.0, 1.0], [-0.0, 1.0]], True),
        ([[1e-170, 1.0], [-1e-170, 1.0]], True),
        ([[1e-150, 2e-160], [1e-150 + 1e-165, 1e-160]], True),
        ([[1e-100, 0.0], [0.0, 0.0]], False),
        ([[1.0, 0.0], [1.0 + 2e-16, 0.0]], False),
    ],
)
def test_distances_whose_squares_vanish_are_none(x, too_close):
    x = [[5.0, 1.0], x[0], [0.0, 0.0 if too_close else 3.0], x[1]]
    if too_close:
        with pytest.raises(InitialConditionError, match="body 1 of system 0 is at the same place"):
            Bodies(1.0, x, np.zeros((4, 2)))
        return
    assert np.isfinite(Bodies(1.0, x, np.zeros((4, 2))).total_energy()).all()


def test_what_no_float_holds_is_refused_in_a_sentence():
    b = three()
    for make in (
        lambda: b.replace(mass=10**400),
        lambda: b.replace(G=10**400),
        lambda: as_bodies(b, softening=10**400),
        lambda: b.replace(names=3),
        lambda: b.orbit(0, "1"),
        lambda: b.orbit(0, 1.0),
        lambda: b.select("x"),
        lambda: b.select([7]),
        lambda: PointMassTidalField(10**400, R0=2.0),
        lambda: PointMassTidalField(1.0, R0=10**400),
        lambda: PointMassTidalField(1.0, R0=2.0, G=1j),
    ):
        with pytest.raises(InitialConditionError):
            make()


def test_a_softening_may_be_a_tensor(torch):
    assert as_bodies(three(), softening=torch.tensor([0.25])).softening.tolist() == [0.25]
    assert as_bodies(three(), G=torch.tensor(3.0)).G == 3.0
