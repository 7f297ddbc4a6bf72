"""What cannot be attached, converted or continued is one sentence."""

import math
import sys

import pytest

import aitimestepper as ats
import rebound
from aitimestepper.bodies import Bodies
from aitimestepper.errors import ConfigError, InitialConditionError, MissingExtraError, SnapshotError, UserError
from aitimestepper.rebound import attach, detach, from_bodies, load, to_bodies
from aitimestepper.rebound import memory as of
from aitimestepper.rebound.attach import words_of


def with_nan(sim):
    sim.particles[1].x = math.nan


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda sim: sim.add_variation(), "variational particles"),
        (lambda sim: setattr(sim, "gravity", "tree"), "gravity = 'tree' is not supported"),
        (lambda sim: setattr(sim, "gravity", "none"), "gravity = 'none'"),
        (lambda sim: setattr(sim, "boundary", "periodic"), "boundary = 'periodic'"),
        (with_nan, "not finite"),
        (lambda sim: sim.remove(1), "fewer than 2 bodies"),
    ],
)
def test_simulations_that_cannot_be_attached(orbit, change, sentence):
    sim = orbit()
    change(sim)
    with pytest.raises(InitialConditionError, match=sentence):
        attach(sim, tol=1e-5)
    assert str(sim.integrator) == "ias15"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"tol": 1e-10}, "leave the simulation as it is"),
        ({"integrator": "hermite4", "tol": 1e-5}, "cannot be attached"),
        ({"keep": "bs"}, "must be one of leapfrog, whfast, ias15"),
        ({"keep": "whfast", "tol": 1e-5}, "no tolerance is calibrated"),
        ({"keep": "leapfrog", "integrator": "chin4"}, "only one of them"),
        ({"criterion": ats.Huayno(ats.FreeFall(0.1))}, "trial steps"),
        ({"criterion": ats.HutMakinoMcMillan(ats.FreeFall(0.1))}, "trial steps"),
        ({"criterion": ats.OwnCriterion(lambda *a: 0.1)}, "of your own"),
        ({"criterion": ats.LearnedStep.load("default", integrator="chin4"), "keep": "ias15"}, "chin4"),
        ({"tol": 1e-5, "t_end": "soon"}, "must be a time"),
        ({"tol": math.nan}, "tol"),
    ],
)
def test_what_is_asked_for_and_cannot_be_had(orbit, asked, sentence):
    with pytest.raises(ConfigError, match=sentence):
        attach(orbit(), **asked)


@pytest.mark.parametrize("thing", [None, 3, "sim"])
def test_only_simulations_are_attached(thing):
    for use in (lambda: attach(thing, tol=1e-5), lambda: to_bodies(thing), lambda: detach(thing)):
        with pytest.raises(InitialConditionError, match=r"no rebound\.Simulation"):
            use()


def test_an_old_version_is_refused(orbit, monkeypatch):
    sim = orbit()
    monkeypatch.setattr(rebound, "__version__", "4.4.7")
    with pytest.raises(MissingExtraError, match=r"5\.2 or newer, not 4\.4\.7"):
        attach(sim, tol=1e-5)


def test_where_rebound_is_missing_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rebound", None)
    for use in (lambda: attach(None), lambda: to_bodies(None), lambda: from_bodies(None), lambda: load("a.bin")):
        with pytest.raises(MissingExtraError, match=r"pip install 'aitimestepper\[rebound\]'"):
            use()


def test_the_integrator_without_a_criterion_says_so(orbit):
    attach(orbit(), tol=1e-5)  # makes it known
    sim = orbit(integrator="aitimestepper")
    for use in (lambda: sim.integrate(1.0), lambda: sim.steps(1)):
        with pytest.raises(RuntimeError, match=r"call aitimestepper\.rebound\.attach"):
            use()


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (of.FORMAT, 99),
        (of.INTS, 3),
        (of.FLOATS, 10),
        (of.RULE, 1),
        (of.REAL, 2),
        (of.MEMORY, 1),
        (of.NET, 5),
        (of.SHAPE, 4),
    ],
)
def test_memory_that_does_not_fit_is_refused(orbit, word, value):
    sim = orbit()
    attach(sim, tol=1e-5)
    words = words_of(sim)
    words[word], words[of.CHECKED] = value, 0
    with pytest.raises(RuntimeError, match="another version"):
        sim.integrate(1.0)


