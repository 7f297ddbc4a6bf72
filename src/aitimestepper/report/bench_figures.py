"""Pictures of a bench: work-precision curves, for each problem all rules under every integrator, and the best of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..bench.records import Record, Results
from ..errors import UserError
from ..io.files import write_atomically
from .style import ACCENT, DPI, FLOOR, INK, MUTED, clean_axes, log_axis, log_range, new_figure, plain, png_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORST = 3.0  # energy errors above this are all the same: the run is lost
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
    "order4": "#4477aa",
    "order6": "#44aa99",
    "order8": "#117733",
    "hermite4": "#aa4499",
    "logh": "#b8860b",
    "radau15": "#332288",
}
OTHERS = "#7a8794"  # rules and integrators of other people
VARIANTS = {"symmetrized": "-", "plain": "--", "huayno": "-.", "hmm": ":"}
GREY = "#8a949e"
PEERS: dict[tuple[str, str, str], tuple[str, str, str]] = {  # package, method, mode: label, colour, marker
    ("rebound", "ias15", "prs23"): ("REBOUND IAS15", "black", "o"),
    ("rebound", "ias15", "global"): ("IAS15, global", GREY, "^"),
    ("rebound", "ias15", "individual"): ("IAS15, individual", GREY, "v"),
    ("rebound", "ias15", "aarseth85"): ("IAS15, Aarseth 85", GREY, "s"),
    ("rebound", "whfast", "plain"): ("REBOUND WHFast", "black", "P"),
    ("rebound", "leapfrog", "plain"): ("REBOUND leapfrog", "black", "x"),
    ("heyoka", "taylor", "plain"): ("heyoka Taylor", "black", "D"),
}
EVERYWHERE = (("rebound", "ias15", "prs23"), ("heyoka", "taylor", "plain"))
NEAR = {"leapfrog": ("leapfrog", "whfast"), "logh": ("leapfrog", "whfast"), "radau15": ("ias15",)}  # methods to compare with
MEASURES = (("forces", "force evaluations"), ("seconds", "processor time of the run, seconds"))


class Line(NamedTuple):
    """One curve: runs that reached the end, the cheapest first. NaN: has no meaning for this method, or was not timed."""

    criterion: str
    variant: str
    integrator: str
    error: np.ndarray
    forces: np.ndarray
    seconds: np.ndarray

    @property
    def peer(self) -> tuple[str, str, str]:
        """Which of `PEERS`, if it is one."""
        return (self.criterion, self.integrator, self.variant)

    @property
    def learned(self) -> bool:
        """A trained network."""
        return self.criterion.partition(":")[0] == "learned"


def draw_curves(results: Results, folder: Path) -> list[Path]:
    """`curves-PROBLEM` for each problem and `curves-summary`, as SVG and PNG."""
    lines = lines_of(results.records)
    if not lines:
        raise UserError(f"these are results of the study {results.study!r} without a single curve to draw.")
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {f"curves-{name}": problem_figure(name, own) for name, own in lines.items()}
    pictures["curves-summary"] = summary_figure(lines)
    return [path for name, figure in pictures.items() for path in _written(figure, folder / name)]


def _written(figure: Figure, path: Path) -> list[Path]:
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    found = [path.with_name(path.name + end) for end in (".svg", ".png")]
    for place, content in zip(found, (svg.getvalue(), png_bytes(figure, 1.5)), strict=True):
        write_atomically(place, content)
    return found


def lines_of(records: Iterable[Record]) -> dict[str, list[Line]]:
    """By problem, in the order in which they were measured."""
    grouped: dict[str, dict[tuple[str, str, str], list[Record]]] = {}
    for r in records:
        if r.study == "curves" and r.errors and r.errors[0] is not None:
            grouped.setdefault(r.family, {}).setdefault((r.criterion, r.variant, r.integrator), []).append(r)
    return {problem: [_line(who, points) for who, points in curves.items()] for problem, curves in grouped.items()}


def _line(who: tuple[str, str, str], points: list[Record]) -> Line:
    columns = [[r.errors[0] if r.errors else None, r.forces, r.wall_time] for r in points]
    error, forces, seconds = np.array(columns, dtype=float).T
    return Line(*who, np.maximum(error, FLOOR), forces, seconds)


# ---- one problem -----------------------------------------------------------------------------------------------------
def problem_figure(problem: str, lines: Sequence[Line]) -> Figure:
    """A row for each integrator with all rules; error against force evaluations, and against time."""
    ours = [line for line in lines if line.peer not in PEERS]
    peers = [line for line in lines if line.peer in PEERS]
    rows = list(dict.fromkeys(line.integrator for line in ours)) or ["others"]
    figure, axes = _panels(len(rows), 235, f"{problem}: what an energy error costs, rule by rule")
    for row, integrator in zip(axes, rows, strict=True):
        near = NEAR.get(integrator, ())
        beside = [p for p in peers if p.peer in EVERYWHERE or p.integrator in near or not ours]
        shown = [line for line in ours if line.integrator == integrator]
        for ax, (measure, _) in zip(row, MEASURES, strict=True):
            for line in [*beside, *sorted(shown, key=lambda line: line.learned)]:
                _draw(ax, line, measure, _rule_style(line, ours))
        row[0].set_title(integrator, color=INK, fontsize=12, loc="left", fontweight="bold")
    _scale(axes, lines)
    rules = [k for k in RULES if any(line.criterion == k for line in ours)]
    rules = [*dict.fromkeys([line.criterion for line in ours if line.learned]), *rules]
    rules += [k for k in dict.fromkeys(line.criterion for line in ours) if k not in rules]
    variants = [v for v in VARIANTS if any(line.variant == v for line in ours)]
    entries: list[tuple[str, dict[str, Any]]] = [("rule", {})] if rules else []
    entries += [(rule, {"color": _colour(rule, ours), "linewidth": 2.4}) for rule in rules]
    entries += [(v, {"color": INK, "linestyle": VARIANTS[v], "linewidth": 1.5}) for v in variants]
    _legend(figure, entries + _peer_entries(peers))
    return figure


def _rule_style(line: Line, ours: Sequence[Line]) -> dict[str, Any]:
    if line.peer in PEERS:
        return _peer_style(line)
    width = 2.6 if line.learned else 1.4
    style = {"color": _colour(line.criterion, ours), "linestyle": VARIANTS.get(line.variant, "-"), "linewidth": width}
    return {**style, "zorder": 5 if line.learned else 3}


def _colour(rule: str, ours: Sequence[Line]) -> str:
    networks = list(dict.fromkeys(line.criterion for line in ours if line.learned))
    return LEARNED[networks.index(rule) % len(LEARNED)] if rule in networks else RULES.get(rule, OTHERS)


# ---- all problems ----------------------------------------------------------------------------------------------------
def summary_figure(lines: dict[str, list[Line]]) -> Figure:
    """A row for each problem: of each integrator the best that any classical rule does, the learned steps, the peers."""
    figure, axes = _panels(len(lines), 260, "The best classical rule under each integrator, and other codes")
    found: dict[str, dict[str, Any]] = {}
    peers: dict[tuple[str, str, str], Line] = {}
    for row, (problem, own) in zip(axes, lines.items(), strict=True):
        classical = [line for line in own if line.peer not in PEERS and not line.learned]
        networks = [line for line in own if line.learned]
        others = [line for line in own if line.peer in PEERS]
        peers |= {line.peer: line for line in others}
        for ax, (measure, _) in zip(row, MEASURES, strict=True):
            for line in others:
                _draw(ax, line, measure, _peer_style(line))
            for integrator in dict.fromkeys(line.integrator for line in classical):
                found[integrator] = {"color": INTEGRATORS.get(integrator, OTHERS), "linewidth": 1.8, "zorder": 4}
                ax.plot(*envelope([c for c in classical if c.integrator == integrator], measure), **found[integrator])
            for name in dict.fromkeys(line.criterion for line in networks):
                found[name] = {"color": _colour(name, networks), "linewidth": 2.8, "zorder": 5}
                ax.plot(*envelope([n for n in networks if n.criterion == name], measure), **found[name])
        row[0].set_title(plain(problem), color=INK, fontsize=12, loc="left", fontweight="bold")
    _scale(axes, [line for own in lines.values() for line in own], own_rows=list(lines.values()))
    names = sorted(found, key=lambda name: (name in INTEGRATORS, [*INTEGRATORS, name].index(name)))
    entries: list[tuple[str, dict[str, Any]]] = [("integrator", {})] if names else []
    _legend(figure, entries + [(name, found[name]) for name in names] + _peer_entries(list(peers.values())))
    return figure


def envelope(lines: Sequence[Line], measure: str) -> tuple[np.ndarray, np.ndarray]:
    """(cost, error) of the runs that no other run of these lines beats in both."""
    cost = np.concatenate([getattr(line, measure) for line in lines])
    error = np.concatenate([line.error for line in lines])
    order = np.lexsort((error, cost))
    order = order[np.isfinite(cost[order])]
    least = np.minimum.accumulate(np.concatenate([[np.inf], error[order]]))
    best = order[error[order] < least[:-1]]
    return cost[best], error[best]


# ---- both ------------------------------------------------------------------------------------------------------------
def _panels(rows: int, height: int, title: str) -> tuple[Figure, np.ndarray]:
    width, whole, right = 1250, 110 + height * rows, 1030
    figure = new_figure(width, whole)
    axes = figure.subplots(rows, 2, squeeze=False)
    figure.subplots_adjust(left=75 / width, right=right / width, top=1 - 68 / whole, bottom=52 / whole, hspace=0.2, wspace=0.09)
    figure.text(75 / width, 1 - 26 / whole, plain(title), color=INK, fontsize=15, fontweight="bold", va="center")
    for k, row in enumerate(axes):
        for ax, (_, label) in zip(row, MEASURES, strict=True):
            clean_axes(ax, label if k == rows - 1 else "", "largest energy error" if ax is row[0] else "")
    return figure, axes


def _draw(ax: Any, line: Line, measure: str, style: dict[str, Any]) -> None:
    cost = getattr(line, measure)
    rows = np.isfinite(cost)
    ax.plot(cost[rows], line.error[rows], **style)


def _peer_style(line: Line) -> dict[str, Any]:
    _, colour, marker = PEERS[line.peer]
    return {"color": colour, "marker": marker, "markersize": 4.5, "linewidth": 0.9, "zorder": 2}


def _scale(axes: np.ndarray, lines: Sequence[Line], own_rows: Sequence[Sequence[Line]] | None = None) -> None:
    """The same scales in all panels of a column; of `own_rows` each has its own."""
    for k, row in enumerate(axes):
        own = lines if own_rows is None else own_rows[k]
        for ax, (measure, _) in zip(row, MEASURES, strict=True):
            log_axis(ax, "x", *log_range(*(getattr(line, measure)[line.error <= WORST] for line in own)))
            low, high = log_range(*(line.error for line in own))
            log_axis(ax, "y", low, min(high, WORST))
            inner = k < len(axes) - 1 and own_rows is None
            ax.tick_params(labelbottom=not inner, labelleft=ax is row[0])


def _peer_entries(peers: Sequence[Line]) -> list[tuple[str, dict[str, Any]]]:
    there = {line.peer: _peer_style(line) for line in peers}
    entries = [(PEERS[peer][0], there[peer]) for peer in PEERS if peer in there]
    return [("", {}), ("other codes", {}), *entries] if entries else []


def _legend(figure: Figure, entries: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """To the right of all panels; an entry without a style is a heading."""
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
