# Repositories in which no release is made, and all or nothing.
load repository

@test "a shallow clone is refused, with the way out" {
  git tag v1.2.3
  commit 'feat: a'
  git clone --quiet --depth 1 "file://$PWD" "$BATS_TEST_TMPDIR/shallow"
  cd "$BATS_TEST_TMPDIR/shallow"
  bump
  assert_refused 3 'fetch-depth: 0'
  bump --dry-run
  assert_refused 3 'fetch-depth: 0'
}

@test "changes of tracked files are refused" {
  change file 'feat: a'
  echo more >>file
  bump
  assert_refused 3 file
}

@test "staged changes are refused" {
  echo x >file
  git add file
  bump
  assert_refused 3 file
}

@test "--dry-run works with changes, and leaves them" {
  git tag v1.2.3
  change file 'feat: a'
  echo more >>file
  bump --dry-run
  assert_version 1.3.0
  assert_equal "$(git status --porcelain)" ' M file'
}

@test "untracked files do not matter, and stay untracked" {
  git tag v1.2.3
  commit 'feat: a'
  mkdir -p executors/mine
  echo 'image: ghcr.io/jangada/jangada-mine:0.0.1' >executors/mine/executor.yml
  bump
  assert_version 1.3.0
  assert_equal "$(git status --porcelain)" '?? executors/'
  assert_equal "$(cat executors/mine/executor.yml)" 'image: ghcr.io/jangada/jangada-mine:0.0.1'
}

@test "a detached HEAD is refused" {
  git tag v1.2.3
  commit 'feat: a'
  git checkout --quiet --detach
  bump
  assert_refused 3 detached
}

@test "a detached HEAD is fine with --dry-run and --no-commit" {
  git tag v1.2.3
  commit 'feat: a'
  git checkout --quiet --detach
  bump --dry-run
  assert_version 1.3.0
  bump --no-commit
  assert_version 1.3.0
  assert_equal "$(cat VERSION)" 1.3.0
}

@test "no repository: exit 3" {
  mkdir "$BATS_TEST_TMPDIR/none"
  cd "$BATS_TEST_TMPDIR/none"
  GIT_CEILING_DIRECTORIES=$BATS_TEST_TMPDIR bump
  assert_refused 3 'no git repository'
}

@test "a bare repository: exit 3" {
  git init --quiet --bare "$BATS_TEST_TMPDIR/bare"
  cd "$BATS_TEST_TMPDIR/bare"
  bump
  assert_refused 3 'no work tree'
}

@test "no commit yet: exit 3" {
  git init --quiet "$BATS_TEST_TMPDIR/empty"
  cd "$BATS_TEST_TMPDIR/empty"
  bump
  assert_refused 3 'no commit'
}

@test "a merge that was begun: exit 3" {
  git switch --quiet -c side
  commit 'feat: side'
  git switch --quiet main
  commit 'feat: main'
  git merge --quiet --no-ff --no-commit side
  bump
  assert_refused 3 MERGE_HEAD
}

@test "a hook that refuses the commit: everything as it was" {
  git tag v1.2.3
  printf '# Mine\n' >CHANGELOG.md
  git add CHANGELOG.md && commit 'feat: a'
  head=$(sha)
  printf '#!/bin/sh\nexit 1\n' >.git/hooks/pre-commit
  chmod +x .git/hooks/pre-commit
  bump
  assert_refused 1 'git commit failed'
  assert_untouched "$head"
  assert_equal "$(cat CHANGELOG.md)" '# Mine'
  assert_equal "$(git tag)" v1.2.3
}

@test "a tag that cannot be made: the commit is taken back" {
  git tag v1.2.3
  git tag v1.3.0/x
  commit 'feat: a'
  head=$(sha)
  bump
  assert_refused 1 'git tag failed'
  assert_untouched "$head"
}

@test "a signature that cannot be made: everything as it was" {
  git tag v1.2.3
  commit 'feat: a'
  head=$(sha)
  git config commit.gpgSign true
  git config gpg.program false
  bump
  assert_refused 1 'git commit failed'
  assert_untouched "$head"
}

@test "an untracked CHANGELOG.md comes back when the commit fails" {
  git tag v1.2.3
  commit 'feat: a'
  echo mine >CHANGELOG.md
  printf '#!/bin/sh\nexit 1\n' >.git/hooks/pre-commit
  chmod +x .git/hooks/pre-commit
  bump
  assert_refused 1 'git commit failed'
  assert_equal "$(git status --porcelain)" '?? CHANGELOG.md'
  assert_equal "$(cat CHANGELOG.md)" mine
}

@test "a symbolic link is not replaced" {
  git tag v1.2.3
  echo x >real
  ln -s real CHANGELOG.md
  git add . && commit 'feat: a'
  head=$(sha)
  bump
  assert_refused 3 'symbolic link'
  assert_untouched "$head"
}