def test_an_anchor_that_does_not_fit_is_refused(orbit):
    sim = orbit()
    attach(sim, tol=1e-5)
    sim.integrate(0.7)
    words = words_of(sim)
    assert words[of.ANCHORED] == 1
    words[of.ANCHOR], words[of.CHECKED] = 1, 0
    with pytest.raises(RuntimeError, match="another version"):
        sim.integrate(1.0)


def test_what_happens_later_is_refused_too(orbit):
    sim = orbit()
    attach(sim, tol=1e-5)
    sim.integrate(1.0)
    sim.add_variation()
    with pytest.raises(RuntimeError, match="variational"):
        sim.integrate(2.0)
    sim = orbit()
    attach(sim, tol=1e-5)
    with_nan(sim)
    with pytest.raises(RuntimeError, match="no positive number"):
        sim.integrate(2.0)
    sim = orbit()
    attach(sim, tol=1e-5)
    sim.gravity = "none"
    with pytest.raises(RuntimeError, match="gravity"):
        sim.integrate(2.0)


def test_archives_that_cannot_be_read(orbit, tmp_path):
    path, sim = tmp_path / "a.bin", orbit()
    attach(sim, tol=1e-5)
    sim.integrate(1.0)
    sim.save_to_file(str(path))
    whole = path.read_bytes()
    version = rebound.__version__.encode()
    for content, sentence in (
        (whole.replace(version, b"5.0.0"), "another version of REBOUND"),
        (whole[:2000], "cannot read it as an archive"),
        (b"nothing", "cannot read it as an archive"),
    ):
        path.write_bytes(content)
        with pytest.raises(SnapshotError, match=sentence):
            load(path)
    with pytest.raises(SnapshotError, match="cannot read it"):
        load(tmp_path / "none.bin")
    sim.integrator.format = 99
    sim.save_to_file(str(path), delete_file=True)
    with pytest.raises(SnapshotError, match="another version of aitimestepper"):
        load(path)


def test_detaching_gives_rebound_back(orbit, state_of):
    sim = orbit()
    with pytest.raises(ConfigError, match="ias15, not one that attach made"):
        detach(sim)
    attach(sim, tol=1e-5)
    sim.integrate(1.3)
    at = state_of(sim)
    detach(sim)
    assert str(sim.integrator) == "ias15"
    assert (state_of(sim) == at).all()
    energy = sim.energy()
    sim.integrate(9.0)
    assert abs(sim.energy() / energy - 1.0) < 1e-13


@pytest.mark.parametrize(
    ("bodies", "more", "sentence"),
    [
        (Bodies([1, 1], np_x := [[0, 0], [1, 0]], np_x), {"radius": [1.0]}, "radius"),
        (Bodies([1, 1], np_x, np_x), {"radius": [1.0, math.nan]}, "radius"),
        (Bodies.stack([Bodies([1, 1], np_x, np_x)] * 2), {}, "one system, not 2"),
        (Bodies([1, 1], np_x, np_x, external_field=ats.PointMassTidalField(1.0, R0=(9.0, 0.0))), {}, "outer field"),
        (object(), {}, "position"),
    ],
)
def test_bodies_that_rebound_cannot_hold(bodies, more, sentence):
    with pytest.raises(UserError, match=sentence):
        from_bodies(bodies, **more)


def test_a_template_of_other_particles_is_refused(orbit):
    with pytest.raises(InitialConditionError, match="3 particles"):
        from_bodies(to_bodies(orbit()), like=orbit(others=1))
