"""Every public name has an example in its docstring, and what it prints is true; those of the training: tests/training."""

import pytest

import aitimestepper
from docstring_examples import public_names_of_the_reference, run_examples

NAMES = public_names_of_the_reference().public_names()


def test_the_reference_has_all_public_names():
    listed = {*aitimestepper._WITH_TORCH, *aitimestepper._ON_FIRST_USE}
    assert listed < set(NAMES)
    assert {name for name, thing in vars(aitimestepper).items() if isinstance(thing, type) and name in NAMES} <= set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in aitimestepper._WITH_TORCH])
def test_the_example_is_true(name):
    assert run_examples(name) > 0, f"write 2 to 5 lines under `Examples:` in the docstring of {name}"
