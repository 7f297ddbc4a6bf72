"""INTG-02: one training loop, no other beside it. Learning happens in one place, and one place calls each phase."""

import ast
from collections import Counter
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "aitimestepper"


def calls() -> Counter:
    """Return (file, name of the callee) over the whole package."""
    found: Counter = Counter()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                found[path.relative_to(SOURCE).as_posix(), ast.unparse(node.func)] += 1
    return found


def test_learning_happens_in_one_place_for_each_judge():
    found = calls()
    where = ("training/attempt.py", "training/judges/run.py")
    assert [(f, n) for (f, name), n in found.items() if name.endswith("optimizer.step")] == [(f, 1) for f in where]
    assert [f for f, name in found if name.endswith(".backward")] == [*where]


def test_each_phase_is_called_from_one_place():
    found = calls()
    for what, where in (
        ("collect_trajectory", "training/judges/step.py"),
        ("generalize_on_trajectory", "training/judges/step.py"),
        ("judge.collect", "training/epochs.py"),
        ("judge.generalize", "training/epochs.py"),
        ("train_epoch_two_phase", "training/epochs.py"),
        ("run_two_phase_training", "cli/training.py"),
    ):
        assert [(f, n) for (f, name), n in found.items() if name == what] == [(where, 1)], what
