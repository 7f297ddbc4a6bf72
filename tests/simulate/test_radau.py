"""The Gauss-Radau method of order 15, its kernels called through a small loop of their own."""

from __future__ import annotations

import math
from fractions import Fraction

import numba
import numpy as np
import pytest

from aitimestepper.initial import named as initial
from aitimestepper.simulate.kernels import layout as at
from aitimestepper.simulate.kernels import radau_tables as table
from aitimestepper.simulate.kernels.lanes import pointer
from aitimestepper.simulate.kernels.layout import CIRCULAR, HEAD, U0, U3, VECTORS
from aitimestepper.simulate.kernels.radau import radau_accept, radau_interpolate, radau_memory, radau_step
from aitimestepper.simulate.kernels.radau_dt import GLOBAL_RULE, PRS23_RULE, radau_first_dt, radau_next_dt
from aitimestepper.simulate.kernels.system import SystemView, forces, kinetic_energy

ENERGY, POTENTIAL, WORK, WORST, EVALUATIONS, REJECTED, DT, LAST_DT, TIME, CURRENT = range(10)


@numba.njit(error_model="numpy")
def _advance(n, states, rooms, most, t_end, epsilon, rule, known, probe):
    """At most `most` steps: of known[DT] if epsilon is 0. With a `probe`, the state at that fraction of the last step goes
    into the third block."""
    s, m = pointer(states, 0, (0,)), pointer(rooms, 0, (0,))
    w = SystemView(np.uint64(n), s, U0, 1)
    size = np.uint64(VECTORS) * U3 * w.n
    first = np.uint64(HEAD)
    old, new = first + np.uint64(known[CURRENT]) * size, first + np.uint64(1 - known[CURRENT]) * size
    steps, last = 0, False
    if known[TIME] == 0.0:
        known[POTENTIAL], _ = forces(w, old, 0.0)
        known[ENERGY] = known[POTENTIAL] + kinetic_energy(w, old)
        if epsilon > 0.0:
            known[DT] = radau_first_dt(w, old, epsilon)
    while steps < most and not last:
        dt = known[DT]
        while True:
            last = known[TIME] + dt >= t_end
            if last:
                dt = t_end - known[TIME]
            done = radau_step(w, old, new, known[TIME], dt, m)
            known[EVALUATIONS] += done.evaluations
            following = radau_next_dt(w, m, dt, epsilon, rule) if epsilon > 0.0 else known[DT]
            if not following < 0.25 * dt:
                break
            known[REJECTED] += 1
            dt = following
        radau_accept(w, m, dt)
        known[DT], known[LAST_DT] = min(following, 4.0 * dt), dt
        known[TIME] = t_end if last else known[TIME] + dt
        known[WORK] += done.work
        known[POTENTIAL] = done.potential
        error = abs((done.potential + kinetic_energy(w, new) - known[WORK]) / known[ENERGY] - 1.0)
        known[WORST] = max(known[WORST], error)
        steps += 1
        old, new = new, old
        known[CURRENT] = 1 - known[CURRENT]
        if probe >= 0.0:
            radau_interpolate(w, m, dt, probe, first + size + size)
    return steps


