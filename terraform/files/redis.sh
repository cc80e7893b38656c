#!/usr/bin/env bash
# Role redis: the queue's Redis. Durable, refuses to evict, with TLS alone, knows its clients by a password that this
# server has in a file and Redis as a digest. One server has one instance; in a cluster every server has two, and this
# only prepares them: redis-rollout.sh goes from member to member and calls the steps in redis-cluster.sh.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=redis-cluster.sh
. "$here/redis-cluster.sh"
user=999:999
configuration=/etc/jangada/redis

apply() {
  local port accounts_changed
  folder 0750 "$user" "$configuration"
  for port in $PORTS; do
    folder 0750 "$user" "$(data "$port")"
    put 0640 "$user" "$configuration/redis-$port.conf" <"redis-$port.conf"
  done
  accounts | put 0640 "$user" "$configuration/users.acl"
  accounts_changed="$wrote"
  if [ "$CLUSTER" = true ]; then
    printf 'masteruser default\nmasterauth %s\n' "$(secret redis-password)" | put 0640 "$user" "$configuration/replication.conf"
    for port in $PORTS; do stage "$port"; done
    spreading
  else
    instance 6379
  fi
  for port in $PORTS; do
    # Still with the password of before, and told about the new one: no connection is cut.
    if [ "$mode" = apply ] && { [ "$accounts_changed" = yes ] || refused "$port"; }; then load_accounts "$port"; fi
    healthy 60 "Redis does not answer on $PRIVATE_ADDRESS:$port" "docker logs $(name "$port")" answers "$port"
  done
  [ "$mode" = check ] || remember
}

name() { if [ "$1" = 6379 ]; then echo jangada-redis; else echo "jangada-redis-$1"; fi; }
data() { if [ "$1" = 6379 ]; then echo "$DATA_PATH/redis"; else echo "$DATA_PATH/redis-$1"; fi; }

instance() {
  container_depends="$(sha256sum <"redis-$1.conf")" container_grace=60 \
    container "$(name "$1")" "$REDIS_IMAGE" --network host --user "$user" --stop-timeout 60 \
    --volume "$configuration:$configuration:ro" --volume /etc/jangada/data-tls:/etc/jangada/data-tls:ro \
    --volume "$(data "$1"):/data" \
    -- redis-server "$configuration/redis-$1.conf"
}

# differs PORT: whether it runs with another configuration or image than it should, or not at all.
differs() ( mode=check && changes=0 && instance "$1" >/dev/null && [ "$changes" -gt 0 ] )
is_up() { [ "$(docker container inspect -f '{{.State.Running}}' "$(name "$1")" 2>/dev/null)" = true ]; }

# The password of before stays good until there is a newer one.
accounts() {
  local file line='user default on ~* &* +@all'
  for file in redis-password redis-password.before; do
    [ ! -s "$secrets/$file" ] || line+=" #$(sha256sum <"$secrets/$file" | cut -d' ' -f1)"
  done
  [[ $line == *#* ]] || die "the secret redis-password is missing" "apply again: the role secrets brings it"
  printf '%s\n' "$line"
}

# The one that it last answered to is kept apart, should an apply have ended between two versions.
load_accounts() {
  local file
  for file in "$secrets/redis-password" "$secrets/redis-password.before" "$configuration/working"; do
    [ ! -s "$file" ] || ! reads "$file" "$1" ACL LOAD >/dev/null 2>&1 || ! answers "$1" || return 0
  done
  refused "$1" || return 0
  [ "$CLUSTER" != true ] || die "the instance on port $1 takes no password that this server knows" \
    "docker restart $(name "$1") reads the new one; one server after the other"
  docker restart --time 60 "$(name "$1")" >/dev/null
}
remember() { (umask 377 && cat "$secrets/redis-password" >"$configuration/working.new") && mv -f "$configuration/working.new" "$configuration/working"; }

# reads FILE PORT [-h HOST] COMMAND…: redis-cli with the password by stdin, so that no list of processes shows it.
reads() {
  local file="$1" port="$2"
  shift 2
  # shellcheck disable=SC2016  # for the container's shell
  docker exec --interactive "$(name "${PORTS%% *}")" sh -c \
    'read -r REDISCLI_AUTH; export REDISCLI_AUTH; exec redis-cli --no-auth-warning --tls --cacert /etc/jangada/data-tls/root.crt -p "$0" "$@"' \
    "$port" "$@" < <(cat "$file"; echo)
}
answers() { [ "$(reads "$secrets/redis-password" "$1" PING 2>/dev/null)" = PONG ]; }

refused() { reads "$secrets/redis-password" "$1" PING 2>&1 | grep -E 'WRONGPASS|NOAUTH' >/dev/null; }

# After a renewal of the certificate, and without a restart.
do_reload() {
  local port
  for port in $PORTS; do
    is_up "$port" || continue
    reads "$secrets/redis-password" "$port" CONFIG SET tls-cert-file /etc/jangada/data-tls/server.crt | grep OK >/dev/null \
      || die "the instance on port $port does not take its new certificate" "docker logs $(name "$port")"
  done
}

remove() {
  local port
  [ "$CLUSTER" != true ] || leave
  for port in $PORTS; do
    container_grace=60 no_container "$(name "$port")"
    if [ "${JANGADA_WIPE_DATA:-no}" = yes ]; then rm -rf "$(data "$port")"; fi
  done
  rm -rf "$configuration"
}

main "$@"
