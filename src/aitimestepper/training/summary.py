"""The summary of a training: a dict that is shown in a few words."""

from __future__ import annotations

from typing import Any

from ..html import card

SHOWN = {
    "part1/acceptance_rate": "Part 1: accepted",
    "part1/mean_energy_error": "Part 1: mean energy error",
    "part2/final_pass_rate": "Part 2: passed at the end",
    "part2/max_rel_dE": "Part 2: largest energy error",
    "validation/compliance": "validation: within the tolerance",
}


class TrainingSummary(dict[str, Any]):
    """What `run_two_phase_training` returns, with its keys; a session shows a line, a notebook a card."""

    def __repr__(self) -> str:
        epochs, seconds = self.get("epochs_completed"), self.get("total_time", 0.0)
        return f"TrainingSummary: {epochs} epochs in {seconds:.3g} s; keys {', '.join(self)}"

    def _repr_html_(self) -> str:
        rows = [("epochs", str(self.get("epochs_completed"))), ("time", f"{self.get('total_time', 0.0):.3g} s")]
        rows.append(("Part 2 converged", f"in {self.get('convergence_rate', 0.0):.0%} of the epochs"))
        metrics = self.get("final_metrics") or {}
        rows += [(words, _number(metrics[name])) for name, words in SHOWN.items() if metrics.get(name) is not None]
        return card("Training", rows)


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
