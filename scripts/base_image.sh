#!/usr/bin/env bash
# Makes a base image with Python from Debian's packages, for machines that reach no image registry:
#
#   scripts/base_image.sh [TAG]          (default jangada/base:bookworm; nothing happens when it is there)
#   BASE_IMAGE=jangada/base:bookworm faas-cli build -f stack.yml
#
# It holds what the public default (python:3.12-slim) has and our Dockerfiles use: python, pip, venv, CA certificates,
# and the CAs this machine trusts, so that pip works behind a proxy that signs for itself. About 70 s, as root.
# MIRROR and SUITE choose another mirror (debootstrap knows Debian's) or release; FORCE=1 makes the image anew.
set -euo pipefail

tag="${1:-jangada/base:bookworm}"
suite="${SUITE:-bookworm}"

if [ "${FORCE:-}" != 1 ] && docker image inspect "$tag" >/dev/null 2>&1; then
  echo "$tag is there"
  exit 0
fi
[ "$(id -u)" -eq 0 ] || { echo "base_image.sh: needs root (debootstrap makes device files)" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "base_image.sh: needs debootstrap" >&2; exit 1; }

work="$(mktemp -d)"
trap 'rm -rf --one-file-system "$work"' EXIT
root="$work/root"
debootstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates \
  "$suite" "$root" ${MIRROR:+"$MIRROR"} >"$work/log" 2>&1 || { tail -20 "$work/log" >&2; exit 1; }

# The image is the environment: pip may install into it, and `python` is Python 3.
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
ln -sf python3 "$root/usr/bin/python"
bundle="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}"
if [ -r "$bundle" ]; then
  cp "$bundle" "$root/etc/ssl/certs/ca-certificates.crt"
fi
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/* \
  "$root"/usr/share/{doc,man,locale}/*
tar -C "$root" -c . | docker import \
  --change 'ENV LANG=C.UTF-8' \
  --change 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' \
  --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' \
  --change 'ENV PIP_ROOT_USER_ACTION=ignore' \
  --change 'CMD ["python3"]' \
  - "$tag" >/dev/null
echo "made $tag: $(docker image inspect --format '{{.Size}}' "$tag") bytes"
