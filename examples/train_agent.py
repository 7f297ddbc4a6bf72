"""Train an agent by reinforcement learning for a minute, and compare it with the shipped step at equal forces.

pip install 'aitimestepper[gym]' stable-baselines3
python examples/train_agent.py                  trains, saves runs/agent.npz, measures
python examples/train_agent.py --measure        measures the saved agent again
aitimestepper bench steps --criteria learned examples/train_agent.py:agent --integrators blanes_moan4 --tol 1e-3 1e-4 1e-5

The agent is a small network that stable-baselines3 trains with PPO in `aitimestepper/NBodyStep-v0`. It is saved as plain
arrays, so that using it takes neither stable-baselines3 nor PyTorch, and runs no code from a file.
"""

import argparse
import functools
import time
from pathlib import Path

import numpy as np

from aitimestepper.criteria.agent import AgentCriterion
from aitimestepper.evaluation.contenders import Contender, Rule, rule_named
from aitimestepper.evaluation.matched import matched_step_parameter
from aitimestepper.evaluation.runs import Systems, measure
from aitimestepper.evaluation.statistics import share_error
from aitimestepper.initial.suites import make_suite

TOL, INTEGRATOR = 1e-5, "blanes_moan4"
FAMILIES = ("kepler", "triple", "random3")
SAVED = Path("runs/agent.npz")
SYSTEMS, STEPS = 512, 64  # of one round of PPO


