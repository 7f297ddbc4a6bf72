"""Systems of units: their constants of gravity are those of the sources, and bodies never lose or mix them."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest
from astropy import constants
from astropy import units as u

from aitimestepper import Bodies, Config, Snapshots, resume, simulate
from aitimestepper.bodies import as_bodies
from aitimestepper.errors import ConfigError, InitialConditionError
from aitimestepper.units import UnitSystem, parse_unit, unit_system, units_from_plain

PAIR = ([1.0, 0.5], [[0.0, 0.0], [1.0, 0.0]], [[0.0, -2.0], [0.0, 4.0]])
NAMED = ("au Msun yr", "au Msun day", "pc Msun Myr", "pc Msun km/s", "kpc Msun km/s", "SI", "cgs", "km Mearth s")


def same(a: Bodies, b: Bodies) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.arrays().values(), b.arrays().values(), strict=True)) and a.G == b.G


@pytest.mark.parametrize("name", NAMED)
def test_the_constant_of_gravity_is_that_of_astropy(name):
    units = unit_system(name)
    length, mass, time = (u.Unit(label) for label in units.labels[:3])
    if "km/s" in name:
        time = length / (u.km / u.s)
    wanted = constants.G.to_value(length**3 / mass / time**2)
    assert pytest.approx(wanted, rel=1e-13) == units.G


def test_known_constants():
    gauss = 0.01720209895  # of au, days and solar masses, which define a little different masses
    assert pytest.approx(gauss**2, rel=1e-8) == unit_system("au Msun day").G
    assert pytest.approx(4 * math.pi**2, rel=1e-4) == unit_system("solar").G  # a sidereal year is a little longer
    assert pytest.approx(1.0, rel=1e-15) == unit_system("au Msun yr2pi").G
    assert pytest.approx(4.30091e-3, rel=1e-5) == unit_system("pc Msun km/s").G
    assert unit_system("SI").G == 6.6743e-11
    assert unit_system("nbody") is None
    assert Bodies(*PAIR, units="nbody").G == 1.0


def test_names_need_no_order_and_no_case():
    assert unit_system("AU MSUN YR") == unit_system("yr, au, Msun") == unit_system("solar")
    assert unit_system("au Msun yr") != unit_system("au Msun day")


@pytest.mark.parametrize(
    ("text", "scale", "powers"),
    [
        ("km/s", 1e3, (1, 0, -1)),
        ("km s-1", 1e3, (1, 0, -1)),
        ("m * s**-1", 1.0, (1, 0, -1)),
        ("cm s^-2", 1e-2, (1, 0, -2)),
        ("kms", 1e3, (1, 0, -1)),
        ("deg", math.pi / 180, (0, 0, 0)),
        ("yr2pi", math.sqrt(149597870700.0**3 / 1.3271244e20), (0, 0, 1)),
        ("Mpc", 1e6 * 3.0856775814913673e16, (1, 0, 0)),
    ],
)
def test_units_by_text(text, scale, powers):
    assert parse_unit(text) == (pytest.approx(scale, rel=1e-15), powers)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("au Msun", "must be a length, a mass, and a time or a velocity"),
        ("au Msun yr km/s", "must be a length, a mass, and a time or a velocity"),
        ("au pc Msun yr", "must be a length, a mass, and a time or a velocity"),
        ("au Msum yr", "'Msum' is unknown; did you mean 'msun'"),
        ("", "a unit is empty"),
        (3, "units = 3 must be text, such as 'au Msun yr'"),
    ],
)
def test_bad_units_are_named(text, message):
    with pytest.raises(InitialConditionError, match=message):
        Bodies(*PAIR, units=text)
    if isinstance(text, str) and text:
        with pytest.raises(ConfigError, match=message):
            Config(units=text)


@pytest.mark.parametrize("wrong", [math.nan, 0.0, -1.0, math.inf, 1])
def test_units_are_positive_numbers(wrong):
    with pytest.raises(InitialConditionError, match=r"the unit of mass is .* must be a positive number"):
        UnitSystem("mine", 1.0, wrong, 1.0)


def test_units_bring_their_constant_and_refuse_another():
    b = Bodies(*PAIR, units="au Msun yr")
    assert b.G == b.units.G
    near = Bodies(*PAIR, G=39.476926421373, units="au Msun yr")  # that of REBOUND: 3e-10 off
    assert near.G == 39.476926421373
    for make in (lambda: Bodies(*PAIR, G=1.0, units="solar"), lambda: b.replace(G=2.0), lambda: as_bodies(b, G=2.0)):
        with pytest.raises(InitialConditionError, match=r"G = [12] is not that of the units .* leave one of the two out"):
            make()
    assert as_bodies(Bodies(*PAIR), units="solar").G == b.G  # the G of 1 was not given
    assert simulate(PAIR, steps=1, units="solar").final.units == b.units


def test_units_survive_everything(tmp_path):
    b = Bodies(*PAIR, units="au Msun yr", time=3.0)
    made = {
        "replace": b.replace(mass=[1.0, 1.0]),
        "select": b.select([0]),
        "stack": Bodies.stack([b, b]),
        "moved": b.moved(b.position, b.velocity, b.time),
        "pickle": pickle.loads(pickle.dumps(b)),
        "copy": copy.deepcopy(b),
        "as_bodies": as_bodies(b, softening=0.1),
    }
    path = tmp_path / "run.h5"
    made["run"] = simulate(b, t_end=3.5, output=path, output_every=0.25).final
    made["resumed"] = resume(path, t_end=3.75).final
    with Snapshots(path) as rows:
        made["start"] = rows.initial
    made["onward"] = simulate(made["run"], t_end=4.0).final
    for how, other in made.items():
        assert (other.units, other.units.name, other.units.labels) == (b.units, "au Msun yr", b.units.labels), how
    assert same(made["start"], b)


@pytest.mark.parametrize("other", [None, "au Msun day"])
def test_units_are_not_mixed(other):
    b = Bodies(*PAIR, units="au Msun yr")
    with pytest.raises(InitialConditionError, match=r"must share|must have the same units, not au Msun yr and"):
        Bodies.stack([b, Bodies(*PAIR, units=other, G=b.G if other is None else None)])


def test_the_same_problem_in_other_units():
    b = Bodies(*PAIR, units="au Msun yr", softening=0.1, time=2.0)
    there = b.to_units("km Mearth s")
    assert pytest.approx(unit_system("km Mearth s").G, rel=1e-14) == there.G
    assert there.total_energy() / b.total_energy() == pytest.approx(
        332946.0487 * (149597870.7 / 31557600.0) ** 2,
        rel=1e-6,  # masses of the Earth, times (km/s)^2
    )
    back = there.to_units("au Msun yr")
    for name, values in b.arrays().items():
        assert getattr(back, name) == pytest.approx(values, rel=1e-15), name
    ends = [simulate(x, t_end=t, tol=1e-6).final for x, t in ((b, 3.0), (there, 3.0 * 31557600.0))]
    assert ends[1].to_units(b.units).position == pytest.approx(ends[0].position, rel=1e-9)
    assert as_bodies(b, units="au Msun yr") is b
    with pytest.raises(InitialConditionError, match="only bodies with units can be converted"):
        Bodies(*PAIR).to_units("SI")


def test_units_in_files_are_checked():
    units = unit_system("pc Msun km/s")
    assert units_from_plain(units.to_plain()) == units
    assert units_from_plain(None) is None
    plain = units.to_plain()
    for change in ({"scales": [1.0, 2.0]}, {"scales": [1.0, 2.0, math.nan]}, {"labels": ["m"] * 3}, {"name": 3}):
        with pytest.raises(ValueError, match=r"units|unit"):
            units_from_plain(plain | change)


def test_settings_have_units():
    config = Config(units="au Msun yr")
    assert config.G == unit_system("solar").G
    assert Config.from_dict(config.to_dict()) == config
    assert dataclasses.replace(config, softening=0.1).G == config.G
    assert Config(units="nbody").G == 1.0
    assert Config(units="SI", G=6.674e-11).G == 6.674e-11  # another value of the same constant
    for units in ("au Msun yr", "nbody"):
        with pytest.raises(ConfigError, match=f"G = 2 is not that of the units {units}"):
            Config(units=units, G=2.0)
