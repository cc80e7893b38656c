#!/usr/bin/env bash
# Tries a gateway as a client would, through its public address.
#   OPENFAAS_URL=https://faas.example.org scripts/ci/smoke.sh [FUNCTION…]
# The gateway must say that it is well, and each FUNCTION must answer (any status below 500 that is not 404).
#   SMOKE_API_URL  where /v1 is, when that is not OPENFAAS_URL
#   SMOKE_TOKEN    an API key: /v1/whoami and /v1/jobs must answer 200
#   SMOKE_JOB      a job as JSON, e.g. {"algorithm": "text-langid", "input": {"texts": ["uma jangada"]}}: it must succeed
#   SMOKE_PATHS    paths, separated by spaces, that must answer 2xx to GET
#   SMOKE_WITHIN_S seconds in which each of these must come true (default 30)
# Exit codes: 0, 1 something failed, 2 usage.
set -euo pipefail
case "${1:-}" in
  --help | -h) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) echo "smoke.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
esac
[ -n "${OPENFAAS_URL:-}" ] || { echo "smoke.sh: OPENFAAS_URL must be the address of the gateway" >&2; exit 2; }
command -v curl >/dev/null 2>&1 || { echo "smoke.sh: needs curl" >&2; exit 2; }
gateway="${OPENFAAS_URL%/}" api="${SMOKE_API_URL:-$OPENFAAS_URL}" within_s="${SMOKE_WITHIN_S:-30}"
api="${api%/}"
answer="$(mktemp)"
trap 'rm -f "$answer"' EXIT

# ask URL [CURL ARGUMENTS…]: prints the status; 000 when nothing answered. The key goes by stdin, so no list of processes shows it.
ask() {
  local url="$1"
  shift
  if [ -n "${SMOKE_TOKEN:-}" ] && [[ $url == "$api"/v1/* ]]; then
    printf 'header = "Authorization: Bearer %s"\n' "$SMOKE_TOKEN" |
      curl --silent --max-time 40 --output "$answer" --write-out '%{http_code}' --config - "$@" "$url" || true
  else
    curl --silent --max-time 40 --output "$answer" --write-out '%{http_code}' "$@" "$url" || true
  fi
}

is_2xx() { [[ $1 == 2?? ]]; }
is_answer() { [[ $1 == [1-4]?? && $1 != 404 ]]; }

# expect WHAT CHECK URL [CURL ARGUMENTS…]: asks until CHECK takes the status.
expect() {
  local what="$1" check="$2" status deadline=$((SECONDS + within_s))
  shift 2
  while true; do
    status="$(ask "$@")"
    if "$check" "$status"; then
      echo "smoke.sh: $what: $status" >&2
      return 0
    fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "smoke.sh: $what: found $status: $(head -c 400 "$answer" | tr -d '\000')" >&2
      return 1
    fi
    sleep 0.5
  done
}

expect "the gateway" is_2xx "$gateway/healthz"
for name in "$@"; do
  expect "function $name" is_answer "$gateway/function/$name/_/ready"
done
if [ -n "${SMOKE_TOKEN:-}" ]; then
  expect "who the key is" is_2xx "$api/v1/whoami"
  expect "the jobs" is_2xx "$api/v1/jobs"
fi
read -r -a smoke_paths <<<"${SMOKE_PATHS:-}"
for path in ${smoke_paths[@]+"${smoke_paths[@]}"}; do
  expect "$path" is_2xx "$gateway/${path#/}"
done
if [ -n "${SMOKE_JOB:-}" ]; then
  expect "a job is taken" is_2xx "$api/v1/jobs" --request POST --header 'Content-Type: application/json' \
    --header 'Prefer: wait=30' --data-binary "$SMOKE_JOB"
  grep -q '"status": *"succeeded"' "$answer" || {
    echo "smoke.sh: the job did not succeed: $(head -c 400 "$answer" | tr -d '\000')" >&2
    exit 1
  }
fi
echo "smoke.sh: all well" >&2
