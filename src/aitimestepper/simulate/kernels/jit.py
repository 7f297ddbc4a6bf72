"""How kernels are compiled: six decorators, and a cache on disk that works wherever the package lies.

Only entry points are cached; what they call is compiled into them. numba checks the file of the function it caches, not
the files of what that calls, so the stamp of an entry point is the newest of all kernel files here, and of the two modules
that kernels take constants from.

Two rules for loops over bodies, both measured at N = 1000. Indices are unsigned (`np.uint64`): a signed one may count from
the end, and the test for that keeps the loop from being vectorized (7.9 ns a pair instead of 1.0). Divisions follow
numpy's rules (`error_model`): Python's check for zero does the same.
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

# flag by flag: all of fast-math would also let the compiler assume that there is no NaN, and NaN must be seen here
REASSOCIATE = {"reassoc", "contract", "arcp", "nsz"}


# OpenMP's threads are those that torch computes with: a run on two of them changed torch's number for good, and on a busy
# machine they wait for each other 10 times as long as they work. Who chose a layer of their own keeps it.
if numba.config.THREADING_LAYER == "default":
    numba.config.THREADING_LAYER = "workqueue"


COPIED_FROM = [Path(__file__).parents[2] / name for name in ("features.py", "integrators.py")]  # constants in the kernels


def use_threads(count: int) -> None:
    """Allow at most `count` threads for the loops of `parallel` functions, in this thread of Python."""
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))


_COMMON: dict[str, Any] = {"error_model": "numpy", "nogil": True}
# no wrappers to call from Python: they are half of the time to compile
_INNER: dict[str, Any] = {**_COMMON, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _pointer(typing_context: Any, array: Any, row: Any) -> Any:
    """Return where row `row` of a contiguous array begins: kernels hand each other pointers instead of arrays.

    An array is seven words, and its references are counted, atomically, by every function that is given it: a step of two
    bodies took 750 ns with arrays. The caller keeps the arrays alive.
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
    """Compile a function of sums that the compiler may regroup."""
    return numba.njit(fastmath=REASSOCIATE, **_INNER)(function)


def strict(function: Callable[..., Any]) -> Any:
    """Compile a function whose order of operations matters: compensated sums, decisions."""
    return numba.njit(**_INNER)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile strictly and always as a part of the caller: a call costs a tenth of a step of two bodies."""
    return numba.njit(forceinline=True, **_INNER)(function)


def inline_fma(function: Callable[..., Any]) -> Any:
    """Compile as a part of the caller; a product and a sum may become one instruction."""
    return numba.njit(forceinline=True, fastmath={"contract"}, **_INNER)(function)


def parallel(function: Callable[..., Any]) -> Any:
    """Compile loops over independent parts of one system for several threads."""
    return numba.njit(parallel=True, error_model="numpy", nogil=True)(function)


class _Whole(Compiler):
    """Compiles a function so that it calls its own copies of what it calls, in the process that compiles it too.

    numba's copies are weak symbols: that process takes those that came first, compiled for themselves, while later ones,
    which load the function from disk, have the copies alone. Both are right, but a sum of 13 bodies differed by 5e-17.
    A private copy may take its arguments in another way and is found by its name all the same, so it needs a name of its
    own: what was compiled next called it as if it were the original, and crashed.
    """

    def define_pipelines(self) -> Any:
        """Return the usual pipelines, for a library that makes its copies private before it is optimized."""
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
    """Compile a function that Python calls, cached on disk: beside the package, or in the user's cache if that is read-only."""
    try:
        made = numba.njit(cache=True, no_cfunc_wrapper=True, pipeline_class=_Whole, **_COMMON)(function)
        files = [file.stat() for file in (*Path(__file__).parent.glob("*.py"), *COPIED_FROM)]
        newest = max((file.st_mtime, file.st_size) for file in files)
        made._cache._cache_file._source_stamp = (*newest, sum(file.st_size for file in files))
        return made
    except (RuntimeError, AttributeError):  # no folder to write to, or another numba: compile anew in every process
        return numba.njit(no_cfunc_wrapper=True, **_COMMON)(function)
