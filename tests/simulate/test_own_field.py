"""Outer fields of one's own, by address and through Python: the numbers of the package's tidal field, work included."""

from __future__ import annotations

import math

import numpy as np
import pytest
from stopped_runs import short_turns, started

from aitimestepper import OwnField, Snapshots, resume
from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import Constant, FreeFall
from aitimestepper.criteria.own import OwnCriterion
from aitimestepper.criteria.wrappers import HutMakinoMcMillan, Symmetrized
from aitimestepper.errors import ConfigError, InitialConditionError, SlowPythonWarning
from aitimestepper.fields import PointMassTidalField, tidal
from aitimestepper.initial import named as initial
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.kernels import callbacks

in_python = pytest.mark.filterwarnings("ignore::aitimestepper.errors.SlowPythonWarning")
GM, R0, PERIOD = 5.0, 4.0, 5.0
OMEGA = 2 * math.pi / PERIOD
METHODS = ["leapfrog", "suzuki4", "kahan_li6", "kahan_li8", "radau15"]


@callbacks.field
def standing(n, t, x, a, phi, rate):
    """The tide of a mass at (R0, 0, 0), as the formula is written in textbooks."""
    for i in range(n):
        dx, dy, dz = R0 - x[i], -x[n + i], -x[2 * n + i]
        r = math.sqrt(dx * dx + dy * dy + dz * dz)
        a[i] = GM * (dx / r**3 - 1.0 / R0**2)
        a[n + i] = GM * dy / r**3
        a[2 * n + i] = GM * dz / r**3
        phi[i] = -GM * (1.0 / r - 1.0 / R0 - x[i] / R0**2)


@callbacks.field
def circling(n, t, x, a, phi, rate):
    """The tide of a mass on a circle, with the rate at which its potential changes at a fixed place."""
    X, Y = R0 * math.cos(OMEGA * t), R0 * math.sin(OMEGA * t)
    VX, VY = -OMEGA * Y, OMEGA * X
    for i in range(n):
        dx, dy, dz = X - x[i], Y - x[n + i], -x[2 * n + i]
        r = math.sqrt(dx * dx + dy * dy + dz * dz)
        along = x[i] * X + x[n + i] * Y
        a[i] = GM * (dx / r**3 - X / R0**3)
        a[n + i] = GM * (dy / r**3 - Y / R0**3)
        a[2 * n + i] = GM * dz / r**3
        phi[i] = -GM * (1.0 / r - 1.0 / R0 - along / R0**3)
        turning = x[i] * VX + x[n + i] * VY
        rate[i] = GM * ((dx * VX + dy * VY) / r**3 + turning / R0**3)


class Mine:
    """A field in Python: the methods of another one, and nothing that the engine knows."""

    def __init__(self, field: PointMassTidalField) -> None:
        self.field, self.time_dependent = field, field.time_dependent

    def acceleration(self, x, t):
        return self.field.acceleration(x, t)

    def potential(self, x, t):
        return self.field.potential(x, t)


class Rated(Mine):
    """One that knows how fast its potential changes."""

    def potential_rate(self, x, t):
        angle = OMEGA * t[:, None]
        X, Y = R0 * np.cos(angle), R0 * np.sin(angle)
        dx, dy = X - x[..., 0], Y - x[..., 1]
        r3 = (dx**2 + dy**2 + (x[..., 2:] ** 2).sum(-1)) ** 1.5
        turning = -x[..., 0] * OMEGA * Y + x[..., 1] * OMEGA * X
        return GM * ((-dx * OMEGA * Y + dy * OMEGA * X) / r3 + turning / R0**3)


KNOWN = {"standing": tidal(M=GM, R0=R0), "circling": tidal(M=GM, R0=R0, period=PERIOD)}
OURS = {
    "standing": {"address": lambda: OwnField(standing), "python": lambda: Mine(KNOWN["standing"])},
    "circling": {"address": lambda: OwnField(circling, time_dependent=True), "python": lambda: Rated(KNOWN["circling"])},
}


def pair(field, axes: int = 2, **more) -> Bodies:
    return started(initial.kepler(0.2, 0.3, dim=axes), external_field=field, **more)


def same_numbers(ours, known, atol: float = 1e-12) -> None:
    assert ours.steps.tolist() == known.steps.tolist()
    # the iterations of radau15 end where rounding moves the nodes
    assert ours.force_evaluations.tolist() == pytest.approx(known.force_evaluations.tolist(), rel=0.01)
    for name in ("position", "velocity"):
        np.testing.assert_allclose(getattr(ours.final, name), getattr(known.final, name), rtol=0, atol=atol)
    for name in ("max_energy_error", "final_energy_error"):
        np.testing.assert_allclose(getattr(ours, name), getattr(known, name), rtol=0, atol=atol)
    np.testing.assert_allclose(ours.final.total_energy(), known.final.total_energy(), rtol=0, atol=10 * atol)


@in_python
@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("integrator", METHODS)
@pytest.mark.parametrize("how", ["address", "python"])
@pytest.mark.parametrize("kind", KNOWN)
def test_a_field_of_ones_own_gives_the_numbers_of_the_packages(kind, how, integrator, axes):
    """Positions, energy errors and, since the energy itself changes by its work, the work."""
    given = {"t_end": 2.0, "criterion": Constant(0.02), "integrator": integrator}
    known, ours = (simulate(pair(field, axes), **given) for field in (KNOWN[kind], OURS[kind][how]()))
    same_numbers(ours, known)
    moved = abs(ours.final.total_energy() - pair(KNOWN[kind], axes).total_energy())[0]
    assert moved > 0.01 if kind == "circling" else moved < 1e-3
    assert ours.max_energy_error[0] < 1e-3
    assert ours.momentum_error is None


