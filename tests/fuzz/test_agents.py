"""Actions, seeds and options of any kind in the environments for agents: an episode goes on in numbers, or one sentence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from fuzzing import FLOATS, WORDS, fuzzed, taken
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("gymnasium")

import aitimestepper.gym as agents
from aitimestepper.gym.settings import StepSettings

NUMBER = FLOATS | st.floats(-1.0, 1.0) | st.integers(-3, 12)
ACTIONS = st.lists(NUMBER, max_size=3) | NUMBER | WORDS | st.none() | st.lists(st.lists(NUMBER, max_size=2), max_size=3)
MANY = 3  # systems side by side


@pytest.fixture(scope="module")
def environments():
    """One environment of each kind; every example begins an episode anew."""
    one = agents.NBodyStepEnv(families=("kepler",), tol=1e-3)
    many = agents.NBodyStepVectorEnv(MANY, families=("kepler",), tol=1e-3)
    return one, many, agents.HermiteParameterEnv(years=0.5)


@fuzzed
@given(st.lists(ACTIONS, min_size=1, max_size=4))
def test_actions_of_one_system(environments, actions: list[Any]) -> None:
    env = environments[0]
    env.reset(seed=1)
    for action in actions:
        made = taken(lambda action=action: env.step(action))
        if made is None:
            continue
        seen, reward, terminated, truncated, info = made
        assert env.observation_space.contains(seen)
        assert math.isfinite(reward)
        assert np.isfinite([info["time"], info["energy_error"]]).all()
        if terminated or truncated:
            return


@fuzzed
@given(st.lists(st.lists(NUMBER, min_size=MANY, max_size=MANY) | ACTIONS, min_size=1, max_size=4))
def test_actions_of_many_systems(environments, actions: list[Any]) -> None:
    env = environments[1]
    env.reset(seed=1)
    for action in actions:
        made = taken(lambda action=action: env.step(action))
        if made is not None:
            assert env.observation_space.contains(made[0])
            assert np.isfinite(made[1]).all()


@fuzzed
@given(st.lists(ACTIONS | st.integers(0, 9), min_size=1, max_size=2))
def test_choices_of_a_parameter(environments, actions: list[Any]) -> None:
    env = environments[2]
    env.reset(seed=1, options={"number": 3})
    for action in actions:
        made = taken(lambda action=action: env.step(action))
        if made is not None:
            assert env.observation_space.contains(made[0])
            assert math.isfinite(made[1])
            if made[2]:
                return


@fuzzed
@given(st.dictionaries(st.sampled_from(["number", "reset_mask", "x"]), ACTIONS, max_size=2) | ACTIONS, st.integers(0, 5))
def test_options_of_a_reset(environments, options: Any, seed: int) -> None:
    for env in environments:
        taken(lambda env=env: env.reset(seed=seed, options=options))


@fuzzed
@given(
    st.dictionaries(
        st.sampled_from(["families", "split", "tol", "integrator", "error_weight", "most_forces"]),
        NUMBER | WORDS | st.none() | st.lists(WORDS | NUMBER, max_size=2).map(tuple),
        max_size=2,
    )
)
def test_settings_of_episodes(settings: dict[str, Any]) -> None:
    made = taken(lambda: StepSettings(**settings))
    if made is not None:
        low, high = made.tol_range
        assert 0.0 < low <= high < 1.0
