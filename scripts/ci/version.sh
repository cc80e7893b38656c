#!/usr/bin/env bash
# The release job's version: scripts/bump_version.sh --push, again (at most three times) when somebody else pushed first.
# $VERSION_PRE, $VERSION_RELEASE_AS and $VERSION_DRY_RUN=true become its --pre, --release-as and --dry-run.
# A repeat starts from what the branch is now and drops the local release commit, so this is for a checkout of its own.
# Exit codes: those of bump_version.sh.
set -euo pipefail
case "${1:-}" in
  '') ;;
  --help | -h) sed -n '2,5s/^# //p' "$0"; exit 0 ;;
  *) echo "version.sh: takes no arguments (see --help)" >&2; exit 2 ;;
esac
here="$(cd "$(dirname "$0")" && pwd)"
words=()
[ -z "${VERSION_PRE:-}" ] || words+=(--pre "$VERSION_PRE")
[ -z "${VERSION_RELEASE_AS:-}" ] || words+=(--release-as "$VERSION_RELEASE_AS")
if [ "${VERSION_DRY_RUN:-}" = true ]; then exec "$here/../bump_version.sh" "${words[@]}" --dry-run; fi
[ -n "${CI:-}" ] || { echo "version.sh: only in CI; on your own machine run scripts/bump_version.sh" >&2; exit 2; }
[ -n "$(git config user.email || true)" ] || {
  git config user.name "${VERSION_AUTHOR_NAME:-github-actions[bot]}"
  git config user.email "${VERSION_AUTHOR_EMAIL:-41898282+github-actions[bot]@users.noreply.github.com}"
}
branch="$(git symbolic-ref --quiet --short HEAD || true)"
[ "$branch" = main ] || { echo "version.sh: releases are made on main, and this is ${branch:-a detached HEAD}" >&2; exit 3; }
for attempt in 1 2 3; do
  code=0
  "$here/../bump_version.sh" "${words[@]}" --push || code=$?
  [ "$code" -eq 5 ] && [ "$attempt" -lt 3 ] || exit "$code"
  echo "version.sh: the push was rejected, starting over from origin/$branch" >&2
  git fetch --quiet --tags origin "$branch"
  git reset --quiet --hard "origin/$branch"
done
