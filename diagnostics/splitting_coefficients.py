"""Coefficients of splittings for y'' = f(y): published digits, polished on the order conditions.

    python diagnostics/splitting_coefficients.py [--only NAME ...]

Prints the free kicks b and drifts a of each splitting with 25 digits, how far the published digits are from them, and by how
much the doubles miss the conditions of the order and of the next one (order_conditions.py). The rest to 1 is in the middle.
"""

from __future__ import annotations

import argparse
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from aitimestepper.integrators import SPLITTINGS
from order_conditions import Half, polished, residuals


class Published(NamedTuple):
    """A splitting as its authors printed it."""

    order: int
    half: Half
    source: str


def _digits(text: str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, text.split()))


PUBLISHED = {
    "blanes_moan4": Published(
        4,
        Half(
            _digits("0.0829844064174052 0.396309801498368 -0.0390563049223486"),
            _digits("0.245298957184271 0.604872665711080"),
        ),
        "Blanes & Moan 2002, SRKN 6b",
    ),
    "blanes_moan6": Published(
        6,
        Half(
            _digits("0.0414649985182624 0.198128671918067 -0.0400061921041533 0.0752539843015807 -0.0115113874206879"),
            _digits("0.123229775946271 0.290553797799558 -0.127049212625417 -0.246331761062075 0.357208872795928"),
        ),
        "Blanes & Moan 2002, SRKN 11b",
    ),
    "blanes_moan6_14": Published(
        6,
        Half(
            _digits(
                "0.09171915262446165 0.183983170005006 -0.05653436583288827 0.004914688774712854 0.143761127168358 "
                "0.328567693746804"
            ),
            _digits(
                "0.0378593198406116 0.102635633102435 -0.0258678882665587 0.314241403071447 -0.130144459517415 "
                "0.106417700369543 -0.00879424312851058"
            ),
            drift_first=True,
        ),
        "Blanes & Moan 2002, SRKN 14a",
    ),
    "blanes_casas8": Published(
        8,
        Half(
            _digits(
                "0.0514196142537210073343152693459 0.250497030318342871458417941091 0.512412268300327350035492806653 "
                "-0.231597138650894401279645184364 0.116091323536875759881216298975 -0.0098365173246965763985763034283 "
                "-0.108032771466281638634277563747 0.249039864198023642002940910070"
            ),
            _digits(
                "0.160227696073839513690970240076 0.306354507436867319879440957100 0.308395508895171191756544975556 "
                "0.120362086566233408450063177659 -0.622888687549183872072186218718 0.635560951632990078378672016548 "
                "-0.144226974795419229640437363913 -0.284867527074173816678992817545"
            ),
        ),
        "Blanes, Casas & Escorihuela-Tomas 2022, 17 stages",
    ),
}


def worst(kicks: tuple[float, ...], drifts: tuple[float, ...], order: int) -> float:
    """Return the largest residual of the conditions up to an order, of doubles, without rounding."""
    return float(max(map(abs, residuals([*map(Fraction, kicks)], [*map(Fraction, drifts)], order))))


def report(name: str, published: Published) -> str:
    """Return digits and residuals of a splitting as lines."""
    found = polished(published.half, published.order)
    pairs = [(new, old) for k in (0, 1) for new, old in zip(found[k], published.half[k], strict=True)]
    moved = max(abs(new - old) for new, old in pairs)
    lines = [f"{name}: order {published.order}, {published.source}; published digits moved by up to {moved:.1e}"]
    for letter, values in (("b", found.kicks), ("a", found.drifts)):
        lines += [f"  {letter}{k} = {value:+.25f}" for k, value in enumerate(values, 1)]
    kicks, drifts = (tuple(map(float, values)) for values in found.splitting())
    if name in SPLITTINGS:
        kicks, drifts = SPLITTINGS[name].kicks, SPLITTINGS[name].drifts
    whose = "of integrators.py" if name in SPLITTINGS else "of these digits"
    misses = (worst(kicks, drifts, published.order + extra) for extra in (0, 1))
    return "\n".join([*lines, "  doubles {} miss the conditions by {:.1e}, of the next order by {:.1e}".format(whose, *misses)])


def main() -> None:
    """Print the coefficients of the splittings asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PUBLISHED, default=list(PUBLISHED))
    for name in parser.parse_args().only:
        print(report(name, PUBLISHED[name]), flush=True)


if __name__ == "__main__":
    main()
