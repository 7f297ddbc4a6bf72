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
from numba.core.ccallback import CFunc
from numba.core.codegen import CPUCodeLibrary, JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.sigutils import normalize_signature
from numba.extending import overload

from .cache_folder import keep_private
from .lanes import fma

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


# ---- compilation of parts, and of the whole ------------------------------------------------------------------------------
class _PartLibrary(CPUCodeLibrary):
    """The code of a function that only other kernels call: it is not optimized by itself, nor made executable.

    numba does both for every function, each with copies of all that it calls: of 300 s that a kernel of 200 functions took to
    compile, 17 s were needed.
    """

    def finalize(self) -> None:
        """Leave the code as it is."""
        self._finalized = True

    def own_module(self) -> Any:
        """Return the code of this function alone, in the form that can be linked several times."""
        return super()._get_module_for_linking()

    def _get_module_for_linking(self) -> Any:
        whole = self.own_module().clone()
        for library in _all_linked(self):
            whole.link_in(_own_module(library), preserve=True)
        return whole


def _own_module(library: Any) -> Any:
    return library.own_module() if isinstance(library, _PartLibrary) else library._get_module_for_linking()


def _all_linked(library: Any) -> list[Any]:
    """Return all libraries that a library needs, directly or not."""
    found: dict[Any, None] = {}
    pending = list(library._linking_libraries)
    while pending:
        one = pending.pop(0)
        if one not in found:
            found[one] = None
            pending += one._linking_libraries if isinstance(one, _PartLibrary) else []
    return list(found)


class _ApartLibrary(_PartLibrary):
    """The code of a function that is not copied to where it is called, so that it is the same everywhere."""

    def add_ir_module(self, ir_module: Any) -> None:
        """Add the code of the function, marked."""
        for function in ir_module.functions:
            if not function.is_declaration:
                function.attributes.add("noinline")
        super().add_ir_module(ir_module)


class _Part(Compiler):
    """Compiler of a function that only other kernels call."""

    library: Any = _PartLibrary

    def define_pipelines(self) -> Any:
        """Return the usual pipelines, for a library that stays a part."""
        self.state.flags.no_compile = True
        self.state.library = _library_of(self.state, self.library)
        return super().define_pipelines()

    def _compile_core(self) -> Any:
        # numba tells functions apart by what Python would call; nobody calls it
        made = super()._compile_core()._replace(entry_point=[].append)
        self.state.targetctx.insert_user_function(made.entry_point, made.fndesc, [made.library])
        return made


class _Apart(_Part):
    """Compiler of a function that stays apart."""

    library = _ApartLibrary


class _WholeLibrary(JITCodeLibrary):
    """The code of an entry point, with private copies of all functions that it calls.

    numba's copies are weak symbols. The process that compiles them links to earlier separately compiled versions, while later
    processes, which load the function from disk, have only the copies. Both are correct, but a sum of 13 bodies differed by
    5e-17. A private copy may have another calling convention and is still found by its name, so it gets a unique name: without
    one, the next function compiled called the copy as if it were the original, and crashed.
    """

    owner = ""

    def finalize(self) -> None:
        """Link all parts in, and make the code executable."""
        for library in _all_linked(self):
            if hasattr(library, "_reload_init"):  # what a process does that loads the code, since numba 0.62 or so
                self._reload_init.update(library._reload_init)
            self._final_module.link_in(_own_module(library), preserve=True)
        self._linking_libraries = []
        super().finalize()

    def _optimize_final_module(self) -> None:
        for copied in self._final_module.functions:
            if not copied.is_declaration and copied.linkage.name == "linkonce_odr":
                copied.linkage, copied.name = "internal", f"{copied.name}.{self.owner}"
        super()._optimize_final_module()


class _Whole(Compiler):
    """Compiler of an entry point."""

    def define_pipelines(self) -> Any:
        """Return the usual pipelines, for a library that holds everything that it calls."""
        library = _library_of(self.state, _WholeLibrary)
        library.enable_object_caching()
        library.owner = hashlib.sha1(f"{self.state.func_id.unique_name}{self.state.args}".encode()).hexdigest()
        self.state.library = library
        return super().define_pipelines()


def _library_of(state: Any, kind: Any) -> Any:
    return kind(state.targetctx.codegen(), state.func_id.func_qualname)


# Without wrappers for calls from Python, which take half of the compilation time. What is not said here a function takes over
# from the one that calls it first.
_INNER: dict[str, Any] = {
    **_COMMON,
    "fastmath": False,
    "forceinline": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "pipeline_class": _Part,
}


