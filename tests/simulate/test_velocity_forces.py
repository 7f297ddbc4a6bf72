"""Velocity-dependent forces: exact motions, an energy error that counts their work, and where they are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper import Bodies, Snapshots, resume, simulate
from aitimestepper.criteria.classical import PRS23, Constant, FreeFall
from aitimestepper.errors import ConfigError, InitialConditionError, SlowPythonWarning
from aitimestepper.fields import VelocityForce
from aitimestepper.initial.named import kepler
from aitimestepper.simulate.kernels import callbacks
from some_fields import HALOS

in_python = pytest.mark.filterwarnings("ignore::aitimestepper.errors.SlowPythonWarning")
GAMMA, OMEGA = 0.3, 1.7


@callbacks.velocity_force
def drag(n, t, mass, x, v, a):
    """A drag proportional to the velocity."""
    for k in range(3 * n):
        a[k] = -GAMMA * v[k]


@callbacks.velocity_force
def magnetic(n, t, mass, x, v, a):
    """A magnetic field along the third axis that grows with time."""
    for i in range(n):
        a[i], a[n + i] = OMEGA * (1 + 0.5 * t) * v[n + i], -OMEGA * (1 + 0.5 * t) * v[i]


def drag_in_python(t, mass, x, v):
    return -GAMMA * v


def pair(e: float = 0.5, **more) -> Bodies:
    found = kepler(e, 0.3, dim=3)
    return Bodies(found.mass, found.position, found.velocity, **more)


def test_light_bodies_under_drag_and_a_magnetic_field_move_as_they_must():
    """Their gravity is 1e-20 of the forces."""
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=(2, 3, 3))
    start = Bodies([1e-20, 2e-20, 1e-20], x, v, external_field=VelocityForce(drag))
    r = simulate(start, t_end=4.0, criterion=Constant(0.25))
    assert r.integrator == "radau15"
    left = math.exp(-GAMMA * 4.0)
    np.testing.assert_allclose(r.final.velocity[0], v * left, rtol=1e-13)
    np.testing.assert_allclose(r.final.position[0], x + v * (1 - left) / GAMMA, rtol=0, atol=1e-13)
    assert r.max_energy_error[0] < 1e-13
    assert r.final.total_energy()[0] == pytest.approx(start.total_energy()[0] * left**2, rel=1e-8)
    turned = simulate(start.replace(external_field=VelocityForce(magnetic)), t_end=2.0, criterion=Constant(0.1))
    angle = OMEGA * (2.0 + 0.25 * 4.0)
    turn = np.array([[math.cos(angle), math.sin(angle), 0], [-math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    np.testing.assert_allclose(turned.final.velocity[0], v @ turn.T, rtol=0, atol=1e-13)
    assert turned.max_energy_error[0] < 1e-13


def test_a_spring_with_drag_and_a_magnetic_field_against_the_exponential_of_its_matrix():
    class Spring:
        time_dependent = False

        def acceleration(self, x, t):
            return -2.0 * x

        def potential(self, x, t):
            return (x * x).sum(-1)

    @callbacks.velocity_force
    def both(n, t, mass, x, v, a):
        for i in range(n):
            a[i], a[n + i] = OMEGA * v[n + i] - GAMMA * v[i], -OMEGA * v[i] - GAMMA * v[n + i]

    x, v = np.array([[1.0, 0.5], [-0.3, 0.8]]), np.array([[0.2, -1.0], [0.7, 0.4]])
    with pytest.warns(SlowPythonWarning):
        r = simulate(
            Bodies([1e-20, 1e-20], x, v), t_end=5.0, criterion=Constant(0.2), external_field=[Spring(), VelocityForce(both)]
        )
    B = np.array([[-GAMMA, OMEGA], [-OMEGA, -GAMMA]])
    rates, modes = np.linalg.eig(np.block([[np.zeros((2, 2)), np.eye(2)], [-2.0 * np.eye(2), B]]))
    whole = (modes * np.exp(5.0 * rates) @ np.linalg.inv(modes)).real
    for i in range(2):
        expected = whole @ [*x[i], *v[i]]
        np.testing.assert_allclose([*r.final.position[0, i], *r.final.velocity[0, i]], expected, rtol=0, atol=1e-12)
    assert r.max_energy_error[0] < 1e-12


@pytest.mark.parametrize("rule", [PRS23(), FreeFall(0.05), Constant(0.01)], ids=str)
def test_the_energy_error_counts_the_work(rule):
    """Half of the binding energy again goes into the drag, and the error stays at rounding."""
    start = pair(external_field=VelocityForce(drag))
    r = simulate(start, t_end=3.0, criterion=rule, integrator="radau15")
    lost = start.total_energy()[0] - r.final.total_energy()[0]
    assert lost > 0.3 * abs(start.total_energy()[0])
    assert r.max_energy_error[0] < 1e-12
    assert r.momentum_error is None


def test_the_energy_error_sees_steps_that_are_too_long():
    """It is of the size of the error in the energy itself."""
    start = pair(external_field=VelocityForce(drag))
    exact = simulate(start, t_end=3.0, criterion=PRS23()).final.total_energy()[0]
    for dt in (0.6, 0.4):
        r = simulate(start, t_end=3.0, criterion=Constant(dt), integrator="radau15")
        true = abs(r.final.total_energy()[0] - exact)
        assert true > 1e-9
        assert 0.01 < r.max_energy_error[0] * abs(start.total_energy()[0]) / true < 100.0


@pytest.mark.parametrize("force", [drag, magnetic], ids=["drag", "magnetic"])
def test_forward_and_back_again_returns_to_the_start(force):
    """Backward in time a drag speeds bodies up."""
    start = pair(0.3, external_field=VelocityForce(force))
    there = simulate(start, t_end=2.0, criterion=PRS23())
    back = simulate(there, t_end=0.0)
    np.testing.assert_allclose(back.final.position, start.position, rtol=0, atol=1e-11)
    np.testing.assert_allclose(back.final.velocity, start.velocity, rtol=0, atol=1e-11)
    assert back.max_energy_error[0] < 1e-11
    assert np.abs(there.final.velocity - start.velocity).max() > 0.1


def test_rows_between_steps_count_the_work_so_far(tmp_path):
    start = pair(external_field=VelocityForce(drag))
    simulate(start, t_end=3.0, criterion=PRS23(), output=tmp_path / "run.h5", output_every=0.01)
    with Snapshots(tmp_path / "run.h5") as s:
        assert s.energy_error.max() < 1e-11


@in_python
def test_python_and_c_give_the_same_numbers_in_a_batch():
    batch = Bodies.stack([pair(0.1), pair(0.5), pair(0.8)])
    by_address, in_python, with_halo = (
        simulate(batch, t_end=2.0, criterion=PRS23(), external_field=force)
        for force in (VelocityForce(drag), VelocityForce(drag_in_python), [VelocityForce(drag), HALOS["logarithmic"]])
    )
    np.testing.assert_allclose(by_address.final.position, in_python.final.position, rtol=0, atol=1e-13)
    assert with_halo.max_energy_error.max() < 1e-12
    assert np.abs(with_halo.final.position - by_address.final.position).max() > 0.01


@in_python
def test_a_file_needs_the_force_again(tmp_path, same_result):
    force, path = VelocityForce(drag_in_python), tmp_path / "run.h5"
    given = {"criterion": PRS23(), "external_field": force}
    simulate(pair(), t_end=1.0, **given, output=path)
    with pytest.raises(ConfigError, match="the external_field of this run is a function of your own: give it again"):
        resume(path, t_end=2.0)
    longer, whole = resume(path, t_end=2.0, external_field=force), simulate(pair(), t_end=2.0, **given)
    np.testing.assert_allclose(longer.final.position, whole.final.position, rtol=0, atol=1e-13)


@pytest.mark.parametrize("integrator", ["leapfrog", "blanes_moan6", "chin4", "hermite4", "logh"])
def test_other_integrators_refuse_them(integrator):
    with pytest.raises(
        ConfigError, match=rf"^integrator = {integrator} allows no (force that depends on velocities|outer field)"
    ):
        simulate(pair(), steps=1, criterion=Constant(0.01), integrator=integrator, external_field=VelocityForce(drag))


@in_python
def test_what_is_wrong_is_said_in_a_sentence():
    with pytest.raises(InitialConditionError, match=r"^VelocityForce: 3 cannot be called; give a function f\(t, mass, pos"):
        VelocityForce(3)
    wrong = VelocityForce(lambda t, mass, x, v: v[:1])
    with pytest.raises(InitialConditionError, match=r"returned the shape \(1, 3\) for \(2, 3\) positions; it must return as"):
        simulate(pair(), steps=1, external_field=wrong)

    def breaks(t, mass, x, v):
        if t > 0.5:
            raise ZeroDivisionError("no such time")
        return 0.0 * v

    with pytest.raises(ZeroDivisionError, match="no such time"):
        simulate(pair(), t_end=1.0, criterion=Constant(0.1), external_field=VelocityForce(breaks))
