#!/usr/bin/env bash
# Role observability. On every server: what the machine itself can tell, and Redis where it is, for the private network.
# On the one that watches: Prometheus with our rules and Grafana with our board, for that server alone; people come
# through an SSH tunnel. Prometheus and exporters are Debian's packages, so its security updates reach them; Grafana is
# an image, since Debian has none.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
folder=/etc/jangada/observability
grafana=jangada-grafana

apply() {
  folder 0755 0:0 "$folder"
  packages prometheus-node-exporter
  unit prometheus-node-exporter "--web.listen-address=$PRIVATE_ADDRESS:9100"
  healthy 30 "the server's metrics do not answer on $PRIVATE_ADDRESS:9100" "journalctl -u prometheus-node-exporter" \
    curl --fail --silent --max-time 5 "http://$PRIVATE_ADDRESS:9100/metrics"
  [ -z "$REDIS_TARGETS" ] || redis
  [ "$WATCHES" = true ] || { leave prometheus; no_container "$grafana"; return 0; }
  prometheus
  if [ "$GRAFANA_IMAGE" = - ]; then no_container "$grafana"; else board; fi
}

# unit NAME ARGUMENTS [reload]: Debian's unit with our arguments. Starts it anew when they changed; the third word is
# what another configuration asks for.
unit() {
  put 0644 0:0 "/etc/systemd/system/$1.service.d/jangada.conf" <<UNIT
[Service]
ExecStart=
ExecStart=/usr/bin/$1 $2
UNIT
  if [ "$wrote" = yes ]; then
    systemctl daemon-reload
    running "$1" restart
  else
    running "$1" "${3:-}"
  fi
}

# leave NAME: it ran here once, and does not any more.
leave() {
  [ -e "/etc/systemd/system/$1.service.d/jangada.conf" ] || return 0
  if changed "stops $1"; then systemctl disable --quiet --now "$1"; fi
}

# The password of a Redis by its address, as the exporter wants it; only its user may read it.
redis() {
  packages prometheus-redis-exporter
  local again=''
  passwords | put 0400 "$(owner prometheus)" "$folder/redis-passwords.json"
  [ "$wrote" = no ] || again=restart
  # shellcheck disable=SC2086  # none, or several arguments
  unit prometheus-redis-exporter "-web.listen-address=$PRIVATE_ADDRESS:9121 -redis.addr= -redis.password-file=$folder/redis-passwords.json${REDIS_ARGUMENTS:+ $REDIS_ARGUMENTS}" "$again"
  healthy 30 "Redis' metrics do not answer on $PRIVATE_ADDRESS:9121" "journalctl -u prometheus-redis-exporter" \
    curl --fail --silent --max-time 5 "http://$PRIVATE_ADDRESS:9121/metrics"
}

passwords() {
  local target password separator=''
  password="$(secret redis-password)"
  printf '{'
  for target in $REDIS_TARGETS; do
    printf '%s"%s":"%s"' "$separator" "$target" "$password"
    separator=,
  done
  printf '}'
}

# owner NAME: as numbers; root's where its package is still to come.
owner() { printf '%s:%s' "$(id -u "$1" 2>/dev/null || echo 0)" "$(id -g "$1" 2>/dev/null || echo 0)"; }

prometheus() {
  packages prometheus curl
  local file again=''
  if [ "$mode" = apply ]; then
    promtool check config prometheus.yml >/dev/null 2>&1 \
      || die "promtool refuses the configuration" "promtool check config $here/prometheus.yml"
  fi
  for file in prometheus.yml rules.yml servers.yml; do
    put 0644 0:0 "$folder/$file" <"$file"
    [ "$wrote" = no ] || again=reload
  done
  folder 0750 "$(owner prometheus)" "$DATA_PATH/prometheus"
  unit prometheus "--config.file=$folder/prometheus.yml --storage.tsdb.path=$DATA_PATH/prometheus --storage.tsdb.retention.time=${RETENTION_DAYS}d --web.listen-address=127.0.0.1:9090" "$again"
  healthy 60 "Prometheus is not ready on 127.0.0.1:9090" "journalctl -u prometheus" \
    curl --fail --silent --max-time 5 http://127.0.0.1:9090/-/ready
}

# Its password is made here, lies with its data, and is good from its first start on.
board() {
  local user=472:0 data="$DATA_PATH/grafana"
  folder 0750 "$user" "$data"
  if [ ! -s "$data/admin-password" ] && changed "makes Grafana's password"; then
    (umask 377 && openssl rand -hex 16 | tr -d '\n' >"$data/admin-password.new")
    chown "$user" "$data/admin-password.new"
    mv -f "$data/admin-password.new" "$data/admin-password"
  fi
  put 0644 0:0 "$folder/grafana/provisioning/datasources/prometheus.yml" <datasource.yml
  put 0644 0:0 "$folder/grafana/provisioning/dashboards/jangada.yml" <dashboards.yml
  put 0644 0:0 "$folder/grafana/dashboards/jangada.json" <jangada.json
  container_depends="$(cat datasource.yml dashboards.yml | sha256sum)" \
    container "$grafana" "$GRAFANA_IMAGE" --network host --user "$user" --log-opt max-size=20m --log-opt max-file=5 \
    --volume "$folder/grafana/provisioning:/etc/grafana/provisioning:ro" \
    --volume "$folder/grafana/dashboards:/var/lib/grafana-dashboards:ro" --volume "$data:/var/lib/grafana" \
    --env GF_SERVER_HTTP_ADDR=127.0.0.1 --env GF_SERVER_HTTP_PORT=3000 \
    --env GF_SECURITY_ADMIN_PASSWORD__FILE=/var/lib/grafana/admin-password \
    --env GF_ANALYTICS_REPORTING_ENABLED=false --env GF_ANALYTICS_CHECK_FOR_UPDATES=false \
    --env GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH=/var/lib/grafana-dashboards/jangada.json --
  healthy 90 "Grafana does not answer on 127.0.0.1:3000" "docker logs $grafana" \
    curl --fail --silent --max-time 5 http://127.0.0.1:3000/api/health
}

remove() {
  local name
  no_container "$grafana"
  for name in prometheus prometheus-redis-exporter prometheus-node-exporter; do
    [ -e "/etc/systemd/system/$name.service.d/jangada.conf" ] || continue
    systemctl disable --quiet --now "$name" 2>/dev/null || true
    rm -f "/etc/systemd/system/$name.service.d/jangada.conf"
    rmdir "/etc/systemd/system/$name.service.d" 2>/dev/null || true
  done
  systemctl daemon-reload
  rm -rf "$folder"
  if [ "${JANGADA_WIPE_DATA:-no}" = yes ]; then rm -rf "$DATA_PATH/prometheus" "$DATA_PATH/grafana"; fi
}

main "$@"
