"""`aitimestepper/NBodyStep-v0`: what Gymnasium asks of an environment, and what physics asks of its numbers."""

import math

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from aitimestepper.criteria.classical import EnergyBudget
from aitimestepper.errors import ConfigError
from aitimestepper.gym import NBodyStepEnv, NBodyStepVectorEnv, agent_of
from aitimestepper.gym.settings import StepSettings
from aitimestepper.initial.families import SPLIT_SIZE, SPLITS
from aitimestepper.simulate.engine import simulate

NAME = "aitimestepper.gym:aitimestepper/NBodyStep-v0"
SHORT = {"families": ("kepler", "random3"), "integrator": "blanes_moan4", "tol": 0.01}  # episodes of a hundred steps or so


def episode(env: NBodyStepEnv, seed: int, action: float = 0.0) -> tuple[float, int, dict]:
    """Return the sum of the rewards, the steps, and the infos of start and end together."""
    _, infos = env.reset(seed=seed)
    total = steps = 0
    while True:
        _, reward, terminated, truncated, more = env.step(np.array([action], np.float32))
        total, steps = total + reward, steps + 1
        if terminated or truncated:
            return total, steps, {**infos, **more, "terminated": terminated, "truncated": truncated}


def test_the_checker_of_gymnasium_passes():
    check_env(gymnasium.make(NAME).unwrapped)


@pytest.mark.parametrize("integrator", ["blanes_moan4", "hermite4"])
def test_an_episode_of_the_action_0_is_the_run_of_the_analytic_step(integrator):
    tol, env = 0.01, NBodyStepEnv(**{**SHORT, "integrator": integrator})
    for seed in (1, 2):
        total, steps, infos = episode(env, seed)
        family, number = infos["problem"].split("-")
        problem = env.settings.problems([(family, int(number))], np.array([tol]))
        like = {"hermite4": "suzuki4"}.get(integrator, integrator)
        run = simulate(problem.start, t_end=problem.t_end, criterion=EnergyBudget(tol, like), integrator=integrator, warn=False)
        assert (steps, infos["forces"]) == (run.steps[0], run.force_evaluations[0])
        assert infos["energy_error"] == pytest.approx(run.max_energy_error[0], rel=1e-7)
        assert infos["time"] == problem.t_end[0]
        penalty = max(0.0, math.log10(infos["energy_error"] / tol)) ** 2
        assert total == pytest.approx(-penalty, abs=0.05)
        assert infos["terminated"]
        assert not infos["truncated"]


def test_the_rewards_of_an_episode_sum_to_what_was_saved_less_a_penalty():
    env = NBodyStepEnv(families=("kepler",), tol=1e-3, error_weight=0.3)
    penalties = []
    for seed in range(7):
        total, _, infos = episode(env, seed, 0.3)
        penalties.append(max(0.0, math.log10(infos["energy_error"] / 1e-3)) ** 2)
        saved = 1.0 - infos["forces"] / infos["analytic_forces"]
        assert saved == pytest.approx(0.5, abs=0.1)  # steps twice as long
        assert total == pytest.approx(saved - 0.3 * penalties[-1], abs=0.1)
    assert max(penalties) > 1
    assert min(penalties) == 0


def test_half_the_step_costs_twice_as_much_and_errs_less():
    env = NBodyStepEnv(**SHORT)
    for seed in (3, 4):
        (whole, *_, one), (half, *_, two) = (episode(env, seed, action) for action in (0.0, math.log10(0.5)))
        assert two["forces"] == pytest.approx(2 * one["forces"], rel=0.1)
        assert two["energy_error"] < one["energy_error"]
        assert half == pytest.approx(-1.0, abs=0.1)
        assert whole > half


def test_a_run_that_breaks_off_terminates_and_costs_more_than_any_other():
    env = NBodyStepEnv(families=("kepler",), integrator="leapfrog", tol=0.5)
    broken = [run for seed in range(12) if (run := episode(env, seed, 1.0))[2]["energy_error"] >= 1.0]
    assert broken
    for total, _, infos in broken:
        assert infos["terminated"]
        assert total < -env.settings.most_forces + 1.0


def test_a_run_that_costs_too_much_is_truncated():
    total, _, infos = episode(NBodyStepEnv(**SHORT, most_forces=0.5), 5, -0.5)
    assert infos["truncated"]
    assert not infos["terminated"]
    assert total == pytest.approx(0.5 * (math.sqrt(0.1) - 1.0), rel=0.2)  # steps of 0.32 analytic ones


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.value)
def test_systems_in_lanes_are_environments_of_their_own(mode):
    """Gymnasium's own vectorization of single environments is the reference, bit for bit, through the ends of episodes."""
    kwargs = {"num_envs": 3, "families": ("kepler", "triple", "random3"), "tol": (0.01, 0.1), "most_forces": 0.3}
    ours = gymnasium.make_vec(NAME, autoreset_mode=mode, **kwargs)
    theirs = gymnasium.make_vec(NAME, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **kwargs)
    rng, episodes = np.random.default_rng(0), 0
    pairs = [(ours.reset(seed=7), theirs.reset(seed=7))]
    for _ in range(150):
        actions = rng.uniform(-1, 0.7, (3, 1)).astype(np.float32)
        pairs.append((ours.step(actions), theirs.step(actions)))
        over = pairs[-1][0][2] | pairs[-1][0][3]
        episodes += over.sum()
        if mode is AutoresetMode.DISABLED and over.any():
            pairs.append(tuple(env.reset(options={"reset_mask": over.copy()}) for env in (ours, theirs)))
    assert episodes >= 3
    for mine, other in pairs:
        for a, b in zip(mine[:-1], other[:-1], strict=True):
            np.testing.assert_array_equal(a, b)
        assert ours.observation_space.contains(mine[0])
        assert set(mine[-1]) == set(other[-1])
        _assert_same_infos(mine[-1], other[-1])


