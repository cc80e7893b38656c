#!/usr/bin/env bash
# Which parts of the repository differ between two commits: one line `part=true|false` each, to $GITHUB_OUTPUT as well.
#   scripts/ci/changes.sh [BASE] [HEAD]        default: $CHANGES_BASE, and HEAD
# Parts: code images terraform workflows scripts docs. Without a base that is known here everything counts as changed.
# Exit codes: 0, 2 usage.
set -euo pipefail
case "${1:-}" in
  --help | -h) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) echo "changes.sh: unknown argument '$1' (see --help)" >&2; exit 2 ;;
esac
base="${1:-${CHANGES_BASE:-}}" head="${2:-HEAD}"
declare -A changed=([code]=false [images]=false [terraform]=false [workflows]=false [scripts]=false [docs]=false)

# A new branch has a base of zeros, and a forced push one that is gone.
if [ -z "$base" ] || ! git cat-file -e "$base^{commit}" 2>/dev/null; then
  for part in "${!changed[@]}"; do changed[$part]=true; done
else
  # Three dots: what this side changed since both were one, not what the other side did meanwhile.
  while IFS= read -r -d '' file; do
    case "$file" in
      *.md | docs/*) changed[docs]=true ;;
      terraform/*) changed[terraform]=true ;;
      .github/*) changed[workflows]=true ;;
      scripts/* | .ci/* | Makefile) changed[scripts]=true changed[workflows]=true changed[code]=true ;;
      jangada/* | functions/* | executors/* | template/* | stack.yml | deploy/* | requirements/* | pyproject.toml | VERSION)
        changed[code]=true changed[images]=true
        ;;
      *) changed[code]=true ;;
    esac
  done < <(git diff --name-only --no-renames -z "$base...$head" 2>/dev/null || git diff --name-only --no-renames -z "$base" "$head")
fi
for part in code images terraform workflows scripts docs; do
  printf '%s=%s\n' "$part" "${changed[$part]}"
done | tee -a "${GITHUB_OUTPUT:-/dev/null}"
