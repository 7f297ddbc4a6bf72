"""Damaged and hostile files: a share of the campaign of diagnostics/faults, and the proof that it can fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import fakes
import pytest

CAMPAIGN = Path(__file__).parents[2] / "diagnostics/faults/damage.py"
SHARES = {  # cases, and a seed by which so few of them have every kind of damage, or nearly (of short ones at least half)
    "snapshots": (130, 2),
    "model": (60, 11),
    "suite": (80, 0),
    "results": (50, 41),
    "unfinished": (20, 44),
    "initial": (60, 17),
    "settings": (40, 17),
    "metrics": (50, 46),
}
KINDS = {
    "snapshots": 29,
    "model": 16,
    "suite": 37,
    "results": 14,
    "unfinished": 11,
    "initial": 21,
    "settings": 13,
    "metrics": 14,
}
FOLDERS = {"ensemble, part": 20, "ensemble, manifest": 8, "sweep.db": 8}
NEEDS = {"ensemble, part": "pyarrow", "ensemble, manifest": "pyarrow", "sweep.db": "optuna"}
OF_CHECKPOINTS = 150


def run(subject: str, cases: int, folder: Path, *more: str) -> dict:
    """The outcomes of the first cases of a kind of file."""
    given = ["--subject", subject, "--cases", str(cases), "--workers", "1", "--json", str(folder / "found.json"), *more]
    done = subprocess.run([sys.executable, CAMPAIGN, *given], capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), done.stderr
    return json.loads((folder / "found.json").read_text())


def check(subject: str, cases: int, folder: Path, seed: int = 0) -> dict:
    """Run a share, and return it."""
    found = run(subject, cases, folder, "--seed", str(seed), "--all")
    named = [f"--only '{':'.join(map(str, fault['case']))}': {fault['kind']}, {fault['words']}" for fault in found["faults"]]
    assert named == []
    assert sum(found["counts"].values()) >= 0.9 * cases
    assert {"same", "refused"} & {name.rpartition(": ")[2] for name in found["counts"]}
    return found


@pytest.mark.parametrize("subject", SHARES)
def test_damaged_files_are_read_as_before_or_refused(subject, tmp_path):
    """No traceback, hang, crash or silent change; nothing beside the file is read or written."""
    cases, seed = SHARES[subject]
    found = check(subject, cases, tmp_path, seed)
    assert len({outcome["damage"] for outcome in found["outcomes"]}) >= KINDS[subject]


@pytest.mark.parametrize(
    "subject", [pytest.param(name, marks=[pytest.mark.torch] * (NEEDS[name] == "optuna")) for name in FOLDERS]
)
def test_damaged_folders_are_read_as_before_or_refused(subject, tmp_path):
    """Parts and manifests of ensembles, also exchanged and foreign ones, and the database of a sweep."""
    pytest.importorskip(NEEDS[subject])
    check(subject, FOLDERS[subject], tmp_path)


def test_damaged_checkpoints_are_read_as_before_or_refused(torch, tmp_path):
    check("checkpoint", OF_CHECKPOINTS, tmp_path)


@pytest.fixture(scope="module")
def outcomes() -> dict:
    done = subprocess.run([sys.executable, fakes.__file__], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", fakes.FAKES)
def test_the_campaign_sees_what_no_reader_may_do(name, outcomes):
    """A campaign that cannot fail shows nothing."""
    assert [outcome["kind"] for outcome in outcomes[name]] == 3 * [name.partition(":")[0]]
    assert all(outcome["details"].startswith("bit ") for outcome in outcomes[name])


def test_a_case_follows_from_its_number_alone(tmp_path):
    """The cases of a longer campaign begin with those of a shorter one; a case can be run again by itself."""
    few, many = (run("initial conditions .txt", n, tmp_path, "--all")["outcomes"] for n in (5, 15))
    about = [[(outcome["kind"], outcome["details"]) for outcome in some] for some in (few, many)]
    assert about[0] == about[1][:5]
    given = [sys.executable, CAMPAIGN, "--only", "initial conditions .txt:3"]
    alone = subprocess.run(given, capture_output=True, text=True, check=True).stdout
    assert json.dumps(few[3]["details"]) in alone
