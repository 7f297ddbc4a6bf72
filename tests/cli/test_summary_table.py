"""The summary of a run of several systems: a table on a terminal, JSON everywhere else."""

import dataclasses
import json

import numpy as np
from on_terminal import on_terminal

from aitimestepper import simulate
from aitimestepper.initial.named import kepler
from aitimestepper.simulate.described import worst_first

BATCH = ("simulate", "--ic", "kepler", "--num-orbits", "12", "--seed", "1", "--tol", "1e-3", "--t-end", "2", "--quiet")
ONE = ("simulate", "--ic", "kepler:e=0.5", "--tol", "1e-3", "--t-end", "2", "--quiet")


def test_a_terminal_gets_a_table_of_several_systems(command, tmp_path):
    code, lines = on_terminal((*BATCH, "--output", "run.h5"), tmp_path)
    assert code == 0
    assert len(lines) < 25
    assert max(map(len, lines)) <= 80
    lines = [line.strip() for line in lines]
    systems = json.loads(command(*BATCH).stdout)["systems"]
    assert lines[0] == "12 systems: 12 ok"
    within = sum(s["within_tolerance"] for s in systems)
    assert f"within the tolerance of 0.001: {within} of 12" in lines
    assert {s["covered_bodies"] for s in systems} == {"all"}
    assert "bodies whose own orbits the tolerance covers: 24 of 24" in lines
    errors = [s["max_energy_error"] for s in systems]
    row = next(line for line in lines if line.startswith("largest energy error")).split()
    numbers = (min(errors), float(np.median(errors)), max(errors))
    assert row[-4:] == [*(f"{x:.1e}" for x in numbers), str(int(np.argmax(errors)))]
    steps = sorted(s["steps"] for s in systems)
    row = next(line for line in lines if line.startswith("steps")).split()
    assert (row[1], row[3]) == (str(steps[0]), str(steps[-1]))
    worst = next(k for k, line in enumerate(lines) if "worst systems" in line)
    assert lines[worst + 2].split()[0] == str(int(np.argmax(errors)))
    assert "output: run.h5" in lines


def test_json_for_a_pipe_and_when_asked_for(command, tmp_path):
    assert len(json.loads(command(*BATCH).stdout)["systems"]) == 12
    assert len(json.loads("\n".join(on_terminal((*BATCH, "--json"), tmp_path)[1]))["systems"]) == 12
    assert json.loads("\n".join(on_terminal((*ONE, "--json"), tmp_path)[1]))["status"] == "ok"


def test_a_terminal_gets_a_few_lines_about_one_system(command, tmp_path):
    code, lines = on_terminal((*ONE, "--output", "my run.h5"), tmp_path)
    assert code == 0
    assert 10 <= len(lines) <= 16
    assert max(map(len, lines)) <= 80
    rows = dict(line.split("  ", 1) for line in lines if not line.startswith(" "))
    rows = {name: words.strip() for name, words in rows.items()}
    summary = json.loads(command(*ONE).stdout)
    assert rows["status"] == "ok at t = 2"
    assert rows["energy error"] == f"{summary['max_energy_error']:.1e}, within the 0.001 asked for"
    assert rows["own orbits"] == "the tolerance covers those of all 2 bodies, too"
    assert rows["force evaluations"].startswith(f"{summary['force_evaluations']}, ")
    assert rows["steps"].startswith(f"{summary['steps']}, dt from {summary['dt_min']:.3g} to {summary['dt_max']:.3g}")
    near = summary["closest_approach"]
    assert rows["closest approach"] == f"{near['distance']:.4g} between body 0 and body 1, at t = {near['time']:.6g}"
    assert rows["output"] == "my run.h5"
    assert rows["next"] == "aitimestepper plot orbits 'my run.h5'"
    assert lines[-1].strip() == "aitimestepper simulate --resume 'my run.h5' --t-end 4"


def test_a_run_that_goes_wrong_says_what_to_do(tmp_path):
    code, lines = on_terminal(("simulate", "--ic", "burrau", "--criterion", "constant:dt=0.05", "--t-end", "20"), tmp_path)
    assert code == 0
    text = " ".join(" ".join(lines).split())
    assert "advice the run reached an energy error of " in text
    assert "give --output run.h5" in text


def test_systems_that_stopped_come_first_then_the_largest_errors_over_the_tolerance():
    result = simulate(kepler(e=0.5), t_end=0.1, tol=1e-3)
    errors, tol = np.array([1e-5, 1e-3, np.nan, 1e-4, 0.0]), np.array([1e-6, 1.0, 1.0, 1e-3, 1.0])
    several = dataclasses.replace(result, status=("ok", "ok", "ok", "ok", "stuck"), max_energy_error=errors, tol=tol)
    assert worst_first(several) == [4, 2, 0, 3, 1]
    assert worst_first(dataclasses.replace(several, tol=None)) == [4, 2, 1, 3, 0]
