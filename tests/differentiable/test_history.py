"""HistoryBuffer: the contents of its slots, exact zeros in empty ones (HIST-01), and equal results in any batch."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from aitimestepper.differentiable.features import describe, measure_scales, scale_row, transition
from aitimestepper.differentiable.history import HistoryBuffer
from aitimestepper.differentiable.particle import ParticleTorch
from aitimestepper.errors import ConfigError
from aitimestepper.features import BASIC, RICH, TRANSITION, Scales, feature_count
from aitimestepper.fields import PointMassTidalField

TABLES = {"basic": BASIC, "rich": RICH, "delta_mag": TRANSITION}
TYPES = pytest.mark.parametrize("kind", TABLES)


def orbit(p: ParticleTorch, n: int) -> list[tuple[ParticleTorch, torch.Tensor]]:
    """Return n states with the step taken from each, all steps different."""
    states = []
    for k in range(n):
        dt = 0.01 * (k + 1) + 0.001 * torch.arange(len(p), dtype=torch.float64)
        states.append((p, dt))
        p = p.evolve(dt)
    return states


def filled(kind: str, K: int, states) -> HistoryBuffer:
    history = HistoryBuffer(K, kind)
    for p, dt in states:
        history.push(p, dt)
    return history


@TYPES
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("pushes", [0, 1, 2, 3, 7])
def test_slots_hold_the_last_states_oldest_first(random_system, kind, K, pushes):
    states = orbit(random_system(4, 3, systems=2), pushes + 1)
    history, (now, _) = filled(kind, K, states[:-1]), states[-1]
    if kind == "delta_mag":
        parts = [transition(a, b, dt) for (a, dt), (b, _) in pairwise(states)][-K:]
    else:
        parts = [*[describe(p, kind) for p, _ in states[:-1]][-K:], describe(now, kind)]
    slots = feature_count(kind, K) // len(TABLES[kind])
    empty = [torch.zeros(2, len(TABLES[kind]), dtype=torch.float64)] * (slots - len(parts))
    assert torch.equal(history.features_for(now), torch.cat([*empty, *parts], dim=1))
    assert len(history) == min(pushes, K)
    assert history.full == (pushes >= K)


@TYPES
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("softening", [0.0, 0.1])
def test_hist_01_padded_slots_are_exact_zeros_and_the_rest_is_finite(two_body, kind, scaled, softening):
    """HIST-01: exact zeros in the feature vector while the window fills, finite at softening 0, for every feature type."""
    K, p = 4, two_body(e=0.9, q=0.1, softening=softening)
    width, states = len(TABLES[kind]), orbit(p, K + 1)
    scales = measure_scales(p) if scaled else None
    history = HistoryBuffer(K, kind)
    for pushed, (now, dt) in enumerate(states):
        features = history.features_for(now, scales)
        assert features.shape == (1, feature_count(kind, K))
        assert torch.isfinite(features).all()
        slots = features.view(-1, width)
        known = pushed if kind == "delta_mag" else pushed + 1
        empty = len(slots) - known
        assert not slots[:empty].any()
        assert slots[empty:].any(dim=1).all()
        assert not torch.signbit(slots[:empty]).any()
        history.push(now, dt)
    assert history.full


@TYPES
def test_scales_divide_every_slot_by_its_dimension(random_system, kind):
    states = orbit(random_system(3, 2, systems=2), 4)
    history, (now, _) = filled(kind, 3, states[:-1]), states[-1]
    scales = Scales(L0=2.0, V0=3.0, A0=5.0, T0=7.0, M0=11.0)
    slots = feature_count(kind, 3) // len(TABLES[kind])
    expected = history.features_for(now) / scale_row(scales, TABLES[kind], now.time).repeat(slots)
    assert torch.equal(history.features_for(now, scales), expected)
    assert scale_row(scales, TABLES[kind], now.time).unique().tolist()[-1] == (11.0 if kind != "delta_mag" else 7.0)


@TYPES
def test_a_window_is_used_not_consumed(random_system, kind):
    states = orbit(random_system(3, 2), 4)
    history, (now, _) = filled(kind, 2, states[:-1]), states[-1]
    once = history.features_for(now)
    assert torch.equal(history.features_for(now), once)
    assert not torch.equal(history.features_for(now.evolve(0.1)), once)
    assert torch.equal(history.features_for(now), once)


@TYPES
@pytest.mark.parametrize("pushes", [0, 1, 4])
def test_many_candidates_after_one_window_equal_one_by_one(random_system, kind, pushes):
    states = orbit(random_system(3, 2), pushes + 1)
    history, (now, _) = filled(kind, 3, states[:-1]), states[-1]
    candidates = ParticleTorch.stack([now.evolve(0.01 * k) for k in range(5)])
    expected = torch.cat([history.features_for(candidates.select(torch.tensor([k]))) for k in range(5)])
    assert torch.equal(history.features_for_batch(candidates), expected)
    assert len(expected.unique(dim=0)) == 5 or (kind == "delta_mag" and pushes == 0)


@TYPES
def test_many_windows_in_one_call_equal_one_by_one(random_system, kind):
    """The systems differ in size, their windows in the number of states; one is empty."""
    orbits = [orbit(random_system(n, 3, seed=n), k + 1) for n, k in ((2, 0), (5, 1), (3, 3), (4, 6))]
    histories = [filled(kind, 3, states[:-1]) for states in orbits]
    batch = ParticleTorch.stack([states[-1][0] for states in orbits])
    scales = Scales(L0=2.0, V0=3.0, A0=5.0, T0=7.0, M0=11.0)
    expected = torch.cat([h.features_for(states[-1][0], scales) for h, states in zip(histories, orbits, strict=True)])
    assert torch.equal(HistoryBuffer.features_for_histories(histories, batch, scales), expected)


@TYPES
@pytest.mark.parametrize("pushes", [0, 2, 4])
def test_absent_bodies_change_no_bit_also_where_the_window_was_filled_without_them(random_system, padded, kind, pushes):
    states = orbit(random_system(3, 3, systems=2), pushes + 1)
    now = states[-1][0]
    expected = filled(kind, 3, states[:-1]).features_for(now)
    big = filled(kind, 3, [(padded(p, 6), dt) for p, dt in states[:-1]])
    assert torch.equal(big.features_for(padded(now, 6)), expected)
    assert torch.equal(filled(kind, 3, states[:-1]).features_for(padded(now, 6)), expected)
    assert torch.equal(big.features_for(now), expected)
    one = filled(kind, 3, [(p.select(torch.tensor([1])), dt[1:]) for p, dt in states[:-1]])
    again = one.features_for_batch(padded(now.select(torch.tensor([1])), 6))
    assert torch.equal(again, expected[1:])


@TYPES
def test_systems_of_a_batch_have_windows_of_their_own(random_system, kind):
    states = orbit(random_system(3, 2, systems=4), 5)
    now = states[-1][0]
    whole = filled(kind, 2, states[:-1])
    for i in range(4):
        index = torch.tensor([i])
        alone = filled(kind, 2, [(p.select(index), dt[index]) for p, dt in states[:-1]])
        assert torch.equal(whole.features_for(now)[index], alone.features_for(now.select(index)))
        assert torch.equal(whole.select(index).features_for(now.select(index)), alone.features_for(now.select(index)))
    chosen = torch.tensor([False, True, True, False])
    assert torch.equal(whole.select(chosen).features_for(now.select(chosen)), whole.features_for(now)[chosen])


@TYPES
def test_a_clone_is_independent(random_system, kind):
    states = orbit(random_system(3, 2), 5)
    history = filled(kind, 3, states[:2])
    before = history.features_for(states[2][0])
    clone = history.clone()
    assert torch.equal(clone.features_for(states[2][0]), before)
    clone.slots.add_(1.0)
    clone.valid.fill_(True)
    clone.pushes.add_(1)
    clone.last.position.zero_()
    assert torch.equal(history.features_for(states[2][0]), before)
    clone = history.clone()
    clone.push(*states[2])
    assert torch.equal(history.features_for(states[2][0]), before)
    assert (len(history), len(clone)) == (2, 3)


@TYPES
def test_reset_removes_all_states(random_system, kind):
    states = orbit(random_system(3, 2), 4)
    history = filled(kind, 2, states[:3])
    history.reset()
    assert len(history) == 0
    assert torch.equal(history.features_for(states[3][0]), HistoryBuffer(2, kind).features_for(states[3][0]))
    history.push(*orbit(random_system(4, 2, systems=3), 1)[0])  # any other batch may follow
    assert len(history) == 1


@TYPES
def test_what_was_pushed_stays_as_it_was_and_has_no_graph(random_system, kind):
    states = orbit(random_system(3, 2), 4)
    expected = filled(kind, 3, states[:3]).features_for(states[3][0])
    history = HistoryBuffer(3, kind)
    for p, dt in states[:3]:
        dt = dt.clone().requires_grad_(True)
        state = ParticleTorch.stack([p])
        state.position.requires_grad_(True)
        history.push(state, dt)
        with torch.no_grad():
            state.position.zero_()
            dt.zero_()
    assert not history.slots.requires_grad
    assert not history.last.position.requires_grad
    assert torch.equal(history.features_for(states[3][0]), expected)


def test_the_step_of_a_transition_is_the_one_pushed_else_the_particles_own(random_system):
    p = random_system(3, 2, dt=0.5)
    given, own = HistoryBuffer(1, "delta_mag"), HistoryBuffer(1, "delta_mag")
    given.push(p, torch.tensor([0.25], dtype=torch.float64))
    own.push(p)
    after = p.evolve(0.1)
    assert given.features_for(after)[0, 9] == 0.25
    assert own.features_for(after)[0, 9] == 0.5
    assert p.dt.tolist() == [0.5]


@TYPES
@pytest.mark.parametrize("pushes", [0, 1, 5])
def test_state_dict_brings_everything_back(random_system, kind, pushes):
    field = PointMassTidalField(2.0, R0=15.0, G=2.0)
    states = orbit(random_system(3, 2, systems=2, G=2.0, external_field=field), pushes + 2)
    history = filled(kind, 3, states[:pushes])
    copy = HistoryBuffer(3, kind)
    copy.load_state_dict(history.state_dict(), states[-1][0])
    for p, dt in states[pushes:]:
        assert torch.equal(copy.features_for(p), history.features_for(p))
        history.push(p, dt)
        copy.push(p, dt)


@TYPES
def test_another_batch_size_is_refused(random_system, kind):
    history = filled(kind, 2, orbit(random_system(3, 2, systems=2), 2))
    other = random_system(3, 2, systems=3)
    for use in (history.push, history.features_for):
        with pytest.raises(ConfigError, match="the history holds 2 systems, the state 3"):
            use(other)


def test_no_history_needs_no_buffer():
    with pytest.raises(ConfigError, match="history_len = 0 must be >= 1"):
        HistoryBuffer(0)
