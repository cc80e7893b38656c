#!/usr/bin/env bash
# Makes the image of a lab "server": Debian with systemd, sshd and a Docker Engine of its own, as a container.
#   node_image.sh [TAG]      nothing happens when it is there; about two minutes as root, with debootstrap
# What the roles install from Debian on a real server is in it already, so that an apply needs no network.
set -euo pipefail
cd "$(dirname "$0")"

tag="${1:-jangada-lab/node:bookworm}"
packages=systemd,systemd-sysv,dbus,openssh-server,sudo,python3-minimal,ca-certificates,iproute2,iptables,nftables,curl
packages+=,docker.io,containerd,runc,procps,netcat-openbsd,caddy,openssl,age
if docker image inspect "$tag" >/dev/null 2>&1; then
  echo "$tag is there"
  exit 0
fi
[ "$(id -u)" -eq 0 ] || { echo "node_image.sh: needs root (debootstrap makes device files)" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "node_image.sh: needs debootstrap" >&2; exit 1; }

if ! docker image inspect "$tag-debian" >/dev/null 2>&1; then
  work="$(mktemp -d)"
  trap 'rm -rf --one-file-system "$work"' EXIT
  debootstrap --variant=minbase --include="$packages" bookworm "$work/root" ${MIRROR:+"$MIRROR"} >"$work/log" 2>&1 \
    || { tail -20 "$work/log" >&2; exit 1; }
  rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/* \
    "$work"/root/usr/share/{doc,man,locale}/* "$work"/root/etc/ssh/ssh_host_*
  tar -C "$work/root" -c . | docker import - "$tag-debian" >/dev/null
fi
# docker import knows no STOPSIGNAL: the Dockerfile adds it.
docker build --quiet --build-arg DEBIAN="$tag-debian" --tag "$tag" . >/dev/null
echo "made $tag"
