"""Damage to models (.npz) and checkpoints (.pt) from inside, with right seals over other contents, and archives that lie."""

from __future__ import annotations

import io
import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from cases import Damage, Parts
from seals import pack_checkpoint, pack_model, unpack_checkpoint, unpack_model
from trees import changed_tree, other_entry

TYPES = ("<f4", ">f8", "<i8", "|u1", "?", "<c16", "<f2", "S8", "U4", "V8", "<M8[s]")
NO_NUMBERS = ("S8", "U4", "V8", "<M8[s]")
VALUES = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e308, 5e-324, -(2.0**40), 2.0**62, 1e6)


def other_array(values: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """Return an array with another shape, type or number, and words for it."""
    way = rng.integers(3)
    if way == 0:
        flat = values.reshape(-1)
        ways = [flat, values[None], values[..., None], flat[:0], flat[:1].reshape(-1), np.concatenate([flat, flat])]
        ways += [values[:-1], values.T, np.asfortranarray(values)] if values.ndim else []
        made = ways[rng.integers(len(ways))]
        return made, f"has the shape {made.shape}, not {values.shape}"
    if way == 1:
        kind = TYPES[rng.integers(len(TYPES))]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = np.zeros(values.shape, kind) if kind in NO_NUMBERS or values.dtype.kind in "SUVM" else values.astype(kind)
        return made, f"is of the type {kind}, not {values.dtype}"
    made, number = values.copy(), VALUES[rng.integers(len(VALUES))]
    if not made.size or made.dtype.kind not in "fiub":
        return made, "stays as it is"
    at: Any = ... if rng.random() < 0.3 else np.unravel_index(rng.integers(made.size), made.shape)
    with np.errstate(all="ignore"):
        made[at] = np.asarray(np.nan_to_num(number) if made.dtype.kind != "f" else number).astype(made.dtype)
    return made, f"[{'...' if at is ... else tuple(int(i) for i in at)}] = {number}"


def _arrays(path: Path, rng: np.random.Generator, parts: Parts) -> str:
    header, arrays = unpack_model(path)
    words = change_arrays(arrays, rng)
    pack_model(path, header, arrays)
    return words


def change_arrays(arrays: dict[str, np.ndarray], rng: np.random.Generator) -> str:
    """Change, leave out or add one array, and return words for it."""
    names = list(arrays)
    name, way = names[rng.integers(len(names))], rng.random()
    if way < 0.1:
        del arrays[name]
        return f"{name} is missing"
    if way < 0.2:
        new = ("x", "weights/x", "weights/../x", "initial/x", "initial/G", "weights/", "other/x", "weights/hidden.99.weight")
        more = new[rng.integers(len(new))]
        arrays[more] = np.zeros(3)
        return f"{more} is there as well"
    if way < 0.25:
        other = names[rng.integers(len(names))]
        arrays[name] = arrays[other]
        return f"{name} is {other}"
    arrays[name], words = other_array(arrays[name], rng)
    return f"{name} {words}"


def _header(path: Path, rng: np.random.Generator, parts: Parts) -> str:
    header, arrays = unpack_model(path)
    made, words = changed_tree(header, rng)
    pack_model(path, made, arrays)
    return words


def _header_and_arrays(path: Path, rng: np.random.Generator, parts: Parts) -> str:
    """Change the settings of a network together with its arrays, each by chance."""
    header, arrays = unpack_model(path)
    words = [change_arrays(arrays, rng) for _ in range(rng.integers(1, 4))]
    header["config"], more = changed_tree(header["config"], rng)
    pack_model(path, header, arrays)
    return "; ".join([*words, more])


def _without_seal(path: Path, rng: np.random.Generator, parts: Parts) -> str:
    """Change one array, and leave the seal as it was."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    words = change_arrays(arrays, rng)
    np.savez(path, **arrays)
    return words


def _members(path: Path, rng: np.random.Generator, parts: Parts) -> str:
    """Write the archive again with a member that is twice there, elsewhere, packed, claims a size, or holds objects."""
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    k, way = int(rng.integers(len(members))), int(rng.integers(8))
    name, content = members[k]
    packing = zipfile.ZIP_STORED
    if way == 0:
        members.append((name, members[int(rng.integers(len(members)))][1]))
    elif way == 1:
        members[k] = (("../canary.bin", "/tmp/x", "a\\b", "x" * 5000, "header.npy/x")[rng.integers(5)], content)
    elif way == 2:
        packing = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[rng.integers(3)]
    elif way == 3:
        members[k] = (name, _claiming((2 ** int(rng.integers(20, 62)),), "<f8"))
    elif way == 4:
        members[k] = (name, _claiming((3,), "|O") + b"cos\nsystem\n(S'true'\ntR.")
    elif way == 5:
        members[k] = (name, b"")
    elif way == 6:
        members[k] = (name, _claiming((-1,), "<f8") + content)
    else:
        members = members[:k]
    with zipfile.ZipFile(path, "w", packing) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for member, raw in members:
            archive.writestr(member, raw)
    return f"member {name}: way {way}"


def _claiming(shape: tuple[int, ...], kind: str) -> bytes:
    """Return the header of a .npy member that claims a shape and a type."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": kind, "fortran_order": False, "shape": shape})
    return head.getvalue()


