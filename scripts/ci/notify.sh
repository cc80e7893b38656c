#!/usr/bin/env bash
# Says $NOTIFY_TEXT: in the run's summary, and as {"text": …} to $NOTIFY_URL where that is set. A webhook that does not answer
# fails nothing. Exit codes: 0, 2 usage.
set -euo pipefail
if [ $# -gt 0 ]; then sed -n '2,3s/^# //p' "$0"; [ "$1" = --help ] && exit 0 || exit 2; fi
[ -n "${NOTIFY_TEXT:-}" ] || { echo "notify.sh: NOTIFY_TEXT is empty" >&2; exit 2; }
printf '%s\n' "$NOTIFY_TEXT" | tee -a "${GITHUB_STEP_SUMMARY:-/dev/null}"
[ -n "${NOTIFY_URL:-}" ] || exit 0
body="$(jq -nc --arg text "$NOTIFY_TEXT" '{text: $text}')"
# The address may hold a secret: not on the command line.
printf 'url = "%s"\n' "$NOTIFY_URL" | curl --silent --show-error --fail --max-time 20 --output /dev/null \
  --header 'Content-Type: application/json' --data "$body" --config - \
  || echo "notify.sh: the webhook did not take it" >&2
