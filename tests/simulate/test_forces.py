"""Outer fields and forces in the engine: those of the arrays, energies conserved, the bits of single runs side by side."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper import Bodies, OwnField, Snapshots, resume, simulate
from aitimestepper.criteria.classical import PRS23, Constant, FreeFall
from aitimestepper.criteria.wrappers import Symmetrized
from aitimestepper.errors import SnapshotError
from aitimestepper.fields import field_to_plain
from aitimestepper.simulate.kernels import callbacks
from some_fields import EVERY, HALOS, TIDES


def systems(count: int, n: int = 3, **more) -> Bodies:
    """Systems of a heavy body and others about it, each at its own time, softened so that no force runs away."""
    rng = np.random.default_rng(n)
    angle = rng.uniform(0, 6, (count, n))
    r = np.concatenate([[0.0], 1.0 + np.arange(n - 1)])
    x = np.stack([np.cos(angle), np.sin(angle), 0.3 * np.sin(2 * angle)], -1) * r[:, None]
    v = np.stack([-np.sin(angle), np.cos(angle), 0.2 * np.cos(angle)], -1) * (r[:, None] > 0)
    mass = np.concatenate([np.ones((count, 1)), rng.uniform(0.01, 0.1, (count, n - 1))], 1)
    return Bodies(mass, x, v, G=2.0, time=0.1 * np.arange(count), **more)


@pytest.mark.parametrize("integrator", ["kahan_li6", "radau15"])
@pytest.mark.parametrize("kind", EVERY)
def test_every_field_conserves_the_energy_less_its_work(kind, integrator):
    start = systems(2, external_field=EVERY[kind])
    r = simulate(start, t_end=start.time + 1.0, criterion=Constant(0.01), integrator=integrator)
    assert r.max_energy_error.max() < 1e-9
    alone = simulate(
        start.replace(external_field=None), t_end=start.time + 1.0, criterion=Constant(0.01), integrator=integrator
    )
    assert np.abs(alone.final.position - r.final.position).max() > 1e-4
    change = r.final.total_energy() - start.total_energy()
    moves = EVERY[kind].time_dependent
    assert (np.abs(change) > 1e-3 if moves else np.abs(change) < 1e-8).all()


@pytest.mark.parametrize("n", [2, 3, 4, 5, 12])
@pytest.mark.parametrize("integrator", ["blanes_moan4", "radau15"])
def test_side_by_side_they_have_the_bits_of_single_runs(n, integrator):
    for kind, field in EVERY.items():
        start = systems(5, n, external_field=field)
        how = {"criterion": Symmetrized(FreeFall(0.05)), "integrator": integrator, "warn": False}
        together = simulate(start, t_end=start.time + 0.3, **how)
        for b in range(len(start)):
            alone = simulate(start.select(b), t_end=float(start.time[b]) + 0.3, **how)
            assert np.array_equal(alone.final.position[0], together.final.position[b]), (kind, b)
            assert alone.max_energy_error[0] == together.max_energy_error[b]


@pytest.mark.parametrize("kind", EVERY)
def test_many_bodies_feel_what_few_do(kind):
    """Of more than twelve bodies the loops are others."""
    start = systems(1, 14, external_field=EVERY[kind])
    many = start.replace(mass=start.mass * np.concatenate([np.ones(4), np.zeros(10)]))
    few = Bodies(*(x[:, :4] for x in (start.mass, start.position, start.velocity)), G=2.0, external_field=EVERY[kind])
    ours, theirs = (simulate(b, t_end=0.5, criterion=Constant(0.01), integrator="suzuki4") for b in (many, few))
    np.testing.assert_allclose(ours.final.position[:, :4], theirs.final.position, rtol=0, atol=1e-12)
    assert ours.final_energy_error == pytest.approx(theirs.final_energy_error, abs=1e-12)


def test_the_rows_of_gauss_radau_between_its_steps_count_the_work_so_far(tmp_path):
    start = systems(1, external_field=TIDES["circling tide"])
    simulate(start, t_end=2.0, criterion=PRS23(), output=tmp_path / "run.h5", output_every=0.01)
    with Snapshots(tmp_path / "run.h5") as s:
        assert len(s.time) == 201
        assert s.energy_error.max() < 1e-11
        changes = [abs(s[k].total_energy()[0] - start.total_energy()[0]) for k in (20, 77, 200)]
        assert min(changes) > 1e-3


@pytest.mark.parametrize("kind", ["sum with forces", "nfw", "tilted oblateness", "precession"])
def test_a_file_holds_the_fields_of_its_run(kind, tmp_path, same_result):
    start, path = systems(2, external_field=EVERY[kind]), tmp_path / "run.h5"
    given = {"t_end": 1.0, "criterion": Symmetrized(FreeFall(0.03)), "integrator": "kahan_li6"}
    whole = simulate(start, **given, output=path, output_every=0.1)
    with Snapshots(path) as s:
        assert s.initial.external_field == EVERY[kind]
        assert np.allclose(s[-1].total_energy() - whole.final.total_energy(), 0.0)
    longer, expected = resume(path, t_end=1.5), simulate(whole, t_end=1.5)
    assert np.array_equal(longer.final.position, expected.final.position)


def test_a_hostile_field_in_a_file_is_refused(tmp_path):
    from aitimestepper.simulate import restart

    plain = field_to_plain(EVERY["sum with forces"])
    for wrong in ({"sum": [{**plain["sum"][1], "body": 10**9}]}, {"sum": [{**plain["sum"][1], "c": -1.0}]}):
        with pytest.raises((SnapshotError, ValueError)):
            systems(1, external_field=restart._field(wrong, None))


@pytest.mark.parametrize("kind", ["sum with forces", "tilted oblateness", "wide nfw"])
def test_forward_and_back_again_returns_to_the_start(kind):
    start = systems(2, external_field=EVERY[kind])
    there = simulate(start, t_end=start.time + 1.0, criterion=PRS23())
    back = simulate(there, t_end=start.time)
    np.testing.assert_allclose(back.final.position, start.position, rtol=0, atol=1e-10)
    assert back.max_energy_error.max() < 1e-11
    assert np.abs(there.final.position - start.position).max() > 0.1


# ---- with functions of one's own ----------------------------------------------------------------------------------------
@callbacks.field
def plummer(n, t, x, a, phi, rate):
    """The field HALOS["plummer"]."""
    for i in range(n):
        dx, dy, dz = x[i] - 0.2, x[n + i] + 0.3, x[2 * n + i]
        s2 = dx * dx + dy * dy + dz * dz + 0.49
        pull = -6.0 / (s2 * s2**0.5)
        a[i], a[n + i], a[2 * n + i], phi[i] = pull * dx, pull * dy, pull * dz, pull * s2


def test_ones_own_field_beside_those_of_the_package():
    given = {"t_end": 1.0, "criterion": Constant(0.01), "integrator": "radau15"}
    rest = TIDES["circling tide"] + HALOS["nfw"]
    ours = simulate(systems(3), external_field=[OwnField(plummer), rest], **given)
    theirs = simulate(systems(3), external_field=HALOS["plummer"] + rest, **given)
    np.testing.assert_allclose(ours.final.position, theirs.final.position, rtol=0, atol=1e-13)
    np.testing.assert_allclose(ours.max_energy_error, theirs.max_energy_error, rtol=0, atol=1e-13)