def other_tensor(old: Any, rng: np.random.Generator) -> Any:
    """Return something else in the place of an entry; of a tensor another one in half of the cases."""
    import torch

    if not isinstance(old, torch.Tensor):
        return torch.zeros(3) if rng.random() < 0.1 else other_entry(old, rng)
    if rng.random() < 0.4:
        made, _ = other_array(old.detach().numpy(), rng)
        return torch.from_numpy(made.copy()) if made.dtype.kind in "fiub" and made.dtype.isnative else made.tolist()
    ways = (
        lambda: old.to(torch.complex128),
        lambda: old.to(torch.bfloat16),
        lambda: torch.zeros(1, dtype=old.dtype).expand(2**40),
        lambda: torch.zeros(1, dtype=old.dtype).expand(old.shape or (1,)),
        lambda: torch.sparse_coo_tensor(torch.zeros((1, 1), dtype=torch.long), torch.ones(1), (2**40,)),
        lambda: old.to("meta"),
        lambda: torch.nn.Parameter(old.to(torch.float64)),
        lambda: torch.zeros(0),
        lambda: torch.zeros((2, 0, 3)),
        lambda: torch.tensor(float("nan")),
        lambda: old.reshape(-1)[::2],
        lambda: other_entry(None, rng),
    )
    return ways[rng.integers(len(ways))]()


def _entries(path: Path, rng: np.random.Generator, parts: Parts) -> str:
    content, words = unpack_checkpoint(path), []
    for _ in range(1 if rng.random() < 0.8 else 3):
        if isinstance(content, dict):
            content, more = changed_tree(content, rng, other_tensor)
            words.append(more)
    pack_checkpoint(path, content)
    return "; ".join(words)


def _numbers(path: Path, rng: np.random.Generator, parts: Parts) -> str:
    """Change numbers of the network, of its optimizer, or of what the judge knows, and nothing else."""
    content = unpack_checkpoint(path)
    key = ("model_state", "optimizer_state", "judge_state", "history", "initial_conditions", "current_state")[rng.integers(6)]
    content[key], words = changed_tree(content[key], rng, _other_number)
    pack_checkpoint(path, content)
    return f"{key}: {words}"


def _other_number(old: Any, rng: np.random.Generator) -> Any:
    import torch

    if not isinstance(old, torch.Tensor) or not old.numel():
        return other_entry(old, rng)
    made, number = old.clone().reshape(-1), (0.0, 1.0, -1.0, 100.0, 1e9, 1e30, -1e30, math.nan, math.inf)[rng.integers(9)]
    made[rng.integers(made.numel())] = number if made.is_floating_point() else int(np.nan_to_num(min(abs(number), 100.0)))
    return made.reshape(old.shape)


OF_MODELS = (
    Damage("array, sealed", _arrays, sealed=True),
    Damage("header, sealed", _header, sealed=True),
    Damage("header and arrays, sealed", _header_and_arrays, sealed=True),
    Damage("array", _without_seal),
    Damage("members", _members),
)
OF_CHECKPOINTS = (Damage("entries, sealed", _entries, sealed=True), Damage("numbers, sealed", _numbers, sealed=True))
OF_ARCHIVES = (Damage("members", _members),)
