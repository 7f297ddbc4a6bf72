"""The network: dt > 0 whatever goes in, a random stream of its own, and an error estimate that leaves dt alone."""

from __future__ import annotations

import math

import pytest
import torch

from aitimestepper.config import ACTIVATIONS, Config
from aitimestepper.constants import LOG_RANGE
from aitimestepper.differentiable.network import FullyConnectedNN, SeededDropout, build_network, model_from, network_from
from aitimestepper.errors import CheckpointError, ConfigError
from aitimestepper.features import ERROR_FRACTION, Scales
from aitimestepper.models import SHIPPED, load_model, save_model, shipped


def inputs(rows: int, width: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("fourier", [0, 8])
def test_dt_is_positive_and_finite_for_any_finite_input(dtype, activation, fourier):
    net = FullyConnectedNN(11, (32, 32), activation, fourier_features=fourier, seed=1, dtype=dtype)
    big = torch.finfo(dtype).max
    for size in (0.0, 1e-30, 1.0, 1e4, 1e15, 1e30, big):
        x = (inputs(16, 11, dtype=dtype).clamp(-1, 1) * size).requires_grad_(True)
        out = net(x)
        assert out.shape == (16, 2)
        assert torch.isfinite(out).all()
        assert (out[:, 0] > 0).all()
        out.sum().backward()
        assert torch.isfinite(x.grad).all()
        assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_weights_drive_dt_to_zero_or_infinity(sign, dtype):
    net = FullyConnectedNN(11, (8,), "relu", seed=1, dtype=dtype)
    with torch.no_grad():
        net.log_dt.bias.fill_(sign * 1e30)
    dt = net(inputs(5, 11, dtype=dtype))[:, 0]
    assert torch.log(dt).tolist() == pytest.approx([sign * LOG_RANGE] * 5, rel=1e-6)


def test_an_untrained_network_starts_near_a_hundredth_and_follows_its_input():
    for seed in range(20):
        dt = FullyConnectedNN(11, seed=seed)(inputs(100, 11, seed))[:, 0]
        assert 1e-2 / 3 < dt.min().item() < dt.max().item() < 1e-2 * 3
        assert dt.max() > 1.001 * dt.min()


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_network():
    def weights(seed):
        net = FullyConnectedNN(11, (16, 8), dropout=0.1, fourier_features=4, seed=seed)
        return torch.cat([x.flatten().double() for x in net.state_dict().values()])

    assert torch.equal(weights(3), weights(3))
    assert (weights(3) != weights(4)).double().mean() > 0.9
    assert (weights(None) != weights(None)).double().mean() > 0.9


@pytest.mark.parametrize("seed", [5, None])
def test_global_random_state_is_never_touched(seed):
    before = torch.get_rng_state()
    net = FullyConnectedNN(11, (200, 100), dropout=0.3, fourier_features=16, seed=seed).train()
    for _ in range(3):
        net(inputs(7, 11)).sum().backward()
    net.eval()(inputs(7, 11))
    assert torch.equal(before, torch.get_rng_state())


def test_global_random_state_has_no_influence():
    outputs = []
    for _ in range(2):
        torch.randn(17)  # moves the global stream
        net = FullyConnectedNN(11, (16,), dropout=0.5, fourier_features=4, seed=9).train()
        outputs.append(torch.cat([net(inputs(7, 11)) for _ in range(3)]))
    assert torch.equal(*outputs)


def test_dropout_acts_in_training_and_is_off_in_eval_mode():
    net = FullyConnectedNN(11, (64, 64), dropout=0.3, seed=2)
    x = inputs(9, 11)
    net.train()
    first, second = net(x), net(x)
    assert not torch.equal(first, second)
    net.eval()
    evaluated = net(x)
    assert torch.equal(net(x), evaluated)
    plain = FullyConnectedNN(11, (64, 64), dropout=0.0, seed=2)
    plain.load_state_dict(
        dict(zip(plain.state_dict(), (v for k, v in net.state_dict().items() if "stream" not in k), strict=True))
    )
    assert torch.equal(plain(x), evaluated)
    assert torch.equal(plain.train()(x), evaluated)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_passes_the_expected_share_and_the_mean(p):
    layer = SeededDropout(p, seed=4).train()
    x = torch.ones(200, 500, dtype=torch.float64)
    out = layer(x)
    passed = (out != 0).double().mean().item()
    assert passed == pytest.approx(1 - p, abs=4 * math.sqrt(p * (1 - p) / x.numel()))
    assert out[out != 0].unique().tolist() == pytest.approx([1 / (1 - p)], rel=1e-15)
    again = layer(x)
    overlap = ((out != 0) & (again != 0)).double().mean().item()
    assert overlap == pytest.approx((1 - p) ** 2, abs=0.01)  # the next mask is another one, independent of the first


def test_dropout_continues_from_a_checkpoint():
    net, x = FullyConnectedNN(11, (32, 32), dropout=0.4, seed=7).train(), inputs(5, 11)
    net(x)
    copy = FullyConnectedNN(11, (32, 32), dropout=0.4, seed=8).train()
    copy.load_state_dict(net.state_dict())
    for _ in range(3):
        assert torch.equal(copy(x), net(x))
    layers = [m for m in net.modules() if isinstance(m, SeededDropout)]
    assert len({m.stream[0].item() for m in layers}) == len(layers) == 2


def test_the_error_estimate_sends_no_gradient_into_dt():
    net, x = FullyConnectedNN(11, (16, 16), seed=3), inputs(6, 11).requires_grad_(True)
    names = [name for name, _ in net.named_parameters()]
    estimate = dict(zip(names, torch.autograd.grad(net(x)[:, 1].sum(), list(net.parameters()), allow_unused=True), strict=True))
    assert {n for n, g in estimate.items() if g is not None and g.any()} == {"log_error.weight", "log_error.bias"}
    dt = dict(zip(names, torch.autograd.grad(net(x)[:, 0].sum(), list(net.parameters()), allow_unused=True), strict=True))
    assert {n for n, g in dt.items() if g is not None and g.any()} == {n for n in names if not n.startswith("log_error")}


def test_learning_to_estimate_leaves_dt_as_it_is():
    net, x = FullyConnectedNN(11, (16, 16), seed=3), inputs(6, 11)
    before = net(x).detach()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        ((net(x)[:, 1] + 3) ** 2).mean().backward()
        optimizer.step()
    after = net(x).detach()
    assert torch.equal(after[:, 0], before[:, 0])
    assert ((after[:, 1] + 3).abs() < 0.5 * (before[:, 1] + 3).abs()).all()


def test_the_prototypes_layers():
    net = FullyConnectedNN(44, (200, 1000, 1000, 200), seed=0)
    shapes = [tuple(p.shape) for name, p in net.named_parameters() if name.startswith("hidden") and p.ndim == 2]
    assert shapes == [(200, 44), (1000, 200), (1000, 1000), (200, 1000)]
    assert net(inputs(3, 44)).shape == (3, 2)


def test_initial_weights_are_uniform_within_one_over_root_of_the_width():
    net = FullyConnectedNN(100, (400,), seed=0)
    for parameter in (net.hidden[0].weight, net.hidden[0].bias):
        w = parameter.detach().flatten() * 10
        assert w.abs().max() <= 1
        assert w.var().item() == pytest.approx(1 / 3, rel=0.15)
        assert abs(w.mean().item()) < 0.1


def test_gradients_are_those_of_the_function():
    net, x = FullyConnectedNN(4, (5,), fourier_features=2, seed=1), inputs(3, 4).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: net(x)[:, 0], (x,))


