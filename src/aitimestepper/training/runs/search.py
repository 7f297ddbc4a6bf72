"""Policy search: CMA-ES on whole compiled runs. Slow beside the gradient way, but what it sees is what a user gets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from ...config import Config
from ...errors import ConfigError
from ...differentiable.network import FullyConnectedNN
from ...simulate.batch import Watch
from ...evaluation.evaluation_set import EvaluationSet, evaluate
from .networks import parameters_of, step_of, with_parameters
from .objective import objective


class Search(NamedTuple):
    """How to search."""

    generations: int = 0
    population: int = 16
    sigma: float = 0.03  # of the first generation; descending has come near already
    draw: int = 12  # problems of each family in a generation


class Generation(NamedTuple):
    """What a generation came to: the objective of each candidate, on problems that all of them share."""

    number: int
    values: list[float]


def search(
    model: FullyConnectedNN,
    config: Config,
    what: EvaluationSet,
    how: Search,
    seed: int,
    known: Sequence[Sequence[float]] = (),
    threads: int = 1,
    watch: Watch | None = None,
    tell: Callable[[Generation, FullyConnectedNN], None] = lambda generation, mean: None,
) -> FullyConnectedNN:
    """The network at the mean of the last generation.

    `known`: the values of generations that were judged before, by a search that was stopped; they are not judged again, and
    all goes on as if it had not stopped.
    """
    strategy = _strategy(parameters_of(model), how, seed)

    def mean() -> FullyConnectedNN:
        return with_parameters(copy.deepcopy(model), strategy.result.xfavorite)

    with ThreadPoolExecutor(threads) as pool:
        for number in range(how.generations):
            candidates = strategy.ask()
            if number < len(known):
                values = list(known[number])
            else:
                drawn = what.rows(draw(what, how.draw, seed, number))

                def judge(parameters: np.ndarray, problems: EvaluationSet = drawn) -> float:
                    step = step_of(with_parameters(copy.deepcopy(model), parameters), config)
                    return objective(problems, evaluate(step, problems, watch))

                values = list(pool.map(judge, candidates))
            strategy.tell(candidates, values)
            if number >= len(known):
                tell(Generation(number, values), mean())
    return mean()


def draw(what: EvaluationSet, count: int, seed: int, number: int) -> np.ndarray:
    """The problems of a generation: others each time, so that none is learned by heart."""
    rng = np.random.default_rng([seed, number])
    members = [np.flatnonzero(what.family == k) for k in range(len(what.families))]
    chosen = [rng.choice(m, min(count, len(m)), replace=False) for m in members]
    return np.sort(np.concatenate(chosen))


def _strategy(start: np.ndarray, how: Search, seed: int) -> Any:
    """Pycma's, with a random stream of its own: the global one stays as it is."""
    try:
        import cma
    except ImportError:
        raise ConfigError("searching needs pycma: pip install 'aitimestepper[tune]', or say --generations 0.") from None
    rng = np.random.default_rng(seed)
    options = {
        "seed": np.nan,  # leaves numpy's global state alone
        "randn": lambda *shape: rng.standard_normal(shape),
        "popsize": how.population,
        "verbose": -9,
    }
    return cma.CMAEvolutionStrategy(start, how.sigma, options)
