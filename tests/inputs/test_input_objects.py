"""What people have in memory: dicts, tuples, tables, arrays, simulations of REBOUND, quantities. All give the same bodies."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
from astropy import table
from astropy import units as u

import rebound
from aitimestepper import Bodies, Constant, Simulation, resume, simulate
from aitimestepper.bodies import as_bodies
from aitimestepper.errors import ConfigError, InitialConditionError
from aitimestepper.units import unit_system

MASS, POSITION, VELOCITY = [1.0, 0.5, 0.25], np.eye(3) * 2.0, np.eye(3)[[1, 2, 0]] * 0.3
COLUMNS = {"m": MASS, **{axis: POSITION[:, k] for k, axis in enumerate("xyz")}}
COLUMNS |= {f"v{axis}": VELOCITY[:, k] for k, axis in enumerate("xyz")}
PLAIN = Bodies(MASS, POSITION, VELOCITY)
AU, YEAR, MSUN = 149597870700.0, 31557600.0, 1.3271244e20 / 6.6743e-11


def same(a: Bodies, b: Bodies) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.arrays().values(), b.arrays().values(), strict=True)) and a.G == b.G


def structured(names: dict[str, np.ndarray]) -> np.ndarray:
    rows = np.zeros(3, dtype=[(name, float, np.shape(values)[1:]) for name, values in names.items()])
    for name, values in names.items():
        rows[name] = values
    return rows


WHOLE = {"mass": MASS, "position": POSITION, "velocity": VELOCITY}
THINGS = {
    "dict": lambda: WHOLE,
    "dict of columns": lambda: COLUMNS,
    "capitals": lambda: {name.upper(): values for name, values in COLUMNS.items()},
    "names of Gadget": lambda: dict(zip(("Masses", "Coordinates", "Velocities"), WHOLE.values(), strict=True)),
    "names of AMUSE": lambda: (
        {"mass" if name == "m" else name: values for name, values in COLUMNS.items()}
        | {"radius": MASS, "r": MASS, "v": MASS, "g": MASS}
    ),
    "tuple": lambda: (MASS, POSITION, VELOCITY),
    "list": lambda: [MASS, POSITION.tolist(), VELOCITY.tolist()],
    "object": lambda: SimpleNamespace(**WHOLE),
    "array of rows": lambda: np.column_stack([MASS, POSITION, VELOCITY]),
    "structured array": lambda: structured(COLUMNS),
    "structured array of vectors": lambda: structured(WHOLE),
    "record array": lambda: structured(COLUMNS).view(np.recarray),
    "pandas": lambda: pandas.DataFrame(COLUMNS),
    "astropy table": lambda: table.Table(COLUMNS),
}


@pytest.mark.parametrize("kind", THINGS)
def test_the_same_bodies_in_any_form(kind):
    assert same(as_bodies(THINGS[kind]()), PLAIN)
    assert simulate(THINGS[kind](), steps=2, criterion="constant:dt=0.01").final.position.shape == (1, 3, 3)


def test_what_else_a_thing_says_is_used_and_arguments_replace_it():
    said = WHOLE | {"G": 2.0, "softening": 0.1, "time": 3.0, "names": ["A", "b", "c"], "comment": "a triple"}
    b = as_bodies(said)
    assert (b.G, b.softening.item(), b.time.item(), b.names) == (2.0, 0.1, 3.0, ("A", "b", "c"))
    assert as_bodies(said, G=3.0, softening=0.2).G == 3.0
    table = COLUMNS | {"time": [3.0] * 3, "eps": [0.1] * 3, "Name": np.array(["A", "b", "c"])}  # repeated for every body
    assert same(as_bodies(table), as_bodies(said, G=1.0))
    batch = {name: np.stack([values, values]) for name, values in WHOLE.items()}
    assert len(as_bodies(batch)) == 2


def test_rows_of_a_pandas_table_may_be_named():
    table = pandas.DataFrame(COLUMNS, index=["Sun", "b", "c"])
    assert as_bodies(table).names == ("Sun", "b", "c")
    assert as_bodies(table.reset_index(drop=True)).names is None


def test_columns_of_elements():
    table = {"m": MASS, "a": [math.nan, 1.0, 4.0], "e": [0.0, 0.1, 0.2], "i [deg]": [math.nan, 10.0, 20.0], "M": [0, 1.0, 2.0]}
    wanted = Bodies.from_elements(MASS, a=[1.0, 4.0], e=[0.1, 0.2], inc=np.radians([10.0, 20.0]), M=[1.0, 2.0])
    assert as_bodies(table).position == pytest.approx(wanted.position, abs=1e-15)
    assert same(as_bodies(table | {"a": [1.0, 4.0]}), as_bodies(table))  # N-1 numbers: without the first body
    longitude = table | {"Omega": [0, 0.5, 1.0], "pomega": [0, 2.0, 1.0]}
    wanted = table | {"Omega": [0, 0.5, 1.0], "omega": [0, 1.5, 0.0]}
    assert as_bodies(longitude).position == pytest.approx(as_bodies(wanted).position, abs=1e-15)
    moon = {"m": [1.0, 1e-3, 1e-9], "a": [0, 5.0, 0.01], "primary": [0, 1]}
    assert as_bodies(moon).elements([0, 1]).a[0] == pytest.approx([5.0, 0.01], rel=1e-12)


BAD = {
    "nothing": ({}, "dict has no masses: it needs a column mass or m"),
    "no place": ({"m": MASS}, "dict has no position: it needs position or x, y"),
    "no vz": ({k: v for k, v in COLUMNS.items() if k != "vz"}, "dict has no velocity: it needs velocity or vx, vy, vz"),
    "two masses": (COLUMNS | {"mass": MASS}, "dict has several columns for mass"),
    "lengths": (COLUMNS | {"x": [1.0, 2.0]}, r"columns have different shapes: x \(2,\), y \(3,\), z \(3,\)"),
    "names": (WHOLE | {"names": "abc"}, "names = 'abc' must be 3 strings"),
    "times": (COLUMNS | {"t": [1.0, 2.0, 3.0]}, r"time has shape \(3,\), which does not fit"),
    "primary": ({"m": MASS, "a": [1.0, 2.0], "primary": [0.0, 0.5]}, "must be one index of a body"),
    "text": (COLUMNS | {"x": ["far"] * 3}, "column 'x' must be numbers"),
    "an unknown unit": ({"m [Msum]": MASS, "x": MASS, "y": MASS}, "'Msum' is unknown; did you mean 'msun'"),
    "a wrong unit": (
        {"m [au]": MASS, **{f"{k} [au]": v for k, v in COLUMNS.items() if k != "m"}},
        "mass is in 'au', which is no mass|velocity is in 'au', which is no velocity",
    ),
    "one unit": (COLUMNS | {"x": None, "x [au]": POSITION[:, 0]}, "y has no unit, but other columns have"),
    "units of places alone": (
        {"m": MASS, **{f"{k} [au]" if len(k) == 1 else k: v for k, v in COLUMNS.items() if k != "m"}},
        r"mass has no unit, but position has \('au'\): give every number a unit, or none",
    ),
    "an orbit of the first body": ({"m": MASS, "a": [1.0, 2.0, 3.0]}, "the first body is what the others orbit, its a must be"),
    "two angles": ({"m": MASS, "a": [1.0, 2.0], "omega": 0.1, "pomega": 0.2}, "give one of them"),
    "nan": (COLUMNS | {"x": [0.0, math.nan, 0.0]}, r"position is not finite \(nan\)"),
    "a number": (3.0, "simulate needs mass, position and velocity arrays; float lacks mass, position, velocity"),
    "a pair": ((MASS, POSITION), "tuple lacks mass, position, velocity: give Bodies, a dict"),
    "None": (None, "NoneType lacks mass, position, velocity"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_missing_is_named(case):
    thing, message = BAD[case]
    with pytest.raises(InitialConditionError, match=message):
        as_bodies(thing)


# ---- units ---------------------------------------------------------------------------------------------------------------
def test_units_in_the_names_of_columns():
    named = {"m_msun": MASS, "x [au]": POSITION[:, 0], "y(au)": POSITION[:, 1], "z_km": POSITION[:, 2] * AU / 1e3}
    named |= {f"v{axis} [au/yr]": VELOCITY[:, k] for k, axis in enumerate("xyz")}
    b = as_bodies(named)
    assert b.units == unit_system("au Msun yr")
    assert pytest.approx(unit_system("solar").G, rel=1e-15) == b.G
    assert b.position[0] == pytest.approx(POSITION, rel=1e-15)
    there = as_bodies(named, units="km kg s")
    assert there.position[0] == pytest.approx(POSITION * AU / 1e3, rel=1e-14)
    assert there.mass[0] == pytest.approx(np.array(MASS) * MSUN, rel=1e-14)
    with pytest.raises(InitialConditionError, match="G = 1 is not that of the units"):
        as_bodies(named, G=1.0)


def with_units():
    return {"mass": MASS * u.Msun, "position": POSITION * u.au, "velocity": VELOCITY * u.km / u.s}


def test_quantities_become_one_system_and_come_back():
    given = with_units()
    more = {"time": 2.0 * u.yr, "softening": 1e6 * u.km}
    b = as_bodies(given | more)
    assert np.array_equal(b.position[0], POSITION)  # as they were given, to the bit
    assert np.array_equal(b.velocity[0], VELOCITY)
    assert b.time.item() == pytest.approx(2.0 * YEAR / (AU / 1e3), rel=1e-15)
    assert b.softening.item() == pytest.approx(1e9 / AU, rel=1e-15)
    assert pytest.approx(6.6743e-11 * MSUN / AU * 1e-6, rel=1e-14) == b.G
    back = b.quantities()
    for name, values in given.items():
        assert getattr(back, name).unit == values.unit, name
        assert np.array_equal(getattr(back, name)[0].value, values.value), name
    assert (back.time.unit, back.time[0].value) == (u.yr, pytest.approx(2.0, rel=1e-15))
    later = simulate(b, t_end=3.0 * u.yr, tol=1e-6)
    assert later.final.quantities().time[0].to_value(u.day) == pytest.approx(3 * 365.25, rel=1e-15)
    in_years = simulate(given | more, t_end=3.0, tol=1e-6, units="au Msun yr")
    assert later.final.to_units("au Msun yr").velocity == pytest.approx(in_years.final.velocity, rel=1e-6)
    assert in_years.final.quantities().velocity.unit == u.au / u.yr
    assert simulate(given, t_end=1.0 * u.yr, criterion="constant:dt=1.0", dt_max=5 * u.day).steps[0] == 74


def test_quantities_of_every_form():
    wanted = as_bodies(with_units())
    columns = {"m": MASS * u.Msun, **{axis: POSITION[:, k] * u.au for k, axis in enumerate("xyz")}}
    columns |= {f"v{axis}": VELOCITY[:, k] * u.km / u.s for k, axis in enumerate("xyz")}
    lists = {"mass": [m * u.Msun for m in MASS], "position": [[x * u.au for x in row] for row in POSITION]}
    mixed = table.Table({name: np.asarray(values.value) for name, values in columns.items()})
    for name, values in columns.items():
        mixed[name].unit = values.unit
    for thing in (tuple(with_units().values()), table.QTable(columns), mixed, columns, with_units() | lists):
        b = as_bodies(thing)
        assert same(b, wanted)
        assert b.units == wanted.units
    orbit = Bodies.from_elements([1.0, 1e-3] * u.Msun, a=5.0 * u.au, inc=30 * u.deg, T=10 * u.day, time=0 * u.day)
    assert orbit.elements().in_degrees().inc.item() == pytest.approx(30.0, rel=1e-14)
    assert orbit.units == unit_system("au Msun day")
    assert orbit.elements().T.item() == pytest.approx(10.0, rel=1e-11)


def test_a_simulation_takes_quantities(tmp_path):
    sim = Simulation(with_units(), criterion="freefall:eta=0.05", t_end=2.0 * u.yr)
    sim.integrate(1.0 * u.yr)
    seconds = YEAR / (AU / 1e3)
    assert sim.time == pytest.approx(seconds, rel=1e-15)
    assert sim.at([0.5, 1.0] * u.yr).time.tolist() == pytest.approx([0.5 * seconds, seconds], rel=1e-15)
    assert sim.bodies.quantities().position.unit == u.au
    sim.add(1.0 * u.Mjup, [10.0, 0.0, 0.0] * u.au, [0.0, 0.0, 0.0] * u.km / u.s)
    assert sim.mass[-1] == pytest.approx(9.5e-4, rel=1e-2)
    assert sim.bodies.units == as_bodies(with_units()).units
    assert Simulation.load(sim.save(tmp_path / "sim.h5")).bodies.units == sim.bodies.units
    in_years = Simulation(with_units(), criterion="freefall:eta=0.05", units="au Msun yr")
    assert in_years.integrate(1.0).time == 1.0
    with pytest.raises(InitialConditionError, match="has a unit, but the bodies have none"):
        Simulation(PLAIN).add(1.0 * u.Mjup, [10.0, 0.0, 0.0] * u.au, [0.0, 0.0, 0.0] * u.km / u.s)
    with pytest.raises(InitialConditionError, match=r"time = 1.0 yr has a unit, but the bodies have none"):
        Simulation(PLAIN).integrate(1.0 * u.yr)


def test_a_resume_takes_a_quantity(tmp_path):
    path = tmp_path / "run.h5"
    simulate(with_units(), t_end=0.1 * u.yr, output=path, criterion="freefall:eta=0.05")
    assert resume(path, t_end=0.2 * u.yr).final.quantities().time[0].to_value(u.yr) == pytest.approx(0.2, rel=1e-14)
    times = simulate(with_units(), times=[0.1, 0.2] * u.yr, criterion="freefall:eta=0.05").trajectory.time
    assert times[1] == 2 * times[0]


def test_bad_quantities_are_named():
    given = with_units()
    spoilt = u.def_unit("spoilt", math.nan * u.au)
    for change, message in (
        ({"velocity": VELOCITY}, r"velocity has no unit, but mass has \('solMass'\): give every number a unit, or none"),
        ({"position": POSITION * u.kg}, "position is in kg, which is no length"),
        ({"position": POSITION * spoilt}, "the unit 'spoilt' of position is nan of SI"),
        ({"mass": np.array([1, math.nan, 1]) * u.Msun}, r"mass is not finite \(nan\)"),
        ({"mass": [1.0 * u.Msun, 2.0, 3.0 * u.au]}, "mass has numbers of 'solMass' beside others|mass has numbers of"),
        ({"softening": 0.1}, "softening has no unit"),
    ):
        with pytest.raises(InitialConditionError, match=message):
            as_bodies(given | change)
    with pytest.raises(InitialConditionError, match=r"t_end = 1.0 yr has a unit, but the bodies have none"):
        simulate(PLAIN, t_end=1.0 * u.yr)
    with pytest.raises(InitialConditionError, match="t_end is in kg, which is no time"):
        simulate(given, t_end=1.0 * u.kg)
    with pytest.raises(ConfigError, match=r"has a unit, where a plain number is wanted: give its value in the run's units"):
        simulate(given, t_end=1.0 * u.yr, criterion=Constant(dt=1.0 * u.day))
    with pytest.raises(ConfigError, match="dt_min"):
        simulate(given, t_end=1.0 * u.yr, dt_min=-1.0 * u.day)
    with pytest.raises(InitialConditionError, match="these bodies have no units"):
        PLAIN.quantities()


# ---- REBOUND -------------------------------------------------------------------------------------------------------------
def simulation():
    sim = rebound.Simulation()
    sim.units = ("AU", "yr", "Msun")
    for mass, a in ((1.0, 0.0), (1e-3, 1.0), (1e-4, 2.5)):
        sim.add(m=mass, **({"a": a, "e": 0.1, "inc": 0.2} if a else {}))
    sim.t, sim.softening = 2.0, 1e-3
    return sim


def test_a_simulation_of_rebound():
    sim = simulation()
    b = as_bodies(sim)
    assert b.position[0].tolist() == [p.xyz for p in sim.particles]
    assert b.velocity[0].tolist() == [p.vxyz for p in sim.particles]
    assert b.mass[0].tolist() == [p.m for p in sim.particles]
    assert (b.G, b.time.item(), b.softening.item(), b.units) == (sim.G, 2.0, 1e-3, unit_system("au Msun yr"))
    sim.softening = 0.0
    sim.integrate(7.0)
    assert simulate(as_bodies(simulation(), softening=0.0), t_end=7.0, criterion="prs23").final.position[0] == pytest.approx(
        np.array([p.xyz for p in sim.particles]), abs=1e-10
    )


def test_units_and_names_of_rebound_are_taken_where_they_are_set():
    sim = rebound.Simulation()
    sim.add(m=1.0)
    sim.add(m=0.5, a=1.0)
    assert as_bodies(sim).units is None
    assert as_bodies(sim).names is None
    sim.particles[1].name = "b"
    assert as_bodies(sim).names == ("", "b")
    sim.add_variation()
    assert as_bodies(sim).body_count.tolist() == [2]  # variations are no bodies


def test_test_particles_of_rebound_act_on_no_other_body():
    sim = simulation()
    sim.N_active = 2
    assert as_bodies(sim).mass[0].tolist() == [1.0, 1e-3, 0.0]
    sim.testparticle_type = 1
    with pytest.raises(InitialConditionError, match="testparticle_type = 1"):
        as_bodies(sim)
