"""Figures of `bench curves` for each problem: error against work of all rules under every integrator, and of the best."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ..errors import UserError
from ..evaluation.runs import SOUND
from ..files import make_folder, write_atomically
from .style import ACCENT, DPI, FLOOR, INK, MUTED, clean_axes, log_axis, log_range, new_figure, plain, png_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEARNED = (ACCENT, "#f08a24", "#8c1d40")  # several networks in one picture
# Paul Tol's muted set without its red, which is too near to the learned step's
RULES = {
    "freefall": "#4477aa",
    "energybudget": "#332288",
    "hutmakino": "#117733",
    "boekholt": "#44aa99",
    "tidal": "#66ccee",
    "aarseth": "#aa4499",
    "prs23": "#999933",
    "lastterm": "#b8860b",
    "constant": "#c9a27e",
}
INTEGRATORS = {
    "leapfrog": "#66ccee",
    "suzuki4": "#4477aa",
    "kahan_li6": "#44aa99",
    "kahan_li8": "#117733",
    "blanes_moan4": "#cc6677",
    "blanes_moan6": "#cc3311",
    "chin4": "#999933",
    "hermite4": "#aa4499",
    "logh": "#b8860b",
    "radau15": "#332288",
}
OWN = ("#ee7733", "#d6308f")  # rules of your own
OTHERS = "#7a8794"  # integrators that are not in `INTEGRATORS`
VARIANTS = {"symmetrized": "-", "plain": "--", "huayno": "-.", "hmm": ":"}
GREY = "#8a949e"
PEERS: dict[tuple[str, str, str], tuple[str, str, str, bool]] = {  # package, method, mode: label, colour, marker, filled
    ("rebound", "ias15", "prs23"): ("REBOUND IAS15", "black", "o", True),
    ("rebound", "ias15", "global"): ("IAS15, global", GREY, "^", True),
    ("rebound", "ias15", "individual"): ("IAS15, individual", GREY, "v", True),
    ("rebound", "ias15", "aarseth85"): ("IAS15, Aarseth 85", GREY, "s", True),
    ("rebound", "whfast", "plain"): ("REBOUND WHFast", "black", "s", False),
    ("rebound", "trace", "plain"): ("REBOUND TRACE", "black", "P", False),
    ("rebound", "leapfrog", "plain"): ("REBOUND leapfrog", "black", "x", True),
    ("rebound", "leapfrog4", "plain"): ("leapfrog, order 4", GREY, "1", True),
    ("rebound", "leapfrog6", "plain"): ("leapfrog, order 6", GREY, "2", True),
    ("rebound", "leapfrog8", "plain"): ("leapfrog, order 8", GREY, "3", True),
    ("heyoka", "taylor", "plain"): ("heyoka Taylor", "black", "D", False),
}
EVERYWHERE = (("rebound", "ias15", "prs23"), ("heyoka", "taylor", "plain"))
# methods to compare with
NEAR = {
    "leapfrog": ("leapfrog", "whfast", "trace"),
    "logh": ("leapfrog", "whfast", "trace"),
    "suzuki4": ("leapfrog4",),
    "blanes_moan4": ("leapfrog4",),
    "chin4": ("leapfrog4",),
    "kahan_li6": ("leapfrog6",),
    "blanes_moan6": ("leapfrog6",),
    "kahan_li8": ("leapfrog8",),
    "radau15": ("ias15",),
}
MEASURES = (("forces", "force evaluations"), ("seconds", "processor time of the run, seconds"))


class Measured(Protocol):
    """The part of a record of `bench curves` that is drawn."""

    @property
    def study(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def criterion(self) -> str: ...
    @property
    def variant(self) -> str: ...
    @property
    def integrator(self) -> str: ...
    @property
    def errors(self) -> Sequence[float | None] | None: ...
    @property
    def forces(self) -> float | None: ...
    @property
    def wall_time(self) -> float | None: ...


class Line(NamedTuple):
    """One curve, from coarse to fine; NaN marks a run that stopped early or lost its orbits, or an unknown cost."""

    criterion: str
    variant: str
    integrator: str
    error: np.ndarray
    forces: np.ndarray
    seconds: np.ndarray

    @property
    def peer(self) -> tuple[str, str, str]:
        """The key of the line among `PEERS`, if it is one."""
        return (self.criterion, self.integrator, self.variant)

    @property
    def learned(self) -> bool:
        """Whether a trained network chose the steps."""
        return self.criterion.partition(":")[0] == "learned"

    @property
    def new(self) -> bool:
        """Whether a trained network or a user's rule chose the steps; such lines are emphasized."""
        return self.peer not in PEERS and self.criterion not in RULES


def draw_curves(records: Sequence[Measured], problems: Sequence[str], folder: Path) -> list[Path]:
    """Draw `curves-PROBLEM` for each problem and `curves-best` for all, as SVG and PNG; return the paths.

    `problems` is the order in which they are shown; others that the records hold come after them.
    """
    found = lines_of(records)
    lines = {name: found[name] for name in dict.fromkeys([*problems, *found]) if name in found}
    if not lines:
        raise UserError("the records hold no curve to draw: they are not of `bench curves`, or no run reached its end.")
    make_folder(folder)
    pictures = {f"curves-{name}": problem_figure(name, own) for name, own in lines.items()}
    pictures["curves-best"] = summary_figure(lines)
    return [path for name, figure in pictures.items() for path in _written(figure, folder / name)]


