# shellcheck shell=bash disable=SC2154  # redis.sh and lib.sh say what these are
# What a server's instances do in a Redis Cluster; redis.sh sources it. MEMBERS has a word for each server, NAME=ADDRESS;
# all have the same PORTS. Steps, called by redis-rollout.sh:
#   --do join          on one server: makes the cluster, or brings instances into it that are not in it yet
#   --do states        prints "PORT master|slave current|stale" for each instance here
#   --do roll PORT     restarts it if it is stale; a master gives its place to a replica first
#   --do finish        new passwords are used from here on; two masters on this server are one too many
#   --do spread        that alone: the timer, so that after a failover the loss of one server stays the loss of one master
# A server's container may hold several instances' commands: redis-cli reaches every member over TLS.

# ask ADDRESS PORT COMMAND…
ask() {
  local address="$1" port="$2"
  shift 2
  reads "$secrets/redis-password" "$port" -h "$address" "$@"
}
field() { ask "$1" "$2" "${4:-INFO}" "${5:-replication}" | tr -d '\r' | sed -n "s/^$3://p"; }
info() { ask "$1" "$2" CLUSTER INFO | tr -d '\r' | sed -n "s/^$3://p"; }
addresses() { local member; for member in $MEMBERS; do echo "${member#*=}"; done; }
members() { local address port; for address in $(addresses); do for port in $PORTS; do echo "$address $port"; done; done; }

# nodes: "ID ADDRESS PORT FLAGS MASTER-ID LINK [SLOTS…]" of each, as the first instance here sees them.
nodes() {
  ask "$PRIVATE_ADDRESS" "${PORTS%% *}" CLUSTER NODES | tr -d '\r' \
    | awk '{ at = $2; sub(/@.*/, "", at); n = match(at, /:[0-9]+$/); slots = ""
             for (i = 9; i <= NF; i++) slots = slots " " $i
             print $1, substr(at, 1, n - 1), substr(at, n + 1), $3, $4, $8 slots }'
}
healthy_nodes() { nodes | awk '$4 !~ /fail|noaddr|handshake/ && $6 == "connected"'; }

# within SECONDS COMMAND…: whether it comes true.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.3
  done
}

# --- an apply: everything but what would interrupt.
stage() {
  image_here "$REDIS_IMAGE" || true
  if is_up "$1"; then
    if differs "$1"; then changed "the container $(name "$1") is to be restarted, in its turn" || true; fi
  else
    instance "$1"
  fi
}

spreading() {
  local service
  put 0644 0:0 /etc/systemd/system/jangada-redis-spread.service <<UNIT
[Unit]
Description=One master of the Redis Cluster on each server

[Service]
Type=oneshot
ExecStart=/bin/bash $here/apply.sh --do spread
UNIT
  service="$wrote"
  put 0644 0:0 /etc/systemd/system/jangada-redis-spread.timer <<'UNIT'
[Unit]
Description=One master of the Redis Cluster on each server

[Timer]
OnActiveSec=2min
OnUnitActiveSec=2min

[Install]
WantedBy=timers.target
UNIT
  [ "$service$wrote" = nono ] || systemctl daemon-reload
  running jangada-redis-spread.timer
}

# --- the rollout's steps
do_join() {
  local address port found
  while read -r address port; do
    within 30 pongs "$address" "$port" || die "the member $address:$port does not answer" "docker logs there"
  done < <(members)
  found="$(owner)"
  if [ -z "$found" ]; then create; else meet_all "$found"; fi
  meet_all "$PRIVATE_ADDRESS ${PORTS%% *}"
  forget
  attach
  adopt
  within 60 complete || die "the cluster does not come together: $(info "$PRIVATE_ADDRESS" "${PORTS%% *}" cluster_state)" \
    "redis-cli CLUSTER NODES on that server"
  say "the cluster has $(members | wc -l) members"
}

pongs() { [ "$(ask "$1" "$2" PING 2>&1)" = PONG ]; }

# A member that knows of a master for every slot: the cluster is there.
owner() {
  local address port
  while read -r address port; do
    [ "$(info "$address" "$port" cluster_slots_assigned)" != 16384 ] || { echo "$address $port"; return; }
  done < <(members)
}

# The first three servers' first instances share the slots. What ended halfway goes on here.
create() {
  local address port number=0 masters=()
  while read -r address port; do
    [ "$(ask "$address" "$port" DBSIZE)" = 0 ] || die "$address:$port has data, and is in no cluster" \
      "data of one Redis cannot be taken into a cluster: stop that server's, move $DATA_PATH/redis away, apply again; unfinished jobs are queued again from MongoDB"
  done < <(members)
  mapfile -t masters < <(addresses | head -3)
  for address in "${masters[@]}"; do
    ask "$address" "${PORTS%% *}" CLUSTER SET-CONFIG-EPOCH $((number + 1)) >/dev/null || true
    # shellcheck disable=SC2046  # many numbers
    has_slots "$address" "${PORTS%% *}" || ask_ok "$address" "${PORTS%% *}" CLUSTER ADDSLOTS $(seq $((16384 * number / 3)) $((16384 * (number + 1) / 3 - 1))) \
      || die "cannot give slots to $address" "apply again"
    number=$((number + 1))
  done
  say "makes the cluster"
}
has_slots() { ask "$1" "$2" CLUSTER NODES | awk '$3 ~ /myself/ && NF > 8 { found = 1 } END { exit !found }'; }

