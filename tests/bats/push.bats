# --push: commit and tag arrive together, or not at all.
load repository

origin() { # a bare origin that has main and v1.2.3, and this repository as its clone
  git tag v1.2.3
  git init --quiet --bare --initial-branch=main "$BATS_TEST_TMPDIR/origin.git"
  git remote add origin "$BATS_TEST_TMPDIR/origin.git"
  git push --quiet origin main v1.2.3
  git fetch --quiet origin
}

at_origin() { git --git-dir="$BATS_TEST_TMPDIR/origin.git" rev-parse "$1"; }

@test "both arrive" {
  origin
  commit 'feat: a'
  bump --push
  assert_version 1.3.0
  assert_equal "$(at_origin main)" "$(sha)"
  assert_equal "$(at_origin 'v1.3.0^{commit}')" "$(sha)"
}

@test "without --push nothing arrives" {
  origin
  commit 'feat: a'
  bump
  assert_equal "$(at_origin main)" "$(sha v1.2.3)"
}

@test "--push with --no-tag pushes the commit" {
  origin
  commit 'feat: a'
  bump --push --no-tag
  assert_equal "$(at_origin main)" "$(sha)"
  assert_equal "$(git --git-dir="$BATS_TEST_TMPDIR/origin.git" tag)" v1.2.3
}

@test "two clones race: the loser takes back, fetches and runs again" {
  origin
  git clone --quiet "$BATS_TEST_TMPDIR/origin.git" "$BATS_TEST_TMPDIR/second"
  commit 'feat: a'
  cd "$BATS_TEST_TMPDIR/second"
  commit 'fix: b'
  bump --push
  assert_version 1.2.4
  cd "$BATS_TEST_TMPDIR/repository"
  head=$(sha)
  bump --push
  assert_refused 5 'rejected'
  assert_untouched "$head"
  assert_equal "$(git tag)" v1.2.3
  git pull --quiet --rebase --tags origin main
  bump --push
  assert_version 1.3.0
  assert_equal "$(at_origin main)" "$(sha)"
}

@test "the tag alone is taken at origin: nothing arrives" {
  origin
  git --git-dir="$BATS_TEST_TMPDIR/origin.git" tag v1.3.0 main
  commit 'feat: a'
  head=$(sha)
  bump --push
  assert_refused 5 'rejected'
  assert_untouched "$head"
  assert_equal "$(at_origin main)" "$(sha v1.2.3)"
  assert_equal "$(git tag)" v1.2.3
}

@test "two at the very same time: exactly one arrives" {
  origin
  for name in one two; do
    git clone --quiet "$BATS_TEST_TMPDIR/origin.git" "$BATS_TEST_TMPDIR/$name"
    cd "$BATS_TEST_TMPDIR/$name"
    commit "feat: $name"
  done
  (cd "$BATS_TEST_TMPDIR/one" && "$BUMP" --push >out 2>&1 && echo 0 >status || echo $? >status) &
  (cd "$BATS_TEST_TMPDIR/two" && "$BUMP" --push >out 2>&1 && echo 0 >status || echo $? >status) &
  wait
  assert_equal "$(sort "$BATS_TEST_TMPDIR/one/status" "$BATS_TEST_TMPDIR/two/status")" $'0\n5'
  assert_equal "$(at_origin 'v1.3.0^{commit}')" "$(at_origin main)"
}

@test "origin is not there: exit 5; no origin: exit 3; nothing left" {
  git tag v1.2.3
  commit 'feat: a'
  head=$(sha)
  bump --push
  assert_refused 3 origin
  git remote add origin "$BATS_TEST_TMPDIR/nowhere"
  bump --push
  assert_refused 5 rejected
  assert_untouched "$head"
}

@test "nothing to release: nothing is pushed" {
  origin
  commit 'docs: a'
  bump --push
  assert_nothing 1.2.3
  assert_equal "$(at_origin main)" "$(sha v1.2.3)"
}

@test "--dry-run with --push pushes nothing" {
  origin
  commit 'feat: a'
  bump --push --dry-run
  assert_version 1.3.0
  assert_equal "$(at_origin main)" "$(sha v1.2.3)"
}

@test "origin's main receives it, whatever the branch is called here" {
  origin
  git switch --quiet -c work
  commit 'feat: a'
  bump --push
  assert_version 1.3.0
  assert_equal "$(at_origin main)" "$(sha)"
  assert_equal "$(git --git-dir="$BATS_TEST_TMPDIR/origin.git" branch --format='%(refname:short)')" main
}
