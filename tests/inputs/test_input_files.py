"""Bodies in files: tables with a header, NEMO, AMUSE, HDF5, archives of REBOUND. Damage is one sentence."""

from __future__ import annotations

import importlib.metadata
import json
import math

import h5py
import numpy as np
import pytest

import rebound
from aitimestepper import Bodies, Config, simulate
from aitimestepper.bodies import as_bodies
from aitimestepper.errors import InitialConditionError, MissingExtraError
from aitimestepper.initial.named import file
from aitimestepper.initial.problems import make_problem
from aitimestepper.initial.suite_file import save_suite
from aitimestepper.initial.suites import make_suite
from aitimestepper.units import unit_system

MASS = np.array([1.0, 0.5, 0.25])
POSITION, VELOCITY = np.eye(3) * 2.0, np.eye(3)[[1, 2, 0]] * 0.3
ROWS = np.column_stack([MASS, POSITION, VELOCITY])
PLAIN = Bodies(MASS, POSITION, VELOCITY)


def rows(separator: str = " ", comment: str = "") -> str:
    return "".join(separator.join(map(repr, row.tolist())) + comment + "\n" for row in ROWS)


def same(a: Bodies, b: Bodies) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.arrays().values(), b.arrays().values(), strict=True)) and a.G == b.G


def named(separator: str) -> str:
    header = separator.join(["name", "m", "x", "y", "z", "vx", "vy", "vz", "radius", "colour"])
    body = [separator.join([f"b{k}", *map(repr, row.tolist()), "1.0", "red"]) for k, row in enumerate(ROWS)]
    return "\n".join([header, *body, ""])


