#!/usr/bin/env bash
# Brings a MongoDB replica set together and takes a change through it: secondaries first, then the primary, which steps
# down before, and never two at a time. Runs where Terraform runs, with ssh; mongodb-members.sh has the steps.
#   HOSTS='n1=10.0.0.1 n2=10.0.0.2 n3=10.0.0.3' SSH_CONFIG=… KNOWN_HOSTS=… mongodb-rollout.sh
#   … mongodb-rollout.sh retire      when all clients have the new password: the user before goes
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
    "sudo -n bash /var/lib/jangada/roles/mongodb/apply.sh --do $*" </dev/null
}
die() {
  printf 'jangada: mongodb: %s\n  to do: %s\n' "$1" "$2" >&2
  exit 1
}

read -r -a members <<<"$HOSTS"
states() { # HOST STATE STALE PRIMARY of each, in the file states
  local member
  for member in "${members[@]}"; do
    step "${member%%=*}" state | sed "s/^/${member%%=*} /"
  done >"$folder/states"
}
# The primary may be any of them, and there may be none for some seconds.
primary() {
  local deadline=$((SECONDS + 60)) found
  while :; do
    states
    found="$(awk '$2 == "primary" { print $1 }' "$folder/states")"
    [ -z "$found" ] || break
    [ "$SECONDS" -lt "$deadline" ] || die "no member is primary" "a majority of $HOSTS must be up and reach each other"
    sleep 1
  done
  echo "$found"
}

if [ "${1:-}" = retire ]; then
  if [ "${#members[@]}" -eq 1 ]; then step "${members[0]%%=*}" retire; else step "$(primary)" retire; fi
  exit 0
fi

states
if ! awk '$2 == "primary" || $2 == "secondary" || $2 == "other" { found = 1 } END { exit !found }' "$folder/states"; then
  first="$(awk '$2 == "data" { print $1 }' "$folder/states")"
  [ "$(wc -w <<<"$first")" -le 1 ] || die "several members have data of their own: $(tr '\n' ' ' <<<"$first")" "empty all but one"
  step "${first:-${members[0]%%=*}}" initiate
fi
first="$(primary)"
step "$first" users
step "$first" extend
states
while read -r host _ <&3; do
  step "$host" roll
done 3< <(awk '$3 == "stale" && $2 != "primary"' "$folder/states"; awk '$3 == "stale" && $2 == "primary"' "$folder/states")
for member in "${members[@]}"; do step "${member%%=*}" remember; done
