#!/usr/bin/env bash
# Role redis: one Redis for the queue. Durable, refuses to evict, knows its clients by a password that this server has
# in a file and Redis as a digest.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
name=jangada-redis
user=999:999

apply() {
  folder 0750 "$user" /etc/jangada/redis
  folder 0750 "$user" "$DATA_PATH/redis"
  put 0640 "$user" /etc/jangada/redis/redis.conf <redis.conf
  accounts | put 0640 "$user" /etc/jangada/redis/users.acl
  local accounts_changed="$wrote"
  container_depends="$(sha256sum redis.conf)" container_grace=60 \
    container "$name" "$REDIS_IMAGE" --network host --user "$user" --stop-timeout 60 \
    --volume /etc/jangada/redis:/etc/jangada/redis:ro --volume "$DATA_PATH/redis:/data" \
    -- redis-server /etc/jangada/redis/redis.conf
  if [ "$accounts_changed" = yes ] && ! answers redis-password; then
    # Still with the passwords of before, and told about the new ones: no connection is cut.
    reads redis-password.before ACL LOAD >/dev/null || docker restart --time 60 "$name" >/dev/null
  fi
  healthy 60 "Redis does not answer on $PRIVATE_ADDRESS:$PORT" "docker logs $name" answers redis-password
}

# The password of before stays good until there is a newer one.
accounts() {
  local file line='user default on ~* &* +@all'
  for file in redis-password redis-password.before; do
    [ ! -s "$secrets/$file" ] || line+=" #$(sha256sum <"$secrets/$file" | cut -d' ' -f1)"
  done
  [[ $line == *#* ]] || die "the secret redis-password is missing" "apply again: the role secrets brings it"
  printf '%s\n' "$line"
}

# reads SECRET COMMAND…: redis-cli with the password by stdin, so that no list of processes shows it.
reads() {
  local file="$secrets/$1"
  shift
  docker exec --interactive "$name" sh -c 'read -r REDISCLI_AUTH; export REDISCLI_AUTH; exec redis-cli -p "$0" "$@"' "$PORT" "$@" \
    < <(cat "$file"; echo)
}
answers() { [ "$(reads "$1" PING 2>/dev/null)" = PONG ]; }

remove() {
  container_grace=60 no_container "$name"
  rm -rf /etc/jangada/redis
  if [ "${JANGADA_WIPE_DATA:-no}" = yes ]; then rm -rf "$DATA_PATH/redis"; fi
}

main "$@"
