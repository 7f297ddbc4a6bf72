"""Suites: one batch for problems in any units, files, families of one's own, known answers."""

import io
from dataclasses import replace

import h5py
import numpy as np
import pytest

from aitimestepper.bodies import Bodies
from aitimestepper.config import Config
from aitimestepper.errors import ConfigError, InitialConditionError, SnapshotError
from aitimestepper.fields import PointMassTidalField
from aitimestepper.files import seal
from aitimestepper.files.archives import SEAL
from aitimestepper.initial.own_families import families_from_file
from aitimestepper.initial.problems import make_problem
from aitimestepper.initial.suite_file import load_suite, save_suite
from aitimestepper.initial.suites import (
    REFERENCES,
    Case,
    Suite,
    checked,
    make_suite,
    named_suite,
    reference_case,
)
from aitimestepper.simulate.engine import simulate

OWN = """
import numpy as np
from aitimestepper.bodies import Bodies
from aitimestepper.fields import PointMassTidalField
from aitimestepper.initial import InitialConditions
from aitimestepper.initial.draws import Sample

def pairs(rng, dim):
    "Two equal masses."
    x = np.zeros((2, dim)); x[:, 0] = [-0.5, 0.5]
    v = np.zeros((2, dim)); v[:, 1] = [-0.5, 0.5]
    return InitialConditions(np.full(2, 0.5), x * rng.uniform(0.9, 1.1), v), 3.0

def units(rng, dim):
    "The same pair as bodies, with G = 4."
    made, t_end = pairs(rng, dim)
    return Bodies(*made[:3], G=4.0), t_end / 2

def soft(rng, dim):
    made, t_end = pairs(rng, dim)
    return Bodies(*made[:3], softening=0.1), t_end

def tide(rng, dim):
    made, t_end = pairs(rng, dim)
    return Sample(Bodies(*made[:3], external_field=PointMassTidalField(1.0, R0=9.0)), t_end, softening=0.2, regular=True)

def _helper(rng, dim):
    return None

def broken(rng, dim):
    return 7
"""


def same(a: Case, b: Case) -> bool:
    return (
        all(getattr(a, x) == getattr(b, x) for x in ("name", "family", "t_end", "softening", "regular", "external_field"))
        and a.initial.G == b.initial.G
        and all(np.array_equal(x, y) for x, y in zip(a.initial[:3], b.initial[:3], strict=True))
        and [(k.quantity, k.time) for k in a.known] == [(k.quantity, k.time) for k in b.known]
        and all(np.array_equal(x.values, y.values) for x, y in zip(a.known, b.known, strict=True))
    )


def test_a_suite_has_so_many_of_each_family_with_numbers_of_its_split():
    suite = make_suite(("kepler", "cluster"), "validation", 3)
    assert [c.name for c in suite.cases] == [f"{f}-{1_000_000 + k}" for f in ("kepler", "cluster") for k in range(3)]
    assert suite.seeds == {"kepler": (1_000_000, 1_000_003), "cluster": (1_000_000, 1_000_003)}
    assert suite.family_of.tolist() == [0, 0, 0, 1, 1, 1]
    more = make_suite(("cluster",), "validation", 5)
    assert same(more.cases[2], suite.cases[5])  # more problems are more, not others


