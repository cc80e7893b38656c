#!/usr/bin/env bash
# Writes one backup (docs/deploy.md): the store as a stream, read to its end by a second process, encrypted to a public
# key, and read back from the disk. Only then it counts, and older ones go.
#   jangada-backup            from jangada-backup.timer, or by hand
#   jangada-backup --failed   from systemd when that failed
set -euo pipefail
umask 077
config="${JANGADA_BACKUP_CONFIG:-/var/lib/jangada/roles/backup/config.env}"
metrics="${JANGADA_TEXTFILES:-/var/lib/prometheus/node-exporter}"
# shellcheck source=/dev/null
. "$config"

# metric NAME VALUE HELP: for the node exporter's collector of text files.
metric() { printf '# HELP %s %s\n# TYPE %s gauge\n%s %s\n' "$1" "$3" "$1" "$1" "$2"; }
# tell FILE: replaces it by stdin at once.
tell() {
  mkdir -p "$metrics"
  cat >"$metrics/$1.new"
  chmod 0644 "$metrics/$1.new"
  mv "$metrics/$1.new" "$metrics/$1"
}

if [ "${1:-}" = --failed ]; then
  metric jangada_backup_failed 1 "1 when the last attempt at a backup failed." | tell jangada_backup_failed.prom
  echo "<1>the backup failed: journalctl -u jangada-backup says why" >&2
  # What an operator wants to be done then, such as a message to somebody.
  [ ! -x /etc/jangada/backup-failed ] || exec /etc/jangada/backup-failed
  exit 0
fi

exec 9>"$BACKUP_PATH/.lock"
flock --nonblock 9 || { echo "another backup is being written" >&2; exit 1; }
started="$(date +%s)"
name="jangada-$(date --utc +%Y%m%dT%H%M%SZ)"
rm -rf "$BACKUP_PATH"/.new-*
work="$BACKUP_PATH/.new-$name"
mkdir "$work"
trap 'rm -rf "$work"' EXIT

jangada() {
  docker run --rm --interactive --network host --volume /etc/jangada/backup:/run/secrets:ro \
    --volume /etc/jangada/backup:/var/openfaas/secrets:ro --entrypoint jangada "$GATEWAY_IMAGE" backup "$@"
}

# A process of its own reads what was written to its end, while it is still readable.
mkfifo "$work/plain"
jangada verify <"$work/plain" >"$work/manifest" 2>"$work/verified" &
verifying=$!
jangada write | tee "$work/plain" | age --encrypt --recipient "$PUBLIC_KEY" | tee "$work/backup" | sha256sum >"$work/sum"
wait "$verifying" || { cat "$work/verified" >&2; echo "what was written is no whole backup" >&2; exit 1; }

# And what is on the disk is what was meant to be: written out, forgotten by the memory, read again.
sync "$work/backup"
dd if="$work/backup" iflag=nocache count=0 status=none
read -r sum _ <"$work/sum"
read -r found _ < <(sha256sum <"$work/backup")
[ "$sum" = "$found" ] || { echo "the disk gives back other bytes than were written" >&2; exit 1; }

size="$(stat -c %s "$work/backup")"
took=$(($(date +%s) - started))
documents="$(sed -n 's/.*"documents": \([0-9]*\).*/\1/p' "$work/manifest")"
printf '{"name": "%s", "sha256": "%s", "bytes": %s, "seconds": %s, "image": "%s", "manifest": %s}\n' \
  "$name" "$sum" "$size" "$took" "$GATEWAY_IMAGE" "$(cat "$work/manifest")" >"$work/facts"
mv "$work/backup" "$BACKUP_PATH/$name.age"
# This one last: a backup without it does not count.
mv "$work/facts" "$BACKUP_PATH/$name.json"
sync "$BACKUP_PATH"

{
  metric jangada_backup_verified_timestamp_seconds "$started" "When the last verified backup was begun."
  metric jangada_backup_size_bytes "$size" "Size of the last verified backup."
  metric jangada_backup_duration_seconds "$took" "How long the last verified backup took."
  metric jangada_backup_documents "$documents" "Documents in the last verified backup."
} | tell jangada_backup.prom
metric jangada_backup_failed 0 "1 when the last attempt at a backup failed." | tell jangada_backup_failed.prom
echo "$name: $documents documents, $size bytes, verified, in $took s"

# The newest $KEEP stay.
find "$BACKUP_PATH" -maxdepth 1 -name 'jangada-*.json' | sort --reverse | tail --lines "+$((KEEP + 1))" | while read -r old; do
  rm -f "${old%.json}.age" "$old"
  echo "removed $(basename "${old%.json}")"
done