class Run:
    """One system and its memory."""

    def __init__(self, bodies: initial.InitialConditions, field: dict[int, float] | None = None):
        n, axes = bodies.position.shape
        self.n, self.mass = n, bodies.mass
        self.states = np.zeros(HEAD + int(at.PARTIAL) * n)
        for vector, values in ((at.POSITION, bodies.position), (at.VELOCITY, bodies.velocity)):
            lifted = np.zeros((3, n))
            lifted[:axes] = values.T
            self.put(vector, lifted)
        self.states[HEAD + int(at.MASS) * n :][:n] = bodies.mass
        self.states[HEAD + int(at.GM) * n :][:n] = bodies.mass * (bodies.G or 1.0)
        self.states[at.TIME_SIGN] = 1.0
        for place, value in (field or {}).items():
            self.states[place] = value
        self.memory = radau_memory(1, n)[0]
        self.known = np.zeros(CURRENT + 1)
        self.steps = 0

    def place(self, vector: int, block: int) -> slice:
        first = HEAD + (block * VECTORS + int(vector)) * 3 * self.n
        return slice(first, first + 3 * self.n)

    def put(self, vector: int, values: np.ndarray) -> None:
        self.states[self.place(vector, 0)] = values.ravel()

    def vector(self, vector: int, block: int | None = None) -> np.ndarray:
        """(n, 3)."""
        here = int(self.known[CURRENT]) if block is None else block
        return self.states[self.place(vector, here)].reshape(3, self.n).T.copy()

    def go(self, t_end: float, dt: float | None = None, epsilon: float = 1e-9, rule: int = PRS23_RULE, most=10**9, probe=-1.0):
        if dt is not None:
            self.known[DT], epsilon = dt, 0.0
        self.steps += _advance(self.n, self.states, self.memory, most, t_end, epsilon, rule, self.known, probe)
        return self

    @property
    def energy_error(self) -> float:
        kinetic = 0.5 * (self.mass * (self.vector(at.VELOCITY) ** 2).sum(1)).sum()
        return abs((self.known[POTENTIAL] + kinetic - self.known[WORK]) / self.known[ENERGY] - 1)

    def copy(self) -> Run:
        other = Run.__new__(Run)
        other.__dict__.update(self.__dict__)
        other.states, other.known = self.states.copy(), self.known.copy()
        other.memory = radau_memory(1, self.n)[0]
        other.memory[:] = self.memory
        return other


def exact_orbit(bodies: initial.InitialConditions, t: float) -> np.ndarray:
    """The relative position of two bodies with G M = a = 1 that begin at apocentre."""
    r = np.linalg.norm(bodies.position[1] - bodies.position[0])
    e = r - 1.0
    E = t
    for _ in range(60):
        E -= (E + e * math.sin(E) - t) / (1.0 + e * math.cos(E))
    x = np.array([-math.cos(E) - e, -math.sqrt(1 - e * e) * math.sin(E)])
    toward = (bodies.position[1] - bodies.position[0]) / r
    return x[0] * -toward + x[1] * -np.array([-toward[1], toward[0]])


def relative(run: Run) -> np.ndarray:
    x = run.vector(at.POSITION)
    return x[1, :2] - x[0, :2]


def turned(bodies: initial.InitialConditions, angle: float) -> initial.InitialConditions:
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return bodies._replace(position=bodies.position @ turn.T, velocity=bodies.velocity @ turn.T)


def test_the_nodes_are_those_of_radau():
    """Their polynomial, times h, is orthogonal to all of degree below 7: in fractions, so that only their rounding is left."""
    row = [Fraction(1)]
    for h in table.NODES[1:]:
        row = [(row[k - 1] if k else 0) - (Fraction(h) * row[k] if k < len(row) else 0) for k in range(len(row) + 1)]
    size = sum(abs(c) for c in row)
    for degree in range(7):
        assert abs(sum(c / (k + degree + 2) for k, c in enumerate(row))) < 1e-17 * size
    assert table.NODES[0] == 0.0
    assert (np.diff([*table.NODES, 1.0]) > 0.0).all()


def test_the_weights_integrate_to_degree_14():
    """In two parts they are exact to degree 7 for the nodes as they are rounded; beyond that the rounding of those shows."""
    nodes = [Fraction(h) for h in table.NODES]
    weights = [Fraction(low) + Fraction(high) for low, high in table.WEIGHTS.T]
    twice = [Fraction(low) + Fraction(high) for low, high in table.TWICE.T]
    for k in range(15):
        left = abs(sum(w * h**k for w, h in zip(weights, nodes, strict=True)) - Fraction(1, k + 1))
        assert left < (1e-31 if k < 8 else 3e-17)
    for k in range(8):
        left = abs(sum(w * h**k for w, h in zip(twice, nodes, strict=True)) - Fraction(1, (k + 1) * (k + 2)))
        assert left < (1e-31 if k < 7 else 3e-17)


def test_powers_and_differences_undo_each_other():
    assert abs(table.POWERS @ table.DIFFERENCES - np.eye(7)).max() < 1e-14
    assert abs(table.AT_END / table.POWERS.sum(1) - 1.0).max() < 1e-13