def test_one_batch_holds_problems_of_all_units_and_they_run_as_in_their_own():
    solar, rl = reference_case("solar"), named_suite("rl").cases[0]
    for case in (replace(solar, t_end=4e4), rl):
        start, ends = Suite("", (case,)).batch()
        assert isinstance(start, Bodies)
        assert (start.G, ends.tolist()) == (1.0, [case.t_end * case.initial.G**0.5])
        scaled = simulate(start, t_end=ends, tol=1e-11, integrator="kahan_li8")
        own = simulate(case.initial, t_end=case.t_end, tol=1e-11, integrator="kahan_li8")
        np.testing.assert_allclose(scaled.final.position, own.final.position, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(scaled.max_energy_error, own.max_energy_error, rtol=0.5, atol=1e-14)


def test_a_file_holds_everything(tmp_path):
    families = make_suite(("kepler", "planets", "scatter", "softened", "tidal"), "test", 2)
    assert families.regular.any()
    assert not families.regular.all()
    for suite in (families, named_suite("burrau"), named_suite("rl")):
        again = load_suite(save_suite(suite, tmp_path / "suite.h5"))
        assert (again.name, again.split, again.seeds) == (suite.name, suite.split, suite.seeds)
        assert all(same(a, b) for a, b in zip(again.cases, suite.cases, strict=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["suite.h5"]


def test_files_of_the_version_before_still_read(tmp_path):
    """They say neither what is regular nor which field acts."""
    suite = make_suite(("scatter", "kepler"), "test", 2)
    path = save_suite(suite, tmp_path / "old.h5")
    image = io.BytesIO(path.read_bytes()[:-SEAL])
    with h5py.File(image, "a") as f:
        del f["regular"], f["field"]
        f.attrs["version"] = 2
    path.write_bytes(seal(image.getvalue()))
    again = load_suite(path)
    assert again.checksum == suite.checksum
    assert not again.regular.any()
    with h5py.File(image, "a") as f:
        f.attrs["version"] = 1
    path.write_bytes(seal(image.getvalue()))
    with pytest.raises(SnapshotError, match="of the format aitimestepper-suite 1, this program reads aitimestepper-suite 3"):
        load_suite(path)


def test_a_field_of_ones_own_cannot_be_stored(tmp_path):
    case = make_suite(("kepler",), "test", 1).cases[0]
    moving = PointMassTidalField(1.0, R_of_t=lambda t: np.stack([9 + t, 0 * t], -1))
    with pytest.raises(SnapshotError, match=f"{case.name} has an external field of your own, which a file cannot hold"):
        save_suite(Suite("x", (replace(case, external_field=moving),)), tmp_path / "x.h5")


def test_one_batch_has_one_external_field():
    suite = make_suite(("tidal", "kepler", "softened"), "test", 2)
    with pytest.raises(ConfigError, match="of tidal, kepler, softened have different external fields: take them by themselves"):
        suite.batch()
    assert suite.batch([0, 1])[0].external_field == suite.cases[0].external_field
    (without, alone), (within, tide) = suite.by_field()
    assert (without.tolist(), within.tolist()) == ([2, 3, 4, 5], [0, 1])
    assert alone.cases == tuple(suite.cases[i] for i in without)
    start, _ = alone.batch()
    assert start.external_field is None
    assert start.softening.tolist() == [case.softening for case in alone.cases]
    assert start.softening.any()
    assert tide.batch()[0].external_field == PointMassTidalField(1000.0, R0=100.0)
    assert [len(part) for _, part in make_suite(("kepler",), "test", 3).by_field()] == [3]


def test_the_checksum_covers_fields_where_there_are_any():
    suite = make_suite(("tidal",), "test", 2)
    bare = replace(suite, cases=tuple(replace(case, external_field=None, regular=False) for case in suite.cases))
    other = replace(suite, cases=tuple(replace(c, external_field=PointMassTidalField(1.0, R0=9.0)) for c in suite.cases))
    assert len({suite.checksum, bare.checksum, other.checksum}) == 3


def test_a_problem_in_a_field_has_the_unit_of_time_of_the_field():
    case = make_suite(("tidal",), "test", 1).cases[0]
    with pytest.raises(InitialConditionError, match=r"a problem with an external field must have G = 1, not 4\.0"):
        checked(replace(case, initial=case.initial._replace(G=4.0)))


def test_a_file_from_elsewhere_needs_four_arrays(tmp_path):
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as f:
        f["mass"], f["t_end"] = np.full((1, 2), 0.5), np.array([2.0])
        f["position"], f["velocity"] = np.array([[[-0.5, 0], [0.5, 0]]]), np.array([[[0, -0.5], [0, 0.5]]])
    suite = load_suite(path)
    assert (suite.cases[0].name, suite.families, suite.split) == ("mine-0", ("mine",), None)
    assert simulate(suite.batch()[0], t_end=suite.batch()[1], tol=1e-3).status == ("ok",)
    with h5py.File(path, "a") as f:
        del f["t_end"]
    with pytest.raises(SnapshotError, match="it has no t_end"):
        load_suite(path)


def test_rows_of_a_suite_are_a_batch_padded_to_its_largest():
    suite = make_suite(("kepler", "planets"), "test", 2)
    start, ends = suite.batch()
    assert start.body_count.tolist() == [case.size for case in suite.cases]
    for i, case in enumerate(suite.cases):
        assert np.array_equal(start.position[i, : case.size], case.initial.position)
        assert not start.mass[i, case.size :].any()
    some, some_ends = suite.batch(np.array([3, 1]))
    assert np.array_equal(some_ends, ends[[3, 1]])
    assert np.array_equal(some.velocity[1, :2], start.velocity[1, :2])


def test_what_is_no_suite_is_said_in_a_sentence(tmp_path):
    with pytest.raises(SnapshotError, match=r"cannot read the suite .*nothing\.h5: No such file"):
        load_suite(tmp_path / "nothing.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(SnapshotError, match="does not hold a suite"):
        load_suite(tmp_path / "text.h5")
    two, three = make_suite(("kepler",), "test", 1, 2), make_suite(("kepler",), "test", 1, 3)
    with pytest.raises(SnapshotError, match="2 and 3 axes; write a file for each"):
        save_suite(Suite("x", (*two.cases, *three.cases)), tmp_path / "x.h5")
    one = two.cases[0].initial
    with pytest.raises(InitialConditionError, match=r"t_end = -1\.0 must be a positive time"):
        checked(Case("x", "y", one, -1.0))
    with pytest.raises(InitialConditionError, match=r"do not fit; they must be \(N, axes\)"):
        checked(Case("x", "y", one._replace(velocity=one.velocity[:1]), 1.0))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("t_end", np.array(2.0), "the shapes"),
        ("t_end", np.array([2.0, 3.0]), "the shapes"),
        ("mass", np.full(2, 0.5), "the shapes"),
        ("mass", np.full((1, 2), -0.5), r"mass = \[-0.5, -0.5\] must be finite, masses at least 0"),
        ("position", np.full((1, 2, 2), np.nan), "position = .* must be finite"),
        ("position", np.zeros((1, 2, 4)), "do not fit"),
        ("G", np.array([0.0]), "G = 0.0 must be above 0"),
        ("G", np.array([-1.0]), "G = -1.0 must be above 0"),
        ("softening", np.array([-1.0]), "softening = -1.0 at least 0"),
        ("known", np.array([b"{"]), "does not hold a suite: JSONDecodeError"),
    ],
)
def test_damaged_suites_are_a_sentence(tmp_path, name, values, message):
    """Also those whose checksum was made anew."""
    path = save_suite(make_suite(("kepler",), "test", 1, 2), tmp_path / "s.h5")
    image = io.BytesIO(path.read_bytes()[:-SEAL])
    with h5py.File(image, "a") as f:
        del f[name]
        f[name] = values
    path.write_bytes(image.getvalue())
    with pytest.raises(SnapshotError, match=r"s\.h5 does not hold a suite: it is damaged, or was changed by another program"):
        load_suite(path)
    path.write_bytes(seal(image.getvalue()))
    with pytest.raises((SnapshotError, InitialConditionError), match=message):
        load_suite(path)


def test_families_of_ones_own_come_from_a_file(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    own = families_from_file(path)
    assert set(own) == {"own.py:pairs", "own.py:units", "own.py:soft", "own.py:tide", "own.py:broken"}
    suite = make_suite(["own.py:pairs", "kepler"], "train", 2, 2, own)
    assert suite.families == ("own.py:pairs", "kepler")
    assert same(suite.cases[1], make_suite(["own.py:pairs"], "train", 2, 2, own).cases[1])
    made = make_suite(["own.py:units"], "train", 1, 2, own).cases[0]
    assert (made.initial.G, made.t_end, made.initial.position.shape) == (4.0, 1.5, (2, 2))
    soft = make_suite(["own.py:soft"], "train", 1, 2, own).cases[0]
    assert (soft.softening, soft.regular, soft.external_field) == (0.1, False, None)
    tide = make_suite(["own.py:tide"], "train", 1, 2, own).cases[0]
    assert (tide.softening, tide.regular, tide.external_field) == (0.2, True, PointMassTidalField(1.0, R0=9.0))
    message = r"own.py:broken must return \(Bodies, t_end\) or a Sample; it ended with TypeError"
    with pytest.raises(InitialConditionError, match=message):
        make_suite(["own.py:broken"], "train", 1, 2, own)


@pytest.mark.parametrize(
    ("content", "message"),
    [("x = (", "cannot be run: SyntaxError"), ("1/0", "cannot be run: ZeroDivisionError"), ("x = 1", "holds no family")],
)
def test_bad_files_of_families(tmp_path, content, message):
    path = tmp_path / "own.py"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        families_from_file(path)
    with pytest.raises(ConfigError, match="there is no file"):
        families_from_file(tmp_path / "none.py")


@pytest.mark.parametrize("name", [n for n in REFERENCES if REFERENCES[n]().known])
def test_known_answers_are_reproduced(name):
    case = reference_case(name)
    for known in case.known:
        done = simulate(case.initial, t_end=known.time, tol=1e-13, integrator="radau15")
        if known.quantity == "position":
            # 1.5e-7: the digits that the figure-eight's period is given with; Burrau magnifies rounding by 1e6
            np.testing.assert_allclose(done.final.position[0], known.values, rtol=0, atol=1.5e-7)
        else:
            near = done.closest_approach
            assert near is not None
            np.testing.assert_allclose([near.distance[0], near.time[0]], known.values, rtol=1e-6)


def test_reference_problems_have_names():
    with pytest.raises(ConfigError, match="did you mean 'burrau'"):
        reference_case("burau")
    for name in ("plummer64", "plummer256", "solar", "kozai", "agekyan"):
        assert reference_case(name).size >= 3


def test_every_flipped_bit_of_a_suite_shows(tmp_path):
    path = save_suite(make_suite(("kepler",), "test", 2, 2), tmp_path / "s.h5")
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(whole), 500, replace=False):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(SnapshotError, match=r"s\.h5 does not hold a suite"):
            load_suite(path)


def test_a_suite_from_elsewhere_has_its_data_in_the_file(tmp_path):
    """HDF5 would read any file that is named in it."""
    path, other = tmp_path / "s.h5", tmp_path / "secret"
    other.write_bytes(bytes(1000))
    for how in ("external", "link", "soft"):
        with h5py.File(path, "w") as f:
            f["mass"], f["position"], f["t_end"] = np.full((1, 2), 0.5), np.array([[[0.0, 0], [1, 0]]]), np.ones(1)
            if how == "external":
                f.create_dataset("velocity", (1, 2, 2), "f8", external=[(str(other), 0, 32)])
            else:
                f["velocity"] = h5py.ExternalLink(str(other), "/x") if how == "link" else h5py.SoftLink("/position")
        with pytest.raises(SnapshotError, match=r"s\.h5 is refused: velocity is (stored in another file|a link)"):
            load_suite(path)


def test_a_simulation_has_the_softening_and_the_field_of_its_problems():
    config = Config(ic_family=("softened",), num_orbits=6)
    cases = make_suite(("softened",), "train", 6).cases
    assert make_problem(config).bodies.softening.tolist() == [case.softening for case in cases]
    assert make_problem(Config(ic_family=("tidal",), num_orbits=2)).bodies.external_field == PointMassTidalField(
        1000.0, R0=100.0
    )
    both = Config(ic_family=("kepler", "tidal"))
    with pytest.raises(ConfigError, match="kepler tidal: its problems have different external fields; run each family alone"):
        make_problem(both)
    with pytest.raises(ConfigError, match=r"ic_family = softened has its own softening; leave softening = 0\.1 out"):
        make_problem(replace(config, softening=0.1))
    with pytest.raises(ConfigError, match="ic_family = tidal has its own external_field; leave external_field = "):
        make_problem(Config(ic_family=("tidal",), external_field="tidal:M=1,R0=9"))
    assert make_problem(Config(ic_family=("kepler",), softening=0.1)).bodies.softening.tolist() == [0.1]
