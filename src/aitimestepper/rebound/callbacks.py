"""The functions that REBOUND calls, compiled once and cached on disk, and the registration of our integrators with REBOUND."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numba import types
from rebound.binarydata_field_descriptor import BinarydataFieldDescriptor, BinarydataFieldDescriptorList
from rebound.integrator import Integrator

import rebound

from ..simulate.kernels.jit import c_callback, strict
from . import memory as of
from . import places as reb
from .anchor import fingerprint
from .calls import (
    calloc,
    halves_at,
    ias15_create,
    ias15_free,
    leapfrog_create,
    leapfrog_free,
    numbers_at,
    release,
    whfast_create,
    whfast_free,
    whfast_synchronize,
    words_at,
)
from .stepping import step

_C = ctypes.CDLL(None)  # REBOUND resizes and frees memory with the C library
_C.calloc.restype, _C.calloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_size_t]
_STEP = types.void(types.int64, types.int64)
_DOUBLE, _WHOLE, _POINTER = 1, 5, 10  # types of fields in REBOUND's archives
_LEAPFROG, _WHFAST, _IAS15 = (reb.SETTINGS[name] // 4 for name in of.KEPT)


def _step(r: int, state: int) -> None:
    step(r, state)


def _synchronize(r: int, state: int) -> None:
    """Prepare for what REBOUND does between steps.

    Before a step that it shortens, REBOUND notes the last full step as the one to go on with: it is told the natural one.
    Otherwise the particles are about to be shown to others, who may change them.
    """
    own, numbers = words_at(state + 8 * of.BASE), numbers_at(state + 8 * of.BASE)
    if own[of.KIND] == of.WHFAST:
        whfast_synchronize(r, state)
    if own[of.BODIES] == 0:
        return
    after_step = own[of.STEP_INDEX] == words_at(r + reb.STEPS_DONE)[0] + 1
    if halves_at(r + reb.STATUS)[0] == reb.LAST_STEP and not after_step:
        numbers_at(r + reb.DT_LAST_DONE)[0] = numbers[of.NATURAL]
        return
    own[of.SETTLED] = 0
    if own[of.PRINTED] == 0:
        own[of.PRINT], own[of.PRINTED] = fingerprint(r, own[of.BODIES]), 1


@strict
def _made(kind: int, inner: int, settings: int) -> int:
    """Return the memory of a new integrator, with the settings of the one that REBOUND made, whose memory is given back."""
    state = calloc(of.BASE + of.WORDS, 8)
    words_at(state + 8 * of.BASE)[of.KIND] = kind
    if inner != 0:
        source, target = halves_at(inner), halves_at(state)
        for k in range(settings):
            target[k] = source[k]
        release(inner)
    return state


def _create() -> int:
    return _made(of.SPLITTING, 0, 0)


def _create_leapfrog() -> int:
    return _made(of.LEAPFROG, leapfrog_create(), _LEAPFROG)


def _create_whfast() -> int:
    return _made(of.WHFAST, whfast_create(), _WHFAST)


def _create_ias15() -> int:
    state = _made(of.IAS15, ias15_create(), _IAS15)
    numbers_at(state + reb.EPSILON)[0] = 0.0  # IAS15 then leaves dt as it is
    return state


def _free(state: int) -> None:
    own = words_at(state + 8 * of.BASE)
    for array in range(of.INTS, of.ANCHOR + 2, 2):
        release(own[array + 1])
    release(own[of.SPACE])
    release(own[of.NET_SPACE])
    kind = own[of.KIND]
    if kind == of.LEAPFROG:
        leapfrog_free(state)
    elif kind == of.WHFAST:
        whfast_free(state)
    elif kind == of.IAS15:
        ias15_free(state)
    else:
        release(state)


@functools.cache
def compiled() -> dict[str, Any]:
    """Return the callbacks by name; a first call on a machine compiles them."""
    files = [*Path(__file__).parent.glob("*.py")]
    made = {"step": (_STEP, _step), "synchronize": (_STEP, _synchronize), "free": (types.void(types.int64), _free)}
    made |= {
        name: (types.int64(), function)
        for name, function in zip(of.NAMES, (_create, _create_leapfrog, _create_whfast, _create_ias15), strict=True)
    }
    return {name: c_callback(signature, f, files, reb.DECLARED) for name, (signature, f) in made.items()}


# ---- registration -----------------------------------------------------------------------------------------------------------
def _field(name: str, dtype: int, word: int, length: int | None = None) -> BinarydataFieldDescriptor:
    field = BinarydataFieldDescriptor(documentation=b"", dtype=dtype, name=name.encode(), offset=8 * (of.BASE + word))
    if length is not None:
        field.offset_N, field.element_size = 8 * (of.BASE + length), 8
    return field


def _fields(kept: str | None) -> Any:
    """Return a list of all that archives hold of an integrator, with what they hold of the one that it keeps."""
    fields = [_field(name, _DOUBLE if name in of.NUMBERS else _WHOLE, word) for name, word in of.SCALARS.items()]
    fields += [_field(name, _POINTER, word + 1, word) for name, word in of.ARRAYS.items()]
    if kept is not None:
        sim = rebound.Simulation()
        sim.integrator = kept
        copies = (BinarydataFieldDescriptor.from_buffer_copy(f) for f in sim.integrator.callbacks.field_descriptor_list)
        fields = [*copies, *fields]
    return (BinarydataFieldDescriptor * (len(fields) + 1))(*fields)


_alive: list[Any] = []  # what REBOUND has addresses of


class _Entry(ctypes.Structure):
    """An integrator in REBOUND's list of those of users; the last entry has no name."""

    _fields_: ClassVar = [("name", ctypes.c_void_p), ("callbacks", Integrator), ("state", ctypes.c_void_p)]


