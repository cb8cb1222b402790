"""Requests in a file, for a load generator that runs in another process."""

from collections.abc import Iterable
from pathlib import Path


def write_frames(frames: Iterable[bytes], path: Path) -> None:
    """Write each request after its length and a line feed."""
    with path.open("wb") as file:
        for frame in frames:
            file.write(b"%d\n" % len(frame) + frame)


def read_frames(path: Path) -> list[bytes]:
    """The requests that `write_frames` wrote."""
    frames = []
    with path.open("rb") as file:
        while length := file.readline():
            frames.append(file.read(int(length)))
    return frames
