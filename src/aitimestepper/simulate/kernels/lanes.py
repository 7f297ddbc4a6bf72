"""Several systems side by side in one vector register: a type of numbers with the operators of floats.

Kernels are formulas over one number. They compile for `float64`, one system at a time, and for `Lanes`, whose operators act
on `width` systems at once. Operations keep the order of the source, and where a product and a sum are rounded once, the source
says so (`fma`). Every lane therefore gets the bits of a single run, whatever the width and its neighbours.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin, lower_cast
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

DOUBLE, INTEGER, FLAG = ir.DoubleType(), ir.IntType(64), ir.IntType(1)
_PLACE = ir.IntType(32)
_ELEMENTS = {types.float64: DOUBLE, types.int64: INTEGER, types.boolean: FLAG}
FOUR = 4  # numbers of one system in a register, for loops that the compiler does not vectorize by itself


class Lanes(types.Type):
    """Type of `width` numbers (float64, int64 or boolean) in one register, one of each system."""

    def __init__(self, dtype: Any, width: int) -> None:
        self.dtype, self.width = dtype, width
        super().__init__(name=f"Lanes({dtype}, {width})")

    def unify(self, context: Any, other: Any) -> Any:
        """Return the type of a variable that is one number at one place and lanes at another."""
        return self if isinstance(other, (types.Number, types.Boolean)) else None

    def can_convert_from(self, context: Any, other: Any) -> Any:
        """Return that a number can stand for as many equal ones."""
        return Conversion.safe if isinstance(other, (types.Number, types.Boolean)) else None


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.VectorType(_ELEMENTS[kind.dtype], kind.width))


def _lanes_among(kinds: Any) -> Any:
    """Return the type of lanes among types; None if there is none."""
    return next((kind for kind in kinds if isinstance(kind, Lanes)), None)


def _spread(builder: Any, number: Any, width: int) -> Any:
    """Emit `width` copies of a number."""
    empty = ir.Constant(ir.VectorType(number.type, width), ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(_PLACE, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_PLACE, width), [0] * width))


@lower_cast(types.Number, Lanes)
@lower_cast(types.Boolean, Lanes)
def _cast(context: Any, builder: Any, kind: Any, target: Any, value: Any) -> Any:
    return _spread(builder, context.cast(builder, value, kind, target.dtype), target.width)


# ---- operators ----------------------------------------------------------------------------------------------------------
def _operator(op: Any, emit: Callable[..., Any], arity: int = 2, compares: bool = False) -> None:
    """Give an operator of Python a meaning for lanes; numbers beside lanes stand for equal ones in every lane."""

    class _Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            kind = _lanes_among(args)
            if kind is None or kws or len(args) != arity:
                return None
            return signature(Lanes(types.boolean, kind.width) if compares else kind, *args)

    infer_global(op)(_Template)

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        kind = _lanes_among(sig.args)
        same = (context.cast(builder, v, a, kind) for v, a in zip(values, sig.args, strict=True))
        return emit(builder, kind.dtype == types.float64, *same)

    for shape in [(Lanes,)] if arity == 1 else [(Lanes, Lanes), (Lanes, types.Any), (types.Any, Lanes)]:
        lower_builtin(op, *shape)(lower)


def _of_numbers(of_floats: str, of_integers: str) -> Callable[..., Any]:
    return lambda builder, floats, *values: getattr(builder, of_floats if floats else of_integers)(*values)


def _comparison(sign: str) -> Callable[..., Any]:
    def emit(builder: Any, floats: bool, x: Any, y: Any) -> Any:
        if not floats:
            return builder.icmp_signed(sign, x, y)
        return builder.fcmp_unordered(sign, x, y) if sign == "!=" else builder.fcmp_ordered(sign, x, y)

    return emit


for _name, _floats, _integers in (
    ("add", "fadd", "add"),
    ("sub", "fsub", "sub"),
    ("mul", "fmul", "mul"),
    ("truediv", "fdiv", "sdiv"),
    ("and_", "and_", "and_"),
    ("or_", "or_", "or_"),
    ("lshift", "shl", "shl"),
    ("rshift", "ashr", "ashr"),
):
    for _op in (getattr(operator, _name), getattr(operator, "i" + _name.rstrip("_"))):
        _operator(_op, _of_numbers(_floats, _integers))
_operator(operator.neg, _of_numbers("fneg", "neg"), arity=1)
for _op, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
    (operator.ne, "!="),
):
    _operator(_op, _comparison(_sign), compares=True)


# ---- functions of floats and of lanes of them --------------------------------------------------------------------------
def _named(context: Any, builder: Any, name: str, kind: Any, *values: Any) -> Any:
    """Emit a call of LLVM's intrinsic of that name."""
    of_type = f"v{kind.width}f64" if isinstance(kind, Lanes) else "f64"
    made = ir.FunctionType(context.get_value_type(kind), [value.type for value in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, made, f"llvm.{name}.{of_type}"), values)


