#!/usr/bin/env bash
# Role gpu: the server's GPUs can be handed to containers. Counts them, installs NVIDIA's container toolkit, keeps the
# driver loaded, and starts one container that must see all of them. MIG and clocks are the operator's: not touched.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
facts=/etc/jangada/gpus.csv
unit=jangada-gpu-persistence

apply() {
  local found
  found="$(nvidia-smi --query-gpu=index,uuid,name,memory.total,driver_version --format=csv,noheader 2>/dev/null)" \
    || die "nvidia-smi says nothing, and $GPUS GPUs are expected" "nvidia-smi on that server says why; a new driver needs a restart"
  # An unreadable line is no GPU: nvidia-smi prints errors there as well.
  found="$(grep -E '^[0-9]+, GPU-' <<<"$found" || true)"
  local count=0
  [ -z "$found" ] || count="$(wc -l <<<"$found")"
  [ "$count" -ge "$GPUS" ] \
    || die "$count GPUs are there, and $GPUS are expected" "correct gpus of this server, or look for the missing one in dmesg"
  command -v nvidia-container-runtime >/dev/null 2>&1 || packages nvidia-container-toolkit
  persistence
  # Tried again when another card, driver or toolkit is there; written down once it went well.
  local now
  now="$(printf '%s\n' "$found"; { nvidia-ctk --version 2>/dev/null || true; } | head -1)"
  if [ "$now" != "$(cat "$facts" 2>/dev/null)" ]; then
    if changed "tries $count GPUs in a container"; then try; fi
  fi
  put 0644 0:0 "$facts" <<<"$now"
}

# NVIDIA's own daemon where it is installed, else a unit that says the same at every start.
persistence() {
  if systemctl cat nvidia-persistenced.service >/dev/null 2>&1; then
    running nvidia-persistenced
    return 0
  fi
  put 0644 0:0 "/etc/systemd/system/$unit.service" <<'UNIT'
[Unit]
Description=NVIDIA's driver stays loaded while nobody uses it

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/env nvidia-smi -pm 1

[Install]
WantedBy=multi-user.target
UNIT
  [ "$wrote" = no ] || systemctl daemon-reload
  running "$unit"
}

try() {
  image_here "$TEST_IMAGE" || true
  # An Engine that was started before the toolkit came does not know of it; containers go on while it restarts.
  sees_all || { systemctl restart docker && sees_all; } \
    || die "a container does not see $GPUS GPUs" "docker run --rm --gpus all $TEST_IMAGE nvidia-smi -L on that server shows why"
}

sees_all() {
  local seen
  seen="$(docker run --rm --gpus all --env NVIDIA_DRIVER_CAPABILITIES=utility "$TEST_IMAGE" nvidia-smi -L 2>/dev/null | grep -c '^GPU ')" || true
  [ "${seen:-0}" -ge "$GPUS" ]
}

remove() {
  systemctl disable --quiet --now "$unit" 2>/dev/null || true
  rm -f "$facts"
}

main "$@"
