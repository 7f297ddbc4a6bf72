"""The bar of a run: on a terminal by rich, in a notebook by HTML that is replaced, and nowhere else."""

import re
import sys
import types

import pytest

from aitimestepper.criteria.classical import Constant
from aitimestepper.simulate import bar, notebook_bar
from aitimestepper.simulate.engine import simulate


class Kernel:
    """What a kernel of a notebook shows: each picture of each display."""

    def __init__(self):
        self.pictures = []

    def module(self, shell):
        def display(picture, display_id):
            self.pictures.append(picture)
            return types.SimpleNamespace(update=self.pictures.append)

        inner = types.SimpleNamespace(HTML=str, display=display)
        return types.SimpleNamespace(get_ipython=lambda: shell, display=inner), inner


@pytest.fixture
def kernel(monkeypatch):
    made = Kernel()
    module, inner = made.module(types.SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", inner)
    monkeypatch.setattr(notebook_bar, "EVERY", 0.0)
    return made


def test_a_notebook_gets_a_bar_that_grows_and_goes(kernel, two_body, capsys):
    result = simulate(two_body(), t_end=2000.0, criterion=Constant(2e-4), progress=True)
    assert result.status == ("ok",)
    first, *between, last = kernel.pictures
    assert "<progress style" in first
    assert "compiles" in first
    shares = [float(re.search(r'<progress value="([\d.]+)" max="1"', picture)[1]) for picture in between]
    assert len(shares) > 2
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    assert "steps/s" in between[-1]
    assert last == ""
    assert capsys.readouterr() == ("", "")


def test_a_run_that_fails_leaves_no_bar_behind(kernel, two_body):
    def fail(*_):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        simulate(two_body(), t_end=1.0, criterion=Constant(1e-2), progress=True, output_steps=1, sinks=(fail,))
    assert kernel.pictures[-1] == ""


def test_a_terminal_of_ipython_is_no_notebook(monkeypatch):
    module, _ = Kernel().module(types.SimpleNamespace())  # its shell has no kernel
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert not notebook_bar.in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebook_bar.in_notebook()


def test_without_a_terminal_nothing_is_shown(two_body, capsys):
    simulate(two_body(), t_end=1.0, criterion=Constant(1e-2), progress=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("number", "words"), [(12.0, "12"), (999.4, "999"), (1.5e3, "1.5k"), (1.234e6, "1.23M")])
def test_speeds_are_short(number, words):
    assert bar._short(number) == words