# meet_all "ADDRESS PORT": it gets to know all members.
meet_all() {
  local address port wanted
  wanted="$(members | wc -l)"
  # shellcheck disable=SC2086  # two words
  while read -r address port; do
    ask $1 CLUSTER NODES | grep -F " $address:$port@" | grep -v fail >/dev/null || ask $1 CLUSTER MEET "$address" "$port" >/dev/null
  done < <(members)
  within 60 all_know "$wanted" || die "members do not find each other" "the ports 6379, 6380 and 16379, 16380 must be open between them"
}
all_know() {
  local address port
  while read -r address port; do
    [ "$(ask "$address" "$port" CLUSTER NODES | grep -cv -e handshake -e noaddr)" -ge "$1" ] || return 1
  done < <(members)
}

# Instances of servers that are no members any more.
forget() {
  local id address port member_address member_port
  while read -r id address port _; do
    if members | grep -xF "$address $port" >/dev/null; then continue; fi
    within 30 masters_nothing "$id" \
      || die "$address:$port is a master of the cluster, and its server is not in hosts" "put the server back, or stop that Redis first"
    say "forgets $address:$port"
    while read -r member_address member_port; do
      ask "$member_address" "$member_port" CLUSTER FORGET "$id" >/dev/null 2>&1 || true
    done < <(members)
  done < <(nodes)
}
masters_nothing() { ! nodes | grep "^$1 [^ ]* [^ ]* [^ ]*master[^ ]* [^ ]* [^ ]* " >/dev/null; }

