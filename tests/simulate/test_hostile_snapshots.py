"""Snapshot files from strangers, and damaged ones: nothing else is read or written, no wrong number reaches a kernel."""

import os
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from aitimestepper import Bodies, EnergyBudget, FreeFall, LearnedStep, Snapshots, resume, simulate
from aitimestepper.errors import SnapshotError, UserError
from aitimestepper.files.hdf5 import checksum
from aitimestepper.initial.named import kepler
from aitimestepper.simulate.kernels import layout as at
from aitimestepper.simulate.snapshots.hdf5 import pack_run, unpack_run
from aitimestepper.simulate.snapshots.slots import Slot, read_slots, write_slot

PLANS = {
    "free fall": {"criterion": FreeFall(0.02)},
    "network": {"criterion": LearnedStep(tol=1e-4)},
    "budget": {"criterion": EnergyBudget(1e-4), "integrator": "suzuki4"},
    "radau15": {"tol": 1e-9},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each plan, halfway: with a later end it goes on."""
    folder, pair = tmp_path_factory.mktemp("files"), kepler(0.5)
    for name, plan in PLANS.items():
        bodies = Bodies(pair.mass, pair.position, pair.velocity)
        simulate(bodies, t_end=6.0, output=folder / f"{name}.h5", output_every=0.5, warn=False, **plan)
    return folder


def refused_everywhere(path: Path, words: str) -> None:
    """Neither the reader nor a run that goes on touches it."""
    before = path.read_bytes()
    for use in (Snapshots, lambda p: resume(p, t_end=8.0)):
        with pytest.raises(UserError, match=words) as error:
            use(path)
        assert "\n" not in str(error.value)
    assert path.read_bytes() == before


def sentence_of(use, path: Path) -> str:
    """What the error says; nothing if there is none."""
    try:
        use(path)
    except UserError as error:
        return str(error)
    return ""


def contents(path: Path) -> tuple:
    with Snapshots(path) as s:
        return (*(s.column(name)[:].tobytes() for name in ("time", "position", "velocity", "dt")), str(s.metadata))


# ---- data that are not in the file ----------------------------------------------------------------------------------
def moved_to_external_storage(f: h5py.File, name: str, target: Path) -> None:
    values = f[name][...]
    del f[name]
    f.create_dataset(name, values.shape, values.dtype, external=[(str(target), 0, values.nbytes)])


def virtual(f: h5py.File, name: str, target: Path) -> None:
    shape, kind = f[name].shape, f[name].dtype
    layout = h5py.VirtualLayout(shape, kind)
    layout[...] = h5py.VirtualSource(str(target), name, shape)
    del f[name]
    f.create_virtual_dataset(name, layout)


def external_link(f: h5py.File, name: str, target: Path) -> None:
    del f[name]
    f[name] = h5py.ExternalLink(str(target), "/" + name)


def soft_link(f: h5py.File, name: str, target: Path) -> None:
    del f[name]
    f[name] = h5py.SoftLink("/time")


def second_name(f: h5py.File, name: str, target: Path) -> None:
    del f[name]
    f[name] = f["time"]


@pytest.mark.parametrize("name", ["state/0/state", "run", "position", "tail", "known", "initial/velocity"])
@pytest.mark.parametrize("how", [moved_to_external_storage, virtual, external_link, soft_link, second_name])
def test_nothing_outside_the_file_is_read_or_written(files, tmp_path, how, name):
    """HDF5 would follow each of them: a run that goes on replaced the contents of the target."""
    path, target = tmp_path / "run.h5", tmp_path / "precious"
    shutil.copy(files / "free fall.h5", path)
    shutil.copy(path, target)
    with h5py.File(path, "a", libver=("v110", "v110")) as f:
        how(f, name, target)
    before = target.read_bytes()
    refused_everywhere(path, rf"run\.h5 is refused: {name} (is stored in another file|is a link|has another name)")
    assert target.read_bytes() == before


def test_more_numbers_than_bytes_are_refused_and_not_allocated(files, tmp_path):
    path = tmp_path / "run.h5"
    for name in ("run", "position", "initial/mass", "mine"):
        shutil.copy(files / "free fall.h5", path)
        with h5py.File(path, "a", libver=("v110", "v110")) as f:
            if name in f:
                del f[name]
            f.create_dataset(name, (1 << 40,), "f8", chunks=(1 << 20,) if name != "mine" else None)
        if name == "mine":
            refused_everywhere(path, "mine states more numbers than it holds")
        elif name != "initial/mass":  # which other programs read
            refused_everywhere(path, rf"is refused: {name} ")


# ---- single bits ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", PLANS)
def test_every_flipped_bit_of_what_stays_shows(files, tmp_path, name):
    """Shapes of a network, kicks of an integrator, masses: flips crashed the process, or changed runs in silence."""
    path, whole = tmp_path / "run.h5", (files / f"{name}.h5").read_bytes()
    with h5py.File(files / f"{name}.h5") as f:
        first, size = f["run"].id.get_offset(), f["run"].size
    for bit in np.random.default_rng(0).choice(8 * size, 120, replace=False):
        damaged = bytearray(whole)
        damaged[first + bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        refused_everywhere(path, r"run\.h5 is refused: what stays as it is during a run does not fit its checksum")


def test_a_flipped_bit_anywhere_is_refused_or_means_nothing_and_never_waits(files, tmp_path):
    """HDF5 would read damaged metadata again and again for a minute, in case a writer is at work."""
    whole, path = (files / "free fall.h5").read_bytes(), tmp_path / "run.h5"
    truth, refused, longest = contents(files / "free fall.h5"), 0, 0.0
    unclosed = bytearray(whole)
    unclosed[11] |= 5
    unclosed[44:48] = checksum(bytes(unclosed[:44])).to_bytes(4, "little")
    for content in (whole, bytes(unclosed)):
        path.write_bytes(content)
        assert contents(path) == truth
        for bit in np.random.default_rng(1).choice(8 * len(content), 400, replace=False):
            damaged = bytearray(content)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            began = time.monotonic()
            try:
                assert contents(path) == truth
            except SnapshotError:
                refused += 1
            longest = max(longest, time.monotonic() - began)
    assert refused > 5  # most bytes are room for rows
    assert longest < 3.0


# ---- valid seals over wrong numbers -----------------------------------------------------------------------------------
def with_state(path: Path, change) -> None:
    """Change the newest state, and seal it again."""
    with h5py.File(path, "a", libver=("v110", "v110")) as f:
        layout = unpack_run(f["run"][...])[2]
        names = [f"state/{k}/{name}" for k in (0, 1) for name in ("state", "result")]
        slot = read_slots({name: f[name] for name in names}, layout).newest
        state = {name: values.copy() for name, values in slot.state.items()}
        change(state)
        write_slot(f["state"], layout, Slot(slot.sequence + 2, slot.rows, state, slot.result))


def put(name, where, value):
    def change(state):
        state[name][where] = value

    return change


WRONG = {
    "count of -2^40": put("count", ..., -(2**40)),
    **{f"count {k} of {v}": put("count", (0, k), v) for k in range(at.COUNTS) for v in (-2, -(2**40), 2**62)},
    "a pair beyond the bodies": put("count", (0, at.PAIR_I), 2),
    "the closest pair beyond the bodies": put("count", (0, at.CLOSEST_J), 2),
    "a third block": put("count", (0, at.CURRENT), 2),
    "rows beyond the memory": put("count", (0, at.PENDING), 1025),
    "a status of none": put("count", (0, at.STATUS), 5),
    "a time before the start": put("real", (0, at.TIME), -1e300),
    "a time after the end": put("real", (0, at.TIME), 1e300),
    "no time": put("real", (0, at.TIME), np.nan),
    "no direction of time": put("states", (0, at.TIME_SIGN), 0.5),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_numbers_of_no_run_reach_no_kernel(files, tmp_path, wrong):
    path = tmp_path / "run.h5"
    shutil.copy(files / "free fall.h5", path)
    with_state(path, WRONG[wrong])
    with pytest.raises(SnapshotError, match="does not hold what is needed to resume"):
        resume(path, t_end=8.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 2.0, 1e300])
def test_the_memory_of_gauss_radau_points_nowhere(files, tmp_path, value):
    path = tmp_path / "run.h5"
    shutil.copy(files / "radau15.h5", path)
    with_state(path, put("radau", (0, 1), value))
    with pytest.raises(SnapshotError, match="memory of Gauss-Radau"):
        resume(path, t_end=8.0)


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -1e300, 0.0, 1e308])
def test_states_of_such_numbers_end_in_a_status(files, tmp_path, name, value):
    """They are positions and energies, which anything may be; masses are those of the start."""
    path = tmp_path / "run.h5"
    shutil.copy(files / f"{name}.h5", path)

    def change(state):
        for part in ("states", "memory", "window", "rows"):
            state[part][...] = value
        state["states"][:, at.TIME_SIGN] = 1.0

    with_state(path, change)
    result = resume(path, t_end=8.0, warn=False)
    assert result.status[0] in ("non_finite", "stuck", "ok")
    assert np.array_equal(result.final.mass, Snapshots(path).initial.mass)


def with_run(path: Path, change) -> None:
    """Change what stays as it is during the run, and seal it again."""
    with h5py.File(path, "a", libver=("v110", "v110")) as f:
        metadata, arrays, states = unpack_run(f["run"][...])
        parts = {"initial": {}, "constants": {}}
        for name, values in arrays.items():
            group, _, rest = name.partition("/")
            parts[group][rest] = values.copy()
        states = change(metadata, parts["initial"], parts["constants"]) or states
        del f["run"]
        f["run"] = np.frombuffer(pack_run(metadata, parts["initial"], parts["constants"], states), np.uint8)


def set_in(part, *keys, value):
    def change(metadata, initial, constants):
        target = {"metadata": metadata, "initial": initial, "constants": constants}[part]
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = value

    return change


JUNK = (None, "words", -1, 0, 2.5, 1e300, [], {}, [[]], True, float("nan"), 10**30)
KEYS = (
    ("G",),
    ("names",),
    ("field",),
    ("integrator",),
    ("chosen_by",),
    ("chosen_by", "kind"),
    ("chosen_by", "criterion"),
    ("network",),
    ("network", "config"),
    ("network", "scales"),
    ("network", "card"),
    ("network", "card", "calibration"),
    ("output_every",),
    ("output_by_steps",),
    ("guard_share",),
    ("asked",),
    ("asked", "run_tolerance"),
    ("asked", "covers"),
    ("asked", "error_before"),
    ("asked", "status_at_limit"),
    ("asked", "criterion"),
)


@pytest.mark.parametrize("key", KEYS, ids=".".join)
def test_metadata_of_other_types_are_a_sentence_or_mean_nothing(files, tmp_path, key):
    path = tmp_path / "run.h5"
    for value in JUNK:
        shutil.copy(files / "network.h5", path)
        with_run(path, set_in("metadata", *key, value=value))
        for use in (lambda p: Snapshots(p).initial, lambda p: resume(p, t_end=8.0, warn=False)):
            words = sentence_of(use, path)
            assert not words or words.isprintable()
            assert len(words) < 500


ARRAYS = (
    ("initial", "mass"),
    ("initial", "position"),
    ("initial", "present"),
    ("initial", "time"),
    ("constants", "system"),
    ("constants", "output_start"),
    ("constants", "weights/log_dt.weight"),
    ("constants", "weights/hidden.0.weight"),
)
VALUES = (
    np.zeros(0),
    np.array(1.0),
    np.zeros((1, 2)),
    np.full((1, 2), np.nan),
    np.ones((5, 2)),
    np.ones((1, 2), np.int64),
    np.full((1, 3), 1e300),
    np.full((1, 2, 2), np.inf),
    np.zeros((1, 2), bool),
)


@pytest.mark.parametrize(("part", "name"), ARRAYS)
def test_arrays_of_other_shapes_are_a_sentence(files, tmp_path, part, name):
    path = tmp_path / "run.h5"
    for value in VALUES:
        shutil.copy(files / "network.h5", path)
        with_run(path, set_in(part, name, value=value))
        with pytest.raises(UserError) as error:
            resume(path, t_end=8.0)
        assert "\n" not in str(error.value)


def test_a_layout_of_other_states_is_a_sentence(files, tmp_path):
    path = tmp_path / "run.h5"
    for entries in (
        [],
        [["count", "<i8", [1 << 40]]],
        [["real", "<f8", [1, 2]]],
        [["x", "|O", [1]]],
        [["x", "<f8", [-1]]],
        [7],
    ):
        shutil.copy(files / "free fall.h5", path)

        def change(metadata, initial, constants, entries=entries):
            return _Plain(entries)

        with_run(path, change)
        with pytest.raises(SnapshotError):
            resume(path, t_end=8.0)


class _Plain:
    """A layout that states anything."""

    def __init__(self, entries):
        self.entries = entries

    def plain(self):
        return self.entries


# ---- where it is written ----------------------------------------------------------------------------------------------
def test_a_new_file_replaces_no_device_and_no_target_of_a_link(files, tmp_path):
    pair = kepler(0.5)
    bodies = Bodies(pair.mass, pair.position, pair.velocity)
    target, link = tmp_path / "target.h5", tmp_path / "link.h5"
    target.write_bytes(b"precious")
    link.symlink_to(target)
    with pytest.raises(UserError, match=r"link\.h5 exists"):
        simulate(bodies, t_end=1.0, output=link)
    simulate(bodies, t_end=1.0, output=link, overwrite=True)
    assert target.read_bytes() == b"precious"
    assert not link.is_symlink()
    assert len(Snapshots(link)) > 1
    for device in ("/dev/null", "/dev/full"):
        with pytest.raises(UserError, match=r"it is a device, a pipe or a socket, and only files are replaced"):
            simulate(bodies, t_end=1.0, output=device, overwrite=True)
    os.mkfifo(tmp_path / "fifo.h5")
    with pytest.raises(UserError, match="only files are replaced"):
        simulate(bodies, t_end=1.0, output=tmp_path / "fifo.h5", overwrite=True)
    for use in (Snapshots, resume):
        with pytest.raises(SnapshotError, match="no regular file"):
            use(tmp_path / "fifo.h5")


def test_a_file_that_is_written_anew_keeps_its_mode(files, tmp_path):
    path = tmp_path / "run.h5"
    shutil.copy(files / "free fall.h5", path)
    path.chmod(0o600)
    resume(path, t_end=8.0)
    assert path.stat().st_mode & 0o777 == 0o600
