"""Potentials of one's own against their accelerations: right ones pass in any units, wrong ones are refused in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper import Bodies, Constant, OwnField, simulate
from aitimestepper.errors import InitialConditionError
from aitimestepper.fields import (
    LogarithmicHalo,
    MiyamotoNagaiField,
    NFWField,
    PlummerField,
    UniformField,
    refuse_misfit,
    tidal,
)
from aitimestepper.initial.named import kepler
from aitimestepper.simulate.kernels import callbacks
from some_fields import HALOS, TIDES

pytestmark = pytest.mark.filterwarnings("ignore::aitimestepper.errors.SlowPythonWarning")


class Mine:
    """A field in Python with the acceleration of another one, and `share` times its potential plus an offset."""

    def __init__(self, field, share=1.0, offset=0.0, time_dependent=None):
        self.field, self.share, self.offset = field, share, offset
        self.time_dependent = field.time_dependent if time_dependent is None else time_dependent

    def acceleration(self, x, t):
        return self.field.acceleration(x, t)

    def potential(self, x, t):
        return self.share * self.field.potential(x, t) + self.offset


class Textbook:
    """A tide by its formula, which loses digits of a mass far away."""

    time_dependent = False

    def __init__(self, distance):
        self.R = np.array([distance, 0.0, 0.0])

    def _apart(self, x):
        return self.R - x, np.sqrt(((self.R - x) ** 2).sum(-1))

    def acceleration(self, x, t):
        d, r = self._apart(x)
        return d / r[..., None] ** 3 - self.R / self.R[0] ** 3

    def potential(self, x, t):
        return -(1 / self._apart(x)[1] - 1 / self.R[0] - x[..., 0] / self.R[0] ** 2)


class Power:
    """x^n along every axis."""

    time_dependent = False

    def __init__(self, n):
        self.n = n

    def acceleration(self, x, t):
        return -self.n * x ** (self.n - 1)

    def potential(self, x, t):
        return (x**self.n).sum(-1)


def places(seed: int, length: float = 1.0, far: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return length * (rng.normal(size=(3, 4, 3)) + far * rng.normal(size=3))


@pytest.mark.parametrize("length", [1e-25, 1e-6, 1.0, 1e11, 1e25])
@pytest.mark.parametrize("far", [0.0, 1e2, 1e5, 1e9])
def test_right_fields_pass_in_any_units_at_any_place(length, far):
    fields = [
        PlummerField(2.0 * length, 1.3 * length),
        PlummerField(2.0 / length, 1e-5 * length),
        LogarithmicHalo(3.0, 0.1 * length, 0.8, 0.6),
        MiyamotoNagaiField(5.0, 2.0 * length, 0.1 * length),
        NFWField(5.0, 3.0 * length),
        UniformField((1.0, 2.0, 3.0)),
        tidal(4.0, 30.0 * length),
        tidal(4.0, 30.0 * length, period=length),
    ]
    for field in fields:
        for offset in (0.0, -1e3, 1e9):
            refuse_misfit(Mine(field, offset=offset), places(1, length, far), np.zeros(3))


def test_right_fields_pass_near_a_pole_where_they_vanish_and_where_their_digits_do():
    pole = tidal(1.0, 3.0)
    for apart in 10.0 ** -np.arange(1, 13):
        refuse_misfit(Mine(pole), np.array([[[3.0, apart, 0.0], [-1.0, 0.0, 0.5], [0.0, 0.0, 0.0]]]), np.zeros(1))
    for distance in 10.0 ** np.arange(1, 12):
        refuse_misfit(Textbook(distance), places(2), np.zeros(3))
    for n in range(1, 12):
        refuse_misfit(Power(n), np.zeros((1, 2, 3)), np.zeros(1))
        refuse_misfit(Power(n), places(3) * (np.arange(4) > 0)[:, None], np.zeros(3))


@pytest.mark.parametrize("share", [-1.0, 0.0, 0.5, 0.99, 1.001, 2.0])
@pytest.mark.parametrize("kind", [*HALOS, *TIDES])
def test_wrong_potentials_are_found(kind, share):
    field = {**HALOS, **TIDES}[kind]
    for seed in range(5):
        with pytest.raises(InitialConditionError, match=r"^the external field Mine has a potential that does not fit its "):
            refuse_misfit(Mine(field, share), places(seed), np.zeros(3))


def test_the_sentence_says_by_how_much():
    with pytest.raises(
        InitialConditionError, match=r"minus its gradient differs by [45]\.\de-01 of the acceleration; give the"
    ):
        refuse_misfit(Mine(PlummerField(1.0, 1.0), 0.5), places(1), np.zeros(3))


def test_a_potential_that_moves_in_silence_is_refused():
    with pytest.raises(InitialConditionError, match=r"changes with time, and says that it does not: set time_dependent[.]$"):
        refuse_misfit(Mine(TIDES["circling tide"], time_dependent=False), places(1), np.zeros(3))


@callbacks.field
def spring(n, t, x, a, phi, rate):
    """A spring that tightens with time, with its rate."""
    k = 1.0 + 0.3 * t
    for i in range(3 * n):
        a[i] = -k * x[i]
        phi[i % n] += 0.5 * k * x[i] * x[i]
        rate[i % n] += 0.15 * x[i] * x[i]


@callbacks.field
def wrong_rate(n, t, x, a, phi, rate):
    """The same, with a wrong rate."""
    k = 1.0 + 0.3 * t
    for i in range(3 * n):
        a[i] = -k * x[i]
        phi[i % n] += 0.5 * k * x[i] * x[i]
        rate[i % n] += 0.3 * x[i] * x[i]


@callbacks.field
def no_potential(n, t, x, a, phi, rate):
    """A force without a potential."""
    for i in range(n):
        a[i], a[n + i] = -x[n + i], x[i]


def test_a_run_checks_its_own_field_before_it_begins(tmp_path):
    pair = kepler(0.2)
    start = Bodies(pair.mass, pair.position, pair.velocity, time=2.0)
    given = {"t_end": 3.0, "criterion": Constant(0.01), "integrator": "kahan_li6"}
    r = simulate(start, external_field=OwnField(spring, time_dependent=True), **given)
    assert r.max_energy_error[0] < 1e-9
    path = tmp_path / "run.h5"
    for field, words in (
        (OwnField(spring), r"^the external field OwnField\(spring\) has a potential that changes with time, and says that it"),
        (
            OwnField(wrong_rate, time_dependent=True),
            r"\(wrong_rate\) has a potential that changes at another rate than it says",
        ),
        (
            OwnField(no_potential),
            r"^the external field OwnField\(no_potential\) has a potential that does not fit .* 9\.\de-01",
        ),
    ):
        with pytest.raises(InitialConditionError, match=words):
            simulate(start, external_field=field, output=path, **given)
    assert not path.exists()
