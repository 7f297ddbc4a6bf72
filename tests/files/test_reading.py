"""Nothing that is read is trusted: pipes, devices, headers that lie, JSON of other types, seals that do not fit."""

import io
import json
import os
import zipfile

import numpy as np
import pytest

from aitimestepper.errors import CheckpointError, UserError
from aitimestepper.files import (
    conforms,
    is_sealed,
    pack_arrays,
    parse_array,
    parse_json,
    read_bytes,
    read_json_lines,
    read_text,
    seal,
    unpack_arrays,
)


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, words in (
        (tmp_path / "fifo", "no regular file, but a pipe or a device"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
        (tmp_path / ("n" * 300), "File name too long"),
        (tmp_path / "a\0b", "null byte"),
        (type(tmp_path)("/dev/zero"), "no regular file"),
    ):
        with pytest.raises(CheckpointError, match=f"cannot read the model .*{words}") as error:
            read_bytes(path, "model", CheckpointError)
        assert len(str(error.value)) < 300
        assert str(error.value).isprintable()
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is no text"):
        read_text(tmp_path / "x", "text")


def npy(header, content=b""):
    text = repr(header).encode() if isinstance(header, dict) else header
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


@pytest.mark.parametrize(
    "content",
    [
        npy({"descr": "<f8", "fortran_order": False, "shape": (10**12,)}),
        npy({"descr": "<f8", "fortran_order": False, "shape": (-1, 2)}, bytes(16)),
        npy({"descr": "|O", "fortran_order": False, "shape": (1,)}, bytes(8)),
        npy({"descr": [("x", "<f8")], "fortran_order": False, "shape": (1,)}, bytes(8)),
        npy({"descr": "<f8", "fortran_order": False, "shape": (2**40, 2**40)}),
        npy({"descr": "<f8", "fortran_order": False}),
        npy(b"{'descr': __import__('os').system('true')}"),
        npy(b"((((((((((((((((((("),
        b"\x93NUMPY\x09\x00",
        b"",
    ],
)
def test_headers_of_arrays_that_lie(content):
    with pytest.raises((ValueError, TypeError)):
        parse_array(content)


def test_arrays_come_back():
    for values in (
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(2.5),
        np.zeros((0, 3)),
    ):
        buffer = io.BytesIO()
        np.save(buffer, values)
        found = parse_array(buffer.getvalue())
        assert np.array_equal(found, values)
        assert found.dtype == values.dtype


def test_every_flipped_bit_of_an_archive_shows_or_means_nothing(tmp_path):
    header, arrays = {"a": [1, 2]}, {"x": np.arange(40.0), "y": np.eye(3)}
    whole, path = pack_arrays(header, arrays), tmp_path / "x.npz"
    same = 0
    for k in range(0, 8 * len(whole), 13):
        damaged = bytearray(whole)
        damaged[k // 8] ^= 1 << k % 8
        path.write_bytes(damaged)
        try:
            found, values = unpack_arrays(path, "model")
        except CheckpointError:
            continue
        same += 1
        assert found == header
        assert all(np.array_equal(values[name], x) for name, x in arrays.items())
    assert same < len(whole)  # dates and the like


def test_archives_that_grow_are_refused(tmp_path):
    """A thousand times their size, and more, for a compressed one."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, header=np.zeros(1), x=np.zeros(10**6))
    (tmp_path / "x.npz").write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match="is not a model of aitimestepper, or is damaged"):
        unpack_arrays(tmp_path / "x.npz", "model")


def test_every_flipped_bit_of_a_sealed_file_shows():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", b"content")
    for content in (buffer.getvalue(), b"no archive", b""):
        whole = seal(content)
        assert is_sealed(whole)
        for k in range(8 * len(whole)):
            damaged = bytearray(whole)
            damaged[k // 8] ^= 1 << k % 8
            assert not is_sealed(bytes(damaged))
        assert not is_sealed(whole[:-1])
        assert not is_sealed(whole + b"\n")
    assert zipfile.ZipFile(io.BytesIO(seal(buffer.getvalue()))).read("x") == b"content"


def test_json_that_is_none_is_a_value_error():
    for text in ("[" * 100_000, "{", "", "1" * 10_000, b"\xff"):
        with pytest.raises(ValueError, match=r"."):
            parse_json(text)


def test_lines_that_are_no_records_are_left_out(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"n": 1}\n[2]\n\xff\n' + b"[" * 100_000 + b'\n{"n": 3}\n{"n": ')
    assert read_json_lines(path, "metrics") == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize(
    ("value", "kind", "fits"),
    [
        (1, float, True),
        (True, float, False),
        (True, bool, True),
        (1.5, int, False),
        ("x", str | None, True),
        (None, str | None, True),
        ([1, None], list[float | None], True),
        ([1, "x"], list[float | None], False),
        ({"a": 1.0}, dict[str, float], True),
        ({"a": []}, dict[str, float], False),
        (json.loads("[]"), dict[str, float], False),
    ],
)
def test_values_of_the_types_that_were_written(value, kind, fits):
    assert conforms(value, kind) is fits
