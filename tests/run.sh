#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `make test`: builds, runs everything, and ends with the line "N passed, N failed, N skipped".
#   tests/run.sh            all: unit tests, fuzz replays, lint, stock clients, pages, torture
#   tests/run.sh tok        one module's unit tests and fuzz replays
#   tests/run.sh clients|pages|torture|lint
#   tests/run.sh llama      GGUF files against llama.cpp, which is compiled first (minutes, once)
#   SANITIZE=address,undefined BUILD=build-asan tests/run.sh    the same under sanitizers
set -uo pipefail
cd "$(dirname "$0")/.."

build=${BUILD:-build}
what=${1:-}
passed=0 failed=0 skipped=0
sanitize=${SANITIZE:-}

say() { printf '\n== %s\n' "$*"; }

add() { # add the three counts of a part
  passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

configure=(-G Ninja -S . -B "$build" -DCMAKE_C_COMPILER=gcc -DSNUG_TESTS=ON)
if [ -n "$sanitize" ]; then
  configure+=(-DCMAKE_BUILD_TYPE=Debug "-DSNUG_SANITIZE=$sanitize")
  # libgit2, SQLite and libmicrohttpd are not instrumented; what TSan says about them is listed there.
  export TSAN_OPTIONS="suppressions=$PWD/tools/tsan.supp halt_on_error=1 second_deadlock_stack=1"
  export ASAN_OPTIONS="detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1"
  export LSAN_OPTIONS="suppressions=$PWD/tools/lsan.supp:print_suppressions=0"
  export UBSAN_OPTIONS="print_stacktrace=1"
else
  configure+=(-DCMAKE_BUILD_TYPE=Release)
fi

say "build ($build)"
mkdir -p "$build"
if ! cmake "${configure[@]}" >"$build/configure.log" 2>&1; then
  tail -30 "$build/configure.log"; echo "0 passed, 1 failed"; exit 1
fi
if ! cmake --build "$build" >"$build/make.log" 2>&1; then
  grep -E 'error|warning|FAILED' -A8 "$build/make.log" | head -80; echo "0 passed, 1 failed"; exit 1
fi

unit() { # unit [label]
  say "unit tests${1:+ of $1}"
  local log=$build/ctest.log args=(--test-dir "$build" --output-on-failure -j2)
  [ -n "${1:-}" ] && args+=(-L "^$1\$")
  rm -f "$build/Testing/Temporary/LastTest.log"
  ctest "${args[@]}" >"$log" 2>&1
  grep -E '^ *[0-9]+/[0-9]+ Test|tests passed' "$log" | tail -200
  local full=$build/Testing/Temporary/LastTest.log programs bad good
  programs=$(grep -oE '[0-9]+ tests failed out of [0-9]+' "$log" | head -1)
  bad=${programs%% *}; bad=${bad:-1}
  # cmocka prints how many of its functions passed; replays and tools count as one each.
  good=$(grep -oE '^\[  PASSED  \] [0-9]+ test' "$full" 2>/dev/null | awk '{n += $4} END {print n + 0}')
  good=$((good + $(grep -cE 'inputs replayed$|: clean$' "$full" 2>/dev/null || true)))
  if [ "$bad" -gt 0 ]; then sed -n '/\*\*\*Failed\|\*\*\*Exception\|\*\*\*Timeout/,$p' "$log" | head -150; fi
  add "$good" "$bad" "$(grep -oE '^\[  SKIPPED \] [0-9]+ test' "$full" 2>/dev/null | awk '{n += $4} END {print n + 0}')"
}

venv() { # the Python clients, in a virtual environment of their own
  local stamp=.venv/ready-$(cat tests/clients/requirements*.txt | sha256sum | cut -c1-16)
  [ -e "$stamp" ] && return 0
  python3 -m venv .venv >/dev/null 2>&1 &&
    .venv/bin/pip install -q --disable-pip-version-check -r tests/clients/requirements.txt >"$build/pip.log" 2>&1 &&
    .venv/bin/pip install -q --disable-pip-version-check --no-deps -r tests/clients/requirements-alone.txt >>"$build/pip.log" 2>&1 &&
    touch "$stamp"
}

node_modules() { # the JavaScript clients
  local stamp=tests/clients/js/node_modules/.ready-$(sha256sum tests/clients/js/package.json | cut -c1-16)
  [ -e "$stamp" ] && return 0
  command -v npm >/dev/null || return 1
  (cd tests/clients/js && npm install --no-audit --no-fund --no-package-lock --silent) >"$build/npm.log" 2>&1 && touch "$stamp"
}

python_part() { # python_part name folder...
  say "$1"
  if ! venv; then
    tail -3 "$build/pip.log" 2>/dev/null
    echo "skipped: the Python packages of tests/clients/requirements.txt could not be installed"
    add 0 0 1; return
  fi
  node_modules || echo "the JavaScript client could not be installed: its tests are skipped"
  local xml=$build/$(basename "$2").xml
  rm -f "$xml"
  SNUG_BIN=$PWD/$build/snug SNUG_SANITIZE=$sanitize .venv/bin/python -m pytest -q -rs -p no:cacheprovider \
    --junitxml="$xml" "${@:2}"
  # shellcheck disable=SC2046
  add $(counts_of "$xml")
}

counts_of() { # counts_of file.xml: passed, failed, skipped
  python3 - "$1" <<'PY'
import sys, xml.etree.ElementTree as E
try:
    s = E.parse(sys.argv[1]).getroot().find("testsuite")
    n, f, e, k = (int(s.get(x)) for x in ("tests", "failures", "errors", "skipped"))
    print(n - f - e - k, f + e, k)
except Exception:
    print(0, 1, 0)
PY
}

clients() { # as installed, then with Xet switched off
  python_part "stock clients" tests/clients
  SNUG_TEST_TRANSFER=lfs python_part "stock clients without Xet" tests/clients/test_huggingface_hub.py
}

llama() { # llama [build]: llama.cpp in a virtual environment of its own, compiled from its source package
  say "GGUF files against llama.cpp"
  local stamp xml=$build/llama.xml
  stamp=.venv-llama/ready-$(sha256sum tests/llama/requirements.txt | cut -c1-16)
  if [ ! -e "$stamp" ] && [ "${1:-}" != build ]; then
    echo "skipped: llama.cpp is not compiled yet; make test M=llama does that and keeps it"
    add 0 0 1; return
  fi
  if [ ! -e "$stamp" ]; then
    python3 -m venv .venv-llama >/dev/null 2>&1 &&
      CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_LLAMAFILE=OFF" CMAKE_BUILD_PARALLEL_LEVEL=2 \
        .venv-llama/bin/pip install -q --disable-pip-version-check -r tests/llama/requirements.txt >"$build/pip-llama.log" 2>&1 &&
      touch "$stamp"
  fi
  if [ ! -e "$stamp" ]; then
    tail -3 "$build/pip-llama.log" 2>/dev/null
    echo "failed: the Python packages of tests/llama/requirements.txt could not be installed"
    add 0 1 0; return
  fi
  rm -f "$xml"
  SNUG_BIN=$PWD/$build/snug .venv-llama/bin/python -m pytest -q -rs -p no:cacheprovider --junitxml="$xml" tests/llama
  # shellcheck disable=SC2046
  add $(counts_of "$xml")
}

lint() {
  say "lint"
  if BUILD=$build tools/lint.sh --fast; then add 1 0 0; else add 0 1 0; fi
}

case "$what" in
  "")
    unit; [ -z "$sanitize" ] && lint
    clients
    [ -z "$sanitize" ] && python_part "pages in a browser" tests/pages
    python_part "torture" tests/torture
    [ -z "$sanitize" ] && llama
    ;;
  llama) llama build ;;
  clients) clients ;;
  pages) python_part "pages in a browser" tests/pages ;;
  torture) python_part "torture" tests/torture ;;
  lint) lint ;;
  *) unit "$what" ;;
esac

printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
