#!/usr/bin/env bash
# Builds and deploys the functions of stack.yml on the gateway of this folder's compose file. Needs faas-cli.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cd "$here/../.."
set -a
# shellcheck source=/dev/null
. "$here/.env"
set +a
export OPENFAAS_URL="${OPENFAAS_URL:-http://${LISTEN:-127.0.0.1:8080}}"

faas-cli ready --gateway "$OPENFAAS_URL"
faas-cli login --gateway "$OPENFAAS_URL" -u admin --password-stdin <"$here/secrets/basic-auth-password"
for name in redis-url mongo-url; do
  # Not `up` alone: functions learn through these where Redis and MongoDB are.
  faas-cli secret create "$name" --gateway "$OPENFAAS_URL" --replace --from-file "$here/secrets/$name"
done
faas-cli build -f stack.yml
faas-cli deploy -f stack.yml "$@"
