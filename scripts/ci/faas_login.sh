#!/usr/bin/env bash
# Logs in to a gateway; the credentials are kept in faas-cli's file ($OPENFAAS_CONFIG, else ~/.openfaas), also where
# `jangada function` deploys instead of it (DEPLOY_WITH=jangada, or no faas-cli on PATH).
#   OPENFAAS_URL=https://faas.example.org FAAS_PASSWORD=… scripts/ci/faas_login.sh
# FAAS_USERNAME is the user (default admin). The password reaches the program through stdin only. An address outside this
# machine must be https, unless FAAS_INSECURE=1 says that the network in between is private.
# Exit codes: 0, 1 refused, 2 usage, 5 neither program is there.
set -euo pipefail
case "${1:-}" in
  '') ;;
  --help | -h) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
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
# shellcheck source=scripts/ci/deployer.sh
. "$(cd "$(dirname "$0")" && pwd)/deployer.sh"
choose_deployer || fail 5 "nothing to log in with"
if [ -n "${GITHUB_ACTIONS:-}" ]; then printf '::add-mask::%s\n' "$FAAS_PASSWORD"; fi
printf '%s' "$FAAS_PASSWORD" | gateway_login "${FAAS_USERNAME:-admin}" || fail 1 "the gateway refused the login"