def test_the_error_falls_with_the_15th_power_of_the_step():
    """From apocentre past pericentre, e = 0.5: from 2e-7 with 8 steps to 5e-14 with 22; below, rounding."""
    bodies = initial.kepler(0.5)
    steps, errors = np.array([8, 10, 12, 14, 16, 18, 20, 22]), []
    for count in steps:
        run = Run(bodies).go(4.5, dt=4.5 / count)
        errors.append(np.linalg.norm(relative(run) - exact_orbit(bodies, 4.5)))
    assert -np.polyfit(np.log(steps), np.log(errors), 1)[0] > 13.5


def test_eccentric_orbits_keep_their_energy_for_100_revolutions():
    """Only rounding is left: REBOUND's IAS15 has a median of 5e-15 too."""
    errors = [Run(turned(initial.kepler(0.9), 0.7 * k)).go(200 * math.pi).energy_error for k in range(9)]
    assert np.median(errors) < 1e-14
    assert max(errors) < 5e-14


def test_errors_of_rounding_walk_at_random():
    """Orbits of e = 0.3, 300 revolutions, 13,000 steps: the energy is off by 2e-15, a tenth of an ulp times sqrt(steps)."""
    errors = []
    for k in range(12):
        run = Run(turned(initial.kepler(0.3), 0.5 * k)).go(600 * math.pi + 0.1)
        errors.append(run.energy_error)
    assert np.sqrt(np.mean(np.square(errors))) < 6e-15


def test_burrau_meets_the_reference_positions():
    run = Run(initial.burrau()).go(10.0)
    reference = np.array(
        [
            [1.15298573629971, -0.162610887490898],
            [-2.02509247797820, 0.0972193841460581],
            [0.778480410138085, 0.141392300290086],
        ]
    )
    assert abs(run.vector(at.POSITION)[:, :2] - reference).max() < 1e-11
    run.go(20.0)
    reference = np.array(
        [
            [-0.691674352009123, 0.0692256991873662],
            [-1.38862653751090, -0.470476050252722],
            [3.00429263669640, 0.511925235024686],
        ]
    )
    assert abs(run.vector(at.POSITION)[:, :2] - reference).max() < 1e-7
    run.go(63.0)
    assert run.energy_error < 1e-8
    assert run.steps < 4500


def test_the_prediction_saves_iterations():
    run = Run(initial.kepler(0.5))
    run.go(2 * math.pi, most=1)
    first = run.known[EVALUATIONS]
    run.go(20 * math.pi)
    assert first > 28
    assert (run.known[EVALUATIONS] - first) / (run.steps - 1) < 17.5


def test_interpolation_agrees_with_a_shorter_step():
    for bodies in (initial.kepler(0.5), initial.figure8(), initial.plummer(5)):
        run = Run(bodies).go(1.0, most=3)
        start = run.copy()
        run.go(1e9, most=1, probe=0.37)
        dt = run.known[TIME] - start.known[TIME]
        start.go(1e9, most=1, dt=0.37 * dt)
        worst = [
            abs(run.vector(vector, 2) - start.vector(vector)).max() / abs(start.vector(vector)).max()
            for vector in (at.POSITION, at.VELOCITY)
        ]
        assert max(worst) < 1e-12


def test_interpolation_meets_both_ends():
    run = Run(initial.figure8()).go(1.0, most=3)
    for h in (0.0, 1.0):
        now = run.copy().go(1e9, most=1, probe=h)
        block = int(now.known[CURRENT]) if h == 1.0 else 1 - int(now.known[CURRENT])
        for vector in (at.POSITION, at.VELOCITY):
            assert abs(now.vector(vector, 2) - now.vector(vector, block)).max() < 5e-16


def test_a_step_leaves_its_start_alone():
    run = Run(initial.burrau()).go(100.0, most=20)
    before = run.states[run.place(0, int(run.known[CURRENT]))].copy()
    run.go(100.0, most=1)
    assert (run.states[run.place(0, 1 - int(run.known[CURRENT]))] == before).all()


