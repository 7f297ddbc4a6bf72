"""The progress bar in a notebook: a bar in HTML that is replaced as the run goes on.

rich shows none there without ipywidgets, and with them a widget that is gone when the notebook is opened again.
"""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

from ..html import progress

EVERY = 0.2  # seconds between two pictures: each is a message to the browser


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class NotebookBar:
    """A bar below the cell; it is empty when the run has ended."""

    def __init__(self, words: str) -> None:
        self._display: Any = importlib.import_module("IPython.display")
        self._words, self._handle, self._shown = words, None, -EVERY

    def start(self) -> None:
        """Show the bar."""
        self._handle = self._display.display(self._picture(self._words, None), display_id=True)

    def show(self, share: float, words: str) -> None:
        """Show how much is done, from 0 to 1, and words beside it."""
        now = time.monotonic()
        if self._handle is not None and now - self._shown >= EVERY:
            self._shown = now
            self._handle.update(self._picture(words, share))

    def stop(self) -> None:
        """Take the bar away."""
        if self._handle is not None:
            self._handle.update(self._display.HTML(""))
            self._handle = None

    def _picture(self, words: str, share: float | None) -> Any:
        return self._display.HTML(progress(words, share))
