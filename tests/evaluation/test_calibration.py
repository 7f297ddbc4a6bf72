"""Calibration and hindsight on sweeps whose answer is known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper.evaluation.calibration import (
    calibrated_step_parameter,
    forces_at,
    hindsight_forces,
    step_parameter_spread,
)
from aitimestepper.evaluation.statistics import (
    crossing,
    first_crossing,
    geometric_mean,
    interval,
    resampled,
    share_error,
    share_interval,
)
from aitimestepper.evaluation.sweep import ParameterSweep

PARAMETERS = 0.7 / math.sqrt(2.0) ** np.arange(30)
HARD = 10.0 ** np.linspace(0, 3, 20)  # how much harder each problem is than the first
BUDGET = 10**9


def sweep(error, forces=None):
    error = np.asarray(error, float)
    forces = np.broadcast_to(100 / PARAMETERS[: error.shape[1]], error.shape) if forces is None else forces
    return ParameterSweep(PARAMETERS[: error.shape[1]], error, forces, BUDGET)


def law(order=2):
    """error = hardness * step_parameter^order, forces = 100 / step_parameter."""
    return sweep(HARD[:, None] * PARAMETERS[None, :] ** order)


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("tol", [1e-2, 1e-4])
def test_the_calibrated_step_parameter_is_the_one_where_the_share_complies(order, tol):
    for share, problem in ((0.9, 17), (0.5, 9), (0.05, 0)):
        assert calibrated_step_parameter(law(order), tol, share) == pytest.approx(
            (tol / HARD[problem]) ** (1 / order), rel=1e-9
        )


def test_hindsight_is_the_cost_of_each_problem_at_its_own_step_parameter():
    found = hindsight_forces(law(), 1e-3)
    np.testing.assert_allclose(found, 100 / (1e-3 / HARD) ** 0.5, rtol=1e-9)
    # geometric means: what knowing each problem is worth is the spread of the hardness above its mean
    calibrated = 100 / calibrated_step_parameter(law(), 1e-3, 0.9)
    assert calibrated / geometric_mean(found) == pytest.approx(math.sqrt(HARD[17] / geometric_mean(HARD)), rel=1e-9)


def test_forces_between_and_beyond_the_runs_of_a_sweep():
    np.testing.assert_allclose(forces_at(law(), 0.0123), 100 / 0.0123, rtol=1e-9)
    short = law()
    error, forces = short.error.copy(), short.forces.copy()
    error[:, 8:], forces[:, 8:] = np.nan, np.nan
    np.testing.assert_allclose(forces_at(sweep(error, forces), PARAMETERS[20]), 100 / PARAMETERS[20], rtol=1e-9)
    error[0], forces[0] = np.nan, np.nan
    assert forces_at(sweep(error, forces), 0.01)[0] == pytest.approx(BUDGET)


def test_a_lucky_run_does_not_count():
    x, error = [1, 2, 4, 8, 16], [1.0, 1e-9, 1.0, 0.25, 0.0625]
    assert crossing(x, error, 0.5) == pytest.approx(4 * math.sqrt(2))
    assert math.isnan(crossing(x, error, 2.0))  # nothing encloses it
    assert math.isnan(crossing(x, error, 1e-3))
    assert crossing([1, 2], [math.inf, 0.1], 0.5) == 2  # from a run that broke off there is nothing to interpolate
    assert math.isnan(crossing([], [], 0.5))


def test_problems_that_needed_no_finer_steps_count_as_complying_and_unaffordable_ones_as_not():
    whole = law()
    error, forces = whole.error.copy(), whole.forces.copy()
    error[:10, 20:], forces[:10, 20:] = np.nan, np.nan  # their last run complied
    assert calibrated_step_parameter(sweep(error, forces), 1e-4, 0.9) == pytest.approx(
        calibrated_step_parameter(whole, 1e-4, 0.9)
    )
    # the two hardest of 20 cannot be afforded: 90 % comply without them; a third one is too much
    error[18:, 5:], forces[18:, 5:] = np.nan, np.nan
    assert calibrated_step_parameter(sweep(error, forces), 1e-4, 0.9) == pytest.approx(
        calibrated_step_parameter(whole, 1e-4, 0.9)
    )
    error[17, 5:], forces[17, 5:] = np.nan, np.nan
    assert math.isnan(calibrated_step_parameter(sweep(error, forces), 1e-4, 0.9))
    assert np.isinf(hindsight_forces(sweep(error, forces), 1e-6)[17:]).all()
    assert np.isfinite(hindsight_forces(sweep(error, forces), 1e-6)[10:17]).all()


def test_the_answer_for_a_tolerance_does_not_depend_on_how_far_the_sweep_goes():
    """Chaos: bumps at finer steps, which only a sweep for tighter tolerances would see."""
    rng = np.random.default_rng(4)
    error = HARD[:, None] * PARAMETERS[None, :] ** 2 * np.exp(rng.normal(0, 1.0, (20, 30)))
    long = sweep(error)
    for tol in (1e-2, 1e-3):
        good = share_error(error, 0.9) <= tol
        end = next(k for k in range(2, 30) if good[k - 1] and good[k - 2])  # a sweep for this tolerance alone ends here
        found = {calibrated_step_parameter(sweep(error[:, :k]), tol, 0.9) for k in range(end, 31)}
        assert found == {calibrated_step_parameter(long, tol, 0.9)}


def test_if_even_the_coarsest_steps_comply_they_are_the_answer():
    easy = sweep(1e-9 * np.ones((20, 5)))
    assert calibrated_step_parameter(easy, 1e-3, 0.9) == PARAMETERS[0]
    np.testing.assert_allclose(hindsight_forces(easy, 1e-3), 100 / PARAMETERS[0])


def test_one_lucky_run_is_not_enough_and_a_bump_after_two_good_ones_does_not_count():
    x, error = np.array([8.0, 4.0, 2.0, 1.0, 0.5]), np.array([1.0, 1e-9, 1.0, 0.25, 0.0625])
    assert first_crossing(x, error, 0.5) == pytest.approx(math.sqrt(2))
    bumpy = np.array([1.0, 0.1, 0.1, 9.0, 9.0])
    assert first_crossing(x, bumpy, 0.5) == pytest.approx(8 * 0.5 ** (math.log(2) / math.log(10)))
    assert first_crossing(x, np.array([0.1, 0.1, 9.0, 9.0, 9.0]), 0.5) == 8
    assert math.isnan(first_crossing(x, np.array([1.0, 0.1, 1.0, 0.1, 1.0]), 0.5))


def test_an_interval_of_a_share_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(11)
    for p in (0.9, 0.97):
        counted = rng.binomial(24, p, 2000) / 24
        hits = [low <= p <= high for low, high in (share_interval(c, 24) for c in counted)]
        assert 0.92 <= np.mean(hits) <= 0.99
    assert share_interval(1.0, 24)[0] < 0.9
    assert share_interval(1.0, 24)[1] == 1


def test_a_resample_that_nothing_is_good_enough_for_makes_the_cost_unbounded():
    error = HARD[:, None] * PARAMETERS[None, :12] ** 2
    spread = step_parameter_spread(sweep(error), 2e-1, 0.9, resampled(np.zeros(20, int), np.random.default_rng(1)))
    assert np.isneginf(spread).any()
    assert np.isfinite(spread).any()
    low, high = interval(np.exp(-spread))
    assert low < 1
    assert math.isinf(high)


def test_the_share_counts_whole_problems():
    error = np.arange(1.0, 11.0)
    assert [float(share_error(error, s)) for s in (0.05, 0.1, 0.11, 0.9, 0.91, 1.0)] == [1, 1, 2, 9, 10, 10]
    assert share_error(np.stack([error, -error], 1), 0.9).tolist() == [9, -2]
    assert math.isinf(float(share_error(np.array([1, 2, math.inf, math.inf]), 0.75)))


def test_resamples_keep_the_number_of_each_family():
    families = np.repeat([0, 1, 2], [4, 7, 2])
    draws = resampled(families, np.random.default_rng(0), 50)
    assert (families[draws] == families).all()
    assert len(np.unique(draws)) == len(families)
    assert not np.array_equal(draws[0], draws[1])


def test_the_interval_of_a_bootstrap_holds_the_truth_as_often_as_it_says():
    rng, hits = np.random.default_rng(3), 0
    for _ in range(300):
        sample = rng.normal(0.0, 1.0, 60)
        draws = resampled(np.zeros(60, int), rng)
        low, high = interval(sample[draws].mean(1))
        hits += low <= 0 <= high
    assert 0.90 <= hits / 300 <= 0.98


def test_the_spread_of_a_calibration_is_that_of_calibrations_on_other_problems():
    rng = np.random.default_rng(5)

    def another():
        hard = 10 ** rng.normal(0, 1, 100)
        return sweep(hard[:, None] * PARAMETERS[None, :] ** 2)

    one = another()
    spread = step_parameter_spread(one, 1e-3, 0.9, resampled(np.zeros(100, int), rng))
    others = np.log([calibrated_step_parameter(another(), 1e-3, 0.9) for _ in range(200)])
    assert spread.std() == pytest.approx(others.std(), rel=0.35)
