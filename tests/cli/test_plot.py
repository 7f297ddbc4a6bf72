"""`aitimestepper plot` writes a figure for a paper, or says in one sentence what is wrong."""

import json
import re
import struct
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest

from aitimestepper import Bodies, simulate
from aitimestepper.cli import main
from aitimestepper.initial.named import kepler
from aitimestepper.report.plot_files import save_plot


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """The command line in this process, in an empty folder: matplotlib takes a second to load in each new one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # which the command line sets

    def call(*arguments):
        code = main(arguments)
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    return call


@pytest.fixture
def run(tmp_path):
    start = Bodies(*kepler(e=0.6)[:3], names=["Alpha", "Beta"])
    simulate(start, t_end=10.0, tol=1e-4, output=tmp_path / "run.h5")
    return "run.h5"


def test_a_pdf_of_a_column_whose_text_stays_text(command, run, tmp_path):
    for kind in ("orbits", "energy", "steps", "elements"):
        done = command("plot", kind, run)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"run-{kind}.pdf\n", "")
        content = (tmp_path / f"run-{kind}.pdf").read_bytes()
        assert content.startswith(b"%PDF-")
        width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", content)[1])
        assert width == pytest.approx(3.4 * 72, abs=0.5)
        assert b"/Subtype /Type0" in content or b"/CIDFontType2" in content  # TrueType
        assert b"/Type3" not in content
        assert len(content) < 300_000


def test_an_svg_has_its_words_and_a_png_the_width_asked_for(command, run, tmp_path):
    assert command("plot", "orbits", run, "-o", "a.svg").returncode == 0
    words = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "a.svg").read_text())
    assert {"Alpha", "Beta", "x", "y"} <= set(words)
    assert command("plot", "energy", run, "-o", "a.png", "--width", "5").returncode == 0
    head = (tmp_path / "a.png").read_bytes()[:24]
    assert struct.unpack(">I", head[16:20])[0] == 5 * 300


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    for name in ("a.pdf", "b.pdf", "a.svg", "b.svg"):
        save_plot("energy", tmp_path / run, tmp_path / name)
    for suffix in ("pdf", "svg"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_a_figure_is_replaced_only_when_asked(command, run, tmp_path):
    (tmp_path / "mine.pdf").write_text("mine")
    refused = command("plot", "orbits", run, "-o", "mine.pdf")
    assert refused.returncode == 2
    assert refused.stderr.startswith("aitimestepper: error: mine.pdf exists; give --overwrite")
    assert (tmp_path / "mine.pdf").read_text() == "mine"
    done = command("plot", "orbits", run, "-o", "mine.pdf", "--overwrite", "--json")
    assert json.loads(done.stdout) == {"plot": "mine.pdf", "kind": "orbits", "run": "run.h5"}
    assert (tmp_path / "mine.pdf").read_bytes().startswith(b"%PDF-")


def test_bodies_by_name(command, run):
    assert command("plot", "elements", run, "--pair", "Alpha", "1", "-o", "pair.svg").returncode == 0
    assert command("plot", "orbits", run, "--about", "Beta", "-o", "about.svg").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("orbit run.h5", "invalid choice: 'orbit'"),
        ("orbits", "the following arguments are required: RUN.h5"),
        ("orbits nothing.h5", "nothing.h5"),
        ("orbits run.h5 -o a.txt", "'a.txt': give a name that ends in .pdf, .png or .svg"),
        ("orbits run.h5 -o plain.txt/x.pdf", "plain.txt"),
        ("orbits run.h5 -o nowhere/at/all.pdf --axes xq", "axes = 'xq'"),
        ("orbits run.h5 --system 3", "system = 3: the run has systems 0 to 0"),
        ("orbits run.h5 --about Gamma", "there is no body 'Gamma'"),
        ("energy run.h5 --about Alpha", "--about is for plot orbits, not for plot energy"),
        ("orbits run.h5 --primary 0", "--primary is for plot elements"),
        ("elements run.h5 --pair 0 1 --primary 0", "give one of them"),
        ("energy run.h5 --width 0", "width = 0 must be from 1 to 40 inches"),
        ("energy run.h5 --width nan", "width = nan must be from 1"),
        ("energy plain.txt", "plain.txt"),
    ],
)
def test_nonsense_is_one_sentence(command, run, tmp_path, arguments, words):
    (tmp_path / "plain.txt").write_text("no run")
    done = command("plot", *arguments.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words in done.stderr
    assert not list(tmp_path.glob("*.pdf"))


def test_without_matplotlib_the_extra_is_named(run, tmp_path):
    code = "import sys; sys.modules['matplotlib'] = None; from aitimestepper.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "plot", "orbits", run]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "aitimestepper: error: a plot needs matplotlib: pip install 'aitimestepper[report]'.\n"