# ---- training ------------------------------------------------------------------------------------------------------------
def train(steps: int, seed: int) -> dict[str, np.ndarray]:
    """Return the weights of an agent that PPO trained for so many steps."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import VecNormalize

    class Clock(BaseCallback):
        """Say now and then how it goes."""

        def _on_training_start(self) -> None:
            self.began = time.monotonic()

        def _on_rollout_end(self) -> None:
            done = [episode["r"] for episode in self.model.ep_info_buffer]
            words = f"return of the last {len(done)} episodes: {np.mean(done):.2f}" if done else "no episode has ended"
            print(f"{time.monotonic() - self.began:5.0f} s {self.num_timesteps:9d} steps   {words}", flush=True)

        def _on_step(self) -> bool:
            return True

    many = VecNormalize(_for_stable_baselines(SYSTEMS), norm_obs=False, gamma=0.99)
    model = PPO(
        "MlpPolicy",
        many,
        n_steps=STEPS,
        batch_size=4096,
        n_epochs=4,
        learning_rate=1e-3,
        gamma=0.99,
        gae_lambda=0.95,
        policy_kwargs={"net_arch": [32, 32], "log_std_init": -2.0, "activation_fn": torch.nn.Tanh},
        stats_window_size=1000,
        seed=seed,
        device="cpu",
    )
    model.learn(steps, callback=Clock())
    layers = [*model.policy.mlp_extractor.policy_net, model.policy.action_net]
    linear = [layer for layer in layers if hasattr(layer, "weight")]
    return {
        f"{kind}{k}": getattr(layer, kind).detach().numpy().copy()
        for k, layer in enumerate(linear)
        for kind in ("weight", "bias")
    }


def _for_stable_baselines(count: int):
    """Return the vector environment with the methods that stable-baselines3 expects of one."""
    import gymnasium
    from stable_baselines3.common.vec_env import VecEnv

    class Lanes(VecEnv):
        def __init__(self) -> None:
            self.many = gymnasium.make_vec(
                "aitimestepper.gym:aitimestepper/NBodyStep-v0",
                num_envs=count,
                families=FAMILIES,
                tol=TOL,
                integrator=INTEGRATOR,
                autoreset_mode="SameStep",
            )
            self.sums = np.zeros((2, count))  # reward and steps of the present episodes
            self.seed_given = None
            self.render_mode = None
            super().__init__(count, self.many.single_observation_space, self.many.single_action_space)

        def seed(self, seed=None):
            self.seed_given = seed
            return [None if seed is None else seed + i for i in range(count)]

        def reset(self):
            seen, _ = self.many.reset(seed=self.seed_given)
            return seen

        def step_async(self, actions):
            self.actions = actions

        def step_wait(self):
            seen, reward, terminated, truncated, infos = self.many.step(self.actions)
            self.sums += reward, np.ones(count)
            told = [{} for _ in range(count)]
            for i in np.flatnonzero(terminated | truncated):
                told[i] = {
                    "terminal_observation": infos["final_obs"][i],
                    "TimeLimit.truncated": bool(truncated[i]),
                    "episode": {"r": self.sums[0, i], "l": int(self.sums[1, i]), "t": 0.0},
                }
                self.sums[:, i] = 0.0
            return seen, reward, terminated | truncated, told

        def close(self):
            self.many.close()

        def get_attr(self, name, indices=None):
            return [getattr(self.many, name)] * count

        def set_attr(self, name, value, indices=None):
            raise NotImplementedError

        def env_method(self, name, *arguments, indices=None, **named):
            raise NotImplementedError

        def env_is_wrapped(self, wrapper, indices=None):
            return [False] * count

    return Lanes()


# ---- the agent as a criterion ------------------------------------------------------------------------------------------
@functools.cache
def _weights() -> list[np.ndarray]:
    with np.load(SAVED, allow_pickle=False) as file:
        return [file[f"{kind}{k}"] for k in range(3) for kind in ("weight", "bias")]


def answer(features: np.ndarray) -> np.ndarray:
    """Return log10(dt / analytic step), (R,), for features (R, 9)."""
    w1, b1, w2, b2, w3, b3 = _weights()
    hidden = np.tanh(np.tanh(features @ w1.T + b1) @ w2.T + b2)
    return np.clip((hidden @ w3.T + b3)[:, 0], -1.0, 1.0)


def agent(step_parameter: np.ndarray) -> AgentCriterion:
    """Return the agent as a rule for `aitimestepper bench`, whose number scales all its steps."""
    return AgentCriterion(answer, TOL, INTEGRATOR).scaled(step_parameter)


# ---- the comparison ------------------------------------------------------------------------------------------------------
def compare(problems: int) -> None:
    """Print the errors of agent, shipped step and analytic step on problems of `test`, at equal forces, and who wins."""
    systems = Systems.of(make_suite(FAMILIES, "test", problems, 3))
    shipped = Contender(rule_named("learned"), "symmetrized", INTEGRATOR)
    ours = measure(systems, shipped, shipped.step_parameter(TOL), 10_000_000)
    wanted = float(np.median(ours.forces))
    rule = Rule("agent", lambda value, *_: agent(value), lambda _: 1.0)
    rivals = [Contender(rule, "plain", INTEGRATOR), Contender(rule, "symmetrized", INTEGRATOR)]
    rivals += [Contender(rule_named("energybudget"), variant, INTEGRATOR) for variant in ("plain", "symmetrized")]
    outcomes = {"shipped step": ours} | {rival.label: matched_step_parameter(systems, rival, wanted)[1] for rival in rivals}
    print(f"{len(systems.start)} problems of test, tolerance {TOL:g}, {INTEGRATOR}, median forces of each {wanted:.0f}")
    print(f"{'':26s}{'median error':>14s}{'90 %':>10s}{'within tol':>12s}")
    for name, outcome in outcomes.items():
        median, p90 = (float(share_error(outcome.error, share)) for share in (0.5, 0.9))
        print(f"{name:26s}{median:14.1e}{p90:10.1e}{np.mean(outcome.error <= TOL):12.0%}")
    ranked = sorted(outcomes, key=lambda name: float(share_error(outcomes[name].error, 0.9)))
    print(f"the smallest error that 90 % of the problems stay below: {ranked[0]}, then {ranked[1]}")


def main() -> None:
    """Train and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_500_000, help="steps to train for")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--problems", type=int, default=50, help="problems of each family to measure on")
    parser.add_argument("--measure", action="store_true", help="only measure the saved agent")
    given = parser.parse_args()
    if not given.measure:
        weights = train(given.steps, given.seed)
        SAVED.parent.mkdir(parents=True, exist_ok=True)
        np.savez(SAVED, **weights)
    compare(given.problems)


if __name__ == "__main__":
    main()