def _written(figure: Figure, path: Path) -> list[Path]:
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    found = [path.with_name(path.name + end) for end in (".svg", ".png")]
    for place, content in zip(found, (svg.getvalue(), png_bytes(figure, 1.5)), strict=True):
        write_atomically(place, content)
    return found


def lines_of(records: Iterable[Measured]) -> dict[str, list[Line]]:
    """Return the lines by problem, in the order in which they were measured; lines without a point are left out."""
    grouped: dict[str, dict[tuple[str, str, str], list[Measured]]] = {}
    for r in records:
        if r.study == "curves" and r.errors:
            grouped.setdefault(r.family, {}).setdefault((r.criterion, r.variant, r.integrator), []).append(r)
    every = {problem: [_line(key, points) for key, points in curves.items()] for problem, curves in grouped.items()}
    visible = {problem: [line for line in lines if np.isfinite(line.error).any()] for problem, lines in every.items()}
    return {problem: lines for problem, lines in visible.items() if lines}


def in_order(lines: Sequence[Line]) -> list[str]:
    """Return the integrators of some lines, in the order of `INTEGRATORS`, then others."""
    known = [*INTEGRATORS, *dict.fromkeys(line.integrator for line in lines)]
    return [name for name in dict.fromkeys(known) if any(line.integrator == name for line in lines)]


def _line(key: tuple[str, str, str], points: list[Measured]) -> Line:
    columns = [[r.errors[0] if r.errors else None, r.forces, r.wall_time] for r in points]
    error, forces, seconds = np.array(columns, dtype=float).T
    # with an energy error above a tenth the orbits are different ones, and their cost is meaningless
    return Line(*key, np.where(error <= SOUND, np.maximum(error, FLOOR), np.nan), forces, seconds)


# ---- one problem -----------------------------------------------------------------------------------------------------
def problem_figure(problem: str, lines: Sequence[Line]) -> Figure:
    """Return a row for each integrator with all rules: error against force evaluations, and against time."""
    ours = [line for line in lines if line.peer not in PEERS]
    peers = [line for line in lines if line.peer in PEERS]
    rows = in_order(ours) or ["others"]
    figure, axes = _panels(len(rows), 235, f"{problem}: what an energy error costs, rule by rule")
    for row, integrator in zip(axes, rows, strict=True):
        near = NEAR.get(integrator, ())
        beside = [p for p in peers if p.peer in EVERYWHERE or p.integrator in near or not ours]
        shown = [line for line in ours if line.integrator == integrator]
        for ax, (measure, _) in zip(row, MEASURES, strict=True):
            for line in [*beside, *sorted(shown, key=lambda line: line.new)]:
                _draw(ax, line, measure, _rule_style(line, ours))
        row[0].set_title(integrator, color=INK, fontsize=12, loc="left", fontweight="bold")
    _scale(axes, lines)
    rules = [*_new_rules(ours), *(k for k in RULES if any(line.criterion == k for line in ours))]
    variants = [v for v in VARIANTS if any(line.variant == v for line in ours)]
    entries: list[tuple[str, dict[str, Any]]] = [("rule", {})] if rules else []
    entries += [(rule, {"color": _colour(rule, ours), "linewidth": 2.4}) for rule in rules]
    entries += [(v, {"color": INK, "linestyle": VARIANTS[v], "linewidth": 1.5}) for v in variants]
    _legend(figure, entries + _peer_entries(peers))
    return figure


def _rule_style(line: Line, ours: Sequence[Line]) -> dict[str, Any]:
    if line.peer in PEERS:
        return _peer_style(line)
    style = {"color": _colour(line.criterion, ours), "linestyle": VARIANTS.get(line.variant, "-")}
    return {**style, "linewidth": 2.6 if line.new else 1.4, "zorder": 5 if line.new else 3}


def _new_rules(lines: Sequence[Line]) -> list[str]:
    return list(dict.fromkeys(line.criterion for line in lines if line.new))


def _colour(rule: str, lines: Sequence[Line]) -> str:
    if rule in RULES:
        return RULES[rule]
    networks = list(dict.fromkeys(line.criterion for line in lines if line.learned))
    own = [name for name in _new_rules(lines) if name not in networks]
    return LEARNED[networks.index(rule) % len(LEARNED)] if rule in networks else OWN[own.index(rule) % len(OWN)]


