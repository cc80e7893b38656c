#!/usr/bin/env bash
# Role mongodb: one MongoDB, the platform's store.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
name=jangada-mongo
user=999:999

apply() {
  folder 0750 "$user" "$DATA_PATH/mongo"
  local options=() server=()
  if [ "$MONGO_AUTHENTICATION" = true ]; then
    # The official image makes the user when the data folder is empty.
    folder 0750 "$user" /etc/jangada/mongo
    secret mongo-password | put 0400 "$user" /etc/jangada/mongo/password
    options=(--env MONGO_INITDB_ROOT_USERNAME=jangada --env MONGO_INITDB_ROOT_PASSWORD_FILE=/etc/jangada/mongo/password
      --volume /etc/jangada/mongo:/etc/jangada/mongo:ro)
  fi
  if [ -s command ]; then
    mapfile -t server <"$here/command"
  else
    server=(mongod --bind_ip "$PRIVATE_ADDRESS,127.0.0.1" --port "$PORT")
  fi
  container_grace=60 container "$name" "$MONGO_IMAGE" --network host --user "$user" --stop-timeout 60 \
    --volume "$DATA_PATH/mongo:/data/db" ${options[@]+"${options[@]}"} -- "${server[@]}"
  healthy 90 "MongoDB does not answer on $PRIVATE_ADDRESS:$PORT" "docker logs $name" answers
}

answers() { (exec 3<>"/dev/tcp/$PRIVATE_ADDRESS/$PORT") 2>/dev/null; }

remove() {
  container_grace=60 no_container "$name"
  rm -rf /etc/jangada/mongo
  if [ "${JANGADA_WIPE_DATA:-no}" = yes ]; then rm -rf "$DATA_PATH/mongo"; fi
}

main "$@"
