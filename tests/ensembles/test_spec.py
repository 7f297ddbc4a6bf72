"""Specifications in TOML: the systems they describe, and one sentence for every mistake."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import aitimestepper as ats
from aitimestepper.ensembles.spec import read_spec
from aitimestepper.errors import ConfigError, InitialConditionError, UserError
from aitimestepper.initial.scattering import critical_speed
from aitimestepper.initial.suite_file import save_suite
from aitimestepper.initial.suites import make_suite

ROOT = Path(__file__).resolve().parents[2]
HIERARCHY = """
systems = 300
seed = 4
periods = 2
tol = 1e-4
[hierarchy]
m1 = 1.0
m2 = { uniform = [0.1, 1.0] }
m3 = { loguniform = [0.1, 1.0] }
a1 = 1.0
e1 = { thermal = [0.0, 0.9] }
a2 = { uniform = [5.0, 20.0] }
e2 = 0.3
inc2 = { isotropic = [0.2, 0.4] }
"""
SCATTERING = """
systems = 200
t_end = 100.0
[scattering]
m1 = 1.0
m2 = { uniform = [0.5, 1.0] }
m3 = 2.0
a = 0.5
e = { thermal = [0.0, 0.9] }
v = 0.7
b = { disc = [0.0, 3.0] }
"""


@pytest.fixture
def spec(tmp_path):
    def read(text):
        (tmp_path / "spec.toml").write_text(text)
        return read_spec(tmp_path / "spec.toml")

    return read


def test_a_hierarchy_has_the_orbits_that_were_drawn(spec):
    chunk = spec(HIERARCHY).source.chunk(0, 300)
    (group,) = chunk.groups
    found = group.bodies.elements("jacobi")
    for k in (1, 2):
        for name, values in (("a", found.a), ("e", found.e), ("inc", found.inc), ("Omega", found.Omega), ("M", found.M)):
            turns = (values[:, k - 1] - chunk.columns[f"{name}{k}"]) / (2 * math.pi if name in ("Omega", "M") else 1.0)
            assert np.abs(turns - (np.round(turns) if name in ("Omega", "M") else 0.0)).max() < 1e-9, (name, k)
    mass = sum(chunk.columns[f"m{k}"] for k in (1, 2, 3))
    assert np.allclose(group.ends, 4 * math.pi * np.sqrt(chunk.columns["a2"] ** 3 / mass))
    assert (np.diff(np.sort(np.cos(chunk.columns["inc1"]))) < 0.1).all()  # isotropic, as it was not given
    assert np.abs(group.bodies.momentum()).max() < 1e-14


def test_scattering_begins_on_the_hyperbola_that_was_asked_for(spec):
    chunk = spec(SCATTERING).source.chunk(0, 200)
    bodies, c = chunk.groups[0].bodies, chunk.columns
    mass, binary = bodies.mass, bodies.mass[:, :2, None]
    far = bodies.position[:, 2] - (binary * bodies.position[:, :2]).sum(1) / binary.sum(1)
    fast = bodies.velocity[:, 2] - (binary * bodies.velocity[:, :2]).sum(1) / binary.sum(1)
    speed = c["v"] * critical_speed(mass, c["a"])
    r = np.linalg.norm(far, axis=1)
    assert np.allclose(0.5 * (fast**2).sum(1) - mass.sum(1) / r, 0.5 * speed**2)
    assert np.allclose(np.cross(far, fast)[:, 2], c["b"] * speed)
    assert ((far * fast).sum(1) < 0).all()
    assert np.allclose(r, np.hypot(30 * 0.5, c["b"]))
    inner = bodies.orbit(0, 1)
    assert np.allclose(inner.semi_major_axis, 0.5)
    assert np.allclose(inner.eccentricity, c["e"])
    assert (chunk.groups[0].ends == 100.0).all()
    at_rest = 0.5 * mass[:, 2] * mass[:, :2].sum(1) / mass.sum(1) * critical_speed(mass, c["a"]) ** 2
    assert np.allclose(at_rest, mass[:, 0] * mass[:, 1] / (2 * 0.5))  # the critical speed is that of zero energy


@pytest.mark.parametrize("text", [HIERARCHY, SCATTERING], ids=["hierarchy", "scattering"])
def test_systems_do_not_depend_on_the_chunks(spec, text):
    source = spec(text).source
    whole = source.chunk(0, 200).groups[0].bodies
    for first, count in ((0, 1), (3, 50), (199, 1)):
        part = source.chunk(first, count).groups[0].bodies
        assert np.array_equal(part.position, whole.position[first : first + count])
        assert np.array_equal(part.velocity, whole.velocity[first : first + count])


def test_what_was_drawn_is_in_the_table(spec):
    read = spec(HIERARCHY.replace("systems = 300", "systems = 20") + "Omega2 = 0.5\n")
    found = ats.ensemble(read.source, **read.arguments, chunk=7)
    chunk = read.source.chunk(0, 20)
    assert np.array_equal(found["e1"], chunk.columns["e1"])
    assert (found["Omega2"] == 0.5).all()
    assert np.array_equal(found["time"], chunk.groups[0].ends)
    assert found["within_tolerance"].mean() > 0.8


def test_a_function_of_ones_own_correlates_columns(spec, tmp_path):
    (tmp_path / "my.py").write_text("def equal(columns):\n    return {**columns, 'm2': columns['m1'] * columns['ratio']}\n")
    text = 'systems = 50\nperiods = 1\nfunction = "my.py:equal"\n[hierarchy]\na1 = 1.0\n'
    read = spec(text + "m1 = { uniform = [1.0, 2.0] }\nratio = { uniform = [0.5, 1.0] }\n")
    chunk = read.source.chunk(0, 50)
    assert np.array_equal(chunk.groups[0].bodies.mass[:, 1], chunk.columns["m1"] * chunk.columns["ratio"])
    (tmp_path / "my.py").write_text("def equal(columns):\n    return {**columns, 'm2': -columns['m1']}\n")
    with pytest.raises(ConfigError, match=r"m2 = -1\.\d+ of system 0 is out of range: it must be >= 0"):
        spec(text + "m1 = { uniform = [1.0, 2.0] }\n").source.chunk(0, 50)
    (tmp_path / "my.py").write_text("def equal(columns):\n    return 3\n")
    with pytest.raises(ConfigError, match=r"equal of .*my\.py must return columns by name"):
        spec(text + "m1 = 1\n").source.chunk(0, 50)
    with pytest.raises(ConfigError, match="has no function 'other'"):
        spec(text.replace("equal", "other") + "m1 = 1\n")


def test_sources_by_name(spec, tmp_path):
    save_suite(make_suite(("triple",), "train", 5), tmp_path / "five.h5")
    for source in ("triple:0-5", "five.h5"):
        read = spec(f'source = "{source}"\ntol = 1e-3\n')
        assert ats.ensemble(read.source, **read.arguments)["number"].tolist() == [0, 1, 2, 3, 4]


def test_units_are_those_of_the_bodies(spec):
    text = 'systems = 3\nperiods = 1\nunits = "au Msun yr"\n[hierarchy]\nm1 = 1.0\nm2 = 0.0\na1 = 1.0\n'
    read = spec(text)
    assert np.allclose(read.source.chunk(0, 3).groups[0].ends, 1.0, rtol=1e-4)  # a year


MISTAKES = [
    ("sytems = 3", "unknown key 'sytems': did you mean 'systems'"),
    ("systems = 3.5", "systems = 3.5 must be a whole number"),
    ("systems = true", "systems = True must be a whole number"),
    ("systems = 0", "systems = 0 is out of range: it must be > 0"),
    ("seed = -1", "seed = -1 is out of range"),
    ('tol = "small"', "tol = 'small' must be a number"),
    ("tol = -1e-3", "tol = -0.001 is out of range"),
    ("tol = nan", "tol = nan is out of range"),
    ("guard = 1", "guard = 1 must be true or false"),
    ('events = "escape:beyond=3"', "must be a list of texts"),
    ("hierachy = {m1 = 1}", "unknown key 'hierachy': did you mean 'hierarchy'"),
    ('source = "triple:0-5"', "it must say where the systems come from, once"),
    ("t_end = 5.0", "give either t_end"),
    ("dim = 2", "dim belongs to families"),
    ('function = "my"', "must be FILE.py:NAME"),
    ('function = "my.py:f"', "there is no file"),
]


@pytest.mark.parametrize(("line", "words"), MISTAKES)
def test_every_mistake_is_one_sentence(spec, line, words):
    key = line.partition(" =")[0]
    lines = [x for x in HIERARCHY.splitlines() if not x.startswith(f"{key} =")]
    with pytest.raises(ConfigError, match=words) as caught:
        spec("\n".join([line, *lines]))
    assert "spec.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("e3 = 0.5", "e3 is of orbit 3, which has no body: give m4"),
        ("eccentricity1 = 0.5", "has no 'eccentricity1'"),
        ("e2 = 1.0", r"\[hierarchy\] e2 = 1.0 gives 1, which is out of range: it must be >= 0 and < 1"),
        ("m4 = 1.0", "needs a3"),
        ("m3 = { normal = [0.1, 5.0] }", "of system .* is out of range: it must be >= 0"),
        ("m200 = 1.0", "at most 100 bodies"),
        ("inc2 = 4.0", "out of range"),
    ],
)
def test_every_mistake_in_a_table_is_one_sentence(spec, column, words):
    key = column.partition(" =")[0]
    lines = [x for x in HIERARCHY.splitlines() if not x.startswith(f"{key} =")]
    with pytest.raises((ConfigError, InitialConditionError), match=words):
        ats.ensemble(spec("\n".join([*lines, column])).source, tol=1e-3)


def test_what_is_no_toml_is_one_sentence(spec, tmp_path):
    for text in ("systems = ", "[" * 5000, "x = 1" * 3):
        with pytest.raises(ConfigError, match="is not valid TOML"):
            spec(text)
    with pytest.raises(ConfigError, match="cannot read the specification"):
        read_spec(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="must be a table"):
        spec("systems = 3\nt_end = 1\nhierarchy = 3")
    with pytest.raises(ConfigError, match="it must say where the systems come from"):
        spec("tol = 1e-3")
    with pytest.raises(ConfigError, match="systems belongs to systems that are drawn"):
        spec('source = "triple:0-5"\nsystems = 3')


def test_the_example_is_valid():
    read = read_spec(ROOT / "examples/ensemble.toml")
    assert read.out == "runs/triples"
    chunk = read.source.chunk(0, 4)
    assert chunk.groups[0].bodies.mass.shape == (4, 3)
    assert ats.ensemble(chunk.groups[0].bodies, t_end=chunk.groups[0].ends, **read.arguments)["within_tolerance"].all()


@pytest.mark.parametrize("name", ["9" * 5000, "x" * 300, "a\x00b", "\ud800"])
def test_a_source_that_no_file_can_be_called_is_one_sentence(name):
    with pytest.raises(UserError) as refused:
        ats.ensemble(name, tol=1e-3)
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 1000
