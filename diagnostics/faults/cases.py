"""What a case of the campaign is: a kind of file, a damage, the readers of the file, and the verdict on their answers."""

from __future__ import annotations

import shutil
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from contents import Contents, LeakError

from aitimestepper.errors import UserError

# other: contents that may differ, as those of a text or under a right seal; earlier: an earlier state of a run never closed
GOOD = ("same", "earlier", "refused", "other")
BAD = ("changed", "traceback", "hang", "crash", "canary", "broken")  # broken: the campaign itself failed
KINDS = GOOD + BAD  # from harmless to harmful: a case is what the worst of its readings is
LONGEST_SENTENCE = 1000  # characters
PACKAGE = "/aitimestepper/"
Reading = Callable[[Path], Contents]
Parts = dict[str, list[tuple[int, int]]]  # parts of a file by name: where their pieces begin and end


class Damage(NamedTuple):
    """A way to damage a file: `apply` changes it in place, and returns what it did in words."""

    name: str
    apply: Callable[[Path, np.random.Generator, Parts], str]
    sealed: bool = False  # its seals are right again, so that other contents cannot be seen


@dataclass(frozen=True)
class Subject:
    """One kind of file."""

    name: str
    make: Callable[[Path], tuple[Path, ...]]  # the file, in an empty folder; then earlier states of it, in other folders
    readings: Mapping[str, Reading]
    damages: tuple[tuple[Damage, ...], ...]  # groups that are equally likely, of damages that are equally likely
    weight: float = 1.0  # share of the cases
    text: bool = False  # a flipped digit cannot be seen
    needs: str = ""  # the module that it cannot do without
    one_of: Mapping[str, Reading] = field(default_factory=dict)  # readings that take long: a case has only one of them

    def readings_of(self, number: int) -> dict[str, Reading]:
        """Return the readings of a case."""
        slow = list(self.one_of.items())
        return {**self.readings, **dict(slow[number % len(slow) :][:1] if slow else ())}


@dataclass(frozen=True)
class Good:
    """A file as it must be, with what its readers must return."""

    subject: Subject
    path: Path
    files: dict[str, bytes]  # all files of its folder by name
    expected: dict[str, list[Contents]]  # by reading: that of the file, then those of earlier states
    parts: Parts


class Case(NamedTuple):
    """One damage, which follows from the seed, the subject and the number alone."""

    subject: str
    number: int

    def generator(self, seed: int) -> np.random.Generator:
        """Return the random stream of the case."""
        return np.random.default_rng([seed, zlib.crc32(self.subject.encode()), self.number])


class Outcome(NamedTuple):
    """What came of a case."""

    case: Case
    kind: str
    damage: str
    details: str  # what was changed
    reading: str  # the worst one
    words: str  # its answer
    where: str  # the last line of the package that ran


def prepare(subject: Subject, folder: Path, parts_of: Callable[[Path], Parts]) -> Good:
    """Make the file of a subject, and read it in all ways, which also compiles what the cases need."""
    folder.mkdir()
    made, *earlier = subject.make(folder)
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    expected: dict[str, list[Contents]] = {}
    for name, read in {**subject.readings, **subject.one_of}.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected[name] = [_on_copy(read, path, folder / "trial") for path in (made, *earlier)]
    return Good(subject, made, files, expected, parts_of(made))


def _on_copy(read: Reading, path: Path, folder: Path) -> Contents:
    """Return what is read from a file among its neighbours, in a folder that is removed again."""
    folder.mkdir()
    try:
        for other in path.parent.iterdir():
            if other.is_file():
                shutil.copyfile(other, folder / other.name)
        return read(folder / path.name)
    finally:
        shutil.rmtree(folder)


def run_case(case: Case, good: Good, seed: int, folder: Path, say: Callable[[dict[str, Any]], Any]) -> None:
    """Damage a copy of the file in a folder, read it, and say what was done and what every reader answers."""
    time.sleep = lambda _: None  # readers wait for writers, of which there is none
    warnings.simplefilter("ignore")
    for name, content in good.files.items():
        (folder / name).write_bytes(content)
    path, rng = folder / good.path.name, case.generator(seed)
    groups = good.subject.damages
    group = groups[rng.integers(len(groups))]
    damage = group[rng.integers(len(group))]
    say({"damage": damage.name})
    try:
        say({"details": damage.apply(path, rng, good.parts)})
        assert not changed_files(good, folder), "the damage changed another file, too"
    except Exception:
        say({"kind": "broken", "words": traceback.format_exc(), "where": "", "reading": ""})
        return
    before, allowed = path.read_bytes(), damage.sealed or good.subject.text
    for name, read in good.subject.readings_of(case.number).items():
        say({"reading": name, **_answer(read, path, good.expected[name], allowed)})
        if path.read_bytes() != before:
            say({"reading": name, "kind": "canary", "words": "the file itself was changed by reading it", "where": ""})
            return


def changed_files(good: Good, folder: Path) -> list[str]:
    """Return the names of the neighbours of the file that are not what they were."""
    return [name for name, content in good.files.items() if name != good.path.name and _read(folder / name) != content]


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _answer(read: Reading, path: Path, expected: list[Contents], allowed: bool) -> dict[str, str]:
    """Return what a reader answers: a kind of outcome, with words and the line of the package where it happened."""
    try:
        found = read(path)
    except UserError as error:
        words = str(error)
        if is_sentence(words):
            return {"kind": "refused", "words": words, "where": where(error)}
        return {"kind": "traceback", "words": f"not one sentence: {words[:1000]!r}", "where": where(error)}
    except LeakError as error:
        return {"kind": "canary", "words": str(error), "where": ""}
    except BaseException as error:
        return {"kind": "traceback", "words": f"{type(error).__name__}: {str(error)[:300]}", "where": where(error)}
    return {"kind": compare(found, expected, allowed), "words": "", "where": ""}


def is_sentence(words: str) -> bool:
    """Return whether the words of an error are one line that can be shown."""
    one = len(words.splitlines()) == 1 and words.strip() != "" and len(words) < LONGEST_SENTENCE and "Traceback" not in words
    return one and words.encode(errors="replace").decode() == words and "\x00" not in words


def compare(found: Contents, expected: list[Contents], allowed: bool) -> str:
    """Return whether what was read is what the file holds, or what it held when an earlier state of the run was written."""
    if found == expected[0]:
        return "same"
    known = any(found.digest == one.digest for one in expected)
    if known and len(expected) > 1 and found.continues_to(expected[0]):
        return "earlier"
    return "other" if allowed else "changed"


def where(error: BaseException) -> str:
    """Return the last line of the package in the traceback of an error, and the very last one if that is elsewhere."""
    frames = traceback.extract_tb(error.__traceback__)
    names = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames]
    mine = [name for name, frame in zip(names, frames, strict=True) if PACKAGE in frame.filename]
    return " > ".join(dict.fromkeys([*mine[-1:], *names[-1:]]))


def aloud(good: Good) -> Good:
    """Return the same file, whose readers print the traceback of whatever they raise."""

    def printing(read: Reading) -> Reading:
        def reading(path: Path) -> Contents:
            try:
                return read(path)
            except BaseException:
                traceback.print_exc()
                raise

        return reading

    subject = good.subject
    readings, one_of = ({k: printing(read) for k, read in some.items()} for some in (subject.readings, subject.one_of))
    return replace(good, subject=replace(subject, readings=readings, one_of=one_of))
