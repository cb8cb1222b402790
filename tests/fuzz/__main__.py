"""`python -m tests.fuzz TARGET [OPTION OF LIBFUZZER ...]`: fuzz one target, from the corpus on.

What it finds to be new is kept in `build/fuzz/TARGET`, where the next run takes it up, and an input that breaks a promise
in `build/fuzz/crash-...`. `-merge=1` instead adds to the corpus what reaches code that nothing in it reaches.
"""

import sys
from pathlib import Path

import atheris

_HERE = Path(__file__).parent
_FOUND = Path("build/fuzz")

with atheris.instrument_imports(include=["gateway", "server"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run until the time is over, or an input is found that breaks a promise."""
    name, *options = sys.argv[1:]
    kept, found = _HERE / "corpus" / name, _FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    corpora = [kept, found] if "-merge=1" in options else [found, kept]
    defaults = ["-max_len=4096", f"-dict={_HERE / 'tokens.dict'}", f"-artifact_prefix={_FOUND}/"]
    atheris.Setup([sys.argv[0], *defaults, *options, *map(str, corpora)], TARGETS[name])
    atheris.Fuzz()


main()
