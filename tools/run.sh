#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `make run`: a hub with the samples in it, shown working, kept running.
#   tools/run.sh build/snug
# Everything goes through the program's own commands and HTTP API; a second run starts from what is
# there and uploads nothing again.
#   SNUG_DATA    data folder (default ./data)        SNUG_LISTEN  address (default 127.0.0.1:8421)
#   SNUG_DEMO_EXIT=1  stop after the demonstration
set -euo pipefail
cd "$(dirname "$0")/.."

snug=$(realpath "${1:-build/snug}")
data=${SNUG_DATA:-$PWD/data}
listen=${SNUG_LISTEN:-127.0.0.1:8421}
url=http://$listen
account=snug
server=

stop() {
  trap - INT TERM EXIT
  if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
}
trap 'stop; exit 0' INT TERM
trap stop EXIT

answers() { # true once /healthz answers
  local host=${listen%:*} port=${listen##*:} line
  exec 9<>"/dev/tcp/$host/$port" || return 1
  printf 'GET /healthz HTTP/1.0\r\nHost: %s\r\n\r\n' "$listen" >&9
  read -r -t 5 line <&9 || line=
  exec 9>&-
  [[ $line == *" 200 "* ]]
} 2>/dev/null

mkdir -p "$data"
if answers; then
  echo "run: something already answers at $url; stop it or set SNUG_LISTEN=127.0.0.1:PORT" >&2
  exit 1
fi

"$snug" serve --data "$data" --listen "$listen" >"$data/serve.log" 2>&1 &
server=$!
for _ in $(seq 100); do
  answers && break
  kill -0 "$server" 2>/dev/null || { cat "$data/serve.log" >&2; server=; exit 1; }
  sleep 0.1
done
answers || { echo "run: the hub did not answer within 10 seconds" >&2; exit 1; }

secret=
token_file=$data/run-token
if [ ! -s "$token_file" ]; then
  if ! "$snug" --quiet user list --data "$data" | grep -qw "$account"; then
    secret=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s' "$secret" | "$snug" user add "$account" --password-stdin --admin --data "$data"
  fi
  (umask 077; "$snug" token create "$account" --name "make-run-$(date +%s)" --role write --data "$data" >"$token_file")
fi

export HF_ENDPOINT=$url HF_HOME=$data/client
HF_TOKEN=$(cat "$token_file")
export HF_TOKEN

echo
echo "Publishing the samples to $url"
for dir in samples/models/* samples/datasets/*; do
  kind=${dir#samples/}; kind=${kind%%/*}
  "$snug" upload "$account/$(basename "$dir")" "$dir" --type "${kind%s}" --create
done

echo
echo "Asking models fetched from that hub"
sentence="A warm, funny film with a big heart."
line="ROMEO:"
echo "> snug run $account/sentiment-tiny \"$sentence\""
"$snug" run "$account/sentiment-tiny" "$sentence"
echo "> snug run $account/shakespeare-tiny \"$line\" --param max_new_tokens=48"
"$snug" run "$account/shakespeare-tiny" "$line" --param max_new_tokens=48

echo
if [ -n "$secret" ]; then
  echo "Your account (shown once):  name $account   password $secret"
fi
echo "Your token is in            $token_file"
echo "The hub is at               $url"
echo "Point any client here:      export HF_ENDPOINT=$url HF_TOKEN=\$(cat $token_file)"
if [ -n "${SNUG_DEMO_EXIT:-}" ]; then exit 0; fi
echo "Ctrl-C stops it."
wait "$server"
