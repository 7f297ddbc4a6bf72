"""Everything a user can get wrong: one clear sentence, exit code 2, nothing lost. Through the real command line."""

import os
import pickle

import numpy as np
import pytest

GOOD = "1 0 0 0 0.5\n1 1 0 0 -0.5\n"
FILES = {
    "empty.txt": ("", "empty.txt is empty"),
    "orbits.csv": ("m,a,e\n1,,\n1,1,1.5\n", "a = 1 of orbit 0 does not fit its e"),
    "units.csv": ("m [Msun],x [au],y [au],vx,vy\n1,0,0,0,0\n1,1,0,0,1\n", "velocity has no unit, but mass has ('Msun')"),
    "ragged.txt": ("1 0 0 0 0.5\n1 1 0\n", "rows have [3, 5] numbers"),
    "nan.txt": ("1 0 0 0 nan\n1 1 0 0 1\n", "row 1, column 5 is nan"),
    "words.txt": ("1 0 0 0 fast\n1 1 0 0 1\n", "words.txt: could not convert string to float"),
    "negative.txt": ("-1 0 0 0 0.5\n1 1 0 0 -0.5\n", "masses must be 0 or more"),
    "same.txt": ("1 0 0 0 0.5\n1 0 0 0 -0.5\n", "at the same place as another, at softening 0"),
    "one.txt": ("1 0 0 0 0.5\n", "found 1 body; gravity needs at least 2"),
    "dimension.txt": ("1 0 0 0.5\n1 1 0 -0.5\n", "5 numbers in 2D, 7 in 3D"),
    "massless.txt": ("0 0 0 0 0.5\n0 1 0 0 -0.5\n", "has no mass at all"),
}
ARGUMENTS = [
    (
        "simulate --units au,Msun,yr --G 2",
        "G = 2 is not that of the units au,Msun,yr, which is 39.4769: leave one of the two out",
    ),
    ("simulate --units au,Msum,yr", "unit 'Msum': 'Msum' is unknown; did you mean 'msun'"),
    ("simulate --ic file:missing.txt", "cannot read the initial conditions missing.txt: No such file"),
    ("simulate --ic keppler", "unknown initial conditions 'keppler': did you mean 'kepler'"),
    ("simulate --ic kepler:ee=0.5", "no argument 'ee'"),
    ("simulate --ic kepler:e=1.5", "e = 1.5 is out of range"),
    ("simulate --ic kepler:e=half", "e = 'half' must be a number"),
    (
        "simulate --criterion frefall",
        "criterion 'frefall' is no rule, and no model or run of that name is there: did you mean 'freefall'",
    ),
    ("simulate --criterion none/here.npz", "there is no model or run none/here.npz"),
    ("simulate --criterion constant", "constant needs dt: write constant:dt=..."),
    ("simulate --criterion freefall:eta=-1", "eta = -1.0 must be a positive number"),
    ("simulate --t-end 3 --steps 5", "t_end = 3.0 and steps = 5"),
    ("simulate --t-end nan", "t_end"),
    ("simulate --times 1 2", "times = [1.0, 2.0] are those of the rows of a file: give output, too"),
    ("simulate --t-end 1 --events encounter", "encounter needs below: write encounter:below=..."),
    ("simulate --t-end 1 --events meeting:below=1", "unknown event 'meeting'"),
    ("simulate --t-end 1 --events escape:beyond=0", "escape: beyond = 0.0 must be a positive number"),
    ("simulate --model nowhere", "there is no model or run nowhere"),
    ("simulate --model x --criterion freefall", "criterion = freefall and model = x both choose the step"),
    ("simulate --integrator hermite", "did you mean 'hermite4'"),
    ("simulate --integrator hermite4:m=3", "did you mean 'hermite4'"),
    ("simulate --integrator hermite4:n=0", "write hermite4:n=3, n from 1 to 20 corrections"),
    ("simulate --integrator leapfrog:n=3", "did you mean 'leapfrog'"),
    ("simulate --criterion lastterm --integrator leapfrog", "lastterm is made for integrator = radau15, not for leapfrog"),
    ("simulate --resume none.h5", "none.h5"),
    ("simulate --tol 0", "tol = 0.0 must be > 0"),
    ("simulate --device cuda:7", "--device is a setting of train and both, not of simulate"),
    ("train --device cuda:7", "device = 'cuda:7' cannot be used here"),
    (
        "train --integrator hermite4",
        "integrator = hermite4 is for simulations only: a network is trained through one of leapfrog, suzuki4",
    ),
    ("simulate --external-field tidl:M=3", "unknown external field 'tidl': did you mean 'tidal'"),
    ("simulate --external-field tidal:M=3", "tidal needs R0"),
    ("simulate --movie run.avi --t-end 1", "run.avi"),
    ("train --energy-threshold 0", "energy_threshold = 0.0 must be > 0"),
    ("train --epochs 0", "epochs = 0 must be >= 1"),
    ("train --epochs many", "invalid whole number value: 'many'"),
    ("train --epochz 3", "unknown flag --epochz: did you mean '--epochs'"),
    ("train --t-end 3", "--t-end is a setting of simulate, report and both, not of train"),
    ("train --feature-type basik", "did you mean 'basic'"),
    ("train --resume=", "--resume = '' names no run"),
    ("train --resume nothing", "there is no checkpoint or run nothing"),
    ("train --config none.toml", "cannot read the configuration none.toml"),
    ("train --ic kepler:e=0.3 --num-orbits 4", "give --e-min and --e-max"),
    ("train --ic figure8 --num-orbits 4", "needs a family to sample from"),
    ("tune --tolerances 0", "tolerances = 0.0 must be >= 1e-14 and < 1"),
    ("tune --integrator leapfog", "did you mean 'leapfrog'"),
    ("tune --ic-family keppler", "unknown family 'keppler': did you mean 'kepler'"),
    ("tune --ic-family nothing.py", "nothing.py"),
    ("tune --ic kepler", "judge = run learns from many problems: name families of them with ic_family"),
    ("tune --start nowhere", "there is no model or run nowhere"),
    ("tune --start default --layers 3", "the network to start from has layers = (16,), not (3,)"),
    ("tune --layers 0", "layers = 0 must be >= 1"),
    ("tune --feature-type rich", "judge = run needs feature_type = invariant"),
    ("tune --epochs 9999", "are more than 20000"),
    ("tune --softening 0.1", "families of problems with softening = 0.0, not 0.1: leave it out"),
    ("tune --dtype float32", "families of problems with dtype = float64, not float32"),
    ("train --tolerances 1e-5", "are those of whole runs: give judge = run"),
    ("train --judge run --steps-per-epoch 50", "steps_per_epoch is a setting of judge = step; nothing reads it with run"),
    ("train --validation 50", "validation is a setting of judge = run; nothing reads it with step"),
    ("both --judge run --ic-family kepler --ic nothing", "unknown initial conditions 'nothing'"),
    ("train --judge both", "judge = 'both' must be one of step, run"),
    ("train --ic figure8 --ic-family kepler", "both name the problems: give one"),
    ("train --tol 1e-5", "--tol is a setting of simulate, report and both, not of train"),
    ("simulate --criterion freefall --tol 1e-8 --t-end 1", "freefall has no calibrated tolerance"),
    ("simulate --symmetrized --tol 1e-9 --t-end 1", "Gauss-Radau with its own rule, which is not made time-symmetric"),
    ("trian", "unknown command 'trian': did you mean 'train'"),
    ("simulate --ic plummer:seed=-1", "plummer: seed = -1 must be 0 or more"),
    ("simulate --ic plummer:n=1000000000", "plummer: n = 1000000000 must be at most 200000: a step takes all pairs"),
    ("simulate --ic random:n=1000000000", "random: n = 1000000000 must be at most 200000"),
    (
        "simulate --ic plummer:seed=12345678901234567890123",
        "seed = '12345678901234567890123' must be a whole number below 2^63",
    ),
    ("simulate --seed 12345678901234567890123", "seed = 12345678901234567890123 must be a whole number below 2^63"),
    ("simulate --num-orbits 3 --ic plummer:n=4,seed=abc", "seed = 'abc' must be a whole number"),
    ("simulate --num-orbits 10000000", "num_orbits = 10000000 must be >= 1 and <= 1000000"),
    ("simulate --ic kepler:G=0", "G = 0.0 is out of range"),
    ("simulate --ic kepler:a=1e200", "kepler:a=1e200 cannot be computed with these numbers"),
    ("simulate --ic kepler:a=1e-200 --num-orbits 3", "kepler:a=1e-200 cannot be computed with these numbers"),
    ("simulate --ic triple:a2=1e200", "triple:a2=1e200 cannot be computed with these numbers"),
    ("simulate --ic agekyan:x=1e200", "agekyan: x = 1e+200"),
    ("simulate --ic kepler:e=nan", "e = 'nan' must be a finite number"),
    ("simulate --criterion freefall:eta=1e400", "eta = '1e400' must be a finite number"),
    ("simulate --external-field tidal:M=inf,R0=2", "M = 'inf' must be a finite number"),
    ("simulate --softening 1e300", "choose units of mass, length and time"),
    ("simulate --G 1e-300", "choose units of mass, length and time"),
    ("simulate --output o.h5 --steps 3 --output-every 1e-300", "would be 2e+300 rows in the time"),
    ("simulate --output o.h5 --t-end 1 --output-every 1e-12", "would be 1e+12 rows in the time 1 of the run, more than 1e+09"),
    (f"simulate --ic {'x' * 300}", "unknown initial conditions 'xxx"),
    (f"simulate --model {'x' * 300}", "xxx"),
    (f"simulate --output {'x' * 300} --steps 3", "File name too long"),
    (f"simulate --config {'x' * 300}", "File name too long"),
    ("simulate --criterion a\nb", "criterion = 'a\\nb' must be text, not empty and of printable characters"),
    ("simulate --config .", "cannot read the configuration .: Is a directory"),
    ("train --G 1e-300", "choose units of mass, length and time"),
    ("train --ic kepler:a=1e60", "system 0 has a size of 1e60, a time of free fall of 1e90"),
    ("train --device meta", "device = 'meta' must be one of cpu, cuda, mps, cuda:1, ... or auto"),
    ("train --device hpu", "device = 'hpu' must be one of cpu"),
    ("train --layers 1000000 1000000", "layers = [1000000, 1000000] takes 32,000 GB in a training, this machine has"),
    ("train --feature-type basic --history-len 1000000000", "takes 22,528 GB in a training"),
    ("train --fourier-features 10000000000", "fourier_features = 10000000000 and layers"),
    ("train --save-name ../../x", "save_name = '../../x' must be the name of one folder inside out_dir"),
    ("train --save-name /tmp/x", "save_name = '/tmp/x' must be the name of one folder"),
    ("train --save-name ..", "save_name = '..' must be the name of one folder"),
    ("train --save-name=", "save_name = '' must be text, not empty"),
    (f"train --save-name {'x' * 300}", "at most 200 bytes"),
    ("tune --start " + "x" * 300, "xxx"),
    ("tune --ic-family " + "x" * 300 + ".py", "there is no file xxx"),
    ("", "required"),
]


