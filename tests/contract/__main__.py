"""`python -m tests.contract`: compare the contract with the committed one, or accept a change of it."""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tests.contract.facts import Facts, as_text, changed, facts
from tests.contract.image import BUILT, ROOT, breaking_changes, read_image, write_image

IMAGE: Final = ROOT / "protos" / "contract.binpb"
FACTS: Final = ROOT / "protos" / "contract.json"


def main(arguments: list[str]) -> int:
    """Returns the exit status: 1 if the contract differs from the committed one, or the change is not accepted."""
    parser = argparse.ArgumentParser(prog="tests.contract", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    commands.add_parser("check", help="fail where the contract is not the committed one")
    accept = commands.add_parser("accept", help="make it the committed one")
    accept.add_argument("--breaking", action="store_true", help="even where clients of the committed one break")
    asked = parser.parse_args(arguments)
    image, found = read_image(BUILT), facts()
    breaking, compatible = differences(image, found, IMAGE, FACTS)
    for line in (*breaking, *compatible):
        print(line)
    if asked.command == "check":
        if breaking:
            print("This breaks clients: docs/versioning.md says what may change.", file=sys.stderr)
        elif compatible:
            print("This breaks no client. To commit to it: make accept-contract", file=sys.stderr)
        return 1 if breaking or compatible else 0
    if breaking and not asked.breaking:
        print(
            "Not accepted: this breaks clients. To do so nevertheless: make accept-contract BREAKING=1", file=sys.stderr
        )
        return 1
    write_image(image, IMAGE)
    FACTS.write_text(as_text(found))
    return 0


def differences(
    image: FileDescriptorSet, found: Facts, image_path: Path, facts_path: Path
) -> tuple[list[str], list[str]]:
    """The changes to the committed contract in these files: those that break clients, and the others."""
    if not image_path.exists() or not facts_path.exists():
        return [], ["no contract is committed yet"]
    before = read_image(image_path)
    gone, new = changed(json.loads(facts_path.read_text()), found)
    if not (breaking := breaking_changes(before, image)) and image != before:
        new.insert(0, "protos: they differ, in nothing that code, JSON or bytes depend on")
    return breaking + gone, new


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