def test_fourier_features_are_sines_and_cosines_of_random_frequencies():
    net = FullyConnectedNN(3, (4,), fourier_features=2000, fourier_scale=2.0, seed=1)
    assert net.frequencies.std().item() == pytest.approx(2.0, rel=0.05)
    assert net.hidden[0].in_features == 3 + 4000
    assert not net.frequencies.requires_grad
    looks = []
    net.hidden.register_forward_pre_hook(lambda _, args: looks.append(args[0]))
    x = inputs(2, 3)
    net(x)
    phase = torch.asinh(x) @ net.frequencies
    assert torch.equal(looks[0], torch.cat([torch.asinh(x), torch.sin(phase), torch.cos(phase)], -1))


def test_soft_inputs_are_nearly_those_of_asinh():
    """The range is -20 to 5, that of the logarithms among the invariant features; the function is odd and increasing."""
    looks, x = [], torch.linspace(-20.0, 5.0, 2001).double().unsqueeze(1)
    for soft in (False, True):
        net = FullyConnectedNN(1, (3,), soft=soft, seed=1)
        net.hidden.register_forward_pre_hook(lambda _, args: looks.append(args[0]))
        for sign in (1.0, -1.0):
            net(sign * x)
    asinh, _, soft, negative = looks
    assert ((soft - asinh).abs() <= 0.1 * asinh.abs()).all()
    assert torch.equal(negative, -soft)
    assert (soft[1:] > soft[:-1]).all()


