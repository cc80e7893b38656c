#!/usr/bin/env bash
# Brings a Redis Cluster together and takes a change through it: replicas first, then masters, each after a replica took
# its place, and never two at a time. Runs where Terraform runs, with ssh; redis-cluster.sh has the steps.
#   HOSTS='n1 n2 n3' SSH_CONFIG=… KNOWN_HOSTS=… redis-rollout.sh
set -euo pipefail
umask 077
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
printf '%s\n' "$SSH_CONFIG" >"$folder/config"
printf '%s\n' "$KNOWN_HOSTS" >"$folder/known_hosts"
step() { # HOST STEP…
  local host="$1"
  shift
  # shellcheck disable=SC2029  # it is for the server's shell
  ssh -F "$folder/config" -o UserKnownHostsFile="$folder/known_hosts" "$host" \
    "sudo -n bash /var/lib/jangada/roles/redis/apply.sh --do $*" </dev/null
}

read -r -a servers <<<"$HOSTS"
step "${servers[0]}" join
for host in "${servers[@]}"; do
  step "$host" states | sed "s/^/$host /"
done >"$folder/states"
for role in slave master; do
  while read -r host port _ <&3; do
    step "$host" roll "$port"
  done 3< <(awk -v role="$role" '$3 == role && $4 == "stale"' "$folder/states")
done
for host in "${servers[@]}"; do step "$host" finish; done
