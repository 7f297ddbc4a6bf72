"""Reading a page of the explorer as its program does, and the runs that the tests look at."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from aitimestepper import Bodies, simulate
from aitimestepper.initial import named

HOSTILE = '</script><script>alert("1")</script>', "<img src=x onerror=alert(2)>", "@SCRIPT@ & \u2028 'quoted'"
KINDS = {"time": "<f8", "dt": "<f8", "error": "<f8", "steps": "<f8", "near": "<f8", "row": "<u4", "drawn": "<u4",
         "position": "<f4", "velocity": "<f4"}  # fmt: skip


class Elements(HTMLParser):
    """The elements of a page, each (tag, attributes), and the texts of its scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.inside = tag
        if tag in self.texts:
            self.texts[tag].append("")

    def handle_data(self, data: str) -> None:
        if self.found and self.inside in self.texts:
            self.texts[self.inside][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""


def data_of(page: Path) -> dict[str, Any]:
    """Return the data in a page, with columns as arrays."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.S)
    data = json.loads(text)
    for run in data["runs"]:
        for name, kind in KINDS.items():
            run[name] = np.frombuffer(base64.b64decode(run[name]), kind)
        for name in ("position", "velocity"):
            run[name] = run[name].reshape(len(run["drawn"]), -1, 3)
    return dict(data)


def triple_file(path: Path, t_end: float = 60.0, names: tuple[str, ...] | None = None, **more: Any) -> Path:
    """Simulate a hierarchical triple with a row at every step."""
    ic = named.triple()
    bodies = Bodies(ic.mass, ic.position, ic.velocity, names=names)
    how = {"criterion": "freefall:eta=0.02", "integrator": "leapfrog", **more}
    simulate(bodies, t_end=t_end, output=path, output_steps=1, warn=False, **how)
    return path


def training_folder(folder: Path) -> Path:
    """Write a training as judge `step` leaves it, without having trained."""
    from aitimestepper.config import Config
    from aitimestepper.models import save_model, shipped

    folder.mkdir(parents=True)
    save_model(folder / "model_epoch_0003.npz", shipped("leapfrog"))
    (folder / "config.toml").write_text(f"epochs = {Config().epochs}\n")
    lines = [
        {
            "epoch": k,
            "part1/mean_energy_error": 1e-5 / k,
            "part1/acceptance_rate": 1 - 0.1 / k,
            "part2/converged": True,
            "epoch_time": 0.5,
        }
        for k in (1, 2, 3)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
