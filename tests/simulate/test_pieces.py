"""A run in pieces is one run: errors count from the first start, and the criterion keeps its memory."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from aitimestepper import (
    PRS23,
    Bodies,
    Constant,
    EnergyBudget,
    FreeFall,
    LearnedStep,
    OwnCriterion,
    Snapshots,
    Symmetrized,
    resume,
    simulate,
)
from aitimestepper.errors import ConfigError
from aitimestepper.fields import tidal
from aitimestepper.initial.named import burrau, figure8, kepler
from aitimestepper.models import shipped
from aitimestepper.policy import cheapest_splitting
from encounters import encounter


def energy_errors(first: Bodies, last: Bodies) -> np.ndarray:
    return np.abs(last.total_energy() - first.total_energy()) / first.energy_scale()


def in_pieces(start, times, **given):
    """Return the result of the last piece; only the first call says how to choose the steps."""
    result = simulate(start, t_end=times[0], **given)
    for time in times[1:]:
        result = simulate(result, t_end=time)
    return result


def test_errors_count_from_the_first_start():
    """Burrau in pieces of a tenth: each piece by itself says that it is within the tolerance, all together are not."""
    start, criterion = Bodies(*burrau()[:3]), EnergyBudget(1e-5, "kahan_li6", c=2.0)
    result = in_pieces(start, 0.1 * np.arange(1, 301), criterion=criterion)
    assert result.final_energy_error == pytest.approx(energy_errors(start, result.final), rel=1e-3)
    assert result.max_energy_error[0] >= result.final_energy_error[0]
    assert result.max_energy_error[0] > 1e-5
    assert result.within_tolerance.tolist() == [False]
    alone = simulate(result.final.replace(), t_end=30.1, criterion=criterion)  # the same bodies, without a past
    assert alone.max_energy_error[0] < 1e-6


CRITERIA = {
    "default": {"tol": 1e-5},
    "constant": {"criterion": Constant(0.01)},
    "freefall": {"criterion": Symmetrized(FreeFall(0.05)), "integrator": "suzuki4"},
    "gauss-radau": {"criterion": PRS23()},
    "hermite": {"criterion": FreeFall(0.02), "integrator": "hermite4"},
    "logh": {"tol": 1e-4, "integrator": "logh"},
    "own": {"criterion": OwnCriterion(lambda t, m, x, v, a, value: 0.01 * value)},
}


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.filterwarnings("ignore::aitimestepper.errors.SlowPythonWarning")
def test_a_second_piece_begins_with_the_memory_of_the_first(name):
    """Cut at the end of a step, where nothing is shortened, it takes the steps of one run, to the last bit."""
    start, given = figure8(), CRITERIA[name]
    whole = simulate(start, steps=60, **given)
    for hand_on in (lambda result: result, lambda result: result.final):
        first = simulate(start, steps=25, **given)
        second = simulate(hand_on(first), steps=35)
        assert np.array_equal(whole.final.position, second.final.position)
        assert np.array_equal(whole.max_energy_error, second.max_energy_error)
        for count in ("steps", "force_evaluations", "dt_min", "dt_max"):
            assert getattr(whole, count) == getattr(second, count), count
        assert (second.criterion, second.integrator) == (whole.criterion, whole.integrator)
        assert second.closest_approach.distance == whole.closest_approach.distance


@pytest.mark.parametrize("name", ["default", "freefall", "gauss-radau"])
def test_the_same_criterion_given_again_is_the_same_run(name):
    given = CRITERIA[name]
    whole = simulate(figure8(), steps=60, **given)
    second = simulate(simulate(figure8(), steps=25, **given).final, steps=35, **given)
    assert np.array_equal(whole.final.velocity, second.final.velocity)


@pytest.mark.parametrize("how", [{"criterion": EnergyBudget(1e-3)}, {"criterion": Symmetrized(EnergyBudget(1e-3))}])
@pytest.mark.parametrize("integrator", ["suzuki4", "hermite4", "radau15"])
def test_the_energy_scale_of_the_steps_is_that_of_the_first_start(how, integrator):
    """A parabolic encounter, where S of a state follows the distance: it is cut before, near and after the pericentre."""
    start, given = encounter(), {**how, "integrator": integrator}
    n = int(simulate(start, t_end=2.0, **given).steps[0])
    whole = simulate(start, steps=n, **given)
    assert whole.closest_approach.distance[0] == pytest.approx(0.1, rel=1e-2)
    for cut in (n // 5, n // 2, 4 * n // 5):
        first = simulate(start, steps=cut, **given)
        for hand_on in (lambda result: result, lambda result: result.final, lambda result: copy.deepcopy(result)):
            second = simulate(hand_on(first), steps=n - cut)
            assert np.array_equal(whole.final.position, second.final.position)
            assert (second.steps, second.dt_min, second.dt_max) == (whole.steps, whole.dt_min, whole.dt_max)
        anew = simulate(first.final.replace(), t_end=2.0, **given)  # the same bodies, without a past: S is larger
        assert anew.steps[0] < 0.95 * (n - cut)


@pytest.mark.parametrize("first", [Constant(1e-3), FreeFall(0.01)])
def test_energybudget_takes_over_with_the_energy_scale_of_the_first_start(first):
    """Its step in closed form: chi is 1/2 / r / S of the whole system and 50 of the pair, E = 0 of both."""
    start = encounter()
    before = simulate(start, t_end=1.1, criterion=first, integrator="suzuki4").final
    x, v = (a[0, 1] - a[0, 0] for a in (before.position, before.velocity))
    r = np.linalg.norm(x)
    assert r < 0.2 * np.linalg.norm(start.position[0, 1] - start.position[0, 0])
    seen = []
    simulate(
        before,
        steps=1,
        criterion=EnergyBudget(1e-3, "suzuki4"),
        integrator="suzuki4",
        output_steps=1,
        sinks=(lambda _, rows: seen.extend(rows["dt"][:, 0]),),
    )
    bound = 1 - r * (v @ v) / 3  # its energy over its potential: 0 but for errors so far
    chi = np.hypot(0.5 / r / start.energy_scale()[0], 1 / np.hypot(bound, 0.02))
    allowed = 0.7 * (1e-3 / chi) ** 0.25 * np.sqrt(r**3 / 1.5)
    rate2, growth = np.hypot(1.5 / r**3, (v @ v) / r**2), 1.5 * (x @ v) / r**2
    expected = 1 / np.sqrt(1 / allowed**2 + 4 * rate2 + (growth / 0.6) ** 2)
    assert seen[-1] == pytest.approx(expected, rel=1e-12)


def test_past_states_are_remembered(tmp_path):
    """A network that looks at past states does not begin with an empty window."""
    from aitimestepper import Config
    from aitimestepper.features import feature_count
    from aitimestepper.models import Model

    config = Config(feature_type="basic", history_len=2, layers=(4,), normalize=False)
    rng, inputs = np.random.default_rng(1), feature_count("basic", 2)
    weights = {"frequencies": np.zeros((inputs, 0)), "lowest": np.full(inputs, -np.inf), "highest": np.full(inputs, np.inf)}
    weights |= {"hidden.0.weight": 0.3 * rng.normal(size=(4, inputs)), "hidden.0.bias": np.zeros(4)}
    weights |= {"log_dt.weight": rng.normal(size=(1, 4)), "log_dt.bias": np.array([-1.2])}
    weights |= {"log_error.weight": np.zeros((1, 4)), "log_error.bias": np.array([-6.0])}
    step = LearnedStep(Model(config, weights))
    whole = simulate(kepler(0.5), steps=30, criterion=step)
    second = simulate(simulate(kepler(0.5), steps=11, criterion=step), steps=19)
    assert np.array_equal(whole.final.position, second.final.position)
    assert whole.dt_max[0] > 1.001 * whole.dt_min[0]


def test_another_criterion_takes_over_with_the_errors_so_far():
    start = Bodies(*burrau()[:3])
    rough = simulate(start, t_end=5.0, criterion=FreeFall(0.1))
    fine = simulate(rough.final, t_end=10.0, tol=1e-8)
    assert fine.max_energy_error[0] >= rough.max_energy_error[0] > 1e-6
    assert fine.final_energy_error == pytest.approx(energy_errors(start, fine.final), rel=1e-3)
    assert fine.within_tolerance.tolist() == [False]
    assert fine.steps[0] > rough.steps[0]
    assert fine.force_evaluations[0] > rough.force_evaluations[0]
    assert (fine.integrator, fine.status) == ("radau15", ("ok",))
    assert fine.closest_approach.distance[0] <= rough.closest_approach.distance[0]
    back = simulate(fine, t_end=12.0, criterion=Constant(1e-3), integrator="logh")
    assert back.final_energy_error == pytest.approx(energy_errors(start, back.final), rel=1e-3)


def test_bodies_changed_from_them_begin_a_new_run():
    first = simulate(burrau(), t_end=5.0, criterion=FreeFall(0.1))
    for changed in (
        first.final.replace(softening=0.1),
        first.final.select([0]),
        Bodies.stack([first.final, first.final]),
        Bodies(first.final.mass, first.final.position, first.final.velocity),
    ):
        assert changed.run is None
        second = simulate(changed, t_end=changed.time + 1e-3, criterion=FreeFall(0.01))
        assert (second.max_energy_error < 1e-8).all()
    again = simulate(first.final, t_end=6.0, G=1.0, softening=0.0)  # the same physics is no change
    assert again.steps[0] > first.steps[0]
    other = simulate(first.final, t_end=6.0, softening=0.1)
    assert other.steps[0] < again.steps[0]
    assert other.criterion == "symmetrized(learned)"


def test_a_batch_with_fields_and_systems_that_have_ended():
    """Systems of their own ends; the work of a moving field is left out of the errors throughout."""
    start = Bodies.stack([Bodies(*kepler(e)[:3]) for e in (0.1, 0.5)]).replace(
        external_field=tidal(M=50.0, R0=10.0, period=20.0)
    )
    ends = np.array([[1.0, 2.0], [3.0, 3.0], [7.0, 4.0]])
    result = simulate(start, t_end=ends[0], criterion=Symmetrized(FreeFall(0.02)))
    for end in ends[1:]:
        result = simulate(result.final, t_end=end)
    assert result.final.time.tolist() == [7.0, 4.0]
    assert result.status == ("ok", "ok")
    whole = simulate(start, t_end=ends[-1], criterion=Symmetrized(FreeFall(0.02)))
    assert result.max_energy_error == pytest.approx(whole.max_energy_error, rel=0.5)
    assert (result.max_energy_error < 1e-3).all()


def test_a_system_that_broke_off_stays_where_it_is():
    head_on = Bodies([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], np.zeros((2, 2)))
    both = Bodies.stack([head_on, Bodies(*kepler(0.5)[:3])])
    first = simulate(both, t_end=4.0, criterion=FreeFall(0.02), max_steps=100_000)
    assert first.status[0] != "ok"
    second = simulate(first, t_end=5.0)
    assert second.status == (first.status[0], "ok")
    assert second.steps[0] == first.steps[0]
    assert np.array_equal(first.final.position[0], second.final.position[0])


def test_steps_and_limits_of_a_piece_count_from_its_start():
    first = simulate(figure8(), steps=10, criterion=Constant(0.01))
    assert simulate(first, steps=5).steps.tolist() == [15]
    limited = simulate(first, t_end=10.0, max_steps=7)
    assert (limited.steps.tolist(), limited.status) == ([17], ("max_steps",))
    assert simulate(limited, t_end=0.3).status == ("ok",)


@pytest.mark.parametrize("rows", [{"output_every": 0.05}, {"output_steps": 10}])
def test_output_of_a_piece_can_be_resumed(tmp_path, rows):
    """Its rows begin where the piece does; the file goes on to the bits of the run without a stop."""
    first = simulate(figure8(), t_end=1.0, criterion=Symmetrized(FreeFall(0.02)))
    path = tmp_path / "piece.h5"
    second = simulate(first.final, t_end=2.0, output=path, **rows)
    with Snapshots(path) as snapshots:
        assert snapshots.time[0, 0] == pytest.approx(1.0, abs=0.2)
        assert (np.diff(snapshots.time[:, 0]) > 0).all()
        assert np.nanmax(snapshots.energy_error) <= second.max_energy_error[0]
    plain = simulate(first.final, t_end=2.0)
    assert np.array_equal(plain.final.position, second.final.position)
    longer = resume(path, t_end=3.0)
    assert np.array_equal(longer.final.position, simulate(second, t_end=3.0).final.position)
    assert np.array_equal(
        simulate(longer, t_end=3.5).final.position, simulate(simulate(second, t_end=3.0), t_end=3.5).final.position
    )


def test_results_do_not_change_when_others_go_on_from_them():
    first = simulate(figure8(), t_end=1.0, tol=1e-5)
    before = copy.deepcopy(first.final.position)
    one, other = simulate(first, t_end=2.0), simulate(first, t_end=2.0)
    assert np.array_equal(first.final.position, before)
    assert np.array_equal(one.final.position, other.final.position)
    assert one.steps == other.steps


def test_energybudget_for_another_tolerance_is_another_criterion():
    first = simulate(figure8(), t_end=1.0, criterion=EnergyBudget(1e-3))
    second = simulate(first, t_end=2.0, criterion=EnergyBudget(1e-5))
    assert second.tol.tolist() == [1e-5]
    assert simulate(first, t_end=2.0).tol.tolist() == [1e-3]
    assert shipped("leapfrog").integrator == "leapfrog"


def test_a_part_of_the_settings_changes_only_that_part():
    """Limits are put around the criterion of the run, and its integrator stays; a tolerance alone is another choice."""
    first = simulate(kepler(0.7), t_end=3.0, criterion=FreeFall(0.02))
    limited = simulate(first, t_end=6.0, dt_max=0.005)
    assert (limited.criterion, limited.integrator) == ("limited(freefall(0.02), 0)", "leapfrog")
    same = simulate(first, t_end=6.0, integrator="leapfrog")
    assert np.array_equal(same.final.position, simulate(first, t_end=6.0).final.position)
    assert simulate(first, t_end=6.0, integrator="kahan_li6").criterion == "freefall(0.02)"
    assert simulate(first, t_end=6.0, tol=1e-5).criterion == "symmetrized(learned)"
    learned = simulate(kepler(0.7), t_end=3.0, tol=1e-3)
    with pytest.raises(ConfigError, match=f"the network is made for integrator = {cheapest_splitting(1e-3)}, not for leapfrog"):
        simulate(learned, t_end=6.0, integrator="leapfrog")


@pytest.mark.parametrize("hand_on", [lambda r: r, lambda r: r.final])
def test_the_guard_goes_on(hand_on):
    given = {"criterion": FreeFall(0.05), "tol": 1e-4, "guard": True}
    whole = simulate(kepler(0.9), steps=300, **given)
    second = simulate(hand_on(simulate(kepler(0.9), steps=120, **given)), steps=180)
    assert whole.rejected_steps[0] > 0
    assert np.array_equal(whole.final.position, second.final.position)
    assert whole.rejected_steps == second.rejected_steps


def test_logh_finds_its_step_whatever_was_before():
    """The error of the first piece is not that of the trial."""
    rough = simulate(figure8(), t_end=2.0, criterion=FreeFall(0.3))
    after = simulate(rough, t_end=4.0, tol=1e-4, integrator="logh", max_steps=10_000)
    alone = simulate(rough.final.replace(), t_end=4.0, tol=1e-4, integrator="logh")
    assert after.criterion == alone.criterion
    assert after.steps[0] - rough.steps[0] == alone.steps[0]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))], ids=["deepcopy", "pickle"])
def test_copies_of_results_go_on_as_well(copied):
    first = simulate(figure8(), t_end=1.0, criterion=Symmetrized(FreeFall(0.02)))
    again = copied(first)
    assert np.array_equal(simulate(again, t_end=2.0).final.position, simulate(first, t_end=2.0).final.position)
    assert not again.final.position.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        again.final.position[:] = 0.0


@pytest.mark.filterwarnings("ignore::aitimestepper.errors.SlowPythonWarning")
def test_copies_do_not_call_addresses_of_functions_that_may_be_gone():
    first = simulate(figure8(), t_end=1.0, criterion=OwnCriterion(own_rule))
    assert copy.deepcopy(first).final.run is None
    assert first.final.run is not None


def own_rule(t, m, x, v, a, value):
    return 0.01 * value


def test_what_was_missed_before_cannot_be_mended_by_a_tighter_tolerance():
    rough = simulate(kepler(0.9), t_end=10.0, criterion=FreeFall(0.2))
    after = simulate(rough, t_end=20.0, tol=1e-6)
    reached = f"{after.max_energy_error[0]:.1e}, above the 1.0e-06 asked for"
    assert after.advice[0] == (
        f"the run reached an energy error of {reached}, before its last piece began: begin it again with a tighter tol."
    )


def test_a_resumed_run_knows_its_criterion(tmp_path):
    path = tmp_path / "run.h5"
    simulate(figure8(), t_end=1.0, criterion=FreeFall(0.05), output=path)
    longer = resume(path, t_end=2.0)
    assert simulate(longer, t_end=3.0).criterion == "freefall(0.05)"
    assert longer.final.run.criterion == FreeFall(0.05)
    limited = simulate(longer, t_end=3.0, dt_max=0.01)
    assert limited.criterion == simulate(figure8(), t_end=0.1, criterion=FreeFall(0.05), dt_max=0.01).criterion