def test_the_nearest_activation_is_named_for_an_unknown_one():
    with pytest.raises(ConfigError, match="activation = 'tanhh': did you mean 'tanh'"):
        FullyConnectedNN(11, activation="tanhh")
    for name in ACTIVATIONS:
        assert Config(activation=name).activation == name


# ---- as a value and back -----------------------------------------------------------------------------------------------
SETTINGS = {
    "plain": {"feature_type": "basic"},
    "history": {"feature_type": "delta_mag", "history_len": 2, "activation": "silu", "layers": (8, 4)},
    "fourier": {"feature_type": "rich", "fourier_features": 3, "layers": (5,)},
    "dropout": {"feature_type": "basic", "dropout": 0.3, "layers": (8, 8)},
    "invariant": {"feature_type": "invariant", "layers": (6,), "integrator": "kahan_li6"},
    "single": {"feature_type": "basic", "dtype": "float32"},
}


@pytest.mark.parametrize("which", SETTINGS)
def test_a_network_as_a_value_comes_back_with_every_bit(tmp_path, which):
    """Weights, input limits and the state of the random stream of dropout come back, also through a file."""
    config = Config(seed=3, **SETTINGS[which])
    net = build_network(config)
    x = inputs(7, net.input_dim, dtype=net.log_dt.weight.dtype)
    net.train()(x)
    net.limit_inputs(torch.full((net.input_dim,), -2.0), torch.full((net.input_dim,), 1.5))
    model = model_from(net, config, Scales(L0=2.0), {"calibration": [(1e-3, 0.5)]})
    assert (model.config, model.scales, model.calibration) == (config, Scales(L0=2.0), ((1e-3, 0.5),))
    assert set(model.weights) == set(net.state_dict())
    for again in (network_from(model), network_from(load_model(save_model(tmp_path / "m.npz", model)))):
        assert again.soft == net.soft == (which == "invariant")
        for name, weight in net.state_dict().items():
            assert torch.equal(again.state_dict()[name], weight), name
            assert again.state_dict()[name].dtype == weight.dtype
        before = [m.stream.clone() for m in net.modules() if isinstance(m, SeededDropout)]
        assert torch.equal(again.train()(x), net.train()(x))
        for m, stream in zip((m for m in net.modules() if isinstance(m, SeededDropout)), before, strict=True):
            m.stream.copy_(stream)
    with torch.no_grad():
        net.log_dt.bias += 1.0
    assert torch.equal(network_from(model).log_dt.bias + 1.0, net.log_dt.bias)  # a value: no later change reaches it


def test_weights_of_another_network_are_refused():
    model = model_from(build_network(Config(feature_type="basic", layers=(4,))), Config(feature_type="basic", layers=(4,)))
    with pytest.raises(CheckpointError, match="do not fit the network that the configuration describes"):
        model_from(network_from(model), Config(feature_type="basic", layers=(5,)))


def test_an_untrained_network_for_invariant_features_has_output_one_and_ignores_the_error_so_far():
    net = build_network(Config(feature_type="invariant", seed=2))
    assert net.log_dt.bias.item() == 0
    assert net.lowest[ERROR_FRACTION] == net.highest[ERROR_FRACTION] == 0
    x = inputs(50, 9)
    other = x.clone()
    other[:, ERROR_FRACTION] = 7.0
    assert torch.equal(net(x), net(other))
    assert not net.out_of_range(other).any()
    net.limit_inputs(torch.full((9,), -100.0), torch.cat([torch.full((8,), 100.0), torch.zeros(1)]))
    assert torch.equal(net.out_of_range(x), x[:, 8] > 0)


@pytest.mark.parametrize("integrator", SHIPPED)
def test_shipped_networks_can_be_learned_on_with(integrator):
    net = network_from(shipped(integrator))
    assert net.soft
    assert torch.isfinite(net(inputs(5, 9))).all()
    assert all(p.requires_grad for p in net.parameters())
