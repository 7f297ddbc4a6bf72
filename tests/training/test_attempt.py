import copy
import dataclasses
import gc

import pytest
import torch

from aitimestepper import ModelAdapter, PointMassTidalField, attempt_single_step, check_energy_threshold
from aitimestepper.differentiable.network import FullyConnectedNN
from aitimestepper.differentiable.stepping import step
from aitimestepper.training.attempt import StepStart, measure_step

D = torch.float64


def test_attempt_takes_the_step_the_network_chose_and_leaves_the_input_alone(setup, scripted):
    """TRAIN-01: predict dt, advance all bodies one step, compare energies. dt = column 0 + 1e-12."""
    s = setup(scripted(1e-3))
    before = copy.deepcopy(s.particle.tensors())
    advanced, dt, E0, E1 = attempt_single_step(s.model, s.particle, s.config, s.adapter)
    assert dt.item() == pytest.approx(1e-3 + 1e-12, rel=1e-13)
    reference = step(s.particle, dt.detach())
    assert torch.equal(advanced.position, reference.position)
    assert torch.equal(E1, reference.total_energy())
    assert torch.equal(E0, s.particle.total_energy())
    assert E0.shape == E1.shape == dt.shape == (1,)
    assert all(torch.equal(before[k], v) for k, v in s.particle.tensors().items())


def test_the_advanced_state_is_in_the_graph_of_the_network_only(setup):
    """Trap 1: the attempt starts from detached tensors, whatever graph the input hangs on."""
    s = setup()
    s.particle.position.requires_grad_(True)
    tail = s.particle.evolve(0.01)
    advanced, _, _, E1 = attempt_single_step(s.model, tail, s.config, s.adapter)
    E1.sum().backward()
    assert advanced.position.requires_grad
    assert s.particle.position.grad is None
    assert s.model.log_dt.bias.grad.abs().item() > 0


def test_the_check_is_the_same_every_time_with_dropout(setup):
    """Trap 5: dropout active while a step is checked would give the same state different steps."""
    s = setup(FullyConnectedNN(11, dropout=0.5, seed=3))
    s.model.train()
    with torch.no_grad():
        raw = {s.model(s.adapter.build_feature_tensor(s.particle))[0, 0].item() for _ in range(8)}
    assert len(raw) > 1  # the network itself does vary in train mode
    steps = {attempt_single_step(s.model, s.particle, s.config, s.adapter).dt.item() for _ in range(8)}
    assert len(steps) == 1
    assert s.model.training  # and its mode is restored


def test_energy_check_is_relative_and_per_system():
    """TRAIN-01, trap 2."""
    E0 = torch.tensor([-1e-3, -1e3], dtype=D)
    passed, rel_dE = check_energy_threshold(E0, E0 + torch.tensor([1e-5, 1e-5], dtype=D), 2e-4)
    assert not passed
    assert rel_dE.tolist() == pytest.approx([1e-2, 1e-8], rel=1e-6)
    assert check_energy_threshold(E0, E0 * (1 + 1e-4), 2e-4).passed


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_never_passes(bad):
    E0 = torch.tensor([-1.0, -1.0], dtype=D)
    check = check_energy_threshold(E0, torch.tensor([-1.0, bad], dtype=D), 1e300)
    assert not check.passed
    assert check.rel_dE[0] == 0
    assert check.rel_dE[1] == float("inf")


def test_zero_energy_without_a_floor_passes_only_unchanged():
    E0 = torch.zeros(2, dtype=D)
    check = check_energy_threshold(E0, torch.tensor([0.0, 1e-20], dtype=D), 2e-4)
    assert (check.rel_dE <= 2e-4).tolist() == [True, False]


