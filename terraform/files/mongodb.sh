#!/usr/bin/env bash
# Role mongodb: the platform's store, with TLS alone and a user of its own. One server stands alone; of a replica set this
# only prepares the members: mongodb-rollout.sh goes from one to the next and calls the steps in mongodb-members.sh.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=mongodb-members.sh
. "$here/mongodb-members.sh"
name=jangada-mongo
user=999:999
configuration=/etc/jangada/mongo

apply() {
  folder 0750 "$user" "$DATA_PATH/mongo"
  folder 0750 "$user" "$configuration"
  if [ "$MONGO_AUTHENTICATION" = true ]; then packages jq; fi
  if [ "$REPLICA_SET" = true ]; then
    secret mongo-keyfile | put 0400 "$user" "$configuration/keyfile"
    image_here "$MONGO_IMAGE" || true
  fi
  if [ "$REPLICA_SET" = true ] && is_up; then
    if differs; then changed "the container $name is to be restarted, in its turn" || true; fi
  else
    instance
  fi
  healthy 90 "MongoDB does not answer on $PRIVATE_ADDRESS:$PORT" "docker logs $name" answers
  if [ "$REPLICA_SET" != true ] && [ "$MONGO_AUTHENTICATION" = true ]; then
    if [ "$mode" = apply ]; then
      do_users
      do_remember
    else
      enters "$PRIVATE_ADDRESS" current || changed "it does not know the platform's user" || true
    fi
  fi
}

instance() {
  local server=(mongod --bind_ip "$PRIVATE_ADDRESS,127.0.0.1" --port "$PORT" --tlsMode requireTLS
    --tlsCertificateKeyFile /etc/jangada/data-tls/server.pem --tlsCAFile /etc/jangada/data-tls/root.crt
    --tlsAllowConnectionsWithoutCertificates)
  if [ -s command ]; then
    mapfile -t server <"$here/command"
  elif [ "$REPLICA_SET" = true ]; then
    server+=(--replSet jangada --keyFile "$configuration/keyfile")
  else
    server+=(--auth)
  fi
  container_grace=60 container "$name" "$MONGO_IMAGE" --network host --user "$user" --stop-timeout 60 \
    --volume "$configuration:$configuration:ro" --volume /etc/jangada/data-tls:/etc/jangada/data-tls:ro \
    --volume "$DATA_PATH/mongo:/data/db" -- "${server[@]}"
}

# Whether it runs with another command or image than it should, or not at all.
differs() ( mode=check && changes=0 && instance >/dev/null && [ "$changes" -gt 0 ] )
is_up() { [ "$(docker container inspect -f '{{.State.Running}}' "$name" 2>/dev/null)" = true ]; }
answers() { (exec 3<>"/dev/tcp/$PRIVATE_ADDRESS/$PORT") 2>/dev/null; }

# After a renewal of the certificate, and without a restart.
do_reload() {
  if [ "$MONGO_AUTHENTICATION" != true ] || ! is_up; then return 0; fi
  admin "$PRIVATE_ADDRESS" '{"rotateCertificates": 1}' >/dev/null \
    || die "it does not take its new certificate" "docker logs $name"
}

remove() {
  container_grace=60 no_container "$name"
  rm -rf "$configuration"
  if [ "${JANGADA_WIPE_DATA:-no}" = yes ]; then rm -rf "$DATA_PATH/mongo"; fi
}

main "$@"
