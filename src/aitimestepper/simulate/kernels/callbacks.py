"""Criteria, outer fields and forces that users wrote, called by address: without Python in between, and not compiled anew.

A criterion is `double f(int64 n, double t, const double* mass, const double* x, const double* v, const double* a,
double value)`: it returns the step for n bodies at time t. The arrays hold n masses, and 3 n positions, velocities and
accelerations, axis after axis (all x, all y, all z); `value` is the number of the criterion. In a run backward in time the
velocities are those of the reversed motion.

A field is `void f(int64 n, double t, const double* x, double* a, double* phi, double* rate)`: it writes accelerations (3 n),
potentials per unit mass (n), and the rates of change of these potentials with time at fixed places (n). A field that does not
change with time leaves the rates at zero.

A velocity-dependent force is `void f(int64 n, double t, const double* mass, const double* x, const double* v, double* a)`: it
writes accelerations (3 n).
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_POINTER = types.CPointer(types.float64)
CRITERION = types.float64(types.int64, types.float64, _POINTER, _POINTER, _POINTER, _POINTER, types.float64)
FIELD = types.void(types.int64, types.float64, _POINTER, _POINTER, _POINTER, _POINTER)
VELOCITY_FORCE = types.void(types.int64, types.float64, _POINTER, _POINTER, _POINTER, _POINTER)


def _call(context: Any, builder: Any, address: Any, returned: Any, arguments: list[Any]) -> Any:
    """Emit a call of the function at an address that is known only when the kernel runs."""
    kind = ir.FunctionType(returned, [a.type for a in arguments])
    return builder.call(builder.inttoptr(address, kind.as_pointer()), arguments)


def _call_criterion(
    typing_context: Any, address: Any, n: Any, t: Any, s: Any, m: Any, x: Any, v: Any, a: Any, value: Any
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, n, t, s, *places, value = arguments
        pointers = [builder.gep(s, [place]) for place in places]
        return _call(context, builder, address, ir.DoubleType(), [n, t, *pointers, value])

    return types.float64(
        types.int64, types.int64, types.float64, s, types.uint64, types.uint64, types.uint64, types.uint64, types.float64
    ), generate


def _call_field(typing_context: Any, address: Any, n: Any, t: Any, s: Any, x: Any, a: Any, phi: Any, rate: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, n, t, s, *places = arguments
        _call(context, builder, address, ir.VoidType(), [n, t, *(builder.gep(s, [place]) for place in places)])
        return context.get_dummy_value()

    return types.none(
        types.int64, types.int64, types.float64, s, types.uint64, types.uint64, types.uint64, types.uint64
    ), generate


call_criterion: Any = intrinsic(_call_criterion)
call_field: Any = intrinsic(_call_field)
call_velocity_force = call_field  # with masses, positions, velocities and accelerations in place of its four arrays


def criterion(function: Any) -> Any:
    """Compile a criterion, `f(n, t, mass, x, v, a, value) -> dt` with pointers, to a C function (numba)."""
    return numba.cfunc(CRITERION)(function)


def field(function: Any) -> Any:
    """Compile an outer field, `f(n, t, x, a, phi, rate)` with pointers, to a C function (numba)."""
    return numba.cfunc(FIELD)(function)


def velocity_force(function: Any) -> Any:
    """Compile a velocity-dependent force, `f(n, t, mass, x, v, a)` with pointers, to a C function (numba)."""
    return numba.cfunc(VELOCITY_FORCE)(function)
