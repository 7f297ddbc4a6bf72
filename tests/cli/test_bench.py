"""`aitimestepper bench`: studies from the command line, their files, and wrong input in one sentence."""

from __future__ import annotations

import json

import pytest

from aitimestepper.bench.records import Results
from aitimestepper.cli.arguments import parse
from aitimestepper.cli.bench_tables import short
from aitimestepper.cli.benching import curves_plan, steps_plan
from aitimestepper.evaluation.contenders import CLASSICAL
from aitimestepper.initial.suite_file import load_suite

SMALL = (
    "--families",
    "kepler",
    "--train",
    "4",
    "--test",
    "5",
    "--integrators",
    "leapfrog",
    "--tol",
    "1e-2",
    "--budget",
    "20000",
    "--quick",
)
FAMILY = """
import numpy as np
from aitimestepper import Bodies

def circles(rng, dim):
    x = np.zeros((2, dim)); x[:, 0] = [-0.5, 0.5]
    v = np.zeros((2, dim)); v[:, 1] = [-0.5, 0.5]
    return Bodies(np.full(2, 0.5), x, v), 2.0 + rng.uniform()
"""
CRITERION = """
from aitimestepper import FreeFall, Limited

def mine(eta):
    return Limited(FreeFall(eta), dt_max=0.5)
"""


def test_a_study_writes_its_result_and_says_what_it_found(command, tmp_path):
    done = command("bench", "steps", "--criteria", "freefall", "energybudget", *SMALL)
    assert done.returncode == 0, done.stderr
    for words in (
        "leapfrog: force evaluations",
        "freefall, sym ",
        "sym: symmetrized",
        "as asked",
        "5 problems of kepler, split test",
        "written: runs/bench",
    ):
        assert words in done.stdout
    found = Results.load(tmp_path / "runs/bench/steps.json")
    assert found.command.startswith("aitimestepper bench steps --criteria freefall")
    assert found.cases == [f"kepler-{2_000_000 + k}" for k in range(5)]
    assert {r.mode for r in found.records} == {"asked", "calibrated", "fitted", "hindsight"}
    assert [p.name for p in (tmp_path / "runs/bench").iterdir()] == ["steps.json"]
    again = command("bench", "steps", "--criteria", "freefall", *SMALL)
    assert again.returncode == 2
    assert (
        again.stderr
        == "aitimestepper: error: runs/bench/steps.json exists; give --overwrite to replace it, or another --out.\n"
    )
    same = command("bench", "steps", "--criteria", "freefall", "energybudget", *SMALL, "--out", "other.json", "--json")
    assert json.loads(same.stdout)["study"] == "steps"
    compared = command("bench", "compare", "runs/bench/steps.json", "other.json", "--strict")
    assert compared.returncode == 0
    assert "0 better, 0 worse" in compared.stdout


