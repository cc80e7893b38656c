# shellcheck shell=bash disable=SC2154  # mongodb.sh and lib.sh say what these are
# How a server's MongoDB is spoken to, and what it does as a member of the replica set `jangada`; mongodb.sh sources it.
# MEMBERS has a word for each server, NAME=ADDRESS. Steps, called by mongodb-rollout.sh:
#   --do state         prints "primary|secondary|data|empty|other stale|current ADDRESS-OF-THE-PRIMARY"
#   --do initiate      makes the set, of this member alone; once
#   --do extend        on the primary: brings in, one after the other, the members that are not in it, and takes out those gone
#   --do users         on the primary: the platform's user with the newest password; the one before stays
#   --do roll          restarts this member if it is stale, unless the others are no majority; a primary steps down first
#   --do remember      this server notes which user it knows to be good
#   --do retire        on the primary: removes the users that no client uses any more

# How long to wait for what takes seconds.
patience="${PATIENCE:-60}"

# tell ADDRESS WHO COMMAND: a database command (JSON) to one member; prints its answer, as JSON. WHO is nobody, current,
# before or working: which of the users this server knows. Neither argv nor the environment holds a password.
tell() {
  local at="$1" who="" options='directConnection=true&serverSelectionTimeoutMS=5000&tls=true&tlsCAFile=/etc/jangada/data-tls/root.crt'
  case "$2" in
    current) who="$(secret mongo-user):$(secret mongo-password)@" ;;
    before) who="$(secret mongo-user.before):$(secret mongo-password.before)@" ;;
    working) who="$(paste -sd: "$configuration/working")@" ;;
  esac
  [ -z "$who" ] || options+='&authSource=admin'
  # shellcheck disable=SC2016  # for the container's shell
  docker exec --interactive "$name" sh -c \
    'umask 077; script="$(mktemp /tmp/jangada.XXXXXX)"; trap "rm -f $script" EXIT; cat >"$script"; mongosh --quiet --norc --nodb "$script"' <<SCRIPT
const uri = "mongodb://$who$at:$PORT/admin?$options";
const command = EJSON.parse(JSON.stringify($3));
let answer;
try {
  answer = connect(uri).runCommand(command);
} catch (error) {
  answer = { ok: 0, code: error.code || 0, errmsg: String(error.message) };
}
print(EJSON.stringify(answer));
SCRIPT
}
fine() { jq --exit-status '.ok == 1' >/dev/null 2>&1; }

# enters ADDRESS WHO: whether that user is let in.
enters() {
  case "$2" in
    before) [ -s "$secrets/mongo-password.before" ] && [ -s "$secrets/mongo-user.before" ] || return 1 ;;
    working) [ -s "$configuration/working" ] || return 1 ;;
  esac
  tell "$1" "$2" '{"connectionStatus": 1}' | fine
}
# known ADDRESS: which of them is; nothing when none is.
known() { local who; for who in current before working; do if enters "$1" "$who"; then echo "$who"; return 0; fi; done; }

# admin ADDRESS COMMAND: as whoever is let in; fails when the command does, with the server's words.
admin() {
  local who said
  said="$(tell "$1" current "$2")"
  if [ "$(jq -r '.code // 0' <<<"$said" 2>/dev/null)" = 18 ]; then
    who="$(known "$1")"
    said="$(tell "$1" "${who:-nobody}" "$2")"
  fi
  if fine <<<"$said"; then printf '%s\n' "$said"; return 0; fi
  jq -r '.errmsg // "no answer"' <<<"$said" >&2 2>/dev/null || echo "no answer" >&2
  return 1
}

within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.5
  done
}

addresses() { local member; for member in $MEMBERS; do echo "${member#*=}"; done; }
hello() { tell "$1" nobody '{"hello": 1}'; }
status() { admin "$PRIVATE_ADDRESS" '{"replSetGetStatus": 1}'; }
state_of() { status 2>/dev/null | jq -r --arg at "$1:$PORT" '.members[] | select(.name == $at) | .stateStr'; }
is_secondary() { [ "$(state_of "$1")" = SECONDARY ]; }
is_primary() { [ "$(hello "$PRIVATE_ADDRESS" | jq -r '.isWritablePrimary')" = true ]; }

do_state() {
  local said state=other stale=current
  said="$(hello "$PRIVATE_ADDRESS")"
  fine <<<"$said" || die "MongoDB does not answer on $PRIVATE_ADDRESS:$PORT" "docker logs $name"
  if [ "$(jq -r '.isWritablePrimary' <<<"$said")" = true ] && [ "$(jq -r '.setName' <<<"$said")" = jangada ]; then
    state=primary
  elif [ "$(jq -r '.secondary' <<<"$said")" = true ]; then
    state=secondary
  elif [ "$(jq -r '.setName' <<<"$said")" = null ]; then
    state=empty
    [ -z "$(known 127.0.0.1)" ] || state=data
  fi
  if differs; then stale=stale; fi
  printf '%s %s %s\n' "$state" "$stale" "$(jq -r '.primary // "-"' <<<"$said" | sed 's/:[0-9]*$//')"
}

do_initiate() {
  admin 127.0.0.1 "{\"replSetInitiate\": {\"_id\": \"jangada\", \"members\": [{\"_id\": 0, \"host\": \"$PRIVATE_ADDRESS:$PORT\"}]}}" >/dev/null \
    || die "the replica set is not made" "docker logs $name"
  within "$patience" is_primary || die "the first member does not become primary" "docker logs $name"
  say "makes the replica set"
}

