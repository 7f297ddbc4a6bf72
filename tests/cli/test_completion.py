"""`aitimestepper completion`: scripts made from the parser, run by the shells themselves."""

import shutil
import subprocess

import pytest

from aitimestepper.cli import COMMANDS
from aitimestepper.cli.arguments import SHORT, parse
from aitimestepper.cli.command_tree import command_tree, every_command
from aitimestepper.cli.completion import script_for
from aitimestepper.config import SYMMETRIZERS
from aitimestepper.criteria.catalogue import CRITERIA
from aitimestepper.initial.families import FAMILIES
from aitimestepper.initial.named import MAKERS

STUDIES = {"steps", "curves", "rl", "longrun", "suite", "compare"}
# what is typed, and what the shell offers
CASES = {
    "": {*COMMANDS, *SHORT},
    "sim": {"simulate"},
    "simulate --ic ": set(MAKERS),
    "simulate --ic ke": {"kepler"},
    "simulate --tol 1e-3 --symmetrizer ": set(SYMMETRIZERS),
    "simulate --criterion f": {name for name in CRITERIA if name.startswith("f")},
    "simulate --symm": {"--symmetrized", "--symmetrizer"},
    "simulate --guard --no-sy": {"--no-symmetrized"},
    "train --judge ": {"step", "run"},
    "tune --jud": {"--judge"},
    "bench ": STUDIES,
    "bench steps --q": {"--quick", "--quiet"},
    "bench steps --criteria freefall prs": {"prs23"},
    "bench steps --families ": set(FAMILIES),
    "plot e": {"energy", "elements"},
    "completion ": {"bash", "zsh", "fish"},
}
ASK_BASH = """
ask() {
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _aitimestepper
    echo "${COMPREPLY[*]}"
}
"""


def quoted(words: str) -> str:
    return " ".join(f"'{word}'" for word in words.split(" "))


def shell(program: str, script: str) -> str:
    done = subprocess.run([program, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_bash_offers_commands_flags_and_names():
    asked = "\n".join(f"ask aitimestepper {quoted(line)}" for line in CASES)
    found = shell("bash", script_for("bash") + ASK_BASH + asked).splitlines()
    assert len(found) == len(CASES)
    assert {line: set(words.split()) for line, words in zip(CASES, found, strict=True)} == CASES


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("simulate --ic = ke", "kepler"),  # bash makes three words of --ic=ke
        ("simulate --ic kepler : e", ""),
        ("plot --overwrite orb", "orbits"),
        ("plot -o x.pdf orb", "orbits"),
        ("simulate --tol 1", ""),
    ],
)
def test_bash_knows_which_words_are_values(words, offered):
    found = shell("bash", f"{script_for('bash')}{ASK_BASH}ask aitimestepper {quoted(words)}")
    assert found.strip() == offered


def test_bash_registers_the_function():
    found = shell("bash", script_for("bash") + "complete -p aitimestepper")
    assert found == "complete -o bashdefault -o default -F _aitimestepper aitimestepper\n"


def test_every_flag_of_every_command_is_in_every_script():
    scripts = {name: script_for(name) for name in ("bash", "zsh", "fish")}
    commands = list(every_command(command_tree()))
    assert {c.words for c in commands} >= {*COMMANDS, *SHORT, *(f"bench {study}" for study in STUDIES)}
    for flag in {flag for c in commands for a in c.flags for flag in a.flags}:
        assert f" {flag} " in scripts["bash"].replace('"', " ")
        assert f"'{flag}[" in scripts["zsh"]
        assert f"-{'l' if flag.startswith('--') else 's'} {flag.lstrip('-')} " in scripts["fish"]


def test_what_is_offered_is_what_the_parser_takes():
    """Every value of a flag of `simulate` is accepted by it."""
    simulate = next(c for c in every_command(command_tree()) if c.words == "simulate")
    offered = [(a, value) for a in simulate.flags for value in a.values]
    assert len(offered) > 30
    for argument, value in offered:
        parse(["simulate", argument.flags[0], value])


@pytest.mark.parametrize("program", [name for name in ("zsh", "fish") if shutil.which(name)])
def test_the_other_shells_read_their_scripts(program, tmp_path):
    (tmp_path / "script").write_text(script_for(program))
    done = subprocess.run([program, "-n", str(tmp_path / "script")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("line", CASES if shutil.which("fish") else [])
def test_fish_offers_the_same(line):
    found = shell("fish", f'{script_for("fish")}complete -C "aitimestepper {line}"')
    offered = {row.split("\t")[0] for row in found.splitlines()}
    assert CASES[line] <= offered


def test_the_command_prints_the_script_and_refuses_other_shells(command):
    done = command("completion", "fish")
    assert (done.returncode, done.stdout, done.stderr) == (0, script_for("fish"), "")
    refused = command("completion", "csh")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "invalid choice: 'csh'" in refused.stderr