def test_compare_says_what_got_worse(command, tmp_path):
    command("bench", "steps", "--criteria", "freefall", *SMALL, "--out", "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    for row in content["records"]:
        if "forces_each" in row:
            row["forces_each"] = [2 * f for f in row["forces_each"]]
    (tmp_path / "b.json").write_text(json.dumps(content))
    done = command("bench", "compare", "a.json", "b.json", "--strict")
    assert done.returncode == 1
    assert "worse" in done.stdout
    assert "2x" in done.stdout
    assert command("bench", "compare", "a.json", "b.json").returncode == 0
    assert command("bench", "compare", "b.json", "a.json", "--strict").returncode == 0


def test_suites_are_written_read_and_measured_on(command, tmp_path):
    done = command("bench", "suite", "--families", "kepler", "triple", "--count", "3", "--write", "s.h5")
    assert done.returncode == 0, done.stderr
    assert load_suite(tmp_path / "s.h5").families == ("kepler", "triple")
    assert "triple-2000002" in command("bench", "suite", "s.h5").stdout
    assert "exists; give --overwrite" in command("bench", "suite", "--write", "s.h5").stderr
    listed = command("bench", "suite").stdout
    for name in ("scatter", "random3", "burrau", "plummer256"):
        assert name in listed
    measured = command("bench", "steps", *SMALL, "--suite", "s.h5", "--criteria", "freefall", "--out", "r.json")
    assert measured.returncode == 0, measured.stderr
    assert "6 problems of kepler+triple, split test" in measured.stdout


def test_families_and_criteria_of_ones_own(command, tmp_path):
    (tmp_path / "family.py").write_text(FAMILY)
    (tmp_path / "rule.py").write_text(CRITERION)
    arguments = (*SMALL[2:], "--families", "family.py:circles", "--criteria", "rule.py:mine", "--variants", "plain")
    done = command("bench", "steps", *arguments, "--train", "2", "--test", "2")
    assert done.returncode == 0, done.stderr
    assert "rule.py:mine" in done.stdout
    assert "2 problems of family.py:circles" in done.stdout


def test_a_trained_network_is_measured_like_the_others(command, trained):
    done = command("bench", "steps", *SMALL, "--criteria", f"learned:{trained}", "--variants", "symmetrized")
    assert done.returncode == 0, done.stderr
    assert "learned:" in done.stdout
    assert "as asked" in done.stdout


def test_the_reinforcement_learning_set_keeps_what_is_quoted_beside_what_is_measured(command, tmp_path):
    done = command("bench", "rl", "--quick", "--criteria", "energybudget", "--variants", "plain", "--forces", "500")
    assert done.returncode == 0, done.stderr
    assert "all rules at 500 forces in the median" in done.stdout
    found = Results.load(tmp_path / "runs/bench/rl.json")
    assert {r.mode for r in found.records} == {"published", "pieces", "run", "matched"}
    assert {r.criterion for r in found.records if r.mode == "matched"} == {"energybudget"}
    assert "reinforcement learning, best weights" in done.stdout


def test_long_runs_say_drift_and_what_is_lost_on_the_way_back(command, tmp_path):
    flags = ("--orbits", "20", "--count", "1", "--criteria", "freefall", "--integrators", "leapfrog")
    done = command("bench", "longrun", *flags)
    assert done.returncode == 0, done.stderr
    for words in ("kepler0.9: 20 periods, about 500 forces each", "drift/period", "bits", "longrun-2000000"):
        assert words in done.stdout
    found = Results.load(tmp_path / "runs/bench/longrun.json")
    assert {r.variant for r in found.records} == {"plain", "symmetrized"}


def test_curves_are_measured_and_drawn(command, tmp_path):
    flags = (
        "--quick",
        "--problems",
        "kepler0.5",
        "--criteria",
        "freefall",
        "--integrators",
        "leapfrog",
        "kahan_li8",
        "--no-peers",
    )
    done = command("bench", "curves", *flags)
    assert done.returncode == 0, done.stderr
    assert "kepler0.5" in done.stdout
    drawn = {path.name for path in (tmp_path / "runs/bench/curves").iterdir()}
    assert drawn == {f"curves-{name}.{kind}" for name in ("kepler0.5", "best") for kind in ("svg", "png")}
    assert Results.load(tmp_path / "runs/bench/curves.json").study == "curves"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("steps", "--criteria", "frefall"), "criterion 'frefall': did you mean 'freefall'?"),
        (("steps", "--criteria", "none.py:Mine"), "there is no file none.py with a criterion in it"),
        (("steps", "--criteria", "learned:nowhere"), "nowhere"),
        (("steps", "--integrators", "kahan_li5"), "integrator = 'kahan_li5': did you mean 'kahan_li"),
        (("steps", "--variants", "symmetric"), "variant = 'symmetric': did you mean 'symmetrized'?"),
        (("steps", "--families", "keplr"), "unknown family 'keplr': did you mean 'kepler'?"),
        (("steps", "--families", "none.py"), "there is no file none.py with families in it"),
        (("steps", "--tol", "-1"), "tol = -1.0 is out of range"),
        (("steps", "--tol", "nan"), "tol = nan is out of range"),
        (("steps", "--budget", "1"), "budget = 1 is out of range"),
        (("steps", "--test", "0"), "0 problems a family: it must be from 1"),
        (("steps", "--dim", "5"), "dim = 5 must be 2 or 3"),
        (("steps", "--split", "train"), "split = train is what rules are calibrated on"),
        (("steps", "--suite", "none.h5"), "cannot read the suite none.h5: No such file"),
        (("steps", "--nonsense"), "unrecognized arguments: --nonsense; see aitimestepper"),
        (("stpes",), "invalid choice: 'stpes'"),
        (("compare", "a.json", "b.json"), "cannot read the results a.json: No such file or directory"),
        (("suite", "none.h5"), "cannot read the suite none.h5: No such file"),
        (("rl", "--forces", "1"), "forces = 1.0 is out of range"),
        (("longrun", "--orbits", "0"), "orbits = 0 is out of range"),
        (("longrun", "--split", "tset"), "did you mean 'test'"),
        (("curves", "--problems", "keplr"), "unknown reference problem 'keplr'"),
        (("curves", "--tol", "0"), "out of range"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(command, tmp_path, arguments, message):
    done = command("bench", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("aitimestepper: error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not (tmp_path / "runs").exists()


def test_a_first_look_includes_the_learned_step():
    """The whole studies do not: the results in docs/bench were measured with the classical rules alone."""

    def rules(make_plan, *flags):
        return [rule.name for rule in make_plan(parse(["bench", *flags]).options).rules]

    assert rules(steps_plan, "steps", "--quick") == [*CLASSICAL, "learned"]
    assert rules(curves_plan, "curves", "--quick", "--no-peers") == [*CLASSICAL, "lastterm", "learned"]
    assert rules(steps_plan, "steps") == [*CLASSICAL]
    assert rules(steps_plan, "steps", "--quick", "--criteria", "tidal") == ["tidal"]
    assert rules(curves_plan, "curves", "--quick", "--no-peers", "--criteria", "tidal", "tidal") == ["tidal"]


@pytest.mark.parametrize("study", ["", "steps", "curves", "rl", "longrun", "suite", "compare"])
def test_help_teaches(command, study):
    done = command("bench", *([study] if study else []), "--help")
    assert done.returncode == 0
    assert "usage: aitimestepper bench" in done.stdout


def test_numbers_are_short():
    assert [short(x) for x in (None, 7.4, 999.4, 999.6, 3412, 99_960, 1.5e6, 2e9)] == [
        "-",
        "7",
        "999",
        "1k",
        "3.41k",
        "100k",
        "1.5M",
        "2G",
    ]
