"""The compiled engine gives the same bits on any number of threads, in any batch and in any turns; crowds are as in torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from parity import among_massless, assert_same_run, bodies, both, crowd, one_network

from aitimestepper.bodies import Bodies
from aitimestepper.criteria.classical import PRS23, Aarseth, Boekholt, Constant, EnergyBudget, FreeFall, Tidal
from aitimestepper.criteria.wrappers import Huayno, HutMakinoMcMillan, Limited, Symmetrized
from aitimestepper.simulate import advance
from aitimestepper.simulate.engine import simulate
from aitimestepper.simulate.result import NUMBERS
from results import same_bits

PLANS = {
    "leapfrog": lambda p: (Symmetrized(FreeFall(0.03)), "leapfrog"),
    "kahan_li8": lambda p: (Limited(Symmetrized(EnergyBudget(1e-12, "kahan_li8")), 1e-3), "kahan_li8"),
    "chin4": lambda p: (Symmetrized(FreeFall(0.03)), "chin4"),
    "hmm": lambda p: (HutMakinoMcMillan(Tidal(1e-3), 2), "suzuki4"),
    "huayno": lambda p: (Huayno(Boekholt(0.02)), "kahan_li6"),
    "aarseth": lambda p: (Aarseth(0.01), "hermite4"),
    "logh": lambda p: (EnergyBudget(1e-4), "logh"),
    "radau15": lambda p: (PRS23(0.1), "radau15"),
    "invariant": lambda p: (Symmetrized(one_network(p, features=("invariant", 0))), "leapfrog"),
    "delta_mag": lambda p: (one_network(p, features=("delta_mag", 3), integrator="suzuki4"), "suzuki4"),
    "rich": lambda p: (one_network(p, features=("rich", 1), fourier=5), "leapfrog"),
}
OF_ONE = [name for name in NUMBERS if "momentum" not in name]  # momentum is summed over absent bodies too, to other last bits


@pytest.mark.parametrize("plan", PLANS)
def test_a_batch_gives_the_bits_of_its_systems_on_any_number_of_threads(plan):
    start = bodies(3)
    criterion, integrator = PLANS[plan](start)
    given = {"steps": 100, "criterion": criterion, "integrator": integrator}
    together = simulate(start, threads=1, **given)
    assert together.status == ("ok",) * 5
    assert same_bits(simulate(start, threads=2, **given), together)
    for b in range(len(start)):
        present = start.present[b]
        alone = simulate(start.select(b), **given)
        compact = {k: x[b : b + 1, present] if x.ndim > 1 else x[b : b + 1] for k, x in start.arrays().items()}
        for one, where in ((alone, slice(None)), (simulate(Bodies(**compact), **given), present)):
            assert np.array_equal(one.final.position[0], together.final.position[b, where])
            assert np.array_equal(one.final.velocity[0], together.final.velocity[b, where])
            assert all(np.array_equal(getattr(one, name), getattr(together, name)[b : b + 1]) for name in OF_ONE)
            assert np.array_equal(one.closest_approach.distance, together.closest_approach.distance[b : b + 1])


@pytest.mark.parametrize("plan", PLANS)
def test_many_short_turns_give_the_bits_of_one_long_one(plan, monkeypatch):
    """Turns of 64 steps, then of 8, then of 1."""
    start = bodies(2)
    criterion, integrator = PLANS[plan](start)
    seen: list = []
    given = {"steps": 130, "criterion": criterion, "integrator": integrator, "progress": seen.append}
    at_once = simulate(start, **given)
    assert len(seen) <= 3
    monkeypatch.setattr(advance, "TURN", 1e-9)
    in_turns = simulate(start, **given)
    assert len(seen) > 40
    assert same_bits(in_turns, at_once)


# ---- many bodies --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [191, 192, 250])
def test_forces_of_many_bodies_are_those_of_torch(n):
    """From 192 bodies on the pair sum is made of 16 chunks: their sums, those over pairs, and the nearest pair."""
    start = crowd(n)
    for criterion in (EnergyBudget(1e-3), one_network(start, features=("invariant", 0))):
        ours, theirs = both(start, criterion, steps=2)
        assert_same_run(start, ours, theirs)


@pytest.mark.parametrize("n", [191, 192, 250])
def test_many_bodies_with_massless_ones_in_between_are_those_of_torch(n):
    start = among_massless(n, 60, 0.02)
    for criterion in (EnergyBudget(1e-3), one_network(start, features=("invariant", 0))):
        ours, theirs = both(start, criterion, steps=2)
        assert_same_run(start, ours, theirs)


IN_CHUNKS = """
import numpy as np
from aitimestepper import EnergyBudget, LearnedStep, simulate
from aitimestepper.initial import plummer

