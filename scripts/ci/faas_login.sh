#!/usr/bin/env bash
# Logs faas-cli in to a gateway; faas-cli keeps the credentials in its own file.
#   OPENFAAS_URL=https://faas.example.org FAAS_PASSWORD=… scripts/ci/faas_login.sh
# FAAS_USERNAME is the user (default admin). The password reaches faas-cli through stdin only. An address outside this
# machine must be https, unless FAAS_INSECURE=1 says that the network in between is private.
# Exit codes: 0, 1 refused, 2 usage, 5 no faas-cli.
set -euo pipefail
case "${1:-}" in
  '') ;;
  --help | -h) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "faas_login.sh: takes no arguments (see --help)" >&2; exit 2 ;;
esac
fail() { local code="$1"; shift; echo "faas_login.sh: $*" >&2; exit "$code"; }

[ -n "${OPENFAAS_URL:-}" ] || fail 2 "OPENFAAS_URL must be the address of the gateway"
[ -n "${FAAS_PASSWORD:-}" ] || fail 2 "FAAS_PASSWORD must be the password of the gateway"
case "$OPENFAAS_URL" in
  https://?*) ;;
  http://127.* | http://localhost | http://localhost[:/]* | http://\[::1\]*) ;;
  http://?*)
    [ "${FAAS_INSECURE:-}" = 1 ] || fail 2 "OPENFAAS_URL: the password would travel unencrypted, expected https://"
    ;;
  *) fail 2 "OPENFAAS_URL: expected https://HOST" ;;
esac
command -v faas-cli >/dev/null 2>&1 || fail 5 "needs faas-cli on PATH (scripts/ci/install_faas_cli.sh builds it)"
if [ -n "${GITHUB_ACTIONS:-}" ]; then printf '::add-mask::%s\n' "$FAAS_PASSWORD"; fi
printf '%s' "$FAAS_PASSWORD" |
  faas-cli login --gateway "$OPENFAAS_URL" --username "${FAAS_USERNAME:-admin}" --password-stdin ||
  fail 1 "the gateway refused the login"