# The first user comes in from this server alone (MongoDB's localhost exception); later ones from the user before.
do_users() {
  local who at="$PRIVATE_ADDRESS"
  who="$(known "$at")"
  [ "$who" != current ] || return 0
  [ -n "$who" ] || { who=nobody; at=127.0.0.1; }
  tell "$at" "$who" "{\"createUser\": \"$(secret mongo-user)\", \"pwd\": \"$(secret mongo-password)\", \"roles\": [\"root\"]}" | fine \
    || die "it takes none of the passwords that this server knows" \
      "somebody changed them by hand: put the right user and password into $configuration/working, one per line, and apply again"
  enters "$PRIVATE_ADDRESS" current || die "the new user is not let in" "docker logs $name"
  say "makes the user $(secret mongo-user)"
}

do_remember() {
  within 30 enters "$PRIVATE_ADDRESS" current || die "the platform's user is not known here" "apply again"
  (umask 377 && printf '%s\n%s\n' "$(secret mongo-user)" "$(secret mongo-password)" >"$configuration/working.new")
  mv -f "$configuration/working.new" "$configuration/working"
}

# healthy_others: how many members but this one are up and hold the data; majority: how many it takes.
healthy_others() { status | jq --arg me "$PRIVATE_ADDRESS:$PORT" '[.members[] | select(.name != $me and (.stateStr == "PRIMARY" or .stateStr == "SECONDARY"))] | length'; }
majority() { admin "$PRIVATE_ADDRESS" '{"replSetGetConfig": 1}' | jq '.config.members | length / 2 | floor + 1'; }

do_extend() {
  local address gone config
  for address in $(addresses); do
    config="$(admin "$PRIVATE_ADDRESS" '{"replSetGetConfig": 1}' | jq -c .config)" || die "the replica set does not say who is in it" "docker logs $name"
    if jq -e --arg at "$address:$PORT" 'any(.members[]; .host == $at)' <<<"$config" >/dev/null; then continue; fi
    [ $(($(healthy_others) + 1)) -ge "$(majority)" ] || die "there is no majority of the replica set" "bring its members back first"
    reconfigure "$(jq -c --arg at "$address:$PORT" '.members += [{_id: ([.members[]._id] | max + 1), host: $at}]' <<<"$config")" \
      || die "$address does not come into the replica set" "it must be empty, and reach the others on port $PORT"
    say "$address:$PORT joins"
    within "${JOIN_SECONDS:-3600}" is_secondary "$address" || die "$address has not caught up within an hour" "apply again when it has"
  done
  config="$(admin "$PRIVATE_ADDRESS" '{"replSetGetConfig": 1}' | jq -c .config)"
  for gone in $(jq -r '.members[].host' <<<"$config"); do
    if addresses | grep -xF "${gone%:*}" >/dev/null; then continue; fi
    config="$(admin "$PRIVATE_ADDRESS" '{"replSetGetConfig": 1}' | jq -c .config)"
    reconfigure "$(jq -c --arg at "$gone" '.members |= map(select(.host != $at))' <<<"$config")" \
      || die "$gone does not leave the replica set" "docker logs $name"
    say "$gone leaves"
  done
}
reconfigure() { admin "$PRIVATE_ADDRESS" "{\"replSetReconfig\": $(jq -c '.version += 1 | del(.term)' <<<"$1")}" >/dev/null; }

do_roll() {
  differs || return 0
  within "$patience" enough_others || die "the other members are no majority, so this one is not restarted" "bring them back first: docker logs $name there"
  if is_primary; then
    say "steps down"
    # The answer may be lost with the connection: what counts is who is primary.
    admin "$PRIVATE_ADDRESS" '{"replSetStepDown": 120, "secondaryCatchUpPeriodSecs": 30}' >/dev/null 2>&1 || true
    within "$patience" somebody_else || die "no other member became primary" "docker logs $name; then apply again"
  fi
  instance
  healthy 90 "MongoDB does not answer on $PRIVATE_ADDRESS:$PORT" "docker logs $name" answers
  within 300 is_secondary "$PRIVATE_ADDRESS" || die "it has not caught up within 5 minutes of its restart" "docker logs $name; then apply again"
}
enough_others() { [ "$(healthy_others)" -ge "$(majority)" ]; }
somebody_else() { status | jq -e --arg me "$PRIVATE_ADDRESS:$PORT" 'any(.members[]; .stateStr == "PRIMARY" and .name != $me)' >/dev/null; }

do_retire() {
  local old
  [ "$MONGO_AUTHENTICATION" = true ] || return 0
  enters "$PRIVATE_ADDRESS" current || die "the newest user is not let in, so none is removed" "apply again"
  for old in $(tell "$PRIVATE_ADDRESS" current '{"usersInfo": 1}' | jq -r '.users[].user'); do
    [[ $old =~ ^jangada(-[0-9]+)?$ ]] && [ "$old" != "$(secret mongo-user)" ] || continue
    tell "$PRIVATE_ADDRESS" current "{\"dropUser\": \"$old\"}" | fine || die "cannot remove the user $old" "docker logs $name"
    say "removes the user $old"
  done
}
