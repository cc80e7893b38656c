# Configuration, environment and places that must not matter.
load repository

@test "from a subfolder" {
  git tag v1.2.3
  change sub/folder/x 'feat: a'
  cd sub/folder
  bump
  assert_version 1.3.0
  [[ -f ../../VERSION && ! -e VERSION ]]
}

@test "a path with spaces, quotes and a glob" {
  new_repository "$BATS_TEST_TMPDIR/a b 'c' [d] * \$e"
  git tag v1.2.3
  commit 'feat: a'
  bump
  assert_version 1.3.0
}

@test "in a worktree" {
  git tag v1.2.3
  git worktree add --quiet -b work "$BATS_TEST_TMPDIR/work"
  cd "$BATS_TEST_TMPDIR/work"
  commit 'feat: a'
  bump
  assert_version 1.3.0
  assert_equal "$(git symbolic-ref --short HEAD)" work
}

@test "in a submodule, and around one" {
  new_repository "$BATS_TEST_TMPDIR/outer"
  git tag v5.0.0
  git -c protocol.file.allow=always submodule --quiet add "$BATS_TEST_TMPDIR/repository" inner
  git commit --quiet -m 'feat: inner'
  echo x >inner/untracked
  bump
  assert_version 5.1.0
  cd inner
  git tag v1.2.3
  commit 'fix: a'
  bump
  assert_version 1.2.4
}

@test "configuration of log, colors, columns, pager and tags" {
  git tag v1.2.3
  commit 'feat: a'
  git config log.showSignature true
  git config log.decorate full
  git config log.date relative
  git config log.abbrevCommit true
  git config format.pretty oneline
  git config color.ui always
  git config column.ui always
  git config core.pager 'sed s/^/x/'
  git config pager.log true
  git config tag.sort -version:refname
  git config versionsort.suffix -
  git config alias.log 'log --reverse'
  git config core.quotePath true
  git config status.short false
  git config status.showUntrackedFiles all
  git config push.followTags true
  echo x >untracked
  bump
  assert_version 1.3.0
  assert_equal "${#stderr_lines[@]}" 1
  rm -f untracked
  assert_equal "$(git status --porcelain)" ''
}

@test "templates and editors for messages" {
  git tag v1.2.3
  commit 'feat: a'
  echo template >"$BATS_TEST_TMPDIR/template"
  git config commit.template "$BATS_TEST_TMPDIR/template"
  git config commit.verbose true
  git config core.editor false
  git config commit.cleanup scissors
  bump
  assert_version 1.3.0
  assert_equal "$(git log -1 --format=%B)" 'chore(release): v1.3.0'
}

@test "locale and time zone" {
  git tag v1.2.3
  commit 'FIX: ação İI'
  for locale in C C.UTF-8 POSIX tr_TR.UTF-8 nonsense; do
    LC_ALL=$locale LANG=$locale TZ=Pacific/Auckland bump --dry-run
    assert_version 1.2.4 patch
  done
}

@test "no user.name: the release is made all the same" {
  git tag v1.2.3
  commit 'feat: a'
  unset GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL EMAIL
  git config user.useConfigOnly true
  bump
  assert_version 1.3.0
  assert_equal "$(git log -1 --format='%an <%ae>')" 'release <release@localhost>'
}

@test "replaced objects and grafts change nothing" {
  git tag v1.2.3
  commit 'feat: a'
  commit 'fix: b'
  git replace --graft HEAD v1.2.3
  bump --dry-run
  assert_version 1.3.0
  git replace -d "$(sha)"
  echo "$(sha) $(sha v1.2.3)" >.git/info/grafts
  bump --dry-run
  assert_version 1.3.0
}

@test "ignored VERSION and CHANGELOG.md are committed" {
  git tag v1.2.3
  printf 'VERSION\n*.md\n' >.gitignore
  git add .gitignore
  commit 'feat: a'
  bump
  assert_version 1.3.0
  assert_equal "$(git show --name-only --format= | sort)" $'CHANGELOG.md\nVERSION'
}

@test "hooks see a plain environment and may read the files" {
  git tag v1.2.3
  commit 'feat: a'
  printf '#!/bin/sh\ngit ls-files "*.md" >"%s/seen"\n' "$BATS_TEST_TMPDIR" >.git/hooks/pre-commit
  chmod +x .git/hooks/pre-commit
  bump
  assert_version 1.3.0
  assert_equal "$(cat "$BATS_TEST_TMPDIR/seen")" CHANGELOG.md
}

@test "ten thousand commits" {
  git tag v1.2.3
  for ((i = 0; i < 10000; i++)); do
    printf 'commit refs/heads/main\ncommitter a <a@b> %d +0000\ndata <<END\nfix(x): number %d\n\nsome body\nand more\nEND\n' \
      $((1767323045 + i)) "$i"
    if ((i == 0)); then printf 'from %s\n' "$(sha v1.2.3)"; fi
  done | git fast-import --quiet
  git reset --quiet --hard
  bump --dry-run
  assert_version 1.2.4
  assert_equal "${#stderr_lines[@]}" 10000
}

@test "a repository with SHA-256" {
  git init --quiet --object-format=sha256 --initial-branch=main "$BATS_TEST_TMPDIR/sha256"
  cd "$BATS_TEST_TMPDIR/sha256"
  commit 'feat: a'
  git tag v1.2.3
  commit 'fix: b'
  revert HEAD
  commit 'Revert "feat: a"' "This reverts commit $(git rev-parse --short v1.2.3)."
  bump
  assert_version 1.2.4
  assert_reason 'released feature'
}

@test "a commit without a message" {
  git tag v1.2.3
  git commit --quiet --allow-empty --allow-empty-message -m ''
  bump
  assert_version 1.2.4 patch
}

@test "a thousand reverts of what is released" {
  git tag v1.2.2
  commit 'feat: a'
  git tag v1.2.3
  target=$(sha)
  for ((i = 0; i < 1000; i++)); do
    printf 'commit refs/heads/main\ncommitter a <a@b> %d +0000\ndata <<END\nRevert "feat: a"\n\nThis reverts commit %s.\nEND\n' \
      $((1767323045 + i)) "$target"
    if ((i == 0)); then printf 'from %s\n' "$target"; fi
  done | git fast-import --quiet
  bump --dry-run
  assert_version 1.2.4
}

@test "git that traces" {
  git tag v1.2.3
  commit 'fix: a'
  GIT_TRACE=1 bump
  assert_version 1.2.4
  assert_equal "${#lines[@]}" 5
}

@test "from a folder below, with the GIT_DIR of a hook" {
  change below/a 'fix: a'
  git tag v1.2.3
  commit 'fix: b'
  (
    cd below
    GIT_DIR=../.git GIT_WORK_TREE=.. bump
    assert_version 1.2.4
  )
  assert_equal "$(cat VERSION)" 1.2.4
  assert_untouched "$(sha 'v1.2.4^{commit}')"
}

@test "hashes in the changelog are short whatever core.abbrev says" {
  git tag v1.2.3
  commit 'fix: a'
  hash=$(sha)
  git config core.abbrev 40
  bump
  assert_version 1.2.4
  run ! grep -q "$hash" CHANGELOG.md
  grep -q "(${hash:0:7}" CHANGELOG.md
}
