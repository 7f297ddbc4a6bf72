"""docs/bench.md, docs/learned.md and docs/settings.md show what is in their sources, and the examples are valid."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from aitimestepper.bench.records import Record, Results
from aitimestepper.cli.arguments import parse
from aitimestepper.config import Config, load_toml
from aitimestepper.criteria.learned import covers
from aitimestepper.evaluation.contenders import CLASSICAL
from aitimestepper.initial.suites import make_suite
from aitimestepper.models import SHIPPED, shipped

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/bench.md").read_text(encoding="utf-8")
FILES = sorted((ROOT / "docs/bench").glob("*.json*"))
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, flags=re.S)


def test_the_tables_are_current():
    tables = subprocess.run([sys.executable, ROOT / "docs/bench_tables.py"], capture_output=True, text=True, check=True).stdout
    assert tables.strip() in PAGE, "run: python docs/bench_tables.py --write"


def test_the_tables_of_the_learned_step_are_current():
    page = (ROOT / "docs/learned.md").read_text(encoding="utf-8")
    made = subprocess.run([sys.executable, ROOT / "docs/learned_tables.py"], capture_output=True, text=True, check=True).stdout
    assert made.strip() in page, "run: python docs/learned_tables.py --write"
    for name in re.findall(r"`python (\S+?\.py)", page):
        assert (ROOT / name).is_file(), name
    assert "TODO" not in page
    assert "_RESULT" not in page


def test_the_list_of_settings_is_current_and_complete():
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    made = subprocess.run([sys.executable, ROOT / "docs/settings_table.py"], capture_output=True, text=True, check=True).stdout
    assert made.strip() in page, "run: python docs/settings_table.py --write"
    assert re.findall(r"^- \*\*`(\w+)`\*\*", page, flags=re.M) == list(Config.__dataclass_fields__)


def test_the_example_of_settings_in_a_file_is_valid(tmp_path):
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/settings.md").read_text(encoding="utf-8"), flags=re.S)
    (tmp_path / "my.toml").write_text(block)
    train, simulate = (load_toml(tmp_path / "my.toml", command) for command in ("train", "simulate"))
    assert train == {"ic": "kepler:e=0.9", "epochs": 100}
    assert simulate == {"ic": "kepler:e=0.9", "t_end": 60.0, "tol": 1e-5}


def test_the_learned_step_was_measured_with_every_integrator_that_has_a_network():
    results = Results.load(ROOT / "docs/learned/steps.json.gz")
    learned = [r for r in results.records if (r.criterion, r.mode, r.family) == ("learned", "asked", "all")]
    assert {r.integrator for r in learned} == set(SHIPPED)
    for r in learned:
        if r.variant == "symmetrized" and covers(shipped(r.integrator), r.tolerance):
            assert r.compliance >= 0.9, (r.integrator, r.tolerance)


def test_there_is_a_file_for_each_study():
    assert [path.name.partition(".")[0] for path in FILES] == ["curves", "longrun", "rl", "steps"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_file_says_how_it_was_made_on_this_page(path):
    results = Results.load(path)
    assert f"`{results.command}`" in PAGE
    assert {"numpy", "numba"} <= set(results.versions)
    assert "/" not in re.sub(r"docs/bench/\S+", "", results.command)  # no path of a machine


def test_the_step_quality_shown_covers_all_classical_rules_on_test():
    results = Results.load(ROOT / "docs/bench/steps.json.gz")
    calibrated = {(r.criterion, r.variant) for r in results.records if r.mode == "calibrated"}
    assert calibrated == {(name, v) for name in CLASSICAL for v in ("plain", "symmetrized")} - {("constant", "symmetrized")}
    assert {r.split for r in results.records} == {"test"}
    assert results.settings["calibrated_on"]["split"] == "train"
    assert {r.tolerance for r in results.records} == {10.0**-k for k in range(2, 9)}
    assert {r.integrator for r in results.records} >= {"leapfrog", "kahan_li6"}


def test_every_field_of_a_record_is_described():
    described = set(re.findall(r"`(\w+)`", PAGE[PAGE.index("## The file") :]))
    assert set(Record.__dataclass_fields__) <= described


def test_every_command_line_is_understood():
    lines = [line for _, block in BLOCKS for line in block.splitlines() if line.startswith("aitimestepper ")]
    lines += [c for c in re.findall(r"`(aitimestepper bench [^`]*)`", PAGE) if " A B" not in c]
    assert len(lines) >= 10
    for line in lines:
        assert parse(shlex.split(line)[1:]).command == "bench"


def test_the_example_of_ones_own_runs(tmp_path):
    (code,) = [block for language, block in BLOCKS if language == "python"]
    (tmp_path / "my.py").write_text(code)
    flags = ["--variants", "plain", "--integrators", "leapfrog", "--tol", "1e-1", "--quick", "--train", "2", "--test", "2"]
    flags += ["--budget", "1000"]
    rules = [
        "--families",
        "kepler",
        "my.py:quadruples",
        "--criteria",
        "freefall",
        "my.py:mine",
        "my.py:own",
        "--budget",
        "1000",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "aitimestepper", "bench", "steps", *rules, *flags],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "4 problems of kepler+my.py:quadruples" in done.stdout


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
    assert make_suite(("kepler",), "test", 1).cases[0].name.startswith("kepler-2")
