"""Contract 3: the public names and the signatures they promise."""

import inspect
import subprocess
import sys

import pytest

import aitimestepper

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
    "simulate": ["particle"],
}
METHODS = {
    "Config": "from_dict to_dict as_wandb_dict validate",
    "ParticleTorch": "from_tensors clone_detached total_energy total_energy_batch evolve evolve_batch get_acceleration "
    "update_dt set_external_field",
    "HistoryBuffer": "push reset clone features_for features_for_batch features_for_histories",
    "ModelAdapter": "build_feature_tensor input_dim_from_state predict_dt update_history history_enabled",
    "LearnedStep": "load",
    "FullyConnectedNN": "forward",
    "PointMassTidalField": "acceleration potential",
}
CRITERIA = "Constant FreeFall HutMakino Aarseth Tidal PRS23 Boekholt EnergyBudget LearnedStep Symmetrized Limited "
CRITERIA += "Huayno HutMakinoMcMillan"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_their_signature(name):
    parameters = list(inspect.signature(getattr(aitimestepper, name)).parameters)
    assert parameters[: len(FUNCTIONS[name])] == FUNCTIONS[name]


@pytest.mark.parametrize("name", METHODS)
def test_classes_have_their_methods(name):
    for method in METHODS[name].split():
        assert hasattr(getattr(aitimestepper, name), method), (name, method)


@pytest.mark.parametrize("name", CRITERIA.split())
def test_every_criterion_is_one_interface(name):
    criterion = getattr(aitimestepper, name)
    assert issubclass(criterion, aitimestepper.AbstractStepCriterion)
    for method in ("init", "step_size", "update", "lower"):
        assert callable(getattr(criterion, method))


def test_import_brings_no_heavy_package_with_it():
    """`import aitimestepper` stays fast; how fast: benchmarks/training.py."""
    heavy = ("matplotlib", "rich", "wandb", "h5py", "numba")
    code = f"import sys, aitimestepper; print([m for m in sys.modules if m.split('.')[0] in {heavy}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
