"""Contract 3: the public names and the signatures they promise; and what `import aitimestepper` brings with it."""

import dataclasses
import inspect
import subprocess
import sys

import pytest

import aitimestepper

WITHOUT_TORCH = [
    "simulate",
    "SimulationResult",
    "resume",
    "Snapshots",
    "Bodies",
    "Constant",
    "FreeFall",
    "HutMakino",
    "Aarseth",
    "Tidal",
    "PRS23",
    "Boekholt",
    "EnergyBudget",
    "LastTerm",
    "LearnedStep",
    "Limited",
    "Symmetrized",
    "Huayno",
    "HutMakinoMcMillan",
    "Config",
    "PointMassTidalField",
    "OwnCriterion",
    "OwnField",
    "VelocityForce",
    "PlummerField",
    "LogarithmicHalo",
    "MiyamotoNagaiField",
    "NFWField",
    "UniformField",
    "Oblateness",
    "PrecessionPotential",
    "Criterion",
    "cite",
]
FUNCTIONS = {
    "attempt_single_step": ["model", "particle", "config", "adapter", "history_buffer"],
    "check_energy_threshold": ["E0", "E1", "threshold"],
    "compute_single_step_loss": ["E0", "E1", "config"],
    "band_loss_zero_inside_where": ["x", "lo", "hi"],
    "collect_trajectory_step": ["model", "particle", "optimizer", "config", "adapter", "history_buffer"],
    "collect_trajectory": ["model", "particle", "optimizer", "config", "adapter", "history_buffer"],
    "sample_minibatch": ["trajectory", "batch_size"],
    "evaluate_minibatch": ["model", "minibatch", "config", "adapter", "history_buffer"],
    "generalize_on_trajectory": ["model", "trajectory", "optimizer", "config", "adapter", "history_buffer"],
    "train_epoch_two_phase": ["model", "particle", "optimizer", "config", "adapter", "history_buffer"],
    "run_two_phase_training": ["model", "particle", "optimizer", "config", "adapter", "history_buffer", "save_dir"],
    "save_checkpoint": ["path", "model", "optimizer"],
    "load_checkpoint": ["path"],
    "load_model_state": ["model", "path"],
    "load_config_from_checkpoint": ["path"],
}
METHODS = {
    "ParticleTorch": "from_tensors clone_detached total_energy total_energy_batch evolve evolve_batch get_acceleration "
    "update_dt set_external_field",
    "HistoryBuffer": "push reset clone features_for features_for_batch features_for_histories",
    "ModelAdapter": "build_feature_tensor input_dim_from_state predict_dt update_history history_enabled",
    "FullyConnectedNN": "forward",
}
CRITERIA = "Constant FreeFall HutMakino Aarseth Tidal PRS23 Boekholt EnergyBudget LastTerm LearnedStep Symmetrized Limited "
CRITERIA += "Huayno HutMakinoMcMillan OwnCriterion"

NO_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is made impossible to import")
sys.meta_path.insert(0, Refuse())
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_their_signature(torch, name):
    parameters = list(inspect.signature(getattr(aitimestepper, name)).parameters)
    assert parameters[: len(FUNCTIONS[name])] == FUNCTIONS[name]


@pytest.mark.parametrize("name", METHODS)
def test_classes_have_their_methods(torch, name):
    for method in METHODS[name].split():
        assert hasattr(getattr(aitimestepper, name), method), (name, method)


def test_names_of_the_runtime_have_their_methods():
    assert next(iter(inspect.signature(aitimestepper.simulate).parameters)) == "particle"
    for name, methods in {
        "Config": "from_dict to_dict as_wandb_dict validate",
        "LearnedStep": "load at_tolerance",
        "PointMassTidalField": "acceleration potential",
    }.items():
        assert all(hasattr(getattr(aitimestepper, name), method) for method in methods.split()), name


@pytest.mark.parametrize("name", CRITERIA.split())
def test_every_criterion_is_a_frozen_value(name):
    kind = getattr(aitimestepper, name)
    assert issubclass(kind, aitimestepper.Criterion)
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen


def test_all_public_names_are_listed():
    from aitimestepper import _WITH_TORCH

    assert set(FUNCTIONS) | set(METHODS) == set(_WITH_TORCH)
    assert {*WITHOUT_TORCH, *_WITH_TORCH} <= set(dir(aitimestepper))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        aitimestepper.nonsense  # noqa: B018


def test_import_brings_no_heavy_package_with_it():
    """`import aitimestepper` stays fast; how fast: benchmarks/imports.py."""
    heavy = ("torch", "matplotlib", "rich", "wandb", "h5py", "numba", "llvmlite")
    assert run(f"import sys, aitimestepper; print([m for m in sys.modules if m.split('.')[0] in {heavy}])") == "[]"


def test_the_function_simulate_is_not_hidden_by_the_package_of_that_name():
    assert (
        run("import aitimestepper.simulate.kernels.plan\nfrom aitimestepper import simulate\nprint(callable(simulate))")
        == "True"
    )


def test_without_torch_everything_but_training_imports():
    code = f"""{NO_TORCH}
import importlib, pkgutil, aitimestepper
left_out = ("aitimestepper.differentiable", "aitimestepper.training", "aitimestepper.__main__")
for module in pkgutil.walk_packages(aitimestepper.__path__, "aitimestepper."):
    if not module.name.startswith(left_out):
        importlib.import_module(module.name)
from aitimestepper import {", ".join(WITHOUT_TORCH)}
print("fine")"""
    assert run(code) == "fine"


@pytest.mark.parametrize("package", ["differentiable", "differentiable.loop", "differentiable.network"])
def test_a_package_that_needs_torch_says_which_extra_brings_it(package):
    code = f"{NO_TORCH}\ntry:\n    import aitimestepper.{package}\nexcept ImportError as error:\n    print(error)"
    assert run(code) == "aitimestepper.differentiable needs PyTorch: pip install 'aitimestepper[train]'."


def test_a_name_that_needs_torch_says_which_extra_brings_it():
    code = f"""{NO_TORCH}
import aitimestepper
try:
    aitimestepper.ParticleTorch
except ImportError as error:
    print(error)"""
    assert run(code) == "ParticleTorch needs PyTorch: pip install 'aitimestepper[train]'."