for n in (191, 192, 250):
    for criterion in (EnergyBudget(1e-3, "leapfrog"), LearnedStep.load("default", 1e-3, "leapfrog")):
        runs = [simulate(plummer(n, seed=1), steps=3, criterion=criterion, threads=threads).final for threads in (1, 2, 1, 2)]
        assert len({run.position.tobytes() + run.velocity.tobytes() for run in runs}) == 1, (n, criterion)
print("same bits")
"""


def test_many_bodies_take_the_same_steps_on_any_number_of_threads():
    """In a process that loads the kernels from disk, as all but the one that compiles them do.

    In that one the sums on several threads call another copy of the pair sum than those on one thread, and energies can
    differ in the last bit (1e-16; it was so before this package did without torch).
    """
    simulate(crowd(3), steps=1, criterion=Constant(1e-9))  # whatever this process has to compile is on disk after it
    done = subprocess.run([sys.executable, "-c", IN_CHUNKS], capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "same bits"), done.stderr


@pytest.mark.parametrize("n", [191, 192, 250])
def test_the_nearest_pair_of_many_bodies_is_found(n):
    start = crowd(n)
    apart = np.linalg.norm(start.position[0, :, None] - start.position[0], axis=-1) + np.diag(np.full(n, np.inf))
    nearest = simulate(start, steps=1, criterion=Constant(1e-9)).closest_approach
    assert nearest.distance[0] == pytest.approx(apart.min(), rel=1e-6)
    assert set(nearest.pair[0].tolist()) == {int(i) for i in np.unravel_index(apart.argmin(), apart.shape)}


ON_THREADS = """
import torch
from aitimestepper import FreeFall, ParticleTorch, simulate

torch.set_num_threads(1)
x = torch.rand(200, 3, generator=torch.Generator().manual_seed(0))
simulate(ParticleTorch.from_tensors(1.0, x, 0 * x), steps=2, criterion=FreeFall(), threads=2)
print(torch.get_num_threads())
"""


def test_a_run_on_threads_leaves_those_of_torch_alone():
    """numba's OpenMP layer sets the threads of the library that torch shares: small products took 90 us then, not 2."""
    done = subprocess.run([sys.executable, "-c", ON_THREADS], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "1\n"


def test_accelerations_of_a_crowd_agree_body_by_body():
    """One step of 1e-3 from rest is the acceleration: 1e-12 of it for each body, not of the largest one."""
    start = crowd(230)
    ours, theirs = (r.final.velocity for r in both(start.replace(velocity=0 * start.velocity), Constant(1e-3), steps=1))
    assert (np.linalg.norm(ours - theirs, axis=-1) / np.linalg.norm(theirs, axis=-1)).max() < 1e-12


def test_few_bodies_among_many_absent_ones():
    """Room for 200, 20 bodies: no chunks; a batch of both kinds takes its systems one by one."""
    few, many = crowd(20), crowd(200, 1)
    given = {"steps": 3, "criterion": FreeFall(0.02), "threads": 1}
    alone = simulate(few, **given).final.position
    together = Bodies.stack([few, many])
    assert np.array_equal(simulate(together.select(0), **given).final.position[:, :20], alone)
    both_kinds = simulate(together, **given).final.position
    assert np.array_equal(both_kinds[:1, :20], alone)
    assert np.array_equal(both_kinds[1:], simulate(many, **given).final.position)
