"""The state of the compiled kernels on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import llvmlite.binding as llvm  # type: ignore[import-untyped]

from .cache_folder import is_private
from .run import advance, advance_lanes


class KernelCache(NamedTuple):
    """Where compiled kernels are kept between processes, and whether they are there."""

    folder: Path | None  # None: nowhere, so that every process compiles
    compiled: int  # kernels that a run loads instead of compiling
    writable: bool
    private: bool  # only its owner, who is this user, may write to it: what is loaded from there runs as code


def kernel_cache() -> KernelCache:
    """Return the state of the cache of this process."""
    folder = getattr(getattr(advance, "_cache", None), "_cache_path", None)
    if folder is None:
        return KernelCache(None, 0, False, True)
    compiled = sum(len(kernel._cache._cache_file._load_index()) for kernel in (advance, advance_lanes))
    private = not os.path.isdir(folder) or is_private(folder)
    return KernelCache(Path(folder), compiled, os.access(folder, os.W_OK), private)


def processor() -> str:
    """Return the name that LLVM has for this processor."""
    return str(llvm.get_host_cpu_name())
