import math

import pytest
import torch

from aitimestepper import Config, ParticleTorch, band_loss_zero_inside_where, compute_single_step_loss
from aitimestepper.differentiable.conserved import energy_scale
from aitimestepper.differentiable.stepping import step
from aitimestepper.training.losses import estimate_losses, guarded_step_losses

D = torch.float64


def slope_in_log_dt(particle: ParticleTorch, dt: float, config: Config, at_ceiling: bool = False) -> tuple[float, float]:
    """Return (value, d loss / d ln dt) of the guarded loss of one real step."""
    log_dt = torch.tensor([math.log(dt)], dtype=D, requires_grad=True)
    taken = log_dt.exp()
    advanced = step(particle.clone_detached(), taken)
    rel_dE = (advanced.total_energy() - particle.total_energy()).abs() / energy_scale(particle)
    loss = guarded_step_losses(taken, rel_dE, config, torch.tensor([at_ceiling]))
    loss.sum().backward()
    return loss.item(), log_dt.grad.item()


def test_band_loss_is_zero_inside_and_squared_distance_outside():
    x = torch.tensor([-3.0, -2.0, 0.0, 1.0, 1.5, 4.0], dtype=D)
    assert band_loss_zero_inside_where(x, -2.0, 1.0).tolist() == [1.0, 0.0, 0.0, 0.0, 0.25, 9.0]


def test_single_step_loss_is_the_mean_band_loss_of_the_log_relative_error():
    """Trap 2: relative, not absolute. The same relative errors of energies 1e6 apart give the same loss."""
    config = Config()
    E0 = torch.tensor([-0.5, -2.0, -1.0], dtype=D)
    rel = torch.tensor([1e-2, 1e-5, 1e-8], dtype=D)
    expected = (math.log(1e-2 / 1e-4) ** 2 + 0.0 + math.log(1e-6 / 1e-8) ** 2) / 3
    for unit in (1.0, 1e6):
        loss = compute_single_step_loss(unit * E0, unit * E0 * (1 + rel), config)
        assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_the_floor_of_the_energy_counts_in_the_loss():
    """Contract TOL: an energy of zero has a finite loss, that of the error relative to the floor."""
    E0, E1 = torch.zeros(1, dtype=D), torch.tensor([2e-6], dtype=D)
    loss = compute_single_step_loss(E0, E1, Config(), torch.tensor([2e-4], dtype=D))
    assert loss.item() == pytest.approx(math.log(1e-2 / 1e-4) ** 2, rel=1e-9)
    assert compute_single_step_loss(E0 - 1.0, E1 - 1.0, Config(), torch.tensor([2e-4], dtype=D)).item() == 0.0


def test_the_band_never_lies_above_the_threshold():
    """A failing step with zero loss would be retried for ever."""
    config = Config(energy_threshold=1e-7)
    lower, upper = config.energy_band
    assert upper < 1e-7
    assert lower / upper == pytest.approx(1e-2)
    assert Config().energy_band == (1e-6, 1e-4)
    E0 = torch.tensor([-1.0], dtype=D)
    assert compute_single_step_loss(E0, E0 * (1 + 1.01e-7), config).item() > 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_nonfinite_step_still_pushes_dt_down(bad):
    """Trap 3: a constant penalty has no gradient, and a plain logarithm gives NaN. TRAIN-02: the loop must make progress."""
    raw = torch.tensor([2.0, -3.0], dtype=D, requires_grad=True)
    dt = raw.exp()
    E0 = torch.tensor([-1.0, -1.0], dtype=D)
    E1 = torch.stack([dt[0] * bad, -1.0 - 1e-5 * dt[1] ** 3 / dt[1].detach() ** 3])
    losses = guarded_step_losses(dt, (E1 - E0).abs(), Config(), torch.tensor([False, False]))
    losses.mean().backward()
    assert torch.isfinite(losses).all()
    assert 0 < raw.grad[0] < 1e3
    assert raw.grad[1] == 0  # the one beside it is inside the band: not touched by its neighbour's NaN

    naive = torch.tensor([2.0], dtype=D, requires_grad=True)
    E = naive.exp() * bad
    torch.where(torch.isfinite(E), E, torch.full_like(E, 1e3)).mean().backward()
    assert not naive.grad.abs() > 0  # what the prototype did: 0 or NaN