def _typed(arguments: tuple[Any, ...], emit: Callable[..., Any]) -> Any:
    """Return (signature, generator) of a function of floats, or of lanes where one argument is; `emit` gets equal types."""
    kind = _lanes_among(arguments) or types.float64

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return emit(context, builder, kind, *(context.cast(builder, v, a, kind) for v, a in zip(values, sig.args, strict=True)))

    return signature(kind, *arguments), generate


def _unary(name: str) -> Any:
    def typed(typing_context: Any, x: Any) -> Any:
        return _typed((x,), lambda context, b, kind, x: _named(context, b, name, kind, x))

    return intrinsic(typed)


def _binary(emit: Callable[..., Any]) -> Any:
    def typed(typing_context: Any, x: Any, y: Any) -> Any:
        return _typed((x, y), emit)

    return intrinsic(typed)


def _larger_bits(context: Any, builder: Any, kind: Any, x: Any, y: Any) -> Any:
    bits = INTEGER if kind == types.float64 else ir.VectorType(INTEGER, kind.width)
    return builder.select(builder.icmp_signed(">", builder.bitcast(x, bits), builder.bitcast(y, bits)), x, y)


sqrt, absolute = _unary("sqrt"), _unary("fabs")
copysign: Any = _binary(lambda context, b, kind, x, y: _named(context, b, "copysign", kind, x, y))
# where one of two numbers is NaN, these return the second
larger: Any = _binary(lambda context, b, kind, x, y: b.select(b.fcmp_ordered(">", x, y), x, y))
smaller: Any = _binary(lambda context, b, kind, x, y: b.select(b.fcmp_ordered("<", x, y), x, y))
# of numbers that are not negative; NaN is the largest. Its loops vectorize, where those of `larger` do not
larger_or_nan: Any = _binary(_larger_bits)


def _lane_by_lane(name: str) -> Any:
    """Make a function that calls one of the C library for every lane: for what is rare."""

    def emit(context: Any, builder: Any, kind: Any, x: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(DOUBLE, [DOUBLE]), name)
        if not isinstance(kind, Lanes):
            return builder.call(function, [x])
        result = x
        for k in range(kind.width):
            place = ir.Constant(_PLACE, k)
            result = builder.insert_element(result, builder.call(function, [builder.extract_element(x, place)]), place)
        return result

    def typed(typing_context: Any, x: Any) -> Any:
        return _typed((x,), emit)

    return intrinsic(typed)


erf, expm1, sine, cosine = (_lane_by_lane(name) for name in ("erf", "expm1", "sin", "cos"))


@intrinsic
def fma(typing_context: Any, x: Any, y: Any, z: Any) -> Any:
    """Return x y + z, rounded once."""
    return _typed((x, y, z), lambda context, b, kind, *values: _named(context, b, "fma", kind, *values))


def _width(kind: Any) -> int:
    return int(kind.width) if isinstance(kind, Lanes) else 1


def _with_dtype(kind: Any, dtype: Any) -> Any:
    return Lanes(dtype, kind.width) if isinstance(kind, Lanes) else dtype