def reassociated(function: Callable[..., Any]) -> Any:
    """Compile a function whose sums the compiler may reorder."""
    return numba.njit(**{**_INNER, "fastmath": REASSOCIATE})(function)


def strict(function: Callable[..., Any]) -> Any:
    """Compile a function whose order of operations matters, such as a compensated sum or a decision."""
    return numba.njit(**_INNER)(function)


def reassociated_apart(function: Callable[..., Any]) -> Any:
    """Compile a function like `reassociated`, whose sums have the same order wherever it is called from."""
    return numba.njit(**{**_INNER, "fastmath": REASSOCIATE, "pipeline_class": _Apart})(function)


def strict_apart(function: Callable[..., Any]) -> Any:
    """Compile a function like `strict` once, not into its callers: what few runs need would lengthen each compilation."""
    return numba.njit(**{**_INNER, "pipeline_class": _Apart})(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function like `strict` and inline it: a call costs a tenth of a step of two bodies."""
    return numba.njit(**{**_INNER, "forceinline": True})(function)


def by_width(one: Any, several: Any, alone: Any = None) -> Any:
    """Return a function that is `one` for one system at a time, and `several` for lanes; its first argument is a `SystemView`.

    `alone` is for a single lane, where that has a faster way to the same bits.
    """

    def chosen(*arguments: Any) -> Any:
        raise NotImplementedError

    def implementation(*arguments: Any) -> Any:
        lanes = arguments[0].types[3]  # SystemView.lanes
        side_by_side = isinstance(lanes, types.UniTuple)
        of_lanes = alone if alone is not None and side_by_side and len(lanes) == 1 else several
        function = of_lanes if side_by_side else one

        def call(*arguments: Any) -> Any:
            return function(*arguments)

        return call

    overload(chosen, jit_options={**_INNER, "forceinline": True})(implementation)
    return chosen


@inlined
def nothing(*arguments: Any) -> None:
    """Do nothing: what `by_width` takes where one system or lanes need no such thing."""


def over_pairs(function: Callable[..., Any]) -> Any:
    """Compile a loop over pairs: reassociated for one system, in the order of the source for systems side by side.

    Every lane then has the same bits, whatever the width; of one system the loop over its bodies is vectorized.
    """
    return by_width(reassociated(function), strict(function))


def _sum_of_one(w: Any, total: Any, x: Any, y: Any) -> Any:
    return total + x * y


@inlined
def _sum_of_lanes(w: Any, total: Any, x: Any, y: Any) -> Any:
    return fma(x, y, total)


# total + x y in a loop over pairs: of lanes rounded once, of one system as a sum that the compiler vectorizes (it does not
# vectorize a sum of fused products: the inputs of a network took 1.5 times as long for 256 bodies)
add_product = by_width(numba.njit(**{**_INNER, "fastmath": REASSOCIATE, "forceinline": True})(_sum_of_one), _sum_of_lanes)


def parallel(function: Callable[..., Any]) -> Any:
    """Compile a function whose loop over independent parts of one system runs on several threads."""
    return numba.njit(parallel=True, **_COMMON)(function)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, cached on disk.

    The cache is beside the package, or in the user's own if that is read-only, or if others can write to it.
    """
    try:
        made = numba.njit(cache=True, no_cfunc_wrapper=True, pipeline_class=_Whole, **_COMMON)(function)
        keep_private(made._cache, function)
        made._cache._cache_file._source_stamp = _stamp()
        return made
    except (RuntimeError, AttributeError):  # no writable folder, or another numba: compile in every process
        return numba.njit(no_cfunc_wrapper=True, **_COMMON)(function)


def _stamp(*more: Path) -> tuple[Any, ...]:
    """Return what changes whenever a file changes that is compiled into entry points, or one of `more`."""
    files = [file.stat() for file in (*Path(__file__).parent.glob("*.py"), *COPIED_FROM, *more)]
    newest = max((file.st_mtime, file.st_size) for file in files)
    return (*newest, sum(file.st_size for file in files))


def c_callback(signature: Any, function: Callable[..., Any], files: list[Path], constants: Any) -> Any:
    """Compile a function that C code calls, cached on disk as entry points are.

    files: those besides the kernels' that are compiled into it. constants: values from elsewhere that are compiled into it.
    """
    normal = normalize_signature(signature)
    options = {"error_model": "numpy"}
    try:
        made = CFunc(function, normal, {}, options, pipeline_class=_Whole)
        made.enable_caching()
        keep_private(made._cache, function)
        made._cache._cache_file._source_stamp = (*_stamp(*files), constants)
    except (RuntimeError, AttributeError):
        made = CFunc(function, normal, {}, options)
    made.compile()
    return made
