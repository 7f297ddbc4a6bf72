"""Running the real command line, each time in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

Command = Callable[..., "Done"]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def forkserver() -> Iterator[subprocess.Popen]:
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("forkserver.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield server
    server.stdin.close()
    server.stdout.close()
    server.wait()


@pytest.fixture
def command(forkserver: subprocess.Popen, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """`command("train", "--epochs", "2")` in an empty folder, as a user would."""

    def run(*arguments: object, file_limit: int | None = None, **environment: str) -> Done:
        into = tmp_path_factory.mktemp("output")
        request = {
            "arguments": [str(a) for a in arguments],
            "folder": str(tmp_path),
            "into": str(into),
            "environment": environment,
            "file_limit": file_limit,
        }
        forkserver.stdin.write(json.dumps(request) + "\n")
        forkserver.stdin.flush()
        code = int(forkserver.stdout.readline())
        return Done(code, (into / "stdout").read_text(), (into / "stderr").read_text())

    return run


@pytest.fixture
def trained(command: Command, tmp_path: Path) -> Path:
    """A small run called `small`."""
    settings = "--ic kepler:e=0.6 --epochs 3 --steps-per-epoch 4 --checkpoint-interval 2 --seed 1 --save-name small"
    done = command("train", *settings.split(), "--feature-type", "basic")
    assert done.returncode == 0, done.stderr
    return tmp_path / "runs" / "small"
