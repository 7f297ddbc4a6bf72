"""Every public name of the training has an example in its docstring, and what it prints is true."""

import pytest

import aitimestepper
from docstring_examples import run_examples


@pytest.mark.parametrize("name", aitimestepper._WITH_TORCH)
def test_the_example_is_true(name):
    assert run_examples(name) > 0, f"write 2 to 5 lines under `Examples:` in the docstring of {name}"
