#!/usr/bin/env bash
# Makes the GitHub release of a tag, with the section of CHANGELOG.md as its text and FILE… attached. Again: the same one is
# edited. A version with a dash is marked as a pre-release and never as the latest.
#   scripts/ci/github_release.sh vX.Y.Z [FILE…]
#   scripts/ci/github_release.sh --notes vX.Y.Z          prints the text
# Needs gh, with a token in GH_TOKEN. Exit codes: 0, 2 usage, 4 no such tag here, 5 gh failed.
set -euo pipefail
usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }
fail() { echo "github_release.sh: $2" >&2; exit "$1"; }
only_notes=false
case "${1:-}" in
  --help | -h) usage; exit 0 ;;
  --notes) only_notes=true; shift ;;
esac
tag="${1:-}"
[[ "$tag" =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || fail 2 "'$tag' is no tag of a version (see --help)"
shift
version="${tag#v}"

# From the heading of this version ("## 1.2.3", "## [1.2.3] - 2026-11-21", "## v1.2.3 (…)") to the next one.
notes() {
  git show "$tag:CHANGELOG.md" 2>/dev/null | awk -v version="$version" '
    /^## / { word = $2; gsub(/^\[?v?|\].*$/, "", word); if (on) exit; on = (word == version); next }
    on { print }' | sed -e '/./,$!d'
}

git rev-parse --quiet --verify "refs/tags/$tag^{commit}" >/dev/null || fail 4 "there is no tag $tag here"
# No changelog, or awk done before git has shown all of it, is no failure.
text="$(notes || true)"
[ -n "$text" ] || text="Version $version."
if "$only_notes"; then printf '%s\n' "$text"; exit 0; fi
command -v gh >/dev/null || fail 5 "needs gh"
words=(--title "$tag" --notes "$text")
if [[ "$version" == *-* ]]; then words+=(--prerelease); fi
if gh release view "$tag" >/dev/null 2>&1; then
  gh release edit "$tag" "${words[@]}" || fail 5 "gh could not edit the release"
  [ $# -eq 0 ] || gh release upload "$tag" --clobber "$@" || fail 5 "gh could not attach the files"
else
  gh release create "$tag" --verify-tag "${words[@]}" "$@" || fail 5 "gh could not make the release"
fi