def expect_complaint(done, words: str) -> None:
    """One sentence on stderr, nothing on stdout, exit code 2, no traceback."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("aitimestepper: error: ")
    assert words in lines[0], lines[0]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", FILES)
def test_initial_condition_files(command, tmp_path, name):
    content, words = FILES[name]
    (tmp_path / name).write_text(content)
    expect_complaint(command("simulate", "--ic", f"file:{name}", "--t-end", "1"), words)
    assert (tmp_path / name).read_text() == content


def needing_torch(case: tuple[str, str]) -> object:
    """Commands that train are told that PyTorch is missing before anything else."""
    trains = case[0].partition(" ")[0] in ("train", "tune", "both")
    return pytest.param(*case, marks=pytest.mark.torch) if trains else case


@pytest.mark.parametrize(("arguments", "words"), [needing_torch(case) for case in ARGUMENTS])
def test_arguments(command, tmp_path, arguments, words):
    expect_complaint(command(*arguments.split(" ") if arguments else ()), words)
    assert not list(tmp_path.iterdir())  # and no empty run, nor a file, was left behind


def test_coincident_bodies_are_fine_with_softening(command, tmp_path):
    (tmp_path / "same.txt").write_text(FILES["same.txt"][0])
    done = command(*["simulate", "--ic", "file:same.txt", "--softening", "0.1", "--steps", "5", "--json"])
    assert done.returncode == 0, done.stderr


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_pickled_array_is_not_run(command, tmp_path):
    np.save(tmp_path / "bomb.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    expect_complaint(command("simulate", "--ic", "file:bomb.npy", "--t-end", "1"), "bomb.npy is not an array of numbers")
    (tmp_path / "bomb.npz").write_bytes(pickle.dumps({"format": Bomb()}))
    expect_complaint(command("simulate", "--model", "bomb.npz"), "bomb.npz is not a model of aitimestepper")
    assert not (tmp_path / "pwned").exists()


def test_a_pickled_checkpoint_is_not_run(command, tmp_path, torch):
    (tmp_path / "bomb.pt").write_bytes(pickle.dumps({"format": Bomb()}))
    expect_complaint(command("train", "--resume", "bomb.pt"), "bomb.pt is not a checkpoint")
    assert not (tmp_path / "pwned").exists()


PIPES = [
    ("simulate --config pipe", "cannot read the configuration pipe: it is no regular file, but a pipe or a device"),
    ("simulate --ic file:pipe", "cannot read the initial conditions pipe: it is no regular file"),
    ("simulate --ic file:pipe.npy", "cannot read the initial conditions pipe.npy: it is no regular file"),
    ("simulate --ic-family pipe.py", "pipe.py: it is no regular file"),
    ("simulate --ic file:/dev/zero", "cannot read the initial conditions /dev/zero: it is no regular file"),
    ("bench steps --criteria pipe.py:Mine", "pipe.py: it is no regular file"),
]


@pytest.mark.parametrize(("arguments", "words"), PIPES)
def test_pipes_and_devices_do_not_block(command, tmp_path, arguments, words):
    for name in ("pipe", "pipe.npy", "pipe.py"):
        os.mkfifo(tmp_path / name)
    expect_complaint(command(*arguments.split()), words)


BOMBS = {
    "so many numbers": "{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000, 7), }",
    "so many letters": "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (2, 7), }",
    "a negative shape": "{'descr': '<f8', 'fortran_order': False, 'shape': (-2, -7), }",
    "an open bracket": "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 7",
    "deep brackets": "(" * 5000,
    "no header": "",
    "a type of its own": "{'descr': [('a', [('b', '<f8')])], 'fortran_order': False, 'shape': (2, 7), }",
    "an object": "{'descr': '|O', 'fortran_order': False, 'shape': (2, 7), }",
    "spaces": "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 7), }" + 10_000_000 * " ",
}


@pytest.mark.parametrize("name", BOMBS)
def test_false_headers_of_arrays_are_refused_without_the_memory(command, tmp_path, name):
    header = BOMBS[name].encode() + b"\n"
    (tmp_path / "bomb.npy").write_bytes(b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header + bytes(112))
    expect_complaint(command("simulate", "--ic", "file:bomb.npy", "--t-end", "1"), "bomb.npy is not an array of numbers")


def test_names_of_files_cannot_break_the_line(command, tmp_path):
    (tmp_path / "a\nb.txt").write_text("words")
    expect_complaint(command("simulate", "--resume", "a\nb.txt"), "a\\nb.txt")


@pytest.mark.parametrize("where", ["simulate --out-dir file/x --model here", "simulate --output file/x.h5 --steps 3"])
def test_a_file_where_a_folder_should_be(command, tmp_path, where):
    (tmp_path / "file").write_text("")
    expect_complaint(command(*where.split()), "file")
    assert (tmp_path / "file").read_text() == ""


def test_a_family_that_ends_the_program_is_a_mistake(command, tmp_path):
    (tmp_path / "family.py").write_text("raise SystemExit(3)\n")
    expect_complaint(command("simulate", "--ic-family", "family.py"), "family.py cannot be run: SystemExit: 3")


def test_bad_toml(command, tmp_path):
    (tmp_path / "c.toml").write_text("[train]\nenergy_treshold = 1e-3\n")
    expect_complaint(
        command(*["train", "--config", "c.toml"]), "unknown setting 'energy_treshold': did you mean 'energy_threshold'"
    )


def test_truncated_and_foreign_checkpoints_and_models(command, trained, tmp_path):
    for kind, flags, words in (
        ("pt", ("train", "--resume"), "cut.pt is damaged, or was not written by this version of aitimestepper"),
        ("npz", ("simulate", "--model"), "cut.npz is not a model of aitimestepper, or is damaged"),
    ):
        whole = (trained / f"model_epoch_0003.{kind}").read_bytes()
        (tmp_path / f"cut.{kind}").write_bytes(whole[: len(whole) // 2])
        expect_complaint(command(*flags, f"cut.{kind}"), words)
        (tmp_path / f"foreign.{kind}").write_text("hello")
        expect_complaint(command(*flags, f"foreign.{kind}"), f"foreign.{kind} is not a")


def test_a_checkpoint_without_its_model_says_how_to_get_one(command, trained, tmp_path):
    (tmp_path / "alone.pt").write_bytes((trained / "model_epoch_0003.pt").read_bytes())
    done = command("simulate", "--model", "alone.pt")
    expect_complaint(done, "there is no alone.npz beside alone.pt")
    assert "the extra train" in done.stderr


def test_a_run_is_never_overwritten_by_accident(command, trained):
    before = {p.name: p.read_bytes() for p in trained.iterdir()}
    expect_complaint(
        command(*["train", "--save-name", "small", "--epochs", "1", "--ic", "kepler:e=0.1"]), "small already holds a run"
    )
    expect_complaint(command(*["train", "--resume", "small", "--lr", "1"]), "lr = 1.0 differs from 0.0001 of the run small")
    expect_complaint(command(*["train", "--resume", "small", "--epochs", "1"]), "has 3 epochs already")
    expect_complaint(command(*["simulate", "--model", "small", "--integrator", "suzuki4"]), "was trained with leapfrog")
    assert {p.name: p.read_bytes() for p in trained.iterdir()} == before


def test_a_full_disk_while_saving_keeps_what_was_there(command, trained):
    """A limit on the file size stands in for the full disk. The run can be resumed afterwards."""
    before = {p.name: p.read_bytes() for p in trained.glob("model_*")}
    done = command(*["train", "--resume", "small", "--epochs", "6"], file_limit=20_000)
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert {p.name: p.read_bytes() for p in trained.glob("model_*")} == before
    assert not list(trained.glob("*.partial"))
    assert command(*["train", "--resume", "small", "--epochs", "6"]).returncode == 0


def test_a_simulation_that_breaks_off_says_so(command):
    """Exit code 1: the question was fine, the answer is incomplete."""
    done = command("simulate", "--criterion", "freefall:eta=0.02", "--t-end", "10", "--max-steps", "5", "--json")
    assert done.returncode == 1
    assert '"status": "max_steps"' in done.stdout
    remedy = "the run used up its steps: allow more of them (max_steps)."
    assert done.stderr == f"aitimestepper: warning: {remedy}\n"
