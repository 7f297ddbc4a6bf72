"""Ensembles on many machines: every chunk is a task of Dask, and this process alone writes what comes back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from .._version import __version__
from ..errors import ConfigError, UserError, require, shown
from .settings import Settings
from .work import Done, Task, done

EXTRA = "cluster"
PATIENCE = 10  # seconds in which a scheduler has to answer
WAITING = 2  # tasks for every thread of the cluster: one that it runs, and one that waits


class Answer(NamedTuple):
    """What a worker sends back."""

    version: str  # of this program
    done: Done | None
    error: UserError | None


def all_done(tasks: Iterator[Task], settings: Settings, threads: int | None, client: Any) -> Iterator[Done]:
    """Yield the rows of every chunk, as the workers finish them; a worker that is lost costs its own tasks alone."""
    distributed = require("dask.distributed", EXTRA, "ensemble(..., client=...)")
    with _connected(distributed, client) as dask:
        _refuse_other_versions(_versions(dask))
        most = max(1, WAITING * sum(dask.nthreads().values()))
        running = distributed.as_completed(loop=dask.loop)
        try:
            for task in _some(tasks, most):
                running.add(_submitted(dask, task, settings, threads))
            for future in running:
                yield _answered(future, distributed)
                future.release()
                for task in _some(tasks, 1):
                    running.add(_submitted(dask, task, settings, threads))
        finally:
            dask.cancel([*running.futures])


def answer(task: Task, settings: Settings, threads: int) -> Answer:
    """Run a chunk on a worker. A mistake of the user's is sent back; Dask itself runs again what a lost worker had."""
    try:
        return Answer(__version__, done(task, settings, threads), None)
    except UserError as error:
        return Answer(__version__, None, error)


def _submitted(client: Any, task: Task, settings: Settings, threads: int | None) -> Any:
    if task.source is not None and not task.source.portable:
        task = task._replace(source=None, chunk=task.made())
    return client.submit(answer, task, settings, threads or 1, pure=False)


def _some(tasks: Iterator[Task], count: int) -> Iterator[Task]:
    """Yield the next tasks, at most so many."""
    for _, task in zip(range(count), tasks, strict=False):
        yield task


def _answered(future: Any, distributed: Any) -> Done:
    """Return what a task found, or raise one sentence about what went wrong on its worker."""
    try:
        found: Answer = future.result()
    except distributed.KilledWorker as error:
        raise ConfigError(f"several workers were lost with the same systems: {error}.") from None
    except Exception as error:  # whatever happened on another machine
        raise ConfigError(f"a worker ended with {type(error).__name__}: {error}.") from error
    _refuse_other_versions({"that ran a chunk": found.version})
    if found.error is not None:
        raise found.error
    assert found.done is not None
    return found.done


@contextlib.contextmanager
def _connected(distributed: Any, client: Any) -> Iterator[Any]:
    """Yield a client, that of the user or one for the scheduler at an address."""
    if isinstance(client, distributed.Client):
        yield client
        return
    if not isinstance(client, str):
        raise ConfigError(f"client = {shown(client)} must be a client of Dask, or the address of a scheduler.")
    try:
        made = distributed.Client(client, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        words = str(error).partition("\n")[0]
        raise ConfigError(f"no scheduler of Dask answers at {shown(client)}: {words}.") from None
    with made:
        yield made


def _versions(client: Any) -> dict[str, str]:
    """Return the version of this program on every worker, by its address."""
    try:
        found = client.run(_version_here)
    except Exception as error:  # whatever happens on another machine that lacks the program
        raise ConfigError(
            f"the workers cannot run aitimestepper ({type(error).__name__}: {error}): install the same version there."
        ) from None
    if not found:
        raise ConfigError("the scheduler has no workers: start some, with `dask worker ADDRESS` or a job of the cluster.")
    return dict(found)


def _version_here() -> str:
    """Return the version on a worker."""
    return __version__


def _refuse_other_versions(found: dict[str, str]) -> None:
    for worker, version in found.items():
        if version != __version__:
            raise ConfigError(
                f"the worker {worker} has version {shown(version)} of aitimestepper, this is {__version__}: install the same "
                "everywhere, for the numbers may differ in the last bits."
            )
