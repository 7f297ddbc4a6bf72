"""The wheel and the source distribution install into empty environments, and simulate there without anything else."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.services
ROOT = Path(__file__).resolve().parents[2]


def run(*words: object, cwd: Path) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder with wheel and source distribution; the wheel is built from the source distribution."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (source,) = folder.glob("*.tar.gz")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source, cwd=folder)
    return folder


def test_they_hold_what_they_should(built):
    (wheel,), (source,) = built.glob("*.whl"), built.glob("*.tar.gz")
    inside = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].partition("-")[0] for name in inside} == {"aitimestepper"}
    assert sum(name.endswith(".npz") for name in inside) == len(list((ROOT / "src/aitimestepper/models").glob("*.npz")))
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CITATION.cff", "mkdocs.yml", "docs/method.md", "tests/conftest.py"} <= names
    assert not any(name.startswith(("runs/", "build/", ".venv/")) for name in names)


def test_the_source_distribution_installs_into_an_empty_environment(built, tmp_path):
    """`make test` runs its tests of the runtime with the wheel in an environment of its own."""
    (package,) = built.glob("*.tar.gz")
    run(sys.executable, "-m", "venv", tmp_path / "empty", cwd=tmp_path)
    python = tmp_path / "empty/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package, cwd=tmp_path)
    assert "torch" not in run(python, "-m", "pip", "list", cwd=tmp_path)
    command = (tmp_path / "empty/bin/aitimestepper", "simulate", "--ic", "kepler", "--steps", "10", "--json", "--quiet")
    summary = json.loads(run(*command, cwd=tmp_path))
    assert summary["status"] in ("ok", ["ok"])
