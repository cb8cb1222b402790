#!/bin/sh
# Installs the programs into a new environment, with nothing but what they need when they run: install.sh DIRECTORY.
# Versions are those of requirements.lock. Runs in the root of the repository.
set -eu
target=$1
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

echo 'installing what builds the programs ...' >&2
python3 -m venv "$tools"
"$tools/bin/pip" --quiet --disable-pip-version-check --no-cache-dir install --constraint requirements.lock \
  setuptools wheel grpcio-tools googleapis-common-protos

echo 'generating the stubs ...' >&2
included=$("$tools/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$tools/bin/python" -m grpc_tools.protoc -Iprotos -I"$included" --python_out=protos --grpc_python_out=protos \
  protos/userfold/v1/*.proto protos/userfold/internal/v1/*.proto

echo 'building the wheels ...' >&2
"$tools/bin/pip" --quiet --disable-pip-version-check wheel --no-build-isolation --no-deps \
  --wheel-dir "$tools/wheels" ./protos .

echo "installing into $target ..." >&2
python3 -m venv "$target"
programs=$(ls "$tools"/wheels/userfold-[0-9]*.whl)
"$target/bin/pip" --quiet --disable-pip-version-check --no-cache-dir install --constraint requirements.lock \
  "$tools"/wheels/userfold_api-*.whl "${programs}[traces]"
