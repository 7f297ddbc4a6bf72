"""MP4 files from frames, by the ffmpeg of imageio-ffmpeg, so that nothing has to be installed by hand."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from ..errors import UserError, missing_extra
from ..files import replacement


def ffmpeg_program() -> str:
    """Return the path of the packaged ffmpeg."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # the package, or its binary for this platform, is not there
        raise missing_extra("imageio-ffmpeg", "report", "a movie") from None


@contextlib.contextmanager
def encoding(path: Path, width: int, height: int, fps: int) -> Iterator[Callable[[Any], Any]]:
    """Yield `send(frame)`, which takes RGBA bytes. The movie gets its name only when it is complete.

    H.264 in yuv420p, the one pixel format that every player takes; it halves the colour, hence the even sizes.
    """
    program = ffmpeg_program()
    if width % 2 or height % 2:
        raise ValueError(f"a movie of {width} x {height} pixels: both must be even.")
    with replacement(path) as partial, tempfile.TemporaryFile() as complaints:
        command = _command(program, partial, width, height, fps)
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints)
        stdin = process.stdin
        assert stdin is not None
        try:
            yield stdin.write
            stdin.close()
        except BrokenPipeError:
            pass  # ffmpeg ended before it read everything; its exit status and last line give the reason
        except BaseException:
            process.kill()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                stdin.close()
            process.wait()
        if process.returncode != 0:
            raise UserError(_failure(path, complaints))


def _command(program: str, out: Path, width: int, height: int, fps: int) -> list[str]:
    source = f"-f rawvideo -pix_fmt rgba -s {width}x{height} -r {fps} -i pipe:0"
    made = "-an -c:v libx264 -preset veryfast -crf 20 -pix_fmt yuv420p -movflags +faststart -f mp4"
    return [program, "-y", "-loglevel", "error", *source.split(), *made.split(), f"file:{out}"]


def _failure(path: Path, complaints: IO[bytes]) -> str:
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").split("\n")
    reason = next((line.strip() for line in reversed(lines) if line.strip()), "ffmpeg stopped")
    return f"cannot write {path}: {reason}; what was there before is untouched."