def test_a_step_that_was_tried_in_vain_leaves_no_trace():
    run = Run(initial.burrau()).go(100.0, most=20)
    at_once = run.copy()
    run.known[DT] = 3.0
    run.go(100.0, most=1)
    assert run.known[REJECTED] > 0
    at_once.known[DT] = run.known[LAST_DT]
    at_once.go(100.0, most=1)
    for vector in (at.POSITION, at.VELOCITY, at.POSITION_COMPENSATION, at.VELOCITY_COMPENSATION, at.ACCELERATION):
        assert (at_once.vector(vector) == run.vector(vector)).all()
    assert at_once.known[DT] == run.known[DT]


def test_a_run_that_was_put_away_goes_on_to_the_same_bits():
    whole = Run(initial.plummer(6)).go(1.0)
    part = Run(initial.plummer(6)).go(1.0, most=17)
    part = part.copy().go(1.0)
    assert part.steps == whole.steps
    assert (part.vector(at.POSITION) == whole.vector(at.POSITION)).all()
    assert (part.known == whole.known).all()


def test_units_do_not_matter():
    """Powers of two, so that every bit must agree."""
    one = initial.plummer(4)
    length, time = 2.0**20, 2.0**-14
    other = one._replace(
        mass=one.mass * length**3 / time**2, position=one.position * length, velocity=one.velocity * (length / time)
    )
    a, b = Run(one).go(0.5), Run(other).go(0.5 * time)
    assert a.steps == b.steps
    assert (a.vector(at.POSITION) * length == b.vector(at.POSITION)).all()


def test_a_body_whose_acceleration_passes_zero_does_not_stop_the_run():
    """PRS23 alone asks for steps down to 1e-11 on the figure-eight and makes 1037 of them a period."""
    run = Run(initial.figure8()).go(10 * 6.32591398)
    assert run.steps < 2500
    assert run.energy_error < 5e-15


def test_a_body_that_feels_only_rounding_has_no_say():
    pair = initial.kepler(0.3)
    alone = Run(pair).go(5.0)
    third = pair._replace(
        mass=np.append(pair.mass, 0.0),
        position=np.vstack([pair.position, [[0, 0]]]),
        velocity=np.vstack([pair.velocity, [[0, 0]]]),
    )
    run = Run(third).go(5.0)  # at 6 its rounding errors, which grow, have become a motion
    assert run.steps == alone.steps
    assert abs(run.vector(at.POSITION)[:2] - alone.vector(at.POSITION)).max() < 1e-12


def test_the_global_rule_keeps_the_energy_too():
    run = Run(initial.figure8()).go(10 * 6.32591398, rule=GLOBAL_RULE)
    assert run.steps < 4000
    assert run.energy_error < 5e-15


def test_steps_that_do_not_settle_are_made_again():
    """So loose that the iterations do not end: shorter steps, not wrong ones."""
    run = Run(initial.kepler(0.9)).go(20.0, epsilon=0.1)
    assert run.known[REJECTED] > 0
    assert run.energy_error < 1e-2


def test_the_work_of_a_circling_mass_balances_the_energy():
    circling = {
        at.FIELD_TERMS: 1.0,
        at.FIELD_WORKS: 1.0,
        at.FIRST_TERM: CIRCULAR,
        at.FIRST_TERM + int(at.FIELD_GM): 5.0,
        at.FIRST_TERM + int(at.FIELD_RADIUS): 8.0,
        at.FIRST_TERM + int(at.FIELD_OMEGA): math.sqrt(6.0 / 8.0**3),
        at.FIRST_TERM + int(at.FIELD_PHASE): 0.3,
    }
    run = Run(initial.plummer(4), circling).go(5.0)
    assert abs(run.known[WORK] / run.known[ENERGY]) > 1e-4
    assert run.known[WORST] < 1e-12


def test_free_bodies_move_on_straight_lines():
    bodies = initial.InitialConditions(
        np.zeros(2), np.array([[0.0, 1.0, 0.0], [2.0, 0.0, 0.5]]), np.array([[1.0, 0.0, 0.25], [0.0, -1.0, 0.0]])
    )
    run = Run(bodies)
    run.known[ENERGY] = 1.0
    run.go(4.0)
    assert run.vector(at.POSITION) == pytest.approx(bodies.position + 4.0 * bodies.velocity, abs=1e-15)
