# A git repository for each test, with fixed author and dates and nobody's configuration.
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

BUMP=$BATS_TEST_DIRNAME/../../scripts/bump_version.sh

setup() {
  export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
  export GIT_AUTHOR_NAME=Ana GIT_AUTHOR_EMAIL=ana@example.org GIT_AUTHOR_DATE=2026-01-02T03:04:05+00:00
  export GIT_COMMITTER_NAME=Ana GIT_COMMITTER_EMAIL=ana@example.org GIT_COMMITTER_DATE=2026-01-02T03:04:05+00:00
  unset GITHUB_OUTPUT GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
  new_repository "$BATS_TEST_TMPDIR/repository"
}

new_repository() { # FOLDER: goes there
  git init --quiet --initial-branch=main "$1"
  cd "$1" || return
  commit 'chore: start'
}

commit() { # SUBJECT [BODY...]: an empty commit, with the message as it stands
  local message=$1
  if (($# > 1)); then message+=$'\n\n'$2; fi
  git commit --quiet --allow-empty --cleanup=verbatim -m "$message"
}

change() { # PATH SUBJECT: a commit that touches PATH
  mkdir -p "$(dirname "$1")"
  echo "$2 $RANDOM" >>"$1"
  git add -- "$1"
  git commit --quiet -m "$2"
}

bump() { # runs the script: $output is stdout, $stderr the reasons
  run --separate-stderr "$BUMP" "$@"
}

told() { # NAME: its value in the output
  local line
  for line in "${lines[@]}"; do
    if [[ $line == "$1="* ]]; then
      echo "${line#*=}"
      return
    fi
  done
  return 1
}

assert_version() { # VERSION [LEVEL]: a release of it
  assert_equal "$status" 0
  assert_equal "$(told version)" "$1"
  assert_equal "$(told released)" true
  if (($# > 1)); then assert_equal "$(told level)" "$2"; fi
}

assert_nothing() { # VERSION: nothing to do, and that is the version
  assert_equal "$status" 0
  assert_equal "$(told version)" "$1"
  assert_equal "$(told released)" false
  assert_equal "$(told level)" none
}

assert_refused() { # STATUS TEXT: that exit status, TEXT on stderr, nothing on stdout
  assert_equal "$status" "$1"
  assert_equal "$output" ''
  if [[ $stderr != *"$2"* ]]; then fail "stderr lacks: $2"$'\n'"$stderr"; fi
}

assert_reason() { # TEXT: stderr has it
  if [[ $stderr != *"$1"* ]]; then fail "stderr lacks: $1"$'\n'"$stderr"; fi
}

assert_untouched() { # COMMIT: HEAD is that and nothing in the tree differs
  assert_equal "$(git rev-parse HEAD)" "$1"
  assert_equal "$(git status --porcelain)" ''
}

sha() { git rev-parse "${1:-HEAD}"; }

revert() { # REVISION [SUBJECT]: an empty commit that says what git's revert says
  commit "${2:-Revert \"$(git log -1 --format=%s "$1")\"}" "This reverts commit $(sha "$1")."
}
