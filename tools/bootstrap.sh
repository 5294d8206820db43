#!/usr/bin/env bash
# Installs what Debian has to bring, and only what is missing: asked again, it answers within some milliseconds.
# Usage: tools/bootstrap.sh SECTION...        sections of tools/packages.txt: build test lint fuzz neon
set -euo pipefail

[ $# -gt 0 ] || { sed -n '2,3s/^# //p' "$0"; exit 2; }
list=$(dirname "$0")/packages.txt
wanted=()
for section in "$@"; do
  found=
  inside=
  while read -r line; do
    case $line in
      '' | '#'*) ;;
      "[$section]") inside=1 found=1 ;;
      '['*) inside= ;;
      *) if [ -n "$inside" ]; then wanted+=("$line"); fi ;;
    esac
  done <"$list"
  [ -n "$found" ] || { echo "bootstrap: no section [$section] in $list" >&2; exit 2; }
done

if ! command -v dpkg-query >/dev/null; then
  echo "bootstrap: this is no Debian; please see to the counterparts of: ${wanted[*]}" >&2
  exit 0
fi
# "ii " is installed; packages that dpkg has never heard of are named on stderr only.
installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
  case $'\n'$installed$'\n' in
    *$'\n'"ii $package"$'\n'*) ;;
    *) missing+=("$package") ;;
  esac
done
[ "${#missing[@]}" -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
    echo "bootstrap: some packages are missing. As root, run:" >&2
    echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "bootstrap: installing ${missing[*]}" >&2
options=(-qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A source that has nothing to do with us may be out of order: the installation decides.
"${as_root[@]}" apt-get "${options[@]}" update >"$log" 2>&1 || { echo "bootstrap: apt-get update had errors, going on:"; cat "$log"; } >&2
if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install -y --no-install-recommends \
  "${missing[@]}" </dev/null >"$log" 2>&1; then
  cat "$log" >&2
  echo "bootstrap: apt-get could not install: ${missing[*]}" >&2
  exit 1
fi
