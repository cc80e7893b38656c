#!/usr/bin/env bash
# Role openfaas, engine jangada: our gateway, whose functions are containers on this server, and the functions of stack.yml.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
name=jangada-gateway
function_secrets=/run/jangada/functions
folder=/etc/jangada/gateway

apply() {
  folder 0700 0:0 "$folder"
  folder 0700 0:0 "$DATA_PATH/gateway"
  printf admin | put 0400 0:0 "$folder/basic-auth-user"
  secret gateway-password | put 0400 0:0 "$folder/basic-auth-password"
  redis_url | put 0400 0:0 "$folder/redis-url"
  mongo_url | put 0400 0:0 "$folder/mongo-url"
  secret data-ca | put 0400 0:0 "$folder/data-ca"
  container_depends="$(cat "$folder"/* 2>/dev/null | sha256sum)" \
    container "$name" "$GATEWAY_IMAGE" --network host --stop-timeout 40 --log-opt max-size=20m --log-opt max-file=5 \
    --env JANGADA_DOCKER_SECRETS_DIR="$function_secrets" --env JANGADA_DOCKER_NETWORK=jangada-functions \
    --env JANGADA_PUBLIC_URL="$PUBLIC_URL" \
    --volume /var/run/docker.sock:/var/run/docker.sock --volume "$function_secrets:$function_secrets" \
    --volume "$DATA_PATH/gateway:/var/lib/jangada" --volume "$folder:/run/secrets:ro" --volume "$folder:${data_ca%/*}:ro" \
    --volume "$state/roles:/opt/roles:ro" -- --host "$PRIVATE_ADDRESS" --port 8080
  healthy 60 "the gateway does not answer on $PRIVATE_ADDRESS:8080" "docker logs $name" \
    curl --fail --silent --max-time 5 "http://$PRIVATE_ADDRESS:8080/healthz"
  functions
  [ "$mode" = check ] || first_key
}

# The platform shows the first admin key once, in a log; it is kept beside the other secrets for infra.sh key.
first_key() {
  [ ! -s "$secrets/first-admin-key" ] || return 0
  local key
  key="$(printf 'user = "admin:%s"\n' "$(secret gateway-password)" \
    | curl --silent --max-time 20 --config - "http://$PRIVATE_ADDRESS:8080/system/logs?name=auth" \
    | sed -n 's/.*shown this once: \(jgd_[A-Za-z0-9_-]*\).*/\1/p' | head -1)"
  [ -z "$key" ] || (umask 377 && printf '%s\n' "$key" >"$secrets/first-admin-key")
}

# The gateway's own image reads stack.yml; the platform's addresses go to the functions as secrets. It sees the folder
# above this one, since this one is replaced with every upload.
functions() {
  local image said code=0 arguments=()
  for image in $FUNCTION_IMAGES; do image_here "$image" || true; done
  [ "$mode" = apply ] || arguments=(--check)
  said="$(docker exec "$name" python /opt/roles/openfaas/deploy_functions.py --gateway "http://$PRIVATE_ADDRESS:8080" \
    --stack /opt/roles/openfaas/stack.yml --release "$RELEASE" --image-prefix "$IMAGE_PREFIX" \
    --secrets-version "$SECRETS_VERSION" ${arguments[@]+"${arguments[@]}"} 2>&1)" || code=$?
  case "$code" in
    0) ;;
    3) while read -r line; do [ -z "$line" ] || changed "$line" || true; done <<<"$said" ;;
    *)
      if [ "$mode" = check ]; then changed "the functions cannot be asked for" || true; else
        die "the functions are not deployed: $said" "docker logs $name; docker ps on that server"
      fi
      ;;
  esac
}

remove() {
  # The gateway first: it would start again what is removed.
  no_container "$name"
  local left
  left="$(docker ps --all --quiet --filter label=io.jangada.gateway=jangada-functions)"
  # shellcheck disable=SC2086  # several ids
  [ -z "$left" ] || docker rm --force --volumes $left >/dev/null
  docker network rm jangada-functions >/dev/null 2>&1 || true
  rm -rf "$folder" "$function_secrets"
  if [ "${JANGADA_WIPE_DATA:-no}" = yes ]; then rm -rf "$DATA_PATH/gateway"; fi
}

main "$@"
