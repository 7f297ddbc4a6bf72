"""The README says what is true: its commands and its Python run, and its links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from aitimestepper.cli.arguments import parse
from aitimestepper.config import Config, load_toml

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.S)
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/simulating.md", "docs/training.md")}
COMMANDS = [line for _, block in BLOCKS for line in block.splitlines() if line.startswith("aitimestepper ")]
EVERY_COMMAND = [
    line for page in PAGES.values() for line in page.replace("\\\n", "").splitlines() if line.startswith("aitimestepper ")
]


def test_it_opens_with_the_two_commands():
    first = BLOCKS[0][1]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make run", "make test"]


@pytest.mark.parametrize("line", EVERY_COMMAND)
def test_every_command_line_is_understood(line):
    request = parse(shlex.split(line, comments=True)[1:])
    assert request.command == line.split()[1]
    assert (
        Config.from_dict(request.settings).to_dict().items()
        >= {k: v for k, v in request.settings.items() if k != "layers"}.items()
    )


def test_it_is_short():
    assert len(COMMANDS) == 7
    assert len(README.splitlines()) <= 150
    assert all(len(block.strip().splitlines()) <= 6 for language, block in BLOCKS if language == "python")
    assert max(map(len, README.splitlines())) <= 140


def test_the_python_example_runs(tmp_path):
    code = "".join(block for language, block in BLOCKS if language == "python")
    code += "assert sim.time == -20.0 and len(sim.events) > 0\n"
    code += "assert result.final.time.tolist() == [800.0]; assert 0 < result.max_energy_error[0] < 1e-4\n"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_the_example_of_output_and_resume_runs(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/simulating.md").read_text(encoding="utf-8"), flags=re.S)
    code = "from aitimestepper.initial import solar\nbodies = solar()\n" + code.replace("t_end=1e6", "t_end=2e4")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["quickstart_steps", "quickstart"])
def test_the_quickstart_settings_are_valid(name):
    for command in ("train", "simulate"):
        assert Config.from_dict(load_toml(ROOT / f"examples/{name}.toml", command)).seed == 1


def test_the_picture_exists():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / path).stat().st_size > 10_000


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)#]+)", PAGES[name]):
        assert ((ROOT / name).parent / target).exists(), target


def test_the_example_of_an_own_criterion_runs_and_symmetry_pays():
    done = subprocess.run([sys.executable, ROOT / "examples/own_criterion.py"], capture_output=True, text=True, check=True)
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert float(rows["symmetrized(pairphase(0.07))"][-1]) < 1e-2 * float(rows["pairphase(0.07)"][-1])
    assert (
        rows["pairphase(0.07)"] == rows["pairphase_in_python(0.07)"]
    )  # the compiled and the Python form choose the same steps