def _assert_same_infos(mine: dict, other: dict) -> None:
    """Assert that infos agree wherever their masks say that there are some."""
    for name in mine:
        if name == "final_info":
            _assert_same_infos(mine[name], other[name])
        elif name.startswith("_"):
            np.testing.assert_array_equal(mine[name], other[name])
        else:
            for i in np.flatnonzero(mine[f"_{name}"]):
                np.testing.assert_array_equal(mine[name][i], other[name][i])


def test_seeds_alone_decide_and_no_global_stream_is_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (NBodyStepVectorEnv(4, **SHORT) for _ in range(2))
    one, two = first.reset(seed=3)[1]["problem"], second.reset(seed=4)[1]["problem"]
    assert (one[1:] == two[:-1]).all()
    assert len(set(one)) == 4
    assert (first.reset(seed=3)[1]["problem"] == one).all()
    assert (first.reset()[1]["problem"] != one).any()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize("split", SPLITS)
def test_problems_are_those_of_the_split(split):
    names = NBodyStepVectorEnv(20, **SHORT, split=split).reset(seed=0)[1]["problem"]
    numbers = np.array([int(name.split("-")[1]) for name in names])
    assert ((numbers >= SPLITS[split]) & (numbers < SPLITS[split] + SPLIT_SIZE)).all()


def test_what_an_agent_sees_of_two_bodies_is_their_orbit():
    """Eccentricity, pericentre over distance, and tolerance, from the elements of the orbit."""
    settings = StepSettings(families=("kepler",), tol=(1e-6, 1e-3))
    env = NBodyStepVectorEnv(20, families=("kepler",), tol=(1e-6, 1e-3))
    seen, infos = env.reset(seed=0)
    for features, name, tol in zip(seen, infos["problem"], infos["tol"], strict=True):
        start = settings.problems([("kepler", int(name.split("-")[1]))], np.array([tol])).start
        orbit = start.orbit(0, 1)
        e, a = orbit.eccentricity[0], orbit.semi_major_axis[0]
        distance = math.dist(*start.position[0])
        assert features[4] == pytest.approx(math.log(1 + e * e), abs=1e-5)
        assert features[3] == pytest.approx(math.log(1e-3 + a * (1 - e) / distance), abs=1e-4)
        assert features[8] == pytest.approx(math.log(tol), abs=1e-5)
        assert 1e-6 <= tol <= 1e-3


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"families": ()}, "families"),
        ({"families": ("keplr",)}, "kepler"),
        ({"families": ("tidal",)}, "outer field"),
        ({"split": "tests"}, "split"),
        ({"tol": -1.0}, "tol"),
        ({"tol": (1e-3, 1e-5)}, "tol"),
        ({"tol": math.nan}, "tol"),
        ({"tol": "1e-5"}, "tol"),
        ({"integrator": "radau15"}, "integrator"),
        ({"error_weight": math.inf}, "error_weight"),
        ({"most_forces": 0}, "most_forces"),
        ({"num_envs": 0}, "num_envs"),
        ({"render_mode": "human"}, "render_mode"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(wrong, word):
    with pytest.raises(ConfigError, match=word):
        NBodyStepVectorEnv(**wrong)


def test_calls_out_of_order_are_refused_in_a_sentence():
    env = NBodyStepVectorEnv(2, **SHORT, autoreset_mode="Disabled", most_forces=1e-3)
    with pytest.raises(ConfigError, match="reset"):
        env.step(np.zeros((2, 1)))
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="actions"):
        env.step(np.zeros((3, 1)))
    with pytest.raises(ConfigError, match="reset_mask"):
        env.reset(options={"reset_mask": [True]})
    with pytest.raises(ConfigError, match="seeds"):
        env.reset(seed=[1])
    while not env.step(np.zeros((2, 1)))[3].any():
        pass
    with pytest.raises(ConfigError, match="over"):
        env.step(np.zeros((2, 1)))


def test_an_action_that_is_no_number_breaks_off_only_its_own_system():
    env = NBodyStepVectorEnv(2, **SHORT)
    env.reset(seed=0)
    seen, reward, terminated, _, infos = env.step(np.array([[np.nan], [0.0]]))
    assert terminated.tolist() == [True, False]
    assert reward[0] < -env.settings.most_forces < reward[1]
    assert np.isfinite(seen).all()
    assert infos["energy_error"][1] > 0


def test_a_model_that_predicts_is_an_agent_whose_actions_are_clipped_as_the_environment_clips_them():
    class Model:
        def predict(self, features, deterministic):
            assert deterministic
            return np.full((len(features), 1), 7.0), None

    seen = np.zeros((3, 9), np.float32)
    assert agent_of(Model())(seen).tolist() == [1.0] * 3
    assert agent_of(lambda features: np.full(len(features), -0.5))(seen).tolist() == [-0.5] * 3
    with pytest.raises(ConfigError, match="no agent"):
        agent_of(3)
