# Options, output and exit status.
# shellcheck disable=SC2030,SC2031
load repository

@test "five lines on stdout, in order" {
  git tag v1.2.3
  commit 'feat: a'
  bump
  assert_equal "$output" $'version=1.3.0\nprevious=1.2.3\nlevel=minor\nreleased=true\ntag=v1.3.0'
}

@test "--json: one object" {
  git tag v1.2.3
  commit 'feat: a'
  bump --json
  assert_equal "$output" '{"version": "1.3.0", "previous": "1.2.3", "level": "minor", "released": true, "tag": "v1.3.0"}'
  bump --json
  assert_equal "$output" '{"version": "1.3.0", "previous": "1.3.0", "level": "none", "released": false, "tag": "v1.3.0"}'
}

@test "the lines go to GITHUB_OUTPUT too, below what is there" {
  git tag v1.2.3
  commit 'feat: a'
  export GITHUB_OUTPUT=$BATS_TEST_TMPDIR/output
  echo before=1 >"$GITHUB_OUTPUT"
  bump --json
  assert_equal "$(cat "$GITHUB_OUTPUT")" $'before=1\nversion=1.3.0\nprevious=1.2.3\nlevel=minor\nreleased=true\ntag=v1.3.0'
}

@test "GITHUB_OUTPUT that cannot be written: nothing is done" {
  git tag v1.2.3
  commit 'feat: a'
  head=$(sha)
  export GITHUB_OUTPUT=$BATS_TEST_TMPDIR/nowhere/output
  bump
  assert_refused 1 GITHUB_OUTPUT
  assert_untouched "$head"
}

@test "a run that is refused writes no output" {
  export GITHUB_OUTPUT=$BATS_TEST_TMPDIR/output
  git checkout --quiet --detach
  bump
  assert_refused 3 detached
  assert_equal "$(cat "$GITHUB_OUTPUT")" ''
}

@test "--help" {
  cd "$BATS_TEST_TMPDIR"
  bump --help
  assert_success
  assert_output --partial '--release-as'
  assert_equal "$stderr" ''
}

@test "usage errors: exit 2" {
  while IFS= read -r arguments; do
    # shellcheck disable=SC2086
    bump $arguments
    assert_equal "$arguments: $status" "$arguments: 2"
    assert_equal "$output" ''
    [[ -n $stderr ]]
  done <<'CASES'
--nonsense
words
--pre
--pre --json
--pre=
--pre rc.1
--pre 1
--pre r+c
--release-as
--release-as 1.0
--release-as v1.0.0
--release-as 01.0.0
--release-as 1.0.0-rc.1
--release-as 1.0.0.0
--pre-major
--pre-major patch
--unknown minor
--unknown
--dry-run=yes
--push --no-commit
-x
CASES
}

@test "values may follow an equals sign" {
  git tag v1.2.3
  commit 'words'
  bump --pre=rc --unknown=patch --pre-major=minor --dry-run
  assert_version 1.2.4-rc.1
}