@intrinsic
def where(typing_context: Any, flag: Any, x: Any, y: Any) -> Any:
    """Return x where the flag is set, else y; both are computed."""
    among = _lanes_among((x, y))
    if among is not None:
        dtype = among.dtype
    elif isinstance(x, types.Boolean) and isinstance(y, types.Boolean):
        dtype = types.boolean
    else:
        dtype = types.float64 if isinstance(x, types.Float) or isinstance(y, types.Float) else types.int64
    kind = _with_dtype(flag if isinstance(flag, Lanes) else among, dtype)

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        flags, x, y = values
        x, y = context.cast(builder, x, sig.args[1], kind), context.cast(builder, y, sig.args[2], kind)
        return builder.select(flags, x, y)

    return signature(kind, flag, x, y), generate


@intrinsic
def no(typing_context: Any, flag: Any) -> Any:
    """Return where the flag is not set."""
    return flag(flag), lambda context, builder, sig, values: builder.not_(values[0])


def _of_flags(sign: str, unset: bool) -> Any:
    def typed(typing_context: Any, flag: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            if not isinstance(flag, Lanes):
                return values[0]
            bits = ir.IntType(flag.width)
            return builder.icmp_unsigned(sign, builder.bitcast(values[0], bits), ir.Constant(bits, -1 if unset else 0))

        return types.boolean(flag), generate

    return intrinsic(typed)


any_of: Any = _of_flags("!=", False)
all_of: Any = _of_flags("==", True)


@intrinsic
def count_of(typing_context: Any, flag: Any) -> Any:
    """Return 1 where the flag is set, else 0."""
    kind = _with_dtype(flag, types.int64)
    return kind(flag), lambda context, builder, sig, values: builder.zext(values[0], context.get_value_type(kind))


@intrinsic
def number_of(typing_context: Any, count: Any) -> Any:
    """Return a count as a number."""
    kind = _with_dtype(count, types.float64)
    return kind(count), lambda context, builder, sig, values: builder.sitofp(values[0], context.get_value_type(kind))


@intrinsic
def bits_of(typing_context: Any, x: Any) -> Any:
    """Return the bits of a number as an integer."""
    kind = _with_dtype(x, types.int64)
    return kind(x), lambda context, builder, sig, values: builder.bitcast(values[0], context.get_value_type(kind))


@intrinsic
def from_bits(typing_context: Any, bits: Any) -> Any:
    """Return the number with these bits."""
    kind = _with_dtype(bits, types.float64)
    return kind(bits), lambda context, builder, sig, values: builder.bitcast(values[0], context.get_value_type(kind))


@intrinsic
def like(typing_context: Any, number: Any, example: Any) -> Any:
    """Return a number as many times as `example` has lanes."""
    kind = example
    return kind(number, example), lambda context, b, sig, values: context.cast(b, values[0], sig.args[0], kind)


@intrinsic
def flag_like(typing_context: Any, flag: Any, example: Any) -> Any:
    """Return a flag as many times as `example` has lanes."""
    kind = _with_dtype(example, types.boolean)
    return kind(flag, example), lambda context, b, sig, values: context.cast(b, values[0], sig.args[0], kind)


@intrinsic
def is_finite(typing_context: Any, x: Any) -> Any:
    """Return where x is neither infinite nor NaN."""
    kind = _with_dtype(x, types.boolean)

    def generate(context: Any, b: Any, sig: Any, values: Any) -> Any:
        infinite = context.cast(b, context.get_constant(types.float64, float("inf")), types.float64, x)
        return b.fcmp_ordered("<", _named(context, b, "fabs", x, values[0]), infinite)

    return kind(x), generate


@intrinsic
def first_of(typing_context: Any, x: Any) -> Any:
    """Return the number of the first lane, of what is the same in all."""
    if not isinstance(x, Lanes):
        return x(x), lambda context, builder, sig, values: values[0]
    return x.dtype(x), lambda context, builder, sig, values: builder.extract_element(values[0], ir.Constant(_PLACE, 0))


@intrinsic
def lane_of(typing_context: Any, x: Any, lane: Any) -> Any:
    """Return the number of one lane."""
    if not isinstance(x, Lanes):
        return x(x, lane), lambda context, builder, sig, values: values[0]
    return x.dtype(x, lane), lambda context, builder, sig, values: builder.extract_element(values[0], values[1])


# ---- pointers -----------------------------------------------------------------------------------------------------------
@intrinsic
def pointer(typing_context: Any, array: Any, row: Any, lanes: Any) -> Any:
    """Return a pointer to row `row` of a contiguous array: to numbers, or to lanes if `lanes` is a tuple of several floats.

    Kernels pass pointers to each other instead of arrays. An array is seven words, and every function that receives one counts
    references to it atomically: a step of two bodies took 750 ns with arrays. The caller keeps the arrays alive.
    """
    result = types.CPointer(Lanes(array.dtype, len(lanes)) if len(lanes) > 1 else array.dtype)

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        made = context.make_array(sig.args[0])(context, builder, values[0])
        offset = builder.mul(values[1], builder.extract_value(made.strides, 0))
        address = builder.add(builder.ptrtoint(made.data, offset.type), offset)
        return builder.inttoptr(address, context.get_value_type(result))

    return result(array, types.intp, lanes), generate


@intrinsic
def scalars(typing_context: Any, start: Any) -> Any:
    """Return a pointer to the numbers of single lanes: number k of lane l is at k `width_of` + l."""
    dtype = start.dtype.dtype if isinstance(start.dtype, Lanes) else start.dtype
    kind = types.CPointer(dtype)
    return kind(start), lambda context, builder, sig, values: builder.bitcast(values[0], context.get_value_type(kind))


@intrinsic
def width_of(typing_context: Any, start: Any) -> Any:
    """Return the number of lanes of a pointer."""
    return types.uint64(start), lambda context, builder, sig, values: ir.Constant(INTEGER, _width(start.dtype))


# ---- four numbers of one system -----------------------------------------------------------------------------------------
# The compiler does not vectorize a loop of 6 or 9 numbers over a dozen vectors, because the test that they do not overlap would
# cost more than it gains. An evaluation by the Gauss-Radau method takes 56 ns for two bodies with four numbers at a time, of
# which the forces take 33 ns; with plain loops it takes 84 ns.
_FOUR = Lanes(types.float64, FOUR)


def _address(context: Any, builder: Any, start: Any, k: Any) -> Any:
    return builder.bitcast(builder.gep(start, [k]), ir.PointerType(context.get_value_type(_FOUR)))


@intrinsic
def load(typing_context: Any, s: Any, k: Any) -> Any:
    """Load s[k:k+4]."""
    return _FOUR(s, types.uint64), lambda context, b, sig, values: b.load(_address(context, b, *values), align=8)


@intrinsic
def store(typing_context: Any, s: Any, k: Any, v: Any) -> Any:
    """Store v as s[k:k+4]."""

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        builder.store(values[2], _address(context, builder, *values[:2]), align=8)
        return context.get_dummy_value()

    return types.void(s, types.uint64, _FOUR), generate


@intrinsic
def four(typing_context: Any, c: Any) -> Any:
    """Return four copies of the number c."""
    return _FOUR(c), lambda context, builder, sig, values: context.cast(builder, values[0], sig.args[0], _FOUR)


@intrinsic
def largest(typing_context: Any, v: Any) -> Any:
    """Return the largest of the numbers in a register."""

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        best = builder.extract_element(values[0], ir.Constant(_PLACE, 0))
        for k in range(1, v.width):
            one = builder.extract_element(values[0], ir.Constant(_PLACE, k))
            best = builder.select(builder.fcmp_ordered(">", one, best), one, best)
        return best

    return v.dtype(v), generate


@intrinsic
def same(typing_context: Any, u: Any, v: Any) -> Any:
    """Return whether two registers agree in all bits."""

    def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        bits, flags = ir.VectorType(INTEGER, u.width), ir.IntType(u.width)
        equal = builder.icmp_unsigned("==", *(builder.bitcast(value, bits) for value in values))
        return builder.icmp_unsigned("==", builder.bitcast(equal, flags), ir.Constant(flags, -1))

    return types.boolean(u, v), generate
