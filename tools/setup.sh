#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what a step needs from Debian's packages, and only what is missing.
#   tools/setup.sh build|infer|test|lint|bench     infer: for -DSNUG_HUB=OFF
# As root directly, else through sudo. Says what it installs; silent when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

infer=(gcc libc6-dev cmake ninja-build pkg-config
  libssl-dev zlib1g-dev libutf8proc-dev libyaml-dev libpcre2-dev librust-blake3-dev)
build=("${infer[@]}" git ca-certificates
  libmicrohttpd-dev libcurl4-openssl-dev libgit2-dev libsqlite3-dev libsodium-dev
  libzstd-dev liblz4-dev libseccomp-dev bubblewrap libpng-dev libjpeg62-turbo-dev libwebp-dev libsndfile1-dev)
test=(libcmocka-dev libjansson-dev chromium git-lfs openssh-server openssh-client curl iproute2)
lint=(clang-14 clang-tidy-14 clang-format-14 libclang-rt-14-dev)
bench=(nginx-light wrk openssl libjansson-dev)

want=("${build[@]}")
case "${1:-build}" in
  build) ;;
  infer) want=("${infer[@]}") ;;
  test)
    want+=("${test[@]}")
    command -v python3 >/dev/null || want+=(python3)
    python3 -c 'import ensurepip, venv' 2>/dev/null || want+=(python3-venv)
    command -v node >/dev/null || want+=(nodejs)
    command -v npm >/dev/null || want+=(npm)
    ;;
  lint) want+=("${lint[@]}") ;;
  bench)
    want+=("${bench[@]}")
    command -v python3 >/dev/null || want+=(python3)
    python3 -c 'import ensurepip, venv' 2>/dev/null || want+=(python3-venv)
    ;;
  *) echo "usage: tools/setup.sh build|infer|test|lint|bench" >&2; exit 2 ;;
esac

missing=()
for p in "${want[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0

run=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: please install as root: apt-get install ${missing[*]}" >&2; exit 1; }
  run=(sudo)
fi
echo "setup: installing from Debian: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1
}
# The lists of a fresh machine are empty or old: try as it is, then refresh them once.
install || { "${run[@]}" apt-get update >"$log" 2>&1 && install; } || { tail -20 "$log" >&2; exit 1; }