def _configuration(name: str, kept: str | None) -> _Entry:
    """Return one of our integrators as REBOUND lists it."""
    callbacks, fields, text = compiled(), _fields(kept), ctypes.create_string_buffer(name.encode())
    made = Integrator(
        documentation=b"Steps chosen by aitimestepper; see aitimestepper.rebound.attach.",
        step=callbacks["step"].address,
        synchronize=callbacks["synchronize"].address,
        create=callbacks[name].address,
        free=callbacks["free"].address,
        field_descriptor_list=ctypes.cast(fields, BinarydataFieldDescriptorList),
    )
    _alive.extend((fields, text))
    return _Entry(ctypes.cast(text, ctypes.c_void_p), made, None)


@functools.cache
def register() -> None:
    """Make our integrators known to REBOUND, in this process.

    They are appended to REBOUND's list of them. Its own `reb_integrator_register` does not return where the list has an entry
    already (5.2.2: it compares names one entry too far), so that it could be called only once in a process.
    """
    listed = ctypes.POINTER(_Entry).in_dll(rebound.clibrebound, "reb_integrator_configurations_custom")
    ours = [_configuration(name, kept) for name, kept in zip(of.NAMES, (None, *of.KEPT), strict=True)]
    others = 0
    while listed and listed[others].name:
        others += 1
    size = ctypes.sizeof(_Entry)
    entries = (_Entry * len(ours))(*ours)
    room = _C.calloc(others + len(ours) + 1, size)
    ctypes.memmove(room, listed, others * size)
    ctypes.memmove(room + others * size, entries, len(ours) * size)
    ctypes.c_void_p.in_dll(rebound.clibrebound, "reb_integrator_configurations_custom").value = room


def allocated(values: np.ndarray) -> int:
    """Return the address of a copy of an array, of eight bytes a number, that REBOUND may free."""
    address = int(_C.calloc(max(1, len(values)), 8))
    ctypes.memmove(address, np.ascontiguousarray(values).ctypes.data, 8 * len(values))
    return address


def call_step(sim: Any) -> None:
    """Call the step of the attached integrator once."""
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(compiled()["step"].address)
    call(ctypes.addressof(sim), sim.integrator.state)
