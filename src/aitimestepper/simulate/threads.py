"""Threads for the systems of a batch, and Ctrl-C between turns."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import ConfigError

one_at_a_time = threading.Lock()  # numba's threads serve one system at a time


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chosen_threads(threads: int | None) -> int:
    """Return how many threads a run may use: those asked for, or one for each core."""
    if threads is None:
        return available_cores()
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        raise ConfigError(f"threads = {threads!r} must be a whole number, 1 or more.")
    return int(threads)


@contextmanager
def workers(threads: int) -> Iterator[ThreadPoolExecutor | None]:
    """Threads for the systems of a batch; the kernels let go of Python's lock."""
    if threads <= 1:
        yield None
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets; a second one is the usual `KeyboardInterrupt`. In other threads than the main one: never."""
    heard = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def hear(number: int, frame: Any) -> None:
        heard.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, hear)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def nothing() -> Iterator[None]:
    yield
