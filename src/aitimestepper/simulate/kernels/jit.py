"""Decorators that compile the kernels, and a cache on disk that works wherever the package is installed.

Only entry points are cached; the functions that they call are compiled into them. numba checks only the file of the cached
function for changes. The stamp of an entry point is therefore that of the newest of all kernel files and of the two modules
that kernels take constants from.

Two rules hold for loops over bodies, both measured at N = 1000. Indices are unsigned (`np.uint64`): a signed index may count
from the end, and the test for that keeps the loop from being vectorized (7.9 ns a pair instead of 1.0). Divisions follow
numpy's rules (`error_model`): Python's check for a zero divisor also prevents vectorization.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import types
from numba.core.compiler import Compiler
from numba.extending import intrinsic

# flag by flag: full fast-math would also let the compiler assume that there is no NaN, and NaN must be detected here
REASSOCIATE = {"reassoc", "contract", "arcp", "nsz"}


# OpenMP threads are shared with torch: a run on two of them changed torch's number of threads permanently, and on a busy
# machine they wait for each other 10 times as long as they compute. A layer that the user chose stays as it is.
if numba.config.THREADING_LAYER == "default":
    numba.config.THREADING_LAYER = "workqueue"


# modules whose constants are compiled into the kernels
COPIED_FROM = [Path(__file__).parents[2] / name for name in ("constants.py", "integrators.py")]


def use_threads(count: int) -> None:
    """Allow at most `count` threads in the loops of `parallel` functions that this Python thread calls."""
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))


_COMMON: dict[str, Any] = {"error_model": "numpy", "nogil": True}
# without wrappers for calls from Python, which take half of the compilation time
_INNER: dict[str, Any] = {**_COMMON, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _pointer(typing_context: Any, array: Any, row: Any) -> Any:
    """Return a pointer to row `row` of a contiguous array; kernels pass pointers to each other instead of arrays.

    An array is seven words, and every function that receives one counts references to it atomically: a step of two bodies took
    750 ns with arrays. The caller keeps the arrays alive.
    """
    element = types.CPointer(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = context.make_array(signature.args[0])(context, builder, arguments[0])
        offset = builder.mul(arguments[1], builder.extract_value(made.strides, 0))
        address = builder.add(builder.ptrtoint(made.data, offset.type), offset)
        return builder.inttoptr(address, context.get_value_type(element))

    return element(array, types.intp), generate


pointer: Any = intrinsic(_pointer)


def reassociated(function: Callable[..., Any]) -> Any:
    """Compile a function whose sums the compiler may reorder."""
    return numba.njit(fastmath=REASSOCIATE, **_INNER)(function)


def strict(function: Callable[..., Any]) -> Any:
    """Compile a function whose order of operations matters, such as a compensated sum or a decision."""
    return numba.njit(**_INNER)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function like `strict` and inline it: a call costs a tenth of a step of two bodies."""
    return numba.njit(forceinline=True, **_INNER)(function)


def inline_fma(function: Callable[..., Any]) -> Any:
    """Compile a function and inline it; a product and a sum may become one instruction."""
    return numba.njit(forceinline=True, fastmath={"contract"}, **_INNER)(function)


def parallel(function: Callable[..., Any]) -> Any:
    """Compile a function whose loop over independent parts of one system runs on several threads."""
    return numba.njit(parallel=True, error_model="numpy", nogil=True)(function)


class _Whole(Compiler):
    """Compiler of a function with private copies of the functions that it calls, also in the process that compiles it.

    numba's copies are weak symbols. The process that compiles them links to earlier separately compiled versions, while later
    processes, which load the function from disk, have only the copies. Both are correct, but a sum of 13 bodies differed by
    5e-17. A private copy may have another calling convention and is still found by its name, so it gets a unique name: without
    one, the next function compiled called the copy as if it were the original, and crashed.
    """

    def define_pipelines(self) -> Any:
        """Return the usual pipelines, for a library whose copies are made private before optimization."""
        library = self.state.targetctx.codegen().create_library(self.state.func_id.func_qualname)
        library.enable_object_caching()
        owner = hashlib.sha1(f"{self.state.func_id.unique_name}{self.state.args}".encode()).hexdigest()
        optimize = library._optimize_final_module

        def optimize_alone() -> None:
            for copied in library._final_module.functions:
                if not copied.is_declaration and copied.linkage.name == "linkonce_odr":
                    copied.linkage, copied.name = "internal", f"{copied.name}.{owner}"
            optimize()

        library._optimize_final_module = optimize_alone
        self.state.library = library
        return super().define_pipelines()


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, cached on disk: beside the package, or in the user's cache if it is read-only."""
    try:
        made = numba.njit(cache=True, no_cfunc_wrapper=True, pipeline_class=_Whole, **_COMMON)(function)
        files = [file.stat() for file in (*Path(__file__).parent.glob("*.py"), *COPIED_FROM)]
        newest = max((file.st_mtime, file.st_size) for file in files)
        made._cache._cache_file._source_stamp = (*newest, sum(file.st_size for file in files))
        return made
    except (RuntimeError, AttributeError):  # no writable folder, or another numba: compile in every process
        return numba.njit(no_cfunc_wrapper=True, **_COMMON)(function)