# Masters without slots become replicas: of the master that has the fewest, and never of one on their own server.
attach() {
  local address port table master
  while read -r address port; do
    table="$(nodes)"
    awk -v a="$address" -v p="$port" '$2 == a && $3 == p && $4 ~ /master/ && NF == 6 { found = 1 } END { exit !found }' <<<"$table" || continue
    master="$(place "$address" <<<"$table")"
    [ -n "$master" ] || die "there is no master on another server than $address" "redis-cli CLUSTER NODES there"
    within 30 ask_ok "$address" "$port" CLUSTER REPLICATE "$master" || die "$address:$port does not become a replica" "docker logs there"
    say "$address:$port is a replica of $master"
    within 30 sees_replica "$address" "$port" || true
  done < <(members)
}
# A master whose only replica went with its server gets one from a master that has several.
adopt() {
  local id on address port
  # After a failover it takes a moment until all have heard whom the other replicas follow.
  within 30 settled || true
  while read -r id on; do
    read -r address port < <(nodes | awk -v on="$on" '$4 ~ /slave/ && $4 !~ /fail/ { of[$2 " " $3] = $5; host[$2 " " $3] = $2; count[$5]++ }
      END { for (at in of) if (count[of[at]] > 1 && host[at] != on) { print at; exit } }') \
      || die "the master on $on has no replica, and there is none to spare" "bring the server with its replica back"
    within 30 ask_ok "$address" "$port" CLUSTER REPLICATE "$id" || die "$address:$port does not become its replica" "docker logs there"
    say "$address:$port is a replica of $id now"
    within 30 follows "$address" "$port" "$id" || true
  done < <(nodes | awk '$4 ~ /master/ && NF > 6 { on[$1] = $2 } $4 ~ /slave/ && $4 !~ /fail/ { from[$5] = from[$5] " " $2 }
    END { for (id in on) { n = split(from[id], list, " "); ok = 0
            for (i = 1; i <= n; i++) if (list[i] != on[id]) ok = 1
            if (!ok) print id, on[id] } }')
}
settled() { nodes | awk '$4 ~ /master/ && NF > 6 { is[$1] = 1 } $4 ~ /slave/ && $4 !~ /fail/ { of[$5] = 1 }
  END { for (id in of) if (!(id in is)) exit 1 }'; }
follows() { nodes | awk -v a="$1" -v p="$2" -v id="$3" '$2 == a && $3 == p && $5 == id { found = 1 } END { exit !found }'; }
ask_ok() { [ "$(ask "$@" 2>/dev/null)" = OK ]; }
sees_replica() { nodes | awk -v a="$1" -v p="$2" '$2 == a && $3 == p && $4 ~ /slave/ { found = 1 } END { exit !found }'; }

# place ADDRESS <nodes: the id of the master to follow. Among equals the one on the server that comes next.
place() {
  awk -v here="$1" -v order="$(addresses | tr '\n' ' ')" '
    BEGIN { n = split(order, list, " "); for (i = 1; i <= n; i++) at[list[i]] = i }
    $4 ~ /master/ && $4 !~ /fail/ && NF > 6 { id[++count] = $1; on[count] = $2 }
    $4 ~ /slave/ { replicas[$5]++ }
    END {
      for (i = 1; i <= count; i++) if (on[i] != here) {
        score = replicas[id[i]] * 1000 + (at[on[i]] - at[here] + n) % n
        if (best == "" || score < best) { best = score; chosen = id[i] }
      }
      print chosen
    }'
}

# All slots have a master, every master a replica elsewhere that follows it, and every member says that all is well.
complete() {
  local address port
  while read -r address port; do
    [ "$(info "$address" "$port" cluster_state)" = ok ] || return 1
    [ "$(info "$address" "$port" cluster_slots_ok)" = 16384 ] || return 1
    [ "$(field "$address" "$port" role)" = master ] || [ "$(field "$address" "$port" master_link_status)" = up ] || return 1
  done < <(members)
  nodes | awk '$4 ~ /master/ && NF > 6 { on[$1] = $2 } $4 ~ /slave/ { from[$5] = from[$5] " " $2 }
    END { for (id in on) { n = split(from[id], list, " "); ok = 0
            for (i = 1; i <= n; i++) if (list[i] != on[id]) ok = 1
            if (!ok) exit 1 } }'
}

do_states() {
  local port state
  # Nobody else moves masters meanwhile; `finish` starts it again.
  systemctl stop jangada-redis-spread.timer 2>/dev/null || true
  for port in $PORTS; do
    state=current
    if differs "$port"; then state=stale; fi
    printf '%s %s %s\n' "$port" "$(field "$PRIVATE_ADDRESS" "$port" role)" "$state"
  done
}

do_roll() {
  local port="$1"
  differs "$port" || return 0
  within 60 complete || die "the cluster is not whole, so nothing is restarted" "redis-cli CLUSTER NODES on that server says who is missing"
  if [ "$(field "$PRIVATE_ADDRESS" "$port" role)" = master ]; then hand_over "$port" 30; fi
  instance "$port"
  healthy 60 "Redis does not answer on $PRIVATE_ADDRESS:$port" "docker logs $(name "$port")" answers "$port"
  within 120 complete || die "the cluster is not whole after the restart of port $port" "docker logs $(name "$port"); then apply again"
}

# hand_over PORT SECONDS: a replica on another server takes the place of the master on PORT, which loses no write.
hand_over() {
  local id address port
  id="$(ask "$PRIVATE_ADDRESS" "$1" CLUSTER MYID)"
  read -r _ address port _ < <(healthy_nodes | awk -v id="$id" -v here="$PRIVATE_ADDRESS" '$4 ~ /slave/ && $5 == id && $2 != here') \
    || die "the master on port $1 has no replica that is up" "bring it back first: its data would be away meanwhile"
  say "$address:$port takes the place of port $1"
  ask_ok "$address" "$port" CLUSTER FAILOVER || die "$address:$port refuses to become master" "docker logs there"
  within "$2" is_replica "$1" || die "$address:$port did not become master within $2 s" "docker logs there; then apply again"
}
is_replica() { [ "$(field "$PRIVATE_ADDRESS" "$1" role)" = slave ] && [ "$(field "$PRIVATE_ADDRESS" "$1" master_link_status)" = up ]; }

do_finish() {
  local port
  for port in $PORTS; do
    ask_ok "$PRIVATE_ADDRESS" "$port" CONFIG SET masterauth "$(secret redis-password)" \
      || die "the instance on port $port does not take the new password" "docker logs $(name "$port")"
  done
  do_spread
  systemctl start jangada-redis-spread.timer
}

do_spread() {
  local id port mine count target_address target_port
  mine="$(healthy_nodes | awk -v here="$PRIVATE_ADDRESS" '$2 == here && $4 ~ /master/ && NF > 6 { print $1, $3 }')"
  count="$(grep -c . <<<"$mine" || true)"
  while read -r id port; do
    [ "$count" -gt 1 ] || return 0
    read -r target_address target_port < <(relief "$id") || continue
    say "$target_address:$target_port becomes master instead of port $port: this server has $count"
    ask_ok "$target_address" "$target_port" CLUSTER FAILOVER || continue
    within 30 is_replica "$port" || continue
    count=$((count - 1))
  done <<<"$mine"
}
# relief ID: a healthy replica of that master on a server that has no master.
relief() {
  healthy_nodes | awk -v id="$1" '$4 ~ /master/ && NF > 6 { busy[$2] = 1 } $4 ~ /slave/ && $5 == id { at[++n] = $2 " " $3; on[n] = $2 }
    END { for (i = 1; i <= n; i++) if (!(on[i] in busy)) { print at[i]; exit } }'
}

# Before its instances end: whoever can takes over now instead of after the time-out. Not when all servers go.
leave() {
  local port
  systemctl disable --quiet --now jangada-redis-spread.timer 2>/dev/null || true
  for port in $PORTS; do
    is_up "$port" || continue
    [ "$(field "$PRIVATE_ADDRESS" "$port" role 2>/dev/null)" = master ] || continue
    (hand_over "$port" 5) >/dev/null 2>&1 || true
  done
}