# ---- all problems ----------------------------------------------------------------------------------------------------
def summary_figure(lines: dict[str, list[Line]]) -> Figure:
    """Return a row for each problem: the best classical rule under each integrator, the new rules, the peers."""
    figure, axes = _panels(len(lines), 260, "The best classical rule under each integrator, and other codes")
    every = [line for own in lines.values() for line in own]
    peers = [line for line in every if line.peer in PEERS]
    classical = [line for line in every if line.peer not in PEERS and not line.new]
    thin = {"linewidth": 1.8, "zorder": 4}
    styles = {name: {"color": INTEGRATORS.get(name, OTHERS), **thin} for name in in_order(classical)}
    styles |= {name: {"color": _colour(name, every), "linewidth": 2.8, "zorder": 5} for name in _new_rules(every)}
    for row, (problem, own) in zip(axes, lines.items(), strict=True):
        groups = {
            name: [line for line in own if line.integrator == name and line.peer not in PEERS and not line.new]
            for name in in_order(classical)
        }
        groups |= {name: [line for line in own if line.criterion == name] for name in _new_rules(every)}
        for ax, (measure, _) in zip(row, MEASURES, strict=True):
            for line in own:
                if line.peer in PEERS:
                    _draw(ax, line, measure, _peer_style(line))
            for name, group in groups.items():
                if group:
                    ax.plot(*envelope(group, measure), **styles[name])
        row[0].set_title(plain(problem), color=INK, fontsize=12, loc="left", fontweight="bold")
    _scale(axes, [], own_rows=list(lines.values()))
    entries: list[tuple[str, dict[str, Any]]] = [(name, styles[name]) for name in _new_rules(every)]
    entries += [("", {})] if entries and classical else []
    entries += [("integrator", {}), *((name, styles[name]) for name in in_order(classical))] if classical else []
    _legend(figure, entries + _peer_entries(peers))
    return figure


def envelope(lines: Sequence[Line], measure: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (cost, error) of the runs that no other run of these lines beats in both quantities."""
    cost = np.concatenate([getattr(line, measure) for line in lines])
    error = np.concatenate([line.error for line in lines])
    order = np.lexsort((error, cost))
    order = order[np.isfinite(cost[order]) & np.isfinite(error[order])]
    least = np.minimum.accumulate([np.inf, *error[order]])
    best = order[error[order] < least[:-1]]
    return cost[best], error[best]


# ---- both ------------------------------------------------------------------------------------------------------------
def _panels(rows: int, height: int, title: str) -> tuple[Figure, np.ndarray]:
    width, whole, right = 1270, 110 + height * rows, 1030
    figure = new_figure(width, whole)
    axes = figure.subplots(rows, 2, squeeze=False)
    figure.subplots_adjust(
        left=75 / width, right=right / width, top=1 - 68 / whole, bottom=52 / whole, hspace=0.25, wspace=0.09
    )
    figure.text(75 / width, 1 - 26 / whole, plain(title), color=INK, fontsize=15, fontweight="bold", va="center")
    for k, row in enumerate(axes):
        for ax, (_, label) in zip(row, MEASURES, strict=True):
            clean_axes(ax, label if k == rows - 1 else "", "largest energy error" if ax is row[0] else "")
    return figure, axes


def _draw(ax: Any, line: Line, measure: str, style: dict[str, Any]) -> None:
    if np.isfinite(getattr(line, measure)).any():
        ax.plot(getattr(line, measure), line.error, **style)


def _peer_style(line: Line) -> dict[str, Any]:
    _, colour, marker, filled = PEERS[line.peer]
    inside = colour if filled else "white"
    style = {"color": colour, "marker": marker, "markersize": 5, "markerfacecolor": inside}
    return {**style, "linewidth": 0.9, "zorder": 2}


def _scale(axes: np.ndarray, lines: Sequence[Line], own_rows: Sequence[Sequence[Line]] | None = None) -> None:
    """Set the same scales in all panels of a column; with `own_rows`, scales for each row."""
    for k, row in enumerate(axes):
        own = lines if own_rows is None else own_rows[k]
        for ax, (measure, _) in zip(row, MEASURES, strict=True):
            log_axis(ax, "x", *log_range(*(getattr(line, measure)[np.isfinite(line.error)] for line in own)))
            log_axis(ax, "y", *log_range(*(line.error for line in own)), ticks=7)
            inner = k < len(axes) - 1 and own_rows is None
            ax.tick_params(labelbottom=not inner, labelleft=ax is row[0])


def _peer_entries(peers: Sequence[Line]) -> list[tuple[str, dict[str, Any]]]:
    there = {line.peer: _peer_style(line) for line in peers}
    entries = [(PEERS[peer][0], there[peer]) for peer in PEERS if peer in there]
    return [("", {}), ("other codes", {}), *entries] if entries else []


def _legend(figure: Figure, entries: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Draw the legend to the right of all panels; an entry without a style is a heading."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches() * DPI
    handles = [Line2D([], [], **style) if style else Line2D([], [], linestyle="none") for _, style in entries]
    labels = [plain(label, 26) for label, _ in entries]
    legend = figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(1042 / width, 1 - 60 / height), frameon=False, fontsize=11,
        labelcolor=INK, handlelength=2.4, labelspacing=0.5, borderaxespad=0,
    )  # fmt: skip
    for text, (_, style) in zip(legend.get_texts(), entries, strict=True):
        text.set_fontweight("normal" if style else "bold")
        text.set_color(INK if style else MUTED)
