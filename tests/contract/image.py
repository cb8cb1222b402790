"""The protos in the form that `buf` compares: a set of descriptors without comments."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT: Final = Path(__file__).parent.parent.parent
BUILT: Final = ROOT / "build" / "api.binpb"
"""The current protos with their comments, built by `make proto`."""

_BUF: Final = Path(sys.executable).parent / "buf"


class BufFailed(Exception):
    """buf failed for another reason than a breaking change. The message is its output."""


def read_image(path: Path) -> FileDescriptorSet:
    """The descriptors in a file, including imported ones, without which buf reads no image."""
    image = FileDescriptorSet.FromString(path.read_bytes())
    for file in image.file:
        file.ClearField("source_code_info")
    return image


def write_image(image: FileDescriptorSet, path: Path) -> None:
    """Write the image. Equal descriptors give equal bytes."""
    path.write_bytes(image.SerializeToString(deterministic=True))


def breaking_changes(before: FileDescriptorSet, now: FileDescriptorSet) -> list[str]:
    """The findings of `buf breaking` with the rules of buf.yaml. Raises BufFailed."""
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "before.binpb"), Path(folder, "now.binpb")
        for path, image in zip(paths, (before, now), strict=True):
            write_image(image, path)
        command: list[str | Path] = [_BUF, "breaking", paths[1], "--against", paths[0]]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 100):
        raise BufFailed(ended.stderr)
    return [line.replace(":1:1:", ":") for line in ended.stdout.splitlines()]
