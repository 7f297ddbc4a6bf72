"""Criteria of one's own: called by address or through Python, they give the bits that the package's own would."""

from __future__ import annotations

import os
import signal
import threading

import numba
import numpy as np
import pytest
from stopped_runs import started

from aitimestepper import Snapshots, resume
from aitimestepper.bodies import Bodies, free_fall_time
from aitimestepper.criteria.classical import Constant, FreeFall
from aitimestepper.criteria.own import OwnCriterion
from aitimestepper.criteria.wrappers import Huayno, HutMakinoMcMillan, Limited, Symmetrized
from aitimestepper.errors import ConfigError, SlowPythonWarning
from aitimestepper.fields import PointMassTidalField
from aitimestepper.initial import named as initial
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.kernels import callbacks

in_python = pytest.mark.filterwarnings("ignore::aitimestepper.errors.SlowPythonWarning")
ETA = 0.005  # about 300 steps of leapfrog until the end of the fall, at pi
WRAPPERS = {
    "alone": lambda c: c,
    "symmetrized": Symmetrized,
    "limited": lambda c: Limited(Symmetrized(c), 0.001, 0.012),
    "huayno": Huayno,
    "hmm": lambda c: HutMakinoMcMillan(c, 2),
}


@callbacks.criterion
def falling(n, t, mass, x, v, a, eta):
    """FreeFall's formula for two bodies on the first axis, operation for operation (G = 1)."""
    dx = x[1] - x[0]
    inverse = 1.0 / np.sqrt(dx * dx)
    cube = inverse * inverse * inverse
    rate2 = mass[1] * cube + mass[0] * cube
    return eta / np.sqrt(np.sqrt(rate2 * rate2))


@callbacks.criterion
def steady(n, t, mass, x, v, a, dt):
    return dt


def falling_in_python(time, mass, position, velocity, acceleration, eta):
    dx = position[1, 0] - position[0, 0]
    inverse = 1.0 / np.sqrt(dx * dx)
    cube = inverse * inverse * inverse
    rate2 = mass[1] * cube + mass[0] * cube
    return eta / np.sqrt(np.sqrt(rate2 * rate2))


def head_on(length: float = 1.0, **more) -> Bodies:
    """Two equal masses that fall together on the first axis: no sum in which a fused instruction would round less."""
    return Bodies([0.5, 0.5], [[-length, 0.0], [length, 0.0]], np.zeros((2, 2)), **more)


# ---- the bits of the package's own ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("integrator", ["leapfrog", "kahan_li6", "hermite4", "logh", "radau15"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_formula_of_freefall_by_address_gives_the_bits_of_freefall(wrapper, integrator, same_result):
    given = {"t_end": 2.5, "integrator": integrator}
    built_in = simulate(head_on(), criterion=WRAPPERS[wrapper](FreeFall(ETA)), **given)
    ours = simulate(head_on(), criterion=WRAPPERS[wrapper](OwnCriterion(falling, value=ETA)), **given)
    assert same_result(ours, built_in)
    assert 100 < ours.steps[0] < 1000
    assert "falling(0.005)" in ours.criterion


@in_python
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_same_formula_in_python_gives_the_same_bits(wrapper, same_result):
    built_in = simulate(head_on(), t_end=2.0, criterion=WRAPPERS[wrapper](FreeFall(ETA)))
    ours = simulate(head_on(), t_end=2.0, criterion=WRAPPERS[wrapper](OwnCriterion(falling_in_python, value=ETA)))
    assert same_result(ours, built_in)


def test_a_constant_step_by_address(same_result):
    p = started(initial.random(5, 3, seed=1), softening=0.1)
    expected = simulate(p, t_end=1.0, criterion=Constant(0.01))
    assert same_result(simulate(p, t_end=1.0, criterion=OwnCriterion(steady, value=0.01)), expected)
    assert same_result(simulate(p, t_end=1.0, criterion=OwnCriterion(steady), dt_min=1e-4, dt_max=0.01), expected)


@in_python
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("function", [falling, falling_in_python], ids=["address", "python"])
def test_every_system_of_a_batch_may_have_its_number(function, threads, same_result):
    values = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    batch = Bodies.stack([head_on(1.0 + 0.1 * k, time=0.1 * k) for k in range(6)])
    given = {"t_end": 2.0, "threads": threads}
    together = simulate(batch, criterion=Symmetrized(OwnCriterion(function, value=values)), **given)
    assert same_result(together, simulate(batch, criterion=Symmetrized(FreeFall(values)), **given))
    assert len(set(together.steps.tolist())) == 6
    with pytest.raises(ConfigError, match="6 values of value do not fit 2 systems"):
        simulate(batch.select([0, 1]), criterion=OwnCriterion(function, value=values), **given)