def test_a_floor_makes_an_energy_of_zero_an_ordinary_one():
    """Contract TOL: |E1 - E0| / max(|E0|, floor), the floor 1e-4 (K + |U|) of the state."""
    E0, E1 = torch.tensor([0.0, -1.0], dtype=D), torch.tensor([1e-8, -1.0 - 1e-4], dtype=D)
    check = check_energy_threshold(E0, E1, 2e-4, torch.tensor([2e-4, 2e-4], dtype=D))
    assert check.passed
    assert check.rel_dE.tolist() == pytest.approx([5e-5, 1e-4], rel=1e-9)


def test_the_error_of_a_step_does_not_depend_on_the_frame(setup, scripted):
    """S is that about the centre of mass: bulk motion with a thousand times the energy hides no error."""
    s = setup(scripted(0.1), ic="kepler:e=0.5")
    here = s.particle.evolve(1.0).clone_detached()
    moving = dataclasses.replace(here, velocity=here.velocity + 30.0)
    rest, past = (measure_step(s.model, StepStart.observe(p, s.adapter), s.config, s.adapter) for p in (here, moving))
    assert past.attempt.E0.item() > 100
    assert rest.rel_dE.item() > 1e-6
    assert past.rel_dE.item() == pytest.approx(rest.rel_dE.item(), rel=1e-5)


def test_dt_has_a_physical_ceiling_with_a_live_gradient(setup, scripted):
    """Trap 12: the single-step error vanishes on a circular orbit; a step of 1e6 must not be accepted there."""
    s = setup(scripted(1e6), ic="kepler:e=0")
    _, dt, E0, E1 = attempt_single_step(s.model, s.particle, s.config, s.adapter)
    assert 0.1 < dt.item() < 0.2  # 0.2 x the fastest time, 1/sqrt(2) of 1/omega
    assert check_energy_threshold(E0, E1, 1e-6).passed
    (gradient,) = torch.autograd.grad(dt.log().sum(), s.model.log_dt)
    assert gradient.item() == pytest.approx(1.0, rel=1e-9)


def test_a_field_that_does_work_is_not_an_energy_error_of_the_step(setup, scripted):
    """With a moving outer mass E changes by its work; the error of the step, after that, falls with dt^3."""

    def place(t):
        return torch.stack([5 * torch.cos(t), 5 * torch.sin(t)], dim=-1)

    errors = []
    for dt in (4e-2, 2e-2, 1e-2):
        s = setup(scripted(dt), ic="kepler:e=0.5")
        s.particle.set_external_field(PointMassTidalField(20.0, R_of_t=place))
        _, _, E0, E1 = attempt_single_step(s.model, s.particle.evolve(0.7), s.config, s.adapter)
        errors.append((E1 - E0).abs().item())
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(8, rel=0.15)


def test_attempts_leave_nothing_behind(setup):
    """Trap 1: the number of live tensors does not grow with attempts."""
    s = setup()

    def live() -> int:
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())

    attempt_single_step(s.model, s.particle, s.config, s.adapter)
    before = live()
    for _ in range(20):
        attempt_single_step(s.model, s.particle, s.config, s.adapter)
    assert live() <= before


def test_a_model_with_the_wrong_shape_or_sign_is_a_clear_error(setup):
    s = setup(torch.nn.Linear(11, 3, dtype=D))
    with pytest.raises(ValueError, match=r"shape \(1, 3\).*\(B, 2\)"):
        attempt_single_step(s.model, s.particle, s.config, s.adapter)

    class Negative(torch.nn.Module):
        def forward(self, x):
            return -torch.ones(len(x), 2, dtype=D)

    with pytest.raises(ValueError, match=r"dt = -0.99.*positive"):
        attempt_single_step(Negative(), s.particle, s.config, s.adapter)


def test_global_random_state_is_untouched(setup):
    s = setup(FullyConnectedNN(11, dropout=0.3, seed=3), dropout=0.3)
    state = torch.get_rng_state()
    ModelAdapter(s.config)
    attempt_single_step(s.model, s.particle, s.config, s.adapter)
    assert torch.equal(state, torch.get_rng_state())
