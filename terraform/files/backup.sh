#!/usr/bin/env bash
# Role backup: writes an encrypted copy of the store to this server, by a timer, and says when the last good one was.
# Only the public key is here. What is written stays when the role goes, whatever goes with it.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
folder=/etc/jangada/backup
units=/etc/systemd/system

apply() {
  packages age
  folder 0700 0:0 "$folder"
  folder 0700 0:0 "$BACKUP_PATH"
  redis_url | put 0400 0:0 "$folder/redis-url"
  mongo_url | put 0400 0:0 "$folder/mongo-url"
  secret data-ca | put 0400 0:0 "$folder/data-ca"
  image_here "$GATEWAY_IMAGE" || true
  put 0755 0:0 /usr/local/sbin/jangada-backup <write_backup.sh
  put 0644 0:0 "$units/jangada-backup.service" <<'UNIT'
[Unit]
Description=Jangada: write and verify a backup
Wants=network-online.target
After=network-online.target docker.service
OnFailure=jangada-backup-failed.service

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/jangada-backup
Nice=10
IOSchedulingClass=idle
UNIT
  local reload="$wrote"
  put 0644 0:0 "$units/jangada-backup-failed.service" <<'UNIT'
[Unit]
Description=Jangada: say that a backup failed

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/jangada-backup --failed
UNIT
  [ "$wrote" = no ] || reload=yes
  put 0644 0:0 "$units/jangada-backup.timer" <<UNIT
[Unit]
Description=Jangada: when backups are written

[Timer]
OnCalendar=$SCHEDULE
Persistent=true
RandomizedDelaySec=60

[Install]
WantedBy=timers.target
UNIT
  local timer="$wrote"
  if [ "$reload$timer" != nono ]; then systemctl daemon-reload; fi
  if [ "$timer" = yes ]; then running jangada-backup.timer restart; else running jangada-backup.timer; fi
  first
}

# One at once: a key or a way to the store that is wrong shows now and not in the night.
first() {
  ! compgen -G "$BACKUP_PATH/jangada-*.json" >/dev/null || return 0
  changed "writes the first backup" || return 0
  systemctl start jangada-backup.service || {
    journalctl --unit jangada-backup --lines 5 --output cat >&2
    die "the first backup failed" "journalctl -u jangada-backup"
  }
}

remove() {
  systemctl disable --quiet --now jangada-backup.timer 2>/dev/null || true
  rm -rf "$folder" "$units"/jangada-backup.{service,timer} "$units/jangada-backup-failed.service"
  systemctl daemon-reload
  [ ! -d "$BACKUP_PATH" ] || say "the backups in $BACKUP_PATH stay"
}

main "$@"
