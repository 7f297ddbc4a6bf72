"""A learned, physics-informed time stepper for gravitational N-body simulation.

Simulating needs no PyTorch; the names that do are loaded when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__
from .bodies import Bodies as Bodies
from .citations import cite as cite
from .config import Config as Config
from .criteria.base import Criterion as Criterion
from .criteria.classical import PRS23 as PRS23
from .criteria.classical import Aarseth as Aarseth
from .criteria.classical import Boekholt as Boekholt
from .criteria.classical import Constant as Constant
from .criteria.classical import EnergyBudget as EnergyBudget
from .criteria.classical import FreeFall as FreeFall
from .criteria.classical import HutMakino as HutMakino
from .criteria.classical import LastTerm as LastTerm
from .criteria.classical import Tidal as Tidal
from .criteria.learned import LearnedStep as LearnedStep
from .criteria.own import OwnCriterion as OwnCriterion
from .criteria.wrappers import Huayno as Huayno
from .criteria.wrappers import HutMakinoMcMillan as HutMakinoMcMillan
from .criteria.wrappers import Limited as Limited
from .criteria.wrappers import Symmetrized as Symmetrized
from .errors import SimulationWarning as SimulationWarning
from .errors import require
from .fields import LogarithmicHalo as LogarithmicHalo
from .fields import MiyamotoNagaiField as MiyamotoNagaiField
from .fields import NFWField as NFWField
from .fields import Oblateness as Oblateness
from .fields import OwnField as OwnField
from .fields import PlummerField as PlummerField
from .fields import PointMassTidalField as PointMassTidalField
from .fields import PrecessionPotential as PrecessionPotential
from .fields import UniformField as UniformField
from .fields import VelocityForce as VelocityForce
from .simulate.engine import simulate as simulate
from .simulate.result import SimulationResult as SimulationResult
from .simulate.session import resume as resume
from .simulate.simulation import Simulation as Simulation
from .simulate.snapshots import Snapshots as Snapshots

if TYPE_CHECKING:
    from .differentiable.adapter import ModelAdapter as ModelAdapter
    from .differentiable.history import HistoryBuffer as HistoryBuffer
    from .differentiable.network import FullyConnectedNN as FullyConnectedNN
    from .differentiable.particle import ParticleTorch as ParticleTorch
    from .ensembles.ensemble import ensemble as ensemble
    from .ensembles.result import Ensemble as Ensemble
    from .report import plots as plots
    from .report.movie import movie as movie
    from .training.attempt import attempt_single_step as attempt_single_step
    from .training.attempt import check_energy_threshold as check_energy_threshold
    from .training.checkpoints import load_checkpoint as load_checkpoint
    from .training.checkpoints import load_config_from_checkpoint as load_config_from_checkpoint
    from .training.checkpoints import load_model_state as load_model_state
    from .training.checkpoints import save_checkpoint as save_checkpoint
    from .training.collection import collect_trajectory as collect_trajectory
    from .training.collection import collect_trajectory_step as collect_trajectory_step
    from .training.epochs import run_two_phase_training as run_two_phase_training
    from .training.epochs import train_epoch_two_phase as train_epoch_two_phase
    from .training.generalization import evaluate_minibatch as evaluate_minibatch
    from .training.generalization import generalize_on_trajectory as generalize_on_trajectory
    from .training.losses import band_loss_zero_inside_where as band_loss_zero_inside_where
    from .training.losses import compute_single_step_loss as compute_single_step_loss
    from .training.trajectory import sample_minibatch as sample_minibatch

# the public names that need PyTorch, and where they are
_WITH_TORCH = {
    "ModelAdapter": "differentiable.adapter",
    "HistoryBuffer": "differentiable.history",
    "FullyConnectedNN": "differentiable.network",
    "ParticleTorch": "differentiable.particle",
    "attempt_single_step": "training.attempt",
    "check_energy_threshold": "training.attempt",
    "load_checkpoint": "training.checkpoints",
    "load_config_from_checkpoint": "training.checkpoints",
    "load_model_state": "training.checkpoints",
    "save_checkpoint": "training.checkpoints",
    "collect_trajectory": "training.collection",
    "collect_trajectory_step": "training.collection",
    "run_two_phase_training": "training.epochs",
    "train_epoch_two_phase": "training.epochs",
    "evaluate_minibatch": "training.generalization",
    "generalize_on_trajectory": "training.generalization",
    "band_loss_zero_inside_where": "training.losses",
    "compute_single_step_loss": "training.losses",
    "sample_minibatch": "training.trajectory",
}

# parts and functions with extras of their own, and where they are
_ON_FIRST_USE = {
    "plots": "report.plots:",
    "movie": "report.movie:movie",
    "rebound": "rebound:",
    "ensemble": "ensembles.ensemble:ensemble",
    "Ensemble": "ensembles.result:Ensemble",
}


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        place, _, thing = _ON_FIRST_USE[name].partition(":")
        module = importlib.import_module(f"{__name__}.{place}")
        value = globals()[name] = getattr(module, thing) if thing else module
        return value
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("torch", "train", name)
    value = getattr(importlib.import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WITH_TORCH, *_ON_FIRST_USE})