LINES = [*map(repr, MASS.tolist()), *(" ".join(map(repr, row.tolist())) for row in (*POSITION, *VELOCITY))]
STOA = "\n".join(["3", "3", "0.5", *LINES, ""])
TEXTS = {
    "spaces": ("m x y z vx vy vz\n" + rows(), {}),
    "commas": ("Mass,X,Y,Z,VX,VY,VZ\n" + rows(","), {}),
    "semicolons": ("m;x;y;z;vx;vy;vz\n" + rows(";"), {}),
    "tabs": ("m\tx\ty\tz\tvx\tvy\tvz\n" + rows("\t"), {}),
    "commented header": ("# made by hand\n# m x y z vx vy vz\n" + rows(comment="  # a body"), {}),
    "a byte order mark": ("\ufeffm,x,y,z,vx,vy,vz\n" + rows(","), {}),
    "quoted": ('"m","x","y","z","vx","vy","vz"\n' + rows(","), {}),
    "names and other columns": (named(","), {"names": ("b0", "b1", "b2")}),
    "names between tabs": (named("\t"), {"names": ("b0", "b1", "b2")}),
    "time": ("t,m,x,y,z,vx,vy,vz\n" + "".join(f"0.5,{line}\n" for line in rows(",").splitlines()), {"time": 0.5}),
    "units": ("m [Msun] x [au] y [au] z [au] vx [km/s] vy [km/s] vz [km/s]\n" + rows(), {"units": "au Msun km/s"}),
    "units with spaces": (
        "m [Msun],x [au],y [au],z [au],vx [km s-1],vy [km s-1],vz [km s-1]\n" + rows(","),
        {"units": "au Msun km/s"},
    ),
    "units behind": ("m_msun x_au y_au z_au vx_kms vy_kms vz_kms\n" + rows(), {"units": "au Msun km/s"}),
    "AMUSE": ("#mass x y z vx vy vz\n#MSun parsec parsec parsec kms kms kms\n" + rows(), {"units": "pc Msun km/s"}),
    "AMUSE, products": (
        "#mass x y z vx vy vz\n#MSun AU AU AU AU * day**-1 AU * day**-1 AU * day**-1\n" + rows(),
        {"units": "au Msun day"},
    ),
    "AMUSE, commas": ("#mass,x,y,z,vx,vy,vz\n#kg,m,m,m,m * s**-1,m * s**-1,m * s**-1\n" + rows(","), {"units": "SI"}),
    "AMUSE, N-body": ("#mass x y z vx vy vz\n#mass length length length length/time length/time length/time\n" + rows(), {}),
    "NEMO stoa": (STOA, {"time": 0.5}),
    "NEMO stoa, several": (STOA.replace("0.5\n", "9.5\n", 1) + STOA, {"time": 0.5}),
    "NEMO ntmpv": ("3 0.5\n" + rows(), {"time": 0.5}),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_texts(tmp_path, kind):
    content, says = TEXTS[kind]
    path = tmp_path / "bodies.txt"
    path.write_text(content, encoding="utf-8")
    b = as_bodies(str(path))
    assert np.array_equal(b.mass[0], MASS)
    assert np.array_equal(b.position[0], POSITION)
    assert np.array_equal(b.velocity[0], VELOCITY)
    assert (b.names, b.time.item(), b.units) == (says.get("names"), says.get("time", 0.0), unit_system(says.get("units")))
    assert pytest.approx(1.0 if b.units is None else b.units.G, rel=1e-15) == b.G


def test_a_planar_table(tmp_path):
    (tmp_path / "flat.csv").write_text("m,x,y,vx,vy\n1,0,0,0,0\n1,1,0,0,1\n")
    assert as_bodies(tmp_path / "flat.csv").position.shape == (1, 2, 2)


ELEMENTS = """name,m,a [au],e,inc [deg],Omega [deg],omega [deg],M [deg]
Sun,1.0,,,,,,
Jupiter,9.55e-4,5.203,0.0484,1.304,100.5,-85.7,19.7
Saturn,2.86e-4,9.537,0.0539,2.486,113.7,-21.1,-42.6
"""


def test_a_table_of_elements(tmp_path):
    (tmp_path / "planets.csv").write_text(ELEMENTS.replace("m,a", "m [Msun],a"))
    b = as_bodies(tmp_path / "planets.csv")
    found = b.elements().in_degrees()
    assert (b.names, b.units) == (("Sun", "Jupiter", "Saturn"), unit_system("au Msun yr"))
    assert found.a[0] == pytest.approx([5.203, 9.537], rel=1e-12)
    assert found.inc[0] == pytest.approx([1.304, 2.486], rel=1e-11)
    assert found.M[0] == pytest.approx([19.7, -42.6], rel=1e-10)
    assert found.period[0] == pytest.approx([11.86, 29.45], rel=2e-3)  # years
    in_days = as_bodies(tmp_path / "planets.csv", units="au Msun day")
    assert in_days.elements().period == pytest.approx(365.25 * b.elements().period, rel=1e-12)


def test_npy_of_columns(tmp_path):
    kinds = [("mass", "f8"), ("position", "f4", 3), ("velocity", ">f8", 3), ("name", "S4"), ("id", "i8")]
    table = np.zeros(3, dtype=kinds)
    table["mass"], table["position"], table["velocity"], table["name"] = MASS, POSITION, VELOCITY, ["A", "b", "c"]
    np.save(tmp_path / "table.npy", table)
    b = as_bodies(tmp_path / "table.npy")
    assert b.names == ("A", "b", "c")
    assert np.array_equal(b.position[0], POSITION)
    assert np.array_equal(b.velocity[0], VELOCITY)
    np.save(tmp_path / "objects.npy", np.zeros(3, dtype=[("mass", "f8"), ("position", object)]), allow_pickle=True)
    np.save(tmp_path / "nested.npy", np.zeros(3, dtype=[("mass", "f8"), ("position", [("x", "f8")])]))
    for name in ("objects.npy", "nested.npy"):
        with pytest.raises(InitialConditionError, match="is not an array of numbers: it holds"):
            as_bodies(tmp_path / name)


def test_a_table_of_moons(tmp_path):
    (tmp_path / "moon.txt").write_text("m q e primary\n1 0 0 nan\n1e-3 4 0.2 0\n1e-9 0.01 0 1\n")
    assert as_bodies(tmp_path / "moon.txt").elements([0, 1]).q[0] == pytest.approx([4.0, 0.01], rel=1e-12)


BAD = {
    "one row": ("m x y vx vy\n1 0 0 0 0\n", "found 1 body; gravity needs at least 2 rows"),
    "ragged": ("m x y vx vy\n1 0 0 0 0\n1 1 0 0\n", "row 2 below the header has 4 entries, the header 5"),
    "empty": ("m,x,y,vx,vy\n1,0,0,0,0\n1,,0,0,0\n", "row 2 of column 'x' is empty; all numbers must be finite"),
    "nan": ("m x y vx vy\n1 0 0 0 0\n1 nan 0 0 0\n", "row 2 of column 'x' is nan; all numbers must be finite"),
    "words": ("m x y vx vy\n1 0 0 0 0\n1 far 0 0 0\n", "row 2 of column 'x' is 'far', which is no number"),
    "no velocity": ("m x y z\n1 0 0 0\n1 1 0 0\n", r"has no velocity: it needs velocity or vx, vy, vz \(found: 'm, x, y, z'\)"),
    "unknown unit": ("m x [ua] y vx vy\n1 0 0 0 0\n1 1 0 0 0\n", "unit 'ua': 'ua' is unknown; did you mean 'au'"),
    "mixed units": ("m x [au] y [au] vx vy\n1 0 0 0 0\n1 1 0 0 1\n", "has no unit, but position has"),
    "wrong unit": ("m [s] x [au] y [au] vx [s] vy [s]\n1 0 0 0 0\n1 1 0 0 0\n", "which is no"),
    "a double column": ("m x x y vx vy\n1 0 0 0 0 0\n1 1 1 0 0 0\n", "several columns called 'x'"),
    "element of the first": ("m a\n1 2\n1 1\n", "the first body is what the others orbit, its a must be empty, nan or 0"),
    "element": ("m a e\n1 0 0\n1 1 1.5\n", "a = 1 of orbit 0 does not fit its e"),
    "short stoa": (STOA[:-20], "begins as a snapshot of NEMO of 3 bodies in 3 axes, but has no such rows after it"),
    "stoa of four axes": (STOA.replace("3\n3\n", "3\n4\n"), "of 3 bodies in 4 axes"),
    "stoa of text": ("N\n3\n0\n1\n", "'N' must be a whole number, as a snapshot begins with it"),
    "short ntmpv": ("4 0.5\n" + rows(), "begins as a snapshot of 4 bodies, but has only 3"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_named_with_their_fault(tmp_path, case):
    content, message = BAD[case]
    path = tmp_path / "bodies.txt"
    path.write_text(content)
    for read in (as_bodies, lambda path: make_problem(Config(ic=f"file:{path}"))):
        with pytest.raises(InitialConditionError, match=message):
            read(path)


def test_settings_count_before_what_a_file_says(tmp_path):
    (tmp_path / "plain.txt").write_text("m x y z vx vy vz\n" + rows())
    (tmp_path / "units.txt").write_text(TEXTS["units"][0])
    plain = make_problem(Config(ic=f"file:{tmp_path}/plain.txt", units="au Msun yr", softening=0.1)).bodies
    assert (plain.units, plain.G, plain.softening.item()) == (unit_system("solar"), unit_system("solar").G, 0.1)
    assert np.array_equal(plain.velocity[0], VELOCITY)
    own = make_problem(Config(ic=f"file:{tmp_path}/units.txt")).bodies
    assert own.units == unit_system("au Msun km/s")
    there = make_problem(Config(ic=f"file:{tmp_path}/units.txt", units="au Msun yr")).bodies
    assert there.velocity[0] == pytest.approx(VELOCITY * 1e3 * 31557600.0 / 149597870700.0, rel=1e-14)
    with pytest.raises(InitialConditionError, match="G = 2 is not that of the units"):
        make_problem(Config(ic=f"file:{tmp_path}/units.txt", G=2.0))
    b = as_bodies(file(f"{tmp_path}/units.txt"))
    assert (b.units, b.G) == (own.units, own.G)


# ---- HDF5 ----------------------------------------------------------------------------------------------------------------
def h5(path, group="", unit=None, **arrays):
    with h5py.File(path, "a") as f:
        for name, values in arrays.items():
            f[group + name] = values
            if unit is not None:
                f[group + name].attrs["units"] = unit(name)
    return path


@pytest.mark.parametrize("group", ["", "PartType1/"])
@pytest.mark.parametrize("names", [("mass", "position", "velocity"), ("Masses", "Coordinates", "Velocities")])
def test_hdf5(tmp_path, group, names):
    arrays = dict(zip(names, (MASS, POSITION, VELOCITY), strict=True))
    path = h5(tmp_path / "bodies.h5", group, **arrays, time=0.5, names=np.array([b"A", b"b", b"c"]), density=MASS)
    b = as_bodies(path)
    assert same(b, PLAIN.replace(time=0.5))
    assert b.names == ("A", "b", "c")
    assert np.array_equal(make_problem(Config(ic=f"file:{path}")).bodies.position, PLAIN.position)


def test_hdf5_with_columns_units_and_batches(tmp_path):
    columns = {"m": MASS, **{a: POSITION[:, k] for k, a in enumerate("xyz")}}
    columns |= {f"v{a}": VELOCITY[:, k] for k, a in enumerate("xyz")}
    units = {"m": b"Msun", **dict.fromkeys("xyz", b"au"), **dict.fromkeys(("vx", "vy", "vz"), b"au/yr")}
    path = h5(tmp_path / "units.h5", unit=lambda name: np.bytes_(units[name]), **columns)
    assert as_bodies(path).units == unit_system("solar")
    batch = {"mass": MASS, "position": np.stack([POSITION] * 2), "velocity": np.stack([VELOCITY] * 2)}
    path = h5(tmp_path / "batch.h5", **batch)
    assert len(simulate(path, steps=1).status) == 2
    with pytest.raises(InitialConditionError, match=r"batch.h5 holds 2 systems, not one; simulate"):
        file(str(path))


def test_bad_hdf5_is_named_with_its_fault(tmp_path):
    arrays = {"mass": MASS, "position": POSITION, "velocity": VELOCITY}
    two = h5(h5(tmp_path / "two.h5", "a/", **arrays), "b/", **arrays)
    text = h5(tmp_path / "text.h5", unit=lambda name: "au", **arrays)
    link = h5(tmp_path / "link.h5", **arrays)
    with h5py.File(link, "a") as f:
        f["time"] = h5py.ExternalLink("two.h5", "a/mass")
    torn = tmp_path / "torn.h5"
    torn.write_bytes(h5(tmp_path / "whole.h5", **arrays).read_bytes()[:-900])
    simulate(PLAIN, steps=2, output=tmp_path / "run.h5", criterion="constant:dt=0.01")
    save_suite(make_suite(("kepler",), "test", 2, 3), tmp_path / "suite.h5")
    for path, message in {
        two: r"holds 2 groups with masses \('a, b'\)",
        h5(tmp_path / "none.h5", position=POSITION): "holds no masses",
        h5(tmp_path / "half.h5", mass=MASS, position=POSITION): "has no velocity",
        h5(tmp_path / "nan.h5", **arrays | {"mass": MASS * math.nan}): r"mass is not finite \(nan\)",
        h5(tmp_path / "words.h5", **arrays | {"mass": np.array([b"a"] * 3)}): "mass must be numbers",
        h5(tmp_path / "grid.h5", **arrays | {"position": np.full((3, 3), b"a")}): "'position' holds text in 2 axes",
        text: "the attribute units of mass is text of variable length",
        link: "time is a link to somewhere else",
        torn: "torn.h5 is damaged, or no HDF5 file",
        tmp_path / "run.h5": "is a simulation: continue it with resume",
        tmp_path / "suite.h5": "is a suite of problems",
    }.items():
        with pytest.raises(InitialConditionError, match=message):
            as_bodies(path)


# ---- REBOUND -------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    sim, path = rebound.Simulation(), tmp_path_factory.mktemp("rebound") / "archive.bin"
    sim.units = ("AU", "yr", "Msun")
    sim.add(m=1.0, name="Sun")
    sim.add(m=1e-3, a=1.0, e=0.1, name="b")
    sim.save_to_file(str(path), delete_file=True)
    sim.integrate(1.5)
    sim.save_to_file(str(path))
    return path, sim


def test_the_last_state_of_an_archive_of_rebound(archive):
    path, sim = archive
    b = as_bodies(path)
    assert b.position[0].tolist() == [p.xyz for p in sim.particles]
    assert b.velocity[0].tolist() == [p.vxyz for p in sim.particles]
    assert (b.time.item(), b.G, b.names, b.units) == (1.5, sim.G, ("Sun", "b"), unit_system("au Msun yr"))
    problem = make_problem(Config(ic=f"file:{path}"))
    assert (problem.bodies.time.item(), problem.bodies.G) == (1.5, sim.G)
    assert problem.period == pytest.approx(sim.orbits()[0].P, rel=1e-9)


def test_an_archive_of_another_version_or_damaged_is_named(archive, tmp_path):
    whole, path = archive[0].read_bytes(), tmp_path / "damaged.bin"
    own = rebound.__version__.encode()
    old = b"3.19.2".ljust(len(own), b"\0")
    many = bytearray(whole)
    many[64:200] = b"\xff" * 136
    for content, message in (
        (
            whole.replace(own, old, 1),
            f"written by REBOUND '3.19.2', and {own.decode()} is installed",
        ),
        (whole.replace(own, b"\xff" * len(own), 1), "written by REBOUND"),
        (whole[:70], "damaged.bin is damaged: REBOUND"),
        (bytes(many), "damaged.bin is damaged: REBOUND"),
    ):
        path.write_bytes(content)
        with pytest.raises(InitialConditionError, match=message):
            as_bodies(path)


def test_a_child_that_crashes_is_a_sentence(monkeypatch, archive):
    from aitimestepper.inputs import rebound_archive

    monkeypatch.setattr(rebound_archive, "COMMAND", "import os; os.abort()")
    with pytest.raises(InitialConditionError, match=r"archive.bin is damaged: REBOUND ends while it reads it"):
        as_bodies(archive[0])
    monkeypatch.setattr(rebound_archive, "COMMAND", "print('something else')")
    with pytest.raises(InitialConditionError, match=r"archive.bin is damaged: what REBOUND reads in it is no simulation"):
        as_bodies(archive[0])


def test_where_rebound_is_missing_the_extra_is_named(monkeypatch, archive):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(MissingExtraError, match=r"an archive of REBOUND needs rebound: pip install 'aitimestepper\[rebound\]'"):
        as_bodies(archive[0])


def test_json_is_no_table(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({"mass": [1, 2]}))
    with pytest.raises(InitialConditionError, match=r"x\.json"):
        as_bodies(tmp_path / "x.json")