@pytest.mark.parametrize(
    "ic", ["kepler:e=0", "kepler:e=0.9", "kepler:e=0.99", "figure8", "burrau", "plummer:n=8", "random:n=16"]
)
def test_every_rejected_step_pushes_dt_down_whatever_its_size(systems, ic):
    """This includes true slopes of the other sign, and steps so large that bodies fly apart or numbers overflow."""
    particle = systems(ic=ic)
    config = Config()
    rejected = 0
    for dt in 10.0 ** torch.arange(-4, 200, 0.5, dtype=D):
        advanced = step(particle, dt.view(1))
        error = ((advanced.total_energy() - particle.total_energy()) / particle.total_energy()).abs().item()
        if not error <= config.energy_threshold:
            rejected += 1
            value, slope = slope_in_log_dt(particle, dt.item(), config)
            assert math.isfinite(value)
            assert 0 < slope < 1e4, (ic, dt.item(), error, slope)
    assert rejected > 100


def test_a_passage_through_coincidence_pushes_dt_down():
    """Two bodies that the step drops on top of each other: the potential is infinite there."""
    particle = ParticleTorch.from_tensors(1.0, [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [-1.0, 0.0]])
    root = (-1 + math.sqrt(5)) / 2  # 1 - t - t^2 = 0: leapfrog's positions coincide
    value, slope = slope_in_log_dt(particle, root, Config())
    assert math.isfinite(value)
    assert slope > 0


def test_a_step_below_the_band_increases_dt_but_not_at_the_ceiling(systems):
    """Trap 12: on a circular orbit the energy error of a step vanishes whatever dt: without a ceiling dt would run away."""
    particle = systems(ic="kepler:e=0")
    assert slope_in_log_dt(particle, 0.05, Config())[1] < 0
    assert slope_in_log_dt(particle, 0.05, Config(), at_ceiling=True)[1] == 0
    assert slope_in_log_dt(systems(ic="kepler:e=0.5"), 0.6, Config(), at_ceiling=True)[1] > 0


def test_inside_the_guard_the_slope_is_the_true_one(systems):
    """Where physics is well behaved the guard changes nothing: the gradient is that of the band loss."""
    config = Config()
    particle = systems(ic="kepler:e=0.5").evolve(1.0).evolve(1.0).clone_detached()
    log_dt = torch.tensor([math.log(0.3)], dtype=D, requires_grad=True)
    E1 = step(particle, log_dt.exp()).total_energy()
    compute_single_step_loss(particle.total_energy(), E1, config).backward()
    value, slope = slope_in_log_dt(particle, 0.3, config)
    assert slope == pytest.approx(log_dt.grad.item(), rel=1e-9)
    assert value == pytest.approx(compute_single_step_loss(particle.total_energy(), E1, config).item(), rel=1e-12)
    assert 1 < slope < 100


def test_a_failing_sample_counts_more_than_any_below_the_band():
    """Otherwise hundreds of steps with errors of 1e-14, 18 e-folds below the band, would outweigh it."""
    raw = torch.zeros(2, dtype=D, requires_grad=True)
    dt = raw.exp()
    rel_dE = torch.stack([2.01e-4 * dt[0] ** 3, 1e-14 * dt[1] ** 3])
    guarded_step_losses(dt, rel_dE, Config(), torch.zeros(2, dtype=torch.bool)).sum().backward()
    assert raw.grad[0] > 0 > raw.grad[1]
    assert raw.grad[0] >= 2 * -raw.grad[1] * 0.999


def test_the_estimate_is_trained_towards_the_true_error():
    rel_dE = torch.tensor([1e-5, 1e-3], dtype=D)
    assert estimate_losses(torch.log10(rel_dE), rel_dE).max().item() < 1e-12
    assert estimate_losses(torch.log10(rel_dE) + 1, rel_dE).min().item() > 1e-3
