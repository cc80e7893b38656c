#!/usr/bin/env bash
# Role gpu-driver: where packages for GPUs come from, and NVIDIA's driver: looked for, and installed only where the
# operator asked for that. A new one works after a restart of the server, which reboot.sh sees to.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

apply() {
  if [ -s source.list ]; then
    put 0644 0:0 /etc/apt/keyrings/jangada-gpu.asc <source.asc
    put 0644 0:0 /etc/apt/sources.list.d/jangada-gpu.list <source.list
  fi
  ! works || return 0
  [ "$INSTALL_DRIVER" = true ] \
    || die "nvidia-smi says nothing, and $GPUS GPUs are expected" "install NVIDIA's driver, or set install_gpu_driver = true, or gpus = 0"
  # shellcheck disable=SC2086  # several names
  packages $DRIVER_PACKAGES
  [ "$mode" = apply ] || return 0
  # It may do without: then nothing is restarted.
  modprobe nvidia 2>/dev/null || true
  works || touch /run/jangada-reboot-wanted
}

works() { nvidia-smi --query-gpu=uuid --format=csv,noheader 2>/dev/null | grep -q '^GPU-'; }

# The driver stays: it may serve others, and taking it out needs a restart.
remove() { rm -f /run/jangada-reboot-wanted; }

main "$@"
