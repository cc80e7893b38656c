# Commits and their reverts cancel out while neither is released.
load repository

@test "a commit and its revert cancel out" {
  git tag v1.2.3
  commit 'feat: a'
  revert HEAD
  head=$(sha)
  bump
  assert_nothing 1.2.3
  assert_untouched "$head"
}

@test "revert: of the conventional kind cancels too" {
  git tag v1.2.3
  commit 'feat!: a'
  revert HEAD 'revert(api): a'
  bump
  assert_nothing 1.2.3
}

@test "the genuine git revert cancels" {
  git tag v1.2.3
  change file 'feat: a'
  git revert --no-edit HEAD
  bump
  assert_nothing 1.2.3
}

@test "the revert of a revert restores" {
  git tag v1.2.3
  commit 'feat: a'
  revert HEAD
  revert HEAD
  bump
  assert_version 1.3.0 minor
}

@test "Reapply, as newer versions of git write it, restores" {
  git tag v1.2.3
  commit 'feat: a'
  revert HEAD
  revert HEAD 'Reapply "feat: a"'
  bump
  assert_version 1.3.0 minor
}

@test "four in a chain cancel out" {
  git tag v1.2.3
  commit 'feat: a'
  for _ in 1 2 3; do revert HEAD; done
  bump
  assert_nothing 1.2.3
}

@test "what stands beside a cancelled pair counts" {
  git tag v1.2.3
  commit 'feat: a'
  commit 'fix: b'
  revert HEAD~1
  bump
  assert_version 1.2.4 patch
}

@test "a cancelled unknown commit does not fail" {
  git tag v1.2.3
  commit 'words'
  revert HEAD
  bump --unknown fail
  assert_nothing 1.2.3
}

@test "the revert of a released fix is patch" {
  commit 'fix: a'
  git tag v1.2.3
  revert HEAD
  bump
  assert_version 1.2.4 patch
  [[ $stderr != *warning* ]]
}

@test "the revert of a released feature is patch, with a warning" {
  commit 'feat: a'
  git tag v1.2.3
  revert HEAD
  bump
  assert_version 1.2.4 patch
  assert_reason warning
}

@test "the revert of a released feature with a mark is major" {
  commit 'feat: a'
  git tag v1.2.3
  revert HEAD 'revert!: a'
  bump
  assert_version 2.0.0 major
}

@test "the revert of a revert of what is released changes nothing" {
  commit 'feat: a'
  git tag v1.2.3
  revert HEAD
  revert HEAD
  bump
  assert_nothing 1.2.3
}

@test "an abbreviated hash is enough" {
  git tag v1.2.3
  commit 'feat: a'
  commit 'Revert "feat: a"' "This reverts commit $(git rev-parse --short HEAD)."
  bump
  assert_nothing 1.2.3
}

@test "a hash in capitals is one too" {
  git tag v1.2.3
  commit 'feat: a'
  commit 'Revert "feat: a"' "This reverts commit $(sha | tr a-f A-F)."
  bump
  assert_nothing 1.2.3
}

@test "one commit reverts several, line by line" {
  git tag v1.2.3
  commit 'feat: a'
  commit 'feat: b'
  commit 'revert: both' "This reverts commit $(sha HEAD~1)."$'\n'"This reverts commit $(sha HEAD)."
  bump
  assert_nothing 1.2.3
}

@test "one commit reverts several, in one line" {
  git tag v1.2.3
  commit 'feat: a'
  commit 'feat: b'
  commit 'feat: c'
  commit 'revert: all' "This reverts commits $(sha HEAD~2), $(git rev-parse --short HEAD~1) and $(sha HEAD)."
  bump
  assert_nothing 1.2.3
}

@test "one that reverts something released beside something new is patch" {
  commit 'fix: a'
  git tag v1.2.3
  commit 'feat: b'
  commit 'revert: both' "This reverts commit $(sha HEAD~1)."$'\n'"This reverts commit $(sha HEAD)."
  bump
  assert_version 1.2.4 patch
}

@test "a hash that no commit has: patch" {
  git tag v1.2.3
  commit 'feat: a'
  git tag v1.3.0
  commit 'Revert "feat: x"' 'This reverts commit 1234567890123456789012345678901234567890.'
  bump
  assert_version 1.3.1 patch
}

@test "the hash alone does not make a revert" {
  git tag v1.2.3
  commit 'feat: a'
  commit 'fix: b' "This reverts commit $(sha)."
  bump
  assert_version 1.3.0 minor
}

@test "a body with CRLF names its target" {
  git tag v1.2.3
  commit 'feat: a'
  commit $'Revert "feat: a"\r' $'\r\nThis reverts commit '"$(sha)"$'.\r\n'
  bump
  assert_nothing 1.2.3
}

@test "the revert of a merge takes back what the merge brought" {
  git tag v1.2.3
  git switch --quiet -c side
  change side 'feat: side'
  git switch --quiet main
  change main 'fix: main'
  git merge --quiet --no-ff -m 'Merge branch side' side
  git revert --no-edit -m 1 HEAD
  bump
  assert_version 1.2.4 patch
}

@test "a target on the other side of a merge" {
  git tag v1.2.3
  git switch --quiet -c side
  commit 'feat: side'
  target=$(sha)
  git switch --quiet main
  commit 'revert: side' "This reverts commit $target."
  git merge --quiet --no-ff -m 'Merge branch side' side
  bump
  assert_nothing 1.2.3
}
