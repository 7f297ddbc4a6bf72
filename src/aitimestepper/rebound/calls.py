"""Calls from compiled code into REBOUND and the C library, and memory by its address."""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

import rebound

_WORD = ir.IntType(64)
KEPT_NAMES = ("leapfrog", "whfast", "ias15")

# REBOUND's library is loaded without making its names known to others: they are told to the linker of compiled code
for _name in (
    "reb_simulation_update_acceleration",
    "reb_simulation_error",
    *(f"reb_integrator_{kept}_{part}" for kept in KEPT_NAMES for part in ("create", "free", "step")),
    "reb_integrator_whfast_synchronize",
):
    llvm.add_symbol(_name, ctypes.cast(getattr(rebound.clibrebound, _name), ctypes.c_void_p).value)


def _emitter(name: str, arity: int, returns: bool) -> Any:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        made = ir.FunctionType(_WORD if returns else ir.VoidType(), [_WORD] * arity)
        result = builder.call(cgutils.get_or_insert_function(builder.module, made, name), values)
        return result if returns else context.get_dummy_value()

    return emit


def _of_none(name: str) -> Any:
    return intrinsic(lambda typing_context: (types.int64(), _emitter(name, 0, True)))


def _of_one(name: str) -> Any:
    return intrinsic(lambda typing_context, a: (types.void(types.int64), _emitter(name, 1, False)))


def _of_two(name: str, returns: bool = False) -> Any:
    kind = types.int64 if returns else types.void
    return intrinsic(lambda typing_context, a, b: (kind(types.int64, types.int64), _emitter(name, 2, returns)))


# ---- functions; addresses and sizes are int64 ----------------------------------------------------------------------------
calloc, release = _of_two("calloc", returns=True), _of_one("free")
update_acceleration = _of_one("reb_simulation_update_acceleration")
leapfrog_create, whfast_create, ias15_create = (_of_none(f"reb_integrator_{kept}_create") for kept in KEPT_NAMES)
leapfrog_free, whfast_free, ias15_free = (_of_one(f"reb_integrator_{kept}_free") for kept in KEPT_NAMES)
leapfrog_step, whfast_step, ias15_step = (_of_two(f"reb_integrator_{kept}_step") for kept in KEPT_NAMES)
whfast_synchronize = _of_two("reb_integrator_whfast_synchronize")


def complaint(sentence: str) -> Any:
    """Return a function of the address of a simulation that tells REBOUND of an error, which ends the run."""

    def typed(typing_context: Any, r: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            text = context.insert_const_string(builder.module, sentence)
            made = ir.FunctionType(ir.VoidType(), [_WORD, text.type])
            builder.call(cgutils.get_or_insert_function(builder.module, made, "reb_simulation_error"), [*values, text])
            return context.get_dummy_value()

        return types.void(types.int64), generate

    return intrinsic(typed)


# ---- memory ----------------------------------------------------------------------------------------------------------------
def _memory_of(dtype: Any) -> Any:
    def typed(typing_context: Any, address: Any) -> Any:
        kind = types.CPointer(dtype)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.inttoptr(values[0], context.get_value_type(kind))

        return kind(types.int64), generate

    return intrinsic(typed)


numbers_at, words_at, halves_at = _memory_of(types.float64), _memory_of(types.int64), _memory_of(types.int32)
