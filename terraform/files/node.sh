#!/usr/bin/env bash
# Role node: what every server has. Packages, Docker Engine, limits of the kernel, the firewall, the data folder.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
rollback=jangada-firewall-rollback

apply() {
  packages docker.io nftables ca-certificates curl openssl
  disk
  folder 0755 0:0 /etc/jangada
  folder 0711 0:0 "$DATA_PATH"
  kernel
  engine
  firewall
}

# Below /mnt lies what is mounted there. Without its disk the data would go to the one that the system is on, unseen.
disk() {
  local below
  [[ $DATA_PATH == /mnt/* ]] || return 0
  below="$(cut -d/ -f1-3 <<<"$DATA_PATH")"
  healthy 60 "no disk is mounted at $below, where data_path is" "mount it, with a line in /etc/fstab" mountpoint -q "$below"
}

kernel() {
  [ "$MANAGE_SYSCTL" = true ] || return 0
  # Redis forks to write its file; that must not fail for want of promised memory.
  put 0644 0:0 /etc/sysctl.d/60-jangada.conf <<'CONF'
vm.overcommit_memory = 1
vm.max_map_count = 262144
net.core.somaxconn = 4096
CONF
  if [ "$wrote" = yes ]; then sysctl --quiet --load=/etc/sysctl.d/60-jangada.conf; fi
}

engine() {
  local reload=''
  put 0644 0:0 /etc/docker/daemon.json <daemon.json
  # Containers go on while the Engine restarts (live-restore).
  [ "$wrote" = no ] || reload=restart
  running docker "$reload"
  healthy 60 "Docker Engine does not answer" "journalctl -u docker" docker info
}

# A table of its own, loaded as one: Docker's rules are not touched. Unless somebody comes in over a new connection
# within a minute (--confirm), what was there before is loaded again.
firewall() {
  if [ "$MANAGE_FIREWALL" != true ]; then return 0; fi
  local new before=/etc/jangada/firewall-before.nft
  new="$(mktemp)"
  { printf 'table inet jangada\ndelete table inet jangada\n'; cat firewall.nft; } >"$new"
  nft --check --file "$new" || { rm -f "$new"; die "nft refuses the firewall's rules" "nft --check --file $here/firewall.nft"; }
  put 0644 0:0 /etc/systemd/system/jangada-firewall.service <<'UNIT'
[Unit]
Description=Jangada's firewall
Before=network-pre.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft --file /etc/jangada/firewall.nft
ExecReload=/usr/sbin/nft --file /etc/jangada/firewall.nft
ExecStop=/usr/sbin/nft delete table inet jangada

[Install]
WantedBy=multi-user.target
UNIT
  [ "$wrote" = no ] || systemctl daemon-reload
  if [ "$mode" = apply ] && ! { cmp -s "$new" /etc/jangada/firewall.nft && nft list table inet jangada >/dev/null 2>&1; }; then
    printf 'table inet jangada\ndelete table inet jangada\n' >"$before"
    nft list table inet jangada >>"$before" 2>/dev/null || true
    systemctl stop "$rollback.timer" 2>/dev/null || true
    systemd-run --quiet --unit "$rollback" --on-active=60 /usr/sbin/nft --file "$before"
  fi
  put 0644 0:0 /etc/jangada/firewall.nft <"$new"
  rm -f "$new"
  if [ "$wrote" = yes ]; then running jangada-firewall reload; else running jangada-firewall; fi
  # Somebody deleted the table while the unit thinks that it is loaded.
  if ! nft list table inet jangada >/dev/null 2>&1; then
    if changed "loads the firewall"; then systemctl restart jangada-firewall; fi
  fi
}

confirm() {
  systemctl stop "$rollback.timer" 2>/dev/null || true
  [ "$MANAGE_FIREWALL" != true ] || nft list table inet jangada >/dev/null 2>&1 \
    || die "the firewall is not loaded: the one before was brought back after 60 s" "correct admin_cidrs and apply again"
}

remove() {
  systemctl disable --quiet --now jangada-firewall 2>/dev/null || true
  rm -rf /etc/jangada/firewall-before.nft
  systemctl daemon-reload
  if [ "${JANGADA_WIPE_DATA:-no}" = yes ]; then rm -rf "$DATA_PATH" "$secrets"; fi
  # Where they were made they stay with the data, which is of no use without them.
  [ -f "$secrets/version" ] || rm -rf "$secrets"
  rmdir /etc/jangada 2>/dev/null || true
  # Docker Engine stays: it may serve others.
}

main "$@"
