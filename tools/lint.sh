#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Layers, words, then clang-tidy; ends with 1 when anything was found.
#   tools/lint.sh            everything that is tracked
#   tools/lint.sh --fast     the same without clang-tidy: seconds
#   tools/lint.sh --changed  words and clang-tidy only for what differs from HEAD, new files too
# BUILD is a configured build folder (default build): it has compile_commands.json and the tools.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
changed= fast=
case "${1:-}" in
  '') ;;
  --changed) changed=1 ;;
  --fast) fast=1 ;;
  *) echo "usage: tools/lint.sh [--fast | --changed]" >&2; exit 2 ;;
esac
if [ ! -f "$build/compile_commands.json" ]; then
  echo "lint: no $build/compile_commands.json: run make first, or set BUILD" >&2
  exit 2
fi
cmake --build "$build" --target tool_check_layers tool_check_words >/dev/null || exit 2

existing() { # drops the names of deleted files
  local name
  while IFS= read -r -d '' name; do [ -f "$name" ] && printf '%s\0' "$name"; done
}
tracked() { git ls-files -z "$@" | existing; }
differing() {
  { git diff --name-only -z --diff-filter=d HEAD -- "$@"; git ls-files -z --others --exclude-standard -- "$@"; } |
    sort -zu | existing
}

status=0
mapfile -d '' sources < <(tracked src; differing src)
mapfile -d '' sources < <(printf '%s\0' "${sources[@]}" | sort -zu)
"$build/tools/tool_check_layers" docs/architecture.md "${sources[@]}" || status=1

if [ -n "$changed" ]; then
  mapfile -d '' words < <(differing)
  mapfile -d '' tidy < <(differing 'src/*.c')
else
  mapfile -d '' words < <(tracked)
  mapfile -d '' tidy < <(tracked 'src/*.c')
fi
if [ ${#words[@]} -gt 0 ]; then "$build/tools/tool_check_words" "${words[@]}" || status=1; fi
[ -n "$fast" ] && exit $status

# Only files the build compiles: the flags of the others are unknown.
known=()
for file in "${tidy[@]}"; do
  if grep -qF "\"file\": \"$PWD/$file\"" "$build/compile_commands.json"; then known+=("$file"); fi
done
if [ ${#known[@]} -gt 0 ]; then
  report=$(mktemp)
  trap 'rm -f "$report"' EXIT
  # One file per process: clang-tidy 14 mixes up va_lists of several.
  if ! printf '%s\0' "${known[@]}" |
    xargs -0 -n 1 -P "$(nproc)" clang-tidy-14 -p "$build" --quiet >"$report" 2>/dev/null; then
    status=1
  fi
  sed "s|$PWD/||" "$report"
  echo "lint: clang-tidy read ${#known[@]} files" >&2
fi
exit $status
