"""Shares of the campaigns of numbers, kills and writes of diagnostics/faults, and the proof that they can fail."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fake_cases
import numpy as np
import pytest
from isolated import WrongError
from stress_checks import check_system
from stress_draws import Arrays, Request

from aitimestepper import Bodies, Constant, simulate

FAULTS = Path(__file__).parents[2] / "diagnostics/faults"


def run(script: str, *given: str) -> str:
    done = subprocess.run([sys.executable, FAULTS / script, *given], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_numbers_under_stress():
    """Ordinary to absurd systems by everything there is: a true status with right numbers, or one sentence."""
    counts = dict(
        line.rsplit(maxsplit=1) for line in run("stress.py", "--cases", "600", "--workers", "1", "--quiet").splitlines()
    )
    assert sum(map(int, counts.values())) == 600
    assert int(counts["refused"]) < 300
    assert {"ok", "max_steps", "non_finite", "stuck", "simulation ok", "same: units", "same: boost"} <= set(counts)


def test_killed_work_goes_on_to_the_same_bits():
    said = run("kills.py", "--kills", "3", "--work", "simulate, guard", "simulate, events", "simulate, radau15")
    assert said.count(", 0 faults") == 3


def test_a_killed_ensemble_goes_on_to_the_same_bits():
    pytest.importorskip("pyarrow")
    assert run("kills.py", "--kills", "1", "--work", "ensemble").count(", 0 faults") == 1


def test_the_same_bits_by_other_threads_and_in_other_widths():
    assert "other" not in run("same_bits.py", "--systems", "24", "--rounds", "5", "--bodies", "0")


def test_killed_trainings_go_on_to_the_same_bits(torch):
    assert run("kills.py", "--kills", "2", "--work", "train, judge step").count(", 0 faults") == 1


def test_full_and_forbidden_folders():
    said = run("writes.py", "--cases", "4", "--write", "Simulation", "report", "plot .pdf", "model")
    assert "refused" in said


def test_the_campaign_sees_what_no_case_may_do():
    """A campaign that cannot fail shows nothing."""
    done = subprocess.run([sys.executable, fake_cases.__file__], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == {str(k): kind for k, (kind, _) in enumerate(fake_cases.CASES)}


@pytest.fixture(scope="module")
def right():
    """A request for a run, its start and its result."""
    mass, x, v = np.ones(2), np.array([[-0.5, 0.0], [0.5, 0.0]]), np.array([[0.0, -0.5], [0.0, 0.5]])
    asked = Request(
        [Arrays(mass, x, v, 0.0, 1.0, 0.0)], Constant(0.01), "leapfrog", {"t_end": 0.2, "max_steps": 30}, "simulate"
    )
    start = Bodies(mass, x, v)
    return asked, start, simulate(start, t_end=0.2, criterion=Constant(0.01))


def test_a_right_result_passes(right):
    asked, start, result = right
    check_system(start, result, 0, asked)


WRONG = {
    "energy error": lambda r: {"final_energy_error": r.final_energy_error * (1 - 1e-3)},
    "errors": lambda r: {"max_energy_error": np.array([np.nan])},
    "asked": lambda r: {"final": r.final.moved(r.final.position, r.final.velocity, np.array([0.19]))},
    "status": lambda r: {"status": ("fine",)},
    "steps from": lambda r: {"dt_min": np.array([-0.1])},
    "not finite": lambda r: {"final": r.final.moved(np.full_like(r.final.position, np.inf), r.final.velocity, r.final.time)},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_result_that_is_wrong_is_seen(what, right):
    asked, start, result = right
    with pytest.raises(WrongError, match=what):
        check_system(start, replace(result, **WRONG[what](result)), 0, asked)
