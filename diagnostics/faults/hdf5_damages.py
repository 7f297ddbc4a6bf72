"""Damage to HDF5 files through HDF5: other shapes, types and values, links, storage elsewhere, attributes, right seals."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from cases import Damage, Parts
from contents import number_of_pattern
from seals import opened, reseal_end, reseal_snapshot
from trees import changed_tree, shown

RAW, OTHER = "canary.bin", "canary.h5"  # neighbours of the file, which nobody who reads it may read or write
VALUES = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1.0, 1e308, 5e-324, -(2.0**40), 2.0**62, -(2.0**62), 3.0, 7.0, 1e6)
TYPES = ("<f4", ">f8", "<i8", "<i4", "<u8", "|u1", "?", "<c16", "<f2", "S8", "V8", "<f8")
ODD_ARRAYS = (np.zeros(3), np.zeros((2, 0)), [b"a", b"b"])
ATTRIBUTES: tuple[Any, ...] = (0, -1, 2**62, 1.5, np.nan, "", "x", b"\xff\xfe", "[" * 50_000, *ODD_ARRAYS)


def canaries(folder: Path, path: Path) -> None:
    """Write the neighbours: a file of the pattern, and an HDF5 file like `path` with the pattern in all its floats."""
    (folder / RAW).write_bytes(np.full(4096, number_of_pattern()).tobytes())
    (folder / OTHER).write_bytes(path.read_bytes())
    with opened(folder / OTHER) as file:
        for name in datasets(file):
            if file[name].dtype.kind == "f":
                file[name][...] = number_of_pattern()


def datasets(file: Any) -> list[str]:
    """Return the names of all datasets."""
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return found


def _put(file: Any, name: str, values: Any, **more: Any) -> None:
    """Put another dataset in the place of one."""
    del file[name]
    file.create_dataset(name, data=values, **more)


Structural = Callable[[Any, str, np.random.Generator], str]  # file, name of a dataset, random stream -> words


def _shape(file: Any, name: str, rng: np.random.Generator) -> str:
    values = np.asarray(file[name][...])
    flat = values.reshape(-1)
    ways = [flat, values[None], values[..., None], flat[:0], flat[:1], flat.sum() if values.dtype.kind == "f" else flat[:1]]
    ways += [values[:-1], values[1:], np.concatenate([values, values[-1:]]), np.swapaxes(values, 0, -1)] if values.ndim else []
    ways += [np.zeros((0, 3), values.dtype), np.resize(values, (4096, *values.shape[1:]))]
    made = ways[rng.integers(len(ways))]
    _put(file, name, made)
    return f"{name} has the shape {made.shape}, not {values.shape}"


def _type(file: Any, name: str, rng: np.random.Generator) -> str:
    values, way = np.asarray(file[name][...]), rng.integers(len(TYPES) + 4)
    if way < len(TYPES):
        kind = TYPES[way]
        plain = values if values.dtype.names is None and values.dtype.kind in "fiub" else np.zeros(values.shape)
        with np.errstate(all="ignore"):
            made = np.zeros(values.shape, kind) if kind[0] in "SV" else np.nan_to_num(plain).astype(kind)
        _put(file, name, made)
    elif way == len(TYPES):
        kind = "text of any length"
        _put(file, name, np.full(values.shape, "x", object), dtype=h5py.string_dtype())
    elif way == len(TYPES) + 1:
        kind = "records"
        _put(file, name, np.zeros(values.shape, [("a", "<f8"), ("b", "<i4", 3)]))
    elif way == len(TYPES) + 2:
        kind = "arrays of any length"
        del file[name]
        file.create_dataset(name, values.shape, dtype=h5py.vlen_dtype(np.float64))
    else:
        kind = "references"
        _put(file, name, np.full(values.shape, file["/"].ref, object), dtype=h5py.ref_dtype)
    return f"{name} holds {kind}, not {values.dtype}"


def _value(file: Any, name: str, rng: np.random.Generator) -> str:
    """Set one number, or all of a dataset or of a column of records."""
    values, number = np.asarray(file[name][...]).copy(), VALUES[rng.integers(len(VALUES))]
    inside, column = values, name
    if values.dtype.names:
        field = values.dtype.names[rng.integers(len(values.dtype.names))]
        inside, column = values[field], f"{name}/{field}"
    if inside.dtype.kind not in "fiub" or not inside.size:
        return f"{name} stays as it is"
    new = np.nan_to_num(number).astype(np.float64) if inside.dtype.kind != "f" else np.float64(number)
    at: Any = ... if rng.random() < 0.3 else np.unravel_index(rng.integers(inside.size), inside.shape)
    with np.errstate(all="ignore"):
        if inside.dtype.kind in "iu":
            inside[at] = np.array(int(np.clip(new, -(2.0**62), 2.0**62))).astype(inside.dtype)
        else:
            inside[at] = new.astype(inside.dtype)
    file[name][...] = values
    return f"{column}[{'...' if at is ... else tuple(int(i) for i in at)}] = {number}"


def _link(file: Any, name: str, rng: np.random.Generator) -> str:
    """Put a link, or something that is no dataset, in the place of a dataset."""
    names = datasets(file)
    others = names[rng.integers(len(names))]
    outside = OTHER if rng.random() < 0.7 else str(Path(file.filename).with_name(OTHER).resolve())
    ways: dict[str, Any] = {
        "a link to itself": h5py.SoftLink(f"/{name}"),
        "a link to nothing": h5py.SoftLink("/nothing"),
        f"a link to {others}": h5py.SoftLink(f"/{others}"),
        "a link to the root": h5py.SoftLink("/"),
        "a link to another file": h5py.ExternalLink(outside, f"/{name}"),
        "a link to this file": h5py.ExternalLink(Path(file.filename).name, f"/{name}"),
        "a link to no file": h5py.ExternalLink("nothing.h5", f"/{name}"),
        f"the dataset {others} itself": file[others],
        "a type": np.dtype("<f8"),
    }
    words = list(ways)[rng.integers(len(ways))]
    if words.endswith(f"{name} itself"):
        return f"{name} stays as it is"
    del file[name]
    file[name] = ways[words]
    return f"{name} is {words}"


def _group(file: Any, name: str, rng: np.random.Generator) -> str:
    """Put a group in the place of a dataset, or make groups contain themselves, or leave one out."""
    way, parent = rng.integers(4), name.rpartition("/")[0] or "/"
    if way == 0 and parent != "/":
        del file[parent]
        return f"{parent} is missing"
    if way == 1:
        file[parent]["inside"] = file[parent]
        return f"{parent} contains itself"
    del file[name]
    group = file.create_group(name)
    if way == 2:
        group["x"] = np.zeros(3)
    return f"{name} is a group"


def _outside(file: Any, name: str, rng: np.random.Generator) -> str:
    """Let the bytes of a dataset be those of another file, of a pipe, or of nothing."""
    folder, kind, shape = Path(file.filename).parent, file[name].dtype, file[name].shape
    own, raw = Path(file.filename).name, str((folder / RAW).resolve())
    where = (RAW, raw, OTHER, "nothing.bin", "/dev/zero", "pipe", own)[rng.integers(7)]
    if where == "pipe":
        os.mkfifo(folder / where)
        where = str(folder / where)
    kind = kind if kind.kind in "fiub" or kind.names else np.dtype("<f8")
    del file[name]
    if rng.random() < 0.5:
        size = max(1, int(np.prod(shape)) * kind.itemsize)
        file.create_dataset(name, shape or (1,), kind, external=[(where, 0, size)])
        return f"{name} is stored in {where}"
    layout = h5py.VirtualLayout(shape or (1,), kind)
    target = OTHER if where != own else "."
    layout[...] = h5py.VirtualSource(target, f"/{name}", shape or (1,), kind)
    file.create_virtual_dataset(name, layout)
    return f"{name} is a view of {target}"


def _huge(file: Any, name: str, rng: np.random.Generator) -> str:
    """Declare far more numbers than the file has bytes."""
    shape, kind = file[name].shape, file[name].dtype
    kind = kind if kind.kind in "fiub" or kind.names else np.dtype("<f8")
    first = (2**24, 2**31, 2**40, 2**60 // max(1, int(np.prod(shape[1:])) * kind.itemsize))[rng.integers(4)]
    more = (first, *shape[1:]) if rng.random() < 0.7 else (*shape, first // 2**10)
    del file[name]
    chunks = tuple(min(64, max(1, n)) for n in more)
    packed = {"compression": "gzip"} if rng.random() < 0.5 else {}
    file.create_dataset(name, more, kind, chunks=chunks, maxshape=tuple(None for _ in more), **packed)
    return f"{name} claims the shape {more}"


def _stored_otherwise(file: Any, name: str, rng: np.random.Generator) -> str:
    """Keep the numbers of a dataset, and store them in other chunks, compressed, or in another order of bytes."""
    values = np.asarray(file[name][...])
    more: dict[str, Any] = {}
    if values.ndim:
        ways: tuple[dict[str, Any], ...] = ({}, {"chunks": True, "compression": "gzip"}, {"chunks": True, "compression": "lzf"})
        more = ({**ways[rng.integers(3)]}) if values.size else {}
        more = {**more, "fletcher32": True} if more and rng.random() < 0.3 else more
    _put(file, name, values, **(more if values.dtype.kind != "O" else {}))
    return f"{name} is stored with {more}"


def _missing(file: Any, name: str, rng: np.random.Generator) -> str:
    if rng.random() < 0.7:
        del file[name]
        return f"{name} is missing"
    target = f"{name}_more" if rng.random() < 0.5 else f"{name.rpartition('/')[0]}/x"
    file[target] = np.zeros(3)
    return f"{target} is there as well"


def _attribute(file: Any, name: str, rng: np.random.Generator) -> str:
    """Change an attribute of the file: another type, another entry of its JSON, or none."""
    names = list(file.attrs)
    key = names[rng.integers(len(names))]
    text, way = file.attrs[key], rng.integers(4)
    if isinstance(text, str) and text[:1] in "{[" and way:
        text, words = _other_json(text, rng)
        file.attrs[key] = text.replace("\x00", " ")
        return f"attribute {key}: {words}"
    if way == 0 and rng.random() < 0.5:
        del file.attrs[key]
        return f"attribute {key} is missing"
    value = ATTRIBUTES[rng.integers(len(ATTRIBUTES))] if rng.random() < 0.9 else h5py.Empty("f8")
    file.attrs[key] = value
    return f"attribute {key} = {shown(value)}"


def _words(file: Any, name: str, rng: np.random.Generator) -> str:
    """Change an entry of the JSON that a dataset holds."""
    found = [file[n] for n in datasets(file) if _holds_json(file[n])]
    if not found:
        return "there is no JSON"
    dataset = found[rng.integers(len(found))]
    if dataset.dtype.kind == "O":
        at = int(rng.integers(len(dataset)))
        text, words = _other_json(dataset[at].decode(), rng)
        dataset[at] = text.replace("\x00", " ")
        return f"{dataset.name}[{at}]: {words}"
    text, words = _other_json(dataset[...].tobytes().decode().strip(" \0") or "{}", rng)
    content = text.encode(errors="replace")
    dataset.resize(max(len(content), len(dataset)), axis=0)
    dataset[...] = np.frombuffer(content.ljust(len(dataset)), np.uint8)
    return f"{dataset.name}: {words}"


def _holds_json(dataset: Any) -> bool:
    return bool(dataset.name.endswith("/result") or (dataset.name == "/known" and dataset.dtype.kind == "O"))


def _other_json(text: str, rng: np.random.Generator) -> tuple[str, str]:
    """Return JSON with another entry, or text that is none."""
    if rng.random() < 0.1:
        made = (text[: len(text) // 2], "[" * 100_000, "{}", "null", "9" * 10_000, '{"a":' * 50_000, "\x00", text + text)
        return (found := made[rng.integers(len(made))]), shown(found)
    tree, words = changed_tree(json.loads(text), rng)
    return json.dumps(tree), words


CONTENTS: tuple[tuple[str, Structural], ...] = (("shape", _shape), ("type", _type), ("value", _value), ("words", _words))
PLACES: tuple[tuple[str, Structural], ...] = (
    ("link", _link),
    ("group", _group),
    ("stored elsewhere", _outside),
    ("claimed size", _huge),
    ("stored otherwise", _stored_otherwise),
    ("missing or more", _missing),
    ("attribute", _attribute),
)


def structural(name: str, way: Structural, sealed: bool) -> Damage:
    """Return the damage that a change through HDF5 is, with right seals or as it comes.

    HDF5 itself makes its own checksums right: where a number has no other seal, another one is not damage.
    """

    def apply(path: Path, rng: np.random.Generator, parts: Parts) -> str:
        before = path.read_bytes()
        with opened(path) as file:
            names = [n for n in datasets(file) if sealed or way is not _value or not file[n].fletcher32]
            words = way(file, names[rng.integers(len(names))], rng)
            if sealed and way in dict(CONTENTS).values():
                reseal_snapshot(file)
        if sealed:
            reseal_end(path, before)
        return words

    return Damage(f"{name}, sealed" if sealed else name, apply, sealed)


STRUCTURES = tuple(structural(name, way, False) for name, way in (*CONTENTS, *PLACES))
SEALED = tuple(structural(name, way, True) for name, way in CONTENTS)
SEALED_STRUCTURES = tuple(structural(name, way, True) for name, way in (*CONTENTS, *PLACES))