def test_who_computes_is_said_where_it_is_slow():
    with pytest.warns(SlowPythonWarning, match=r"the criterion falling_in_python.* runs in Python.*a numba cfunc"):
        simulate(head_on(), steps=2, criterion=OwnCriterion(falling_in_python))
    simulate(head_on(), steps=2, criterion=OwnCriterion(falling, value=ETA))  # warnings are errors here


# ---- what a function is given ---------------------------------------------------------------------------------------------
@in_python
@pytest.mark.parametrize("axes", [2, 3])
def test_a_function_sees_the_state_and_may_keep_it(axes):
    field, seen = PointMassTidalField(20.0, R0=5.0), []
    p = started(initial.random(3, axes, seed=2), time=0.5, external_field=field)
    batch = Bodies.stack([p, started(initial.random(4, axes, seed=1), time=0.5, external_field=field)])

    def watching(time, mass, position, velocity, acceleration, value):
        seen.append((time, mass, position, velocity, acceleration))
        with pytest.raises(ValueError, match="read-only"):
            position[0] = 0.0
        return value

    rows: dict[str, list] = {"time": [], "position": [], "velocity": []}

    def take(_, new):
        for name, values in rows.items():
            values.extend(new[name][:, 0])

    simulate(batch, steps=5, criterion=OwnCriterion(watching, value=0.01), threads=1, sinks=(take,), output_steps=1)
    mine = [state for state in seen if len(state[1]) == 3]
    assert len(mine) == 5
    for k, (time, mass, position, velocity, acceleration) in enumerate(mine):
        state = Bodies(mass, position, velocity)
        assert np.array_equal(mass, p.mass[0])
        assert (time, position.shape) == (rows["time"][k], (3, axes))
        assert np.array_equal(position, rows["position"][k][:3])
        assert np.array_equal(velocity, rows["velocity"][k][:3])
        apart = position - position[:, None]
        distance = np.linalg.norm(apart, axis=-1) + np.eye(3)
        pull = (mass[:, None] * apart / distance[..., None] ** 3).sum(1)
        tide = field.acceleration(position[None], np.array([time]))[0]
        np.testing.assert_allclose(acceleration, pull + tide, rtol=1e-12, atol=1e-14)
        assert np.isfinite(free_fall_time(state)).all()


@in_python
def test_a_function_is_told_the_time_of_the_state_that_it_is_asked_about():
    """Huayno asks about states before and after, Hut, Makino & McMillan about the one at the end of the step."""
    p = head_on(time=1.0)

    def later(time, mass, position, velocity, acceleration, value):
        return 0.05 + 0.4 * (time - 1.0)

    first = {name: simulate(p, steps=1, criterion=WRAPPERS[name](OwnCriterion(later))).dt_max[0] for name in ("huayno", "hmm")}
    assert first["huayno"] == pytest.approx(0.05 / (1 - 0.5 * 0.4), rel=1e-12)
    dt = 0.05
    for _ in range(2):
        dt = 0.5 * (0.05 + (0.05 + 0.4 * dt))
    assert first["hmm"] == pytest.approx(dt, rel=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"function": lambda x: 0.1}, "must take time, mass, position, velocity, acceleration, value and return dt"),
        ({"function": 3}, "3 is neither a function nor a numba cfunc"),
        ({"function": falling, "value": 0.0}, "value = 0.0 must be a positive number"),
    ],
)
def test_what_cannot_be_called_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        OwnCriterion(**given)


def test_only_a_step_even_in_the_velocities_can_be_symmetrized():
    for wrap in (Symmetrized, Huayno, HutMakinoMcMillan):
        with pytest.raises(ConfigError, match="needs a step that is even in the velocities; own is not"):
            wrap(OwnCriterion(falling, even=False))


# ---- errors ---------------------------------------------------------------------------------------------------------------
class Failing:
    """Falls like FreeFall, and does something else at its call number `at`."""

    def __init__(self, at: int, act) -> None:
        self.at, self.act, self.calls = at, act, 0

    def __call__(self, time, mass, position, velocity, acceleration, eta):
        self.calls += 1
        if self.calls == self.at:
            self.act()
        return falling_in_python(time, mass, position, velocity, acceleration, eta)


def raise_error():
    raise ZeroDivisionError("no such step")


def raise_interrupt():
    raise KeyboardInterrupt


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


