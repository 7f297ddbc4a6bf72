"""No socket is opened by anything that did not ask for one: not by a simulation, a report, a plot or a training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# every socket that Python or an extension makes through it is an audit event, which nobody can take back
BLOCKED = """
import sys

def refuse(event, arguments):
    if event.startswith("socket."):
        raise SystemExit(f"{event} {arguments}")

sys.addaudithook(refuse)
"""
COMMANDS = """
from aitimestepper.cli import main
sys.exit(max(main(line.split()) for line in sys.stdin))
"""
SIMULATE = """simulate --ic kepler --steps 30 --output it.h5 --events encounter:below=2 --quiet
report it.h5 -o it.html --quiet
inspect it.h5
plot energy it.h5 -o it.png
"""
TRAIN = """train --ic kepler:e=0.6 --epochs 1 --steps-per-epoch 2 --feature-type basic --seed 1 --save-name it --quiet
simulate --model it --steps 5
"""


def run(code: str, words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    given = {"cwd": folder, "capture_output": True, "text": True, "timeout": 200, "input": words}
    return subprocess.run([sys.executable, "-c", BLOCKED + code], **given, check=False)


def test_a_socket_is_seen(tmp_path):
    """A test that cannot fail shows nothing."""
    done = run("import socket; socket.socket()", "", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("socket.__new__")


def test_simulations_pages_and_plots_open_none(tmp_path):
    done = run(COMMANDS, SIMULATE, tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"it.h5", "it.html", "it.png"}


def test_trainings_open_none(torch, tmp_path):
    done = run(COMMANDS, TRAIN, tmp_path)
    assert done.returncode == 0, done.stderr