@in_python
def test_the_rate_of_a_potential_that_does_not_know_its_own_is_a_difference():
    """Its work is right to 1e-10."""
    given = {"t_end": 2.0, "criterion": Constant(0.01), "integrator": "kahan_li6"}
    known, ours = (simulate(pair(field), **given) for field in (KNOWN["circling"], Mine(KNOWN["circling"])))
    assert abs(ours.final.position - known.final.position).max() < 1e-12
    assert abs(ours.max_energy_error - known.max_energy_error)[0] < 1e-10


@in_python
@pytest.mark.parametrize("how", ["address", "python"])
@pytest.mark.parametrize(
    "criterion", [FreeFall(0.02), Symmetrized(FreeFall(0.02)), HutMakinoMcMillan(FreeFall(0.02), 2)], ids=str
)
def test_in_a_batch_on_two_threads_with_adaptive_steps(criterion, how):
    """Every system asks at its own time."""
    given = {"t_end": 2.0, "criterion": criterion, "integrator": "suzuki4", "threads": 2}
    known, ours = (
        simulate(Bodies.stack([pair(field, time=0.3 * k) for k in range(4)]), **given)
        for field in (KNOWN["circling"], OURS["circling"][how]())
    )
    same_numbers(ours, known, atol=1e-11)
    assert len(set(ours.steps.tolist())) > 1


def test_who_computes_is_said_where_it_is_slow():
    with pytest.warns(SlowPythonWarning, match=r"the outer field Mine runs in Python.*a numba cfunc"):
        simulate(pair(Mine(KNOWN["standing"])), steps=2, criterion=Constant(0.01))
    simulate(pair(OwnField(standing)), steps=2, criterion=Constant(0.01))  # warnings are errors here


@in_python
@pytest.mark.parametrize("integrator", ["leapfrog", "radau15"])
def test_an_error_in_a_field_is_raised_and_the_run_can_go_on(integrator, tmp_path, same_result):
    class Failing(Mine):
        calls = 0

        def potential(self, x, t):
            self.calls += 1
            if self.calls == 90:
                raise ZeroDivisionError("no such place")
            return super().potential(x, t)

    path, given = tmp_path / "run.h5", {"t_end": 2.0, "criterion": Symmetrized(FreeFall(0.02)), "integrator": integrator}
    field = Mine(KNOWN["circling"])
    expected = simulate(pair(field), **given)
    with pytest.raises(ZeroDivisionError, match="no such place"):
        simulate(pair(Failing(KNOWN["circling"])), output=path, output_every=0.25, **given)
    assert same_result(resume(path, external_field=field), expected)
    wrong = Mine(KNOWN["circling"])
    wrong.potential = lambda x, t: np.zeros((7, 7, 7))
    with pytest.raises(InitialConditionError, match=r"the external field Mine: its potential has the shape \(7, 7, 7\) for"):
        simulate(pair(wrong), **given)


@in_python
@pytest.mark.parametrize("how", ["address", "python"])
def test_a_stopped_run_needs_its_field_again_and_goes_on_to_the_same_bits(how, tmp_path, same_result):
    field, path = OURS["circling"][how](), tmp_path / "run.h5"
    given = {"particle": pair(field), "t_end": 2.0, "criterion": Symmetrized(FreeFall(0.02)), "integrator": "kahan_li6"}

    def stop(status):
        raise KeyboardInterrupt

    with short_turns(), pytest.raises(KeyboardInterrupt):
        simulate(**given, output=path, output_every=0.25, progress=stop)
    with Snapshots(path) as s:
        assert s.status == ["running"]
    with pytest.raises(ConfigError, match=r"the external_field of this run is a function of your own: give it again"):
        resume(path)
    assert same_result(resume(path, external_field=field), simulate(**given))


@in_python
@pytest.mark.parametrize("how", ["address", "python"])
def test_a_run_with_a_field_of_ones_own_may_be_given_a_later_end(how, tmp_path):
    field, path = OURS["circling"][how](), tmp_path / "run.h5"
    simulate(pair(field), t_end=1.0, criterion=Constant(0.015625), integrator="kahan_li6", output=path, output_every=0.25)
    with pytest.raises(ConfigError, match=r"the external_field of this run is a function of your own: give it again"):
        resume(path, t_end=2.0)
    r = resume(path, t_end=2.0, external_field=field)
    whole = simulate(pair(field), t_end=2.0, criterion=Constant(0.015625), integrator="kahan_li6")
    np.testing.assert_allclose(r.final.position, whole.final.position, rtol=0, atol=1e-13)
    assert r.final.external_field is field
    assert r.max_energy_error[0] == pytest.approx(whole.max_energy_error[0], rel=1e-6)


def test_the_bodies_of_a_file_come_without_it_and_say_so(tmp_path):
    """No file can hold a function; energies of bodies without it would be wrong in silence."""
    field = OwnField(standing)
    simulate(pair(field), t_end=1.0, criterion=Constant(0.01), output=tmp_path / "run.h5")
    with Snapshots(tmp_path / "run.h5") as s:
        with pytest.warns(UserWarning, match="the outer field of the run is a function of its user's own"):
            assert s.initial.external_field is None
        again = s[-1].replace(external_field=field).total_energy()
        np.testing.assert_allclose(again, s.energy[-1], rtol=1e-13)


@in_python
def test_a_criterion_and_a_field_of_ones_own_in_one_run(same_result):
    def steady(time, mass, position, velocity, acceleration, value):
        return value

    given = {"t_end": 1.0, "integrator": "suzuki4"}
    field = Mine(KNOWN["circling"])
    ours = simulate(pair(field), criterion=OwnCriterion(steady, value=0.02), **given)
    assert same_result(ours, simulate(pair(field), criterion=Constant(0.02), **given))
