# mypy: disable-error-code="import-untyped"
# Atheris is installed by `make fuzz`, where mypy does not see it.
"""`python -m tests.fuzz TARGET [OPTION OF LIBFUZZER ...]`: fuzz one target, starting from the corpus.

Inputs that reach new code are kept in `build/fuzz/TARGET`, where the next run starts from. An input that breaks a
promise is kept in `build/fuzz/crash-...`. With `-merge=1 -use_counters=0`, inputs that reach code which the corpus does
not reach are added to the corpus.
"""

import sys
from pathlib import Path

import atheris

_HERE = Path(__file__).parent
_FOUND = Path("build/fuzz")

with atheris.instrument_imports(include=["gateway", "server"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run until the time has expired, or an input breaks a promise."""
    name, *options = sys.argv[1:]
    kept, found = _HERE / "corpus" / name, _FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    corpora = [kept, found] if "-merge=1" in options else [found, kept]
    defaults = ["-max_len=4096", f"-dict={_HERE / 'tokens.dict'}", f"-artifact_prefix={_FOUND}/"]
    # libFuzzer restarts itself by this command, in a shell.
    command = f"{sys.executable} -m tests.fuzz {name}"
    atheris.Setup([command, *defaults, *options, *map(str, corpora)], TARGETS[name])
    atheris.Fuzz()


main()
