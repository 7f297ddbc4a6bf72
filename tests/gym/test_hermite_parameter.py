"""`aitimestepper/HermiteParameter-v0`: the published set-up, which the study `bench rl` repeats in another way."""

import math

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from aitimestepper.bench.rl import in_pieces
from aitimestepper.errors import ConfigError
from aitimestepper.evaluation.runs import Systems
from aitimestepper.gym import HERMITE_PARAMETERS, HermiteParameterEnv
from aitimestepper.initial.suites import Suite, reinforcement_case

NAME = "aitimestepper.gym:aitimestepper/HermiteParameter-v0"


def test_the_checker_of_gymnasium_passes():
    check_env(gymnasium.make(NAME).unwrapped)


def test_actions_are_ten_parameters_a_third_of_a_decade_apart():
    assert gymnasium.make(NAME).action_space.n == len(HERMITE_PARAMETERS) == 10
    assert HERMITE_PARAMETERS[0] == pytest.approx(1e-4)
    assert HERMITE_PARAMETERS[5] == pytest.approx(4.64e-3, rel=1e-3)
    np.testing.assert_allclose(np.diff(np.log10(HERMITE_PARAMETERS)), 1 / 3)


@pytest.mark.parametrize("number", [0, 5])
def test_an_episode_of_one_action_is_the_run_in_pieces_of_the_study(number):
    env = HermiteParameterEnv(years=10)
    env.reset(options={"number": number})
    for _ in range(100):
        _, _, terminated, truncated, infos = env.step(7)
    assert terminated
    assert not truncated
    systems = Systems.of(Suite("rl", (reinforcement_case(number),)))
    run = in_pieces(systems._replace(ends=systems.ends / 3), HERMITE_PARAMETERS[7], pieces=100)
    assert infos["forces"] == run.forces[0]
    assert abs(infos["energy_error"]) == pytest.approx(run.final_error[0], rel=1e-4)
    assert infos["time"] == pytest.approx(10.0)


def test_the_reward_is_the_published_form():
    env = HermiteParameterEnv()
    env.reset(options={"number": 1})
    rewards, errors = [], []
    for action in (9, 3, 8):
        _, reward, _, _, infos = env.step(action)
        rewards.append(reward)
        errors.append(math.log10(abs(infos["energy_error"])))
    assert rewards[0] == 0.0
    for i, action in ((1, 3), (2, 8)):
        accuracy = 3000 * (-8 - errors[i]) / errors[i] ** 2 / (i + 1)
        assert rewards[i] == pytest.approx(accuracy + 4 / abs(-4 + action / 3), rel=1e-6)


def test_the_observation_is_the_state_about_the_centre_of_mass():
    env = HermiteParameterEnv()
    seen, infos = env.reset(options={"number": 2})
    case = reinforcement_case(2)
    np.testing.assert_allclose(seen[:6] * 10, case.initial.position.ravel(), atol=1e-12)
    np.testing.assert_allclose(seen[6:12] * math.sqrt(3) * 2 * math.pi, case.initial.velocity.ravel(), atol=1e-12)
    assert seen[12] == 0.0
    assert infos["number"] == 2
    seen, _, _, _, infos = env.step(9)
    assert seen[12] == pytest.approx(-math.log10(abs(infos["energy_error"])))
    np.testing.assert_allclose(seen[0:6:2].sum(), 0, atol=1e-12)


def test_an_error_of_a_tenth_ends_the_episode():
    env = HermiteParameterEnv(years=30)
    env.reset(options={"number": 3})
    terminated = False
    while not terminated:
        _, reward, terminated, _, infos = env.step(9)
    assert abs(infos["energy_error"]) > 0.1
    assert infos["time"] < 10
    assert reward < -100  # the error counts as 0.1: -3000 x 7 / i
    with pytest.raises(ConfigError, match="over"):
        env.step(9)


def test_seeds_draw_no_problem_of_the_published_test_set():
    env = HermiteParameterEnv()
    numbers = [env.reset(seed=seed)[1]["number"] for seed in range(20)]
    assert min(numbers) >= 100
    assert len(set(numbers)) == 20
    assert numbers[3] == env.reset(seed=3)[1]["number"]


@pytest.mark.parametrize(
    "wrong", [{"years": 0.0}, {"years": math.nan}, {"years": True}, {"render_mode": "human"}], ids=lambda wrong: str(wrong)
)
def test_bad_settings_are_refused_in_a_sentence(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        HermiteParameterEnv(**wrong)


@pytest.mark.parametrize("number", [-1, 2**32, 1.5, True, "7"])
def test_a_number_that_is_no_problem_is_refused_in_a_sentence(number):
    with pytest.raises(ConfigError, match="number"):
        HermiteParameterEnv().reset(options={"number": number})
