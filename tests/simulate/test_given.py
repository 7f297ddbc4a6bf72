"""What `simulate` takes and what comes back: texts, files, tolerances, any arrays; and one sentence for what cannot be."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from stopped_runs import learned, three_bodies

from aitimestepper import Snapshots, models, resume
from aitimestepper.bodies import Bodies, free_fall_time
from aitimestepper.criteria.classical import PRS23, Constant, EnergyBudget, FreeFall, radau_eta
from aitimestepper.criteria.learned import LearnedStep
from aitimestepper.criteria.wrappers import Limited, Symmetrized
from aitimestepper.errors import ConfigError, InitialConditionError
from aitimestepper.initial import named as initial
from aitimestepper.integrators import SPLITTINGS
from aitimestepper.policy import DEFAULT_TOL, cheapest_splitting, choose
from aitimestepper.simulate.engine import simulate


# ---- one clear sentence -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "t_end = None and steps = None: give exactly one of them"),
        ({"t_end": 1.0, "steps": 5}, "t_end = 1.0 and steps = 5: give exactly one of them"),
        ({"t_end": math.nan}, "t_end = nan must be finite"),
        ({"t_end": math.inf}, "t_end = inf must be finite"),
        ({"t_end": np.nan}, "t_end = nan must be finite"),
        ({"times": [1.0, 0.5, 2.0]}, "times: 1 is followed by 0.5"),
        ({"times": [0.5, np.inf]}, "times has the value inf"),
        ({"times": "soon"}, "times = 'soon' must be a list of numbers"),
        ({"times": [0.5, 3.0], "t_end": 2.0}, "times go from 0.5 to 3, and the run goes from t = 0 to 2"),
        ({"times": [-0.5, -1.0], "t_end": 2.0}, "times go from -0.5 to -1, and the run goes from t = 0 to 2"),
        ({"times": [0.5], "output_every": 0.1}, "times and output_every or output_steps: give only one"),
        ({"t_end": "10"}, "t_end = '10' must be a number, or one for each system"),
        ({"t_end": [[1.0]]}, r"t_end has shape \(1, 1\); give one time"),
        ({"steps": 0}, "steps = 0 must be a whole number, 1 or more"),
        ({"steps": 1.5}, "steps = 1.5 must be a whole number, 1 or more"),
        ({"steps": True}, "steps = True must be a whole number, 1 or more"),
        ({"steps": "10"}, "steps = '10' must be a whole number, 1 or more"),
        ({"t_end": 1.0, "max_steps": 0}, "max_steps = 0 must be a whole number, 1 or more"),
        ({"t_end": 1.0, "threads": 0}, "threads = 0 must be a whole number, 1 or more"),
        ({"t_end": 1.0, "threads": 1.5}, "threads = 1.5 must be a whole number, 1 or more"),
        ({"t_end": 1.0, "dt_min": 2.0, "dt_max": 1.0}, "dt_min = 2.0 and dt_max = 1.0 must be numbers"),
    ],
)
def test_numbers_of_a_run_are_checked_before_it_starts(two_body, given, message):
    with pytest.raises(ConfigError, match=message) as caught:
        simulate(two_body(), criterion=Constant(0.1), **given)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tol", ["1e-6", 0.0, -1e-3, math.nan, math.inf, None, [1e-3, 1e-4], "default"])
def test_a_tolerance_is_a_positive_number(two_body, tol):
    if tol is None:
        assert simulate(two_body(), steps=1).tol.tolist() == [1e-6]
        return
    with pytest.raises(ConfigError, match=r"tol = .* must be (a positive|one) number"):
        simulate(two_body(), steps=1, tol=tol)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"integrator": "leapfrg"}, "integrator = 'leapfrg': did you mean 'leapfrog'"),
        ({"integrator": "radau"}, "did you mean 'radau15'"),
        ({"integrator": "hermite4:n=0"}, "write hermite4:n=3, n from 1 to 20"),
        ({"criterion": "freefal"}, "did you mean 'freefall'"),
        ({"criterion": "freefall:eta=0"}, "freefall: eta = 0.0 must be a positive number"),
        ({"criterion": "freefall:eta=big"}, "freefall:eta=big: eta = 'big' must be a number"),
        ({"criterion": "freefall:nu=1"}, "freefall has no argument 'nu'"),
        ({"criterion": FreeFall([0.1, 0.2])}, "2 values of eta do not fit 1 systems"),
        ({"criterion": Symmetrized(FreeFall([0.1, 0.2]))}, "2 values of eta do not fit 1 systems"),
        ({"criterion": 0.1}, "float is no criterion"),
        ({"criterion": "lastterm", "integrator": "leapfrog"}, "lastterm is made for integrator = radau15, not for leapfrog"),
    ],
)
def test_rules_and_methods_that_are_none_are_refused(two_body, given, message):
    with pytest.raises(ConfigError, match=message):
        simulate(two_body(), steps=1, **given)


# ---- texts and files ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "value", "integrator"),
    [
        ("freefall:eta=0.03", FreeFall(0.03), "leapfrog"),
        ("freefall", FreeFall(), "leapfrog"),
        ("constant:0.01", Constant(0.01), "leapfrog"),
        ("energybudget:tol=1e-5,integrator=suzuki4", EnergyBudget(1e-5, "suzuki4"), "suzuki4"),
        ("prs23", PRS23(radau_eta(1e-9)), "radau15"),
        ("lastterm:epsilon=1e-10", None, "radau15"),
        ("default", None, cheapest_splitting(DEFAULT_TOL)),
    ],
)
def test_a_criterion_may_be_text(two_body, same_result, text, value, integrator):
    by_text = simulate(two_body(), t_end=1.0, criterion=text)
    assert by_text.integrator == integrator
    if value is not None:
        assert same_result(by_text, simulate(two_body(), t_end=1.0, criterion=value))
        assert by_text.criterion == str(value)
    if text == "default":
        assert same_result(by_text, simulate(two_body(), t_end=1.0))


def test_a_criterion_may_be_the_file_of_a_model(tmp_path, same_result):
    start = three_bodies(3)
    step = learned(start, "invariant")
    expected = simulate(start, t_end=1.0, criterion=step)
    path = models.save_model(tmp_path / "model_epoch_0003.npz", step.model)
    for given in (path, str(path), tmp_path):  # the newest model of a run folder
        assert same_result(simulate(start, t_end=1.0, criterion=given), expected)
    with pytest.raises(ConfigError, match="'nothing' is no rule, and no model or run of that name is there"):
        simulate(start, t_end=1.0, criterion="nothing")


def test_prs23_without_an_integrator_is_the_rule_of_radau15(two_body):
    """Its eta is that of IAS15 then, epsilon = 1e-9; with a splitting, 0.02."""
    free, by_hand = (simulate(two_body(0.9), t_end=20.0, criterion=c) for c in (PRS23(), PRS23((5040e-9) ** (1 / 7))))
    assert free.integrator == by_hand.integrator == "radau15"
    assert free.criterion == "prs23(0.175067)"
    assert np.array_equal(free.final.position, by_hand.final.position)
    assert free.max_energy_error[0] < 1e-14
    composed = simulate(two_body(0.9), steps=3, criterion=PRS23(), integrator="leapfrog")
    assert (composed.integrator, composed.criterion) == ("leapfrog", "prs23(0.02)")


def test_the_integrator_is_the_criterions_unless_named(two_body):
    p = two_body(e=0.5)
    assert simulate(p, steps=2, criterion=EnergyBudget(1e-4, integrator="kahan_li8")).integrator == "kahan_li8"
    assert simulate(p, steps=2, criterion=FreeFall()).integrator == "leapfrog"
    assert simulate(p, steps=2, criterion=FreeFall(), integrator="hermite4:n=3").integrator == "hermite4:n=3"
    named = simulate(p, steps=1, criterion=FreeFall(0.1), integrator="kahan_li6")
    assert named.integrator == "kahan_li6"
    dt = 0.1 * free_fall_time(p)[0]
    assert named.dt_max[0] == pytest.approx(dt, rel=1e-15)
    equal = simulate(p, steps=1, criterion=Constant(dt), integrator="kahan_li6").final.position
    np.testing.assert_allclose(named.final.position, equal, rtol=0, atol=1e-14)


def test_limits_given_to_the_run_are_those_of_a_wrapper(two_body, same_result):
    given = {"t_end": 6.3, "particle": two_body(0.9)}
    by_hand = simulate(**given, criterion=Limited(FreeFall(0.05), 0.004, 0.02))
    assert same_result(simulate(**given, criterion="freefall:eta=0.05", dt_min=0.004, dt_max=0.02), by_hand)
    assert (by_hand.dt_min[0], by_hand.dt_max[0]) == (0.004, 0.02)


# ---- the default --------------------------------------------------------------------------------------------------------
def test_default_is_the_learned_step_of_the_package_made_symmetric(two_body):
    """Whatever order it takes for the tolerance: the finer, the higher; the result says whether it was kept."""
    p, orders = two_body(e=0.5), []
    for tol in (1e-2, 1e-3, 1e-4, 1e-6):
        by_default = simulate(p, t_end=20.0, tol=tol)
        orders.append(SPLITTINGS[by_default.integrator].order)
        step = Symmetrized(LearnedStep.load("default", tol))
        assert choose(step).integrator.name == by_default.integrator
        spelled = simulate(p, t_end=20.0, criterion=step)
        assert np.array_equal(by_default.final.position, spelled.final.position)
        assert by_default.criterion == "symmetrized(learned)"
        assert 0.001 * tol < by_default.max_energy_error[0] < tol
        assert by_default.within_tolerance.tolist() == [True]
        assert by_default.summary()["tol"] == tol
        assert by_default.reports["steps_outside_training"].tolist() == [0]
    assert orders == sorted(orders)
    for name in SPLITTINGS:
        assert simulate(p, steps=2, tol=1e-4, integrator=name).integrator == name


def test_beyond_what_the_networks_know_the_default_says_so(two_body):
    """Far tighter than an integrator is good for it is EnergyBudget again; with the choice left free, Gauss-Radau."""
    p = two_body(e=0.5)
    assert simulate(p, t_end=1.0, tol=1e-9, integrator="leapfrog").criterion == "symmetrized(energybudget(1e-09))"
    finest = simulate(p, t_end=20.0, tol=1e-11)
    assert finest.integrator == "radau15"
    assert finest.max_energy_error[0] < 1e-11
    assert simulate(p, steps=3, criterion=FreeFall(0.01)).tol is None
    assert finest.advice == ()
    missed = simulate(p, t_end=20.0, criterion=EnergyBudget(1e-3, c=20.0))
    assert missed.within_tolerance.tolist() == [False]
    assert missed.summary()["within_tolerance"] is False


# ---- bodies -------------------------------------------------------------------------------------------------------------
def test_anything_with_mass_position_velocity_will_do(two_body):
    p = two_body(e=0.5)
    arrays = SimpleNamespace(mass=p.mass[0], position=p.position[0].tolist(), velocity=np.asarray(p.velocity[0], ">f8"))
    given = {"steps": 5, "criterion": Constant(0.01)}
    expected = simulate(p, **given).final
    assert np.array_equal(simulate(arrays, **given).final.position, expected.position)
    assert np.array_equal(simulate(initial.kepler(0.5), **given).final.position, expected.position)
    own = Bodies(p.mass, p.position, p.velocity, G=4.0, softening=0.5)
    for units in (SimpleNamespace(**vars(arrays), G=4.0, softening=0.5), own):
        assert np.array_equal(simulate(units, **given).final.position, simulate(own, **given).final.position)
    for other in (arrays, p):  # given to the run
        found = simulate(other, G=4.0, softening=0.5, **given).final
        assert np.array_equal(found.position, simulate(own, **given).final.position)
        assert (found.G, found.softening.tolist()) == (4.0, [0.5])
    assert not np.array_equal(simulate(own, **given).final.position, expected.position)
    for name, value in (("G", 0.0), ("G", "x"), ("softening", -1.0)):
        with pytest.raises(InitialConditionError, match=f"{name} (=|is) '?{value}"):
            simulate(p, **{name: value}, **given)
    with pytest.raises(InitialConditionError, match="dict has no position: it needs position or x, y"):
        simulate({"mass": 1}, steps=1)


def test_tensors_go_in_and_arrays_come_out(torch, two_body):
    """In whatever precision, with a graph or without: the run is one of float64, and leaves them alone."""
    from aitimestepper import ParticleTorch

    b = two_body(e=0.5)
    p = ParticleTorch.from_tensors(b.mass, b.position, b.velocity)
    p.velocity.requires_grad_(True)
    before = {name: x.detach().clone() for name, x in p.tensors().items()}
    given = {"t_end": 1.0, "criterion": Symmetrized(FreeFall(0.02))}
    r = simulate(p, **given)
    assert isinstance(r.final, Bodies)
    assert np.array_equal(r.final.position, simulate(b, **given).final.position)
    assert all(torch.equal(x, before[name]) for name, x in p.tensors().items())
    single = simulate(ParticleTorch.from_tensors(b.mass, b.position, b.velocity, dtype=torch.float32), **given)
    assert single.final.position.dtype == np.float64
    np.testing.assert_allclose(single.final.position, r.final.position, rtol=0, atol=1e-5)
    assert single.final.time[0] == 1.0
    assert simulate(b, t_end=torch.tensor(1.0), criterion=Constant(0.1)).final.time[0] == 1.0


def test_bodies_that_go_in_and_come_out_cannot_be_changed(two_body):
    p = two_body()
    r = simulate(p, steps=3, criterion=Constant(0.01))
    for bodies in (p, r.final):
        for name, values in bodies.arrays().items():
            assert not values.flags.writeable, name


def test_names_of_bodies_stay_with_all_that_comes_back(two_body, tmp_path):
    p = two_body(e=0.8).replace(names=["Sun", "comet"])
    r = simulate(p, t_end=4.0, criterion=FreeFall(0.03), output=tmp_path / "run.h5")
    assert r.final.names == ("Sun", "comet")
    assert r.summary()["closest_approach"]["names"] == ["Sun", "comet"]
    with Snapshots(tmp_path / "run.h5") as s:
        assert s.initial.names == s[5].names == ("Sun", "comet")
    assert resume(tmp_path / "run.h5", t_end=5.0).final.names == ("Sun", "comet")
    both = simulate(Bodies.stack([p, p.replace(time=0.5)]), t_end=4.0, criterion=FreeFall(0.03))
    assert [row["closest_approach"]["names"] for row in both.summary()["systems"]] == [["Sun", "comet"]] * 2
    assert "names" not in simulate(two_body(), steps=1, criterion=FreeFall()).summary()["closest_approach"]


# ---- results ------------------------------------------------------------------------------------------------------------
def test_summaries_are_plain_json(two_body):
    one = simulate(two_body(), t_end=0.3, criterion=Constant(0.1))
    summary = json.loads(json.dumps(one.summary(), allow_nan=False))
    assert summary == {
        **summary,
        "status": "ok",
        "time": 0.3,
        "steps": 3,
        "force_evaluations": 4,
        "max_energy_error": one.max_energy_error[0],
        "final_energy_error": one.final_energy_error[0],
        "dt_min": 0.1,
        "dt_max": 0.1,
        "criterion": "constant(0.1)",
        "integrator": "leapfrog",
    }
    assert {"momentum_error", "angular_momentum_error", "wall_time"} <= set(summary)
    assert 0 < summary["wall_time"] < 60
    many = simulate(Bodies.stack([two_body(), two_body(time=0.3)]), t_end=0.3, criterion=Constant(0.1))
    summary = json.loads(json.dumps(many.summary(), allow_nan=False))
    assert [s["steps"] for s in summary["systems"]] == [3, 0]
    assert summary["systems"][1]["dt_min"] is None  # no step, no smallest one
