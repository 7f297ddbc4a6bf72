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

numba_lock = threading.Lock()  # numba's threads work on one system at a time


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chosen_threads(threads: int | None) -> int:
    """Return the number of threads that a run may use: `threads`, or if it is None one for each core."""
    if threads is None:
        return available_cores()
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        raise ConfigError(f"threads = {threads!r} must be a whole number, 1 or more.")
    return int(threads)


@contextmanager
def workers(threads: int) -> Iterator[ThreadPoolExecutor | None]:
    """Yield a pool of threads for the systems of a batch, or None for one thread; kernels release Python's lock."""
    if threads <= 1:
        yield None
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C sets; a second Ctrl-C raises `KeyboardInterrupt`. Outside the main thread it is never set."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def set_interrupted(number: int, frame: Any) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, set_interrupted)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
