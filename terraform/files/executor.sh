#!/usr/bin/env bash
# Role executor: the algorithms that this server runs, each replica a container. They pull; nothing reaches them.
# `executors` beside this has one line for each: id, image, kind, replicas, slots, memory, cpus, gpus, device.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
folder=/etc/jangada/executor
user=10001:10001

apply() {
  folder 0500 "$user" "$folder"
  redis_url | put 0400 "$user" "$folder/redis-url"
  mongo_url | put 0400 "$user" "$folder/mongo-url"
  secret data-ca | put 0400 "$user" "$folder/data-ca"
  # Addresses and passwords are read at start: with others the executors start anew, and hand back what they have.
  container_depends="$(cat "$folder"/{*-url,data-ca} 2>/dev/null | sha256sum)"
  container_grace=60
  local wanted=' ' id image kind replicas slots memory cpus gpus number digest device=0 count=0 name
  while IFS=$'\t' read -r id image kind replicas slots memory cpus gpus; do
    [ -n "$id" ] || continue
    [ "$mode" = check ] || image_here "$image"
    digest="$(image_digest "$image")"
    for number in $(seq 1 "$replicas"); do
      name="jangada-executor-$id-$number"
      wanted+="$name "
      options=(--stop-timeout 60 --log-opt max-size=20m --log-opt max-file=5 --tmpfs /run/executor:uid=10001
        --volume "$folder:${data_ca%/*}:ro" --env JANGADA_SECRETS_DIR="${data_ca%/*}"
        --env JANGADA_METRICS_LISTEN=0.0.0.0:8081 --env JANGADA_IMAGE_DIGEST="$digest"
        --hostname "$(hostname)-$id-$number")
      [ -z "${METRICS_PORT:-}" ] || options+=(--publish "$PRIVATE_ADDRESS:$((METRICS_PORT + count)):8081")
      count=$((count + 1))
      [ "$memory" = - ] || options+=(--memory "$memory")
      [ "$cpus" = - ] || options+=(--cpus "$cpus")
      if [ "$kind" = gpu ]; then
        options+=(--gpus "\"device=$(devices "$device" "$gpus")\"")
        device=$((device + gpus))
      fi
      container "$name" "$image" "${options[@]}" -- /opt/algorithm/main --concurrency "$slots" --ready-file /run/executor/ready
      healthy 120 "the executor $name is not ready" "docker logs $name" docker exec "$name" test -s /run/executor/ready
    done
  done <executors
  for name in $(docker ps --all --filter label=io.jangada.role=executor --format '{{.Names}}'); do
    [[ $wanted == *" $name "* ]] || no_container "$name"
  done
}

# image_digest IMAGE: the registry's, or its own where it came from none. Jobs' records name it.
image_digest() {
  local found
  found="$(docker image inspect -f '{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}}{{end}}' "$1" 2>/dev/null || true)"
  [ -z "$found" ] || printf 'sha256:%s' "${found##*sha256:}"
}

# devices FIRST COUNT: by UUID, since indices change with a driver or a missing card.
devices() {
  nvidia-smi --query-gpu=index,uuid,memory.total,driver_version --format=csv,noheader \
    | awk -F', ' -v first="$1" -v count="$2" 'NR > first && NR <= first + count { printf "%s%s", sep, $2; sep = "," }'
}

remove() {
  local name
  container_grace=60
  for name in $(docker ps --all --filter label=io.jangada.role=executor --format '{{.Names}}'); do no_container "$name"; done
  rm -rf "$folder"
}

main "$@"
