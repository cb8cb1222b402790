"""The protos as `buf` compares them: a set of descriptors, without comments."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT: Final = Path(__file__).parent.parent.parent
BUILT: Final = ROOT / "build" / "api.binpb"
"""Of the protos as they are, with their comments; made by `make proto`."""

_BUF: Final = Path(sys.executable).parent / "buf"


class BufFailed(Exception):
    """Something else than a finding. The text is what it says."""


def read_image(path: Path) -> FileDescriptorSet:
    """The descriptors in a file, those that are imported included: buf reads no image without them."""
    image = FileDescriptorSet.FromString(path.read_bytes())
    for file in image.file:
        file.ClearField("source_code_info")
    return image


def write_image(image: FileDescriptorSet, path: Path) -> None:
    """The same bytes for the same descriptors."""
    path.write_bytes(image.SerializeToString(deterministic=True))


def breaking_changes(before: FileDescriptorSet, now: FileDescriptorSet) -> list[str]:
    """What `buf breaking` says, by the rules of buf.yaml. Raises BufFailed."""
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "before.binpb"), Path(folder, "now.binpb")
        for path, image in zip(paths, (before, now), strict=True):
            write_image(image, path)
        command: list[str | Path] = [_BUF, "breaking", paths[1], "--against", paths[0]]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 100):
        raise BufFailed(ended.stderr)
    return [line.replace(":1:1:", ":") for line in ended.stdout.splitlines()]
