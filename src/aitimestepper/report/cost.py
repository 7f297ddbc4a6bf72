"""The cost of an energy error under every rule: the table of the report, and sentences that compare the rules."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np

from .compare import Curve, error_at_forces, forces_at_error

DECADES = [10.0**k for k in range(-15, 3)]


def table_errors(curves: Sequence[Curve], most: int = 3) -> list[float]:
    """Return the largest errors at which to compare: the powers of ten inside the learned curve that most other curves reach.

    Without a learned curve they are those that most curves reach; if no power of ten is inside the learned curve, its middle.
    """
    learned = [c for c in curves if c.learned and len(c.max_error) > 1]
    known = [e for e in DECADES if not learned or any(math.isfinite(forces_at_error(c, e)) for c in learned)]
    counts = {e: sum(math.isfinite(forces_at_error(c, e)) for c in curves) for e in known}
    best = sorted((e for e in known if counts[e]), key=lambda e: (-counts[e], e))[:most]
    if best or not learned:
        return sorted(best, reverse=True)
    reached = learned[0].max_error[learned[0].max_error > 0]
    return [float(np.sqrt(reached.min() * reached.max()))] if len(reached) > 1 else []


def cost_table(curves: Sequence[Curve]) -> str:
    """Return HTML: the verdicts, and force evaluations at equal largest error of every rule, the learned ones first."""
    errors = table_errors(curves)
    if not errors:
        return "<p>No two runs of a rule enclose the same energy error, so there is nothing to compare at equal error.</p>"

    def cheapest(curve: Curve) -> float:
        return min((f for f in (forces_at_error(curve, e) for e in errors) if math.isfinite(f)), default=math.inf)

    reference = next((c for c in curves if c.learned), None)
    head = "".join(f"<th>error {e:.2g}</th>" for e in errors)
    rows = "".join(_row(c, reference, errors) for c in sorted(curves, key=lambda c: (not c.learned, cheapest(c))))
    note = "Force evaluations for this largest energy error over the run, interpolated between runs."
    if reference is not None:
        note += f" In brackets: their ratio to those of {reference.label}; above 1, {reference.label} takes fewer."
    sentences = "".join(f"<li>{html.escape(v)}</li>\n" for v in verdicts(curves, errors))
    words = f"<ul>\n{sentences}</ul>\n" if sentences else ""
    table = f'<div class="scroll"><table class="cost">\n<tr><th></th>{head}</tr>\n{rows}</table></div>'
    return f'{words}{table}\n<p class="note">{html.escape(note)} A dash: no two runs enclose this error.</p>'


def _row(curve: Curve, reference: Curve | None, errors: Sequence[float]) -> str:
    cells = []
    for error in errors:
        forces = forces_at_error(curve, error)
        ratio = math.nan if reference is None or curve is reference else forces / forces_at_error(reference, error)
        brackets = f" ({ratio:.2f})" if math.isfinite(ratio) else ""
        cells.append(f"<td>{forces:.0f}{brackets}</td>" if math.isfinite(forces) else "<td>–</td>")
    kind = ' class="learned"' if curve.learned else ""
    return f"<tr{kind}><th>{html.escape(curve.label)}</th>{''.join(cells)}</tr>\n"


def verdicts(curves: Sequence[Curve], errors: Sequence[float]) -> list[str]:
    """Return sentences on each learned step against the best classical rule: one per error, and one for the end of the run."""
    classical = [c for c in curves if not c.learned]
    sentences = []
    for learned in (c for c in curves if c.learned):
        sentences += [*(_at_equal_error(learned, classical, e) for e in errors), _at_the_end(learned, classical)]
    return [s for s in sentences if s]


def _at_equal_error(learned: Curve, classical: Sequence[Curve], error: float) -> str:
    own = forces_at_error(learned, error)
    costs = sorted((forces_at_error(c, error), c.label) for c in classical if math.isfinite(forces_at_error(c, error)))
    if not costs or not math.isfinite(own):
        return ""
    forces, label = costs[0]
    beaten = sum(f > own for f, _ in costs)
    if forces > 1.005 * own:
        words = f"takes the fewest force evaluations: the best classical rule, {label}, takes {forces / own:.2f} times as many"
    elif forces > 0.995 * own:
        words = f"takes as many force evaluations as the best classical rule, {label}"
    else:
        words = f"is worse than the best classical rule, {label}: it takes {own / forces:.2f} times as many force evaluations"
    return (
        f"At a largest energy error of {error:.2g}, the step “{learned.label}” {words}. "
        f"It is ahead of {beaten} of the {len(costs)} classical rules that can be compared there."
    )


def _at_the_end(learned: Curve, classical: Sequence[Curve]) -> str:
    """Return a sentence about the final error, which with time-symmetric steps is far below the largest error."""
    if not len(learned.force_evaluations):
        return ""
    forces = float(np.sqrt(learned.force_evaluations[0] * learned.force_evaluations[-1]))
    own = error_at_forces(learned, forces)
    errors = sorted((error_at_forces(c, forces), c.label) for c in classical if math.isfinite(error_at_forces(c, forces)))
    if not errors or not math.isfinite(own):
        return ""
    best, label = errors[0]
    return (
        f"At the end of a run of {forces:.0f} force evaluations, the energy error of “{learned.label}” is {own:.1e}, "
        f"that of the best classical rule there, {label}, {best:.1e}."
    )