@in_python
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize(("act", "error"), [(raise_error, ZeroDivisionError), (raise_interrupt, KeyboardInterrupt)])
def test_an_error_ends_the_run_and_is_raised(act, error, wrapper):
    failing = Failing(40, act)
    with pytest.raises(error):
        simulate(head_on(), t_end=2.5, criterion=WRAPPERS[wrapper](OwnCriterion(failing, value=ETA)))
    assert failing.calls == 40


@in_python
@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_one_system_ends_the_batch(threads):
    batch = Bodies.stack([head_on(1.0 + 0.1 * k) for k in range(6)])
    with pytest.raises(ZeroDivisionError, match="no such step"):
        simulate(batch, t_end=2.0, criterion=OwnCriterion(Failing(50, raise_error), value=ETA), threads=threads)


@in_python
def test_ctrl_c_in_a_slow_function_is_heard_before_the_next_call():
    failing, before = Failing(40, press_ctrl_c), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        simulate(head_on(), t_end=2.5, criterion=OwnCriterion(failing, value=ETA))
    assert failing.calls == 40
    assert signal.getsignal(signal.SIGINT) is before


@in_python
def test_what_is_no_number_is_an_error_too():
    with pytest.raises(TypeError, match="NoneType"):
        simulate(head_on(), t_end=2.5, criterion=OwnCriterion(lambda *state: None))


@in_python
def test_a_run_in_another_thread_raises_there(same_result):
    found = []

    def run() -> None:
        try:
            simulate(head_on(), t_end=2.0, criterion=OwnCriterion(Failing(9, raise_error), value=ETA))
        except ZeroDivisionError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(found) == 1


# ---- output and going on --------------------------------------------------------------------------------------------------
@in_python
@pytest.mark.parametrize("wrapper", ["symmetrized", "huayno"])
def test_rows_change_neither_the_run_nor_how_often_a_function_is_called(wrapper, tmp_path, same_result):
    plain, watched = Failing(-1, None), Failing(-1, None)
    expected = simulate(head_on(), t_end=2.5, criterion=WRAPPERS[wrapper](OwnCriterion(plain, value=ETA)))
    criterion = WRAPPERS[wrapper](OwnCriterion(watched, value=ETA))
    for more in ({"output_every": 0.01}, {"output_steps": 7}):
        watched.calls = 0
        r = simulate(head_on(), t_end=2.5, criterion=criterion, output=tmp_path / f"{next(iter(more))}.h5", **more)
        assert same_result(r, expected)
        assert watched.calls == plain.calls


@in_python
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize(("at", "act"), [(1, raise_error), (2, press_ctrl_c), (150, raise_interrupt)])
def test_a_run_that_an_error_ended_goes_on_to_the_same_bits(at, wrapper, act, tmp_path, same_result):
    """As it was before the turn in which that happened; the function is needed again."""
    whole, path = tmp_path / "whole.h5", tmp_path / "run.h5"
    criterion = WRAPPERS[wrapper](OwnCriterion(falling, value=ETA))
    expected = simulate(head_on(), t_end=2.5, criterion=criterion, output=whole)
    failing = WRAPPERS[wrapper](OwnCriterion(Failing(at, act), value=ETA))
    with pytest.raises((ZeroDivisionError, KeyboardInterrupt)):
        simulate(head_on(), t_end=2.5, criterion=failing, output=path)
    with Snapshots(path) as s:
        assert s.status == ["running"]
    with pytest.raises(ConfigError, match=r"the criterion of this run is a function of your own: give it again, as resume"):
        resume(path)
    with pytest.raises(ConfigError, match=r"is a function of your own, not freefall\(0\.005\): give that one again"):
        resume(path, criterion=FreeFall(ETA))
    assert same_result(resume(path, criterion=criterion), expected)
    with Snapshots(path) as s, Snapshots(whole) as other:
        assert np.array_equal(s.position[:], other.position[:])


def test_a_run_without_functions_of_ones_own_takes_none_to_go_on(tmp_path):
    simulate(head_on(), t_end=1.0, criterion=FreeFall(), output=tmp_path / "run.h5")
    for given, word in (({"criterion": FreeFall()}, "criterion"), ({"external_field": object()}, "external_field")):
        with pytest.raises(ConfigError, match=f"the {word} of this run is in the file: leave {word} out"):
            resume(tmp_path / "run.h5", t_end=2.0, **given)


def test_a_cfunc_of_ones_own_making_will_do_too(same_result):
    """Without the decorator of the package: the signature alone counts."""
    made = numba.cfunc(callbacks.CRITERION)(lambda n, t, mass, x, v, a, value: value)
    ours = simulate(head_on(), steps=20, criterion=OwnCriterion(made, value=0.01))
    assert same_result(ours, simulate(head_on(), steps=20, criterion=Constant(0.01)))
