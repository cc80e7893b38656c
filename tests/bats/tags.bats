# Where a run starts: the tags, VERSION, and what HEAD is already.
# shellcheck disable=SC2016
load repository

@test "the base is the highest version, not the nearest" {
  git tag v2.0.0
  commit 'fix: a'
  git tag v1.9.9
  commit 'fix: b'
  bump
  assert_version 2.0.1
  assert_equal "$(told previous)" 2.0.0
}

@test "versions are compared as numbers" {
  git tag v1.9.0
  git tag v1.10.0
  git tag v1.2.0
  commit 'fix: a'
  bump
  assert_version 1.10.1
}

@test "only strict versions are releases" {
  git tag v1.2.3
  for tag in v2 v2.0 v02.0.0 v2.00.0 v2.0.0beta v2.0.0-rc.1 v2.0.0.0 2.0.0 V2.0.0 vv2.0.0 x/v2.0.0 v2.0.0+1 release-v2.0.0; do
    git tag "$tag"
  done
  commit 'fix: a'
  bump
  assert_version 1.2.4
}

@test "annotated tags count" {
  git tag -a -m x v1.2.3
  commit 'fix: a'
  bump
  assert_version 1.2.4
}

@test "tags on other branches do not count" {
  git tag v1.2.3
  git switch --quiet -c other
  commit 'feat: a'
  git tag v5.0.0
  git switch --quiet main
  commit 'fix: a'
  bump
  assert_version 1.2.4
}

@test "a tag that a merge brought counts" {
  git tag v1.2.3
  git switch --quiet -c other
  commit 'fix: other'
  git tag v1.2.4
  git switch --quiet main
  commit 'fix: main'
  git merge --quiet --no-ff -m merge other
  bump
  assert_version 1.2.5
}

@test "a tag on something that is no commit does not count" {
  git tag v1.2.3
  git tag v9.9.9 "$(git hash-object -w --stdin <<<x)"
  commit 'fix: a'
  bump
  assert_version 1.2.4
}

@test "a branch with the name of a tag does not confuse" {
  git tag v1.2.3
  commit 'feat: a'
  git branch v1.2.3
  bump
  assert_version 1.3.0
}

@test "numbers of any length" {
  git tag v1.99999999999999999999.9
  git tag v1.100000000000000000000.18446744073709551615
  commit 'fix: a'
  bump
  assert_version 1.100000000000000000000.18446744073709551616
  commit 'feat!: b'
  bump
  assert_version 2.0.0
}

@test "9, 99 and 199 are raised" {
  git tag v1.2.9
  commit 'fix: a'
  bump
  assert_version 1.2.10
  git tag v1.99.0
  commit 'feat: b'
  bump
  assert_version 1.100.0
  git tag v199.0.0
  commit 'feat!: c'
  bump
  assert_version 200.0.0
}

@test "no tag, no VERSION: 0.1.0, whatever the commits" {
  commit 'docs: a'
  bump
  assert_version 0.1.0
  assert_equal "$(told previous)" ''
  assert_equal "$(told tag)" v0.1.0
}

@test "no tag: the version of VERSION" {
  echo 2.5.0 >VERSION
  git add VERSION && commit 'feat!: a'
  bump
  assert_version 2.5.0
  assert_equal "$(git rev-parse 'v2.5.0^{commit}')" "$(sha)"
}

@test "no tag: VERSION without a newline, with CRLF, with spaces" {
  for text in '2.5.0' $'2.5.0\r\n' $'  2.5.0 \n'; do
    printf %s "$text" >VERSION
    bump --dry-run
    assert_version 2.5.0
  done
}

@test "no tag: VERSION that holds no version above 0.0.0 is 0.1.0" {
  for text in '' 0.0.0 junk 1.2 01.2.3 1.2.3.4 $'\n1.2.3' 'v1' '$(id)'; do
    printf %s "$text" >VERSION
    bump --dry-run
    assert_version 0.1.0
  done
}

@test "no tag: a pre-release in VERSION stands for its version" {
  echo 1.0.0-rc.3 >VERSION
  bump --dry-run
  assert_version 1.0.0
}

@test "only tags that are no versions: as if there were none" {
  git tag v1.2
  git tag v2.0.0-rc.1
  bump
  assert_version 0.1.0
}

@test "VERSION behind the tags is overtaken" {
  echo 1.0.0 >VERSION
  git add VERSION && commit 'chore: x'
  git tag v1.2.3
  commit 'fix: a'
  bump
  assert_version 1.2.4
  assert_equal "$(cat VERSION)" 1.2.4
}

@test "VERSION ahead of the tags: exit 4" {
  git tag v1.2.3
  echo 2.0.0 >VERSION
  git add VERSION && commit 'fix: a'
  head=$(sha)
  bump
  assert_refused 4 2.0.0
  assert_untouched "$head"
}

@test "VERSION ahead, and --release-as says it" {
  git tag v1.2.3
  echo 2.0.0 >VERSION
  git add VERSION && commit 'fix: a'
  bump --release-as 2.0.0
  assert_version 2.0.0
}

@test "junk in VERSION with tags: a warning, and it is written anew" {
  echo junk >VERSION
  git add VERSION && commit 'chore: x'
  git tag v1.2.3
  commit 'fix: a'
  bump
  assert_version 1.2.4
  assert_reason warning
  assert_equal "$(cat VERSION)" 1.2.4
}

@test "nothing that releases: files untouched" {
  git tag v1.2.3
  commit 'docs: a'
  head=$(sha)
  bump
  assert_nothing 1.2.3
  assert_untouched "$head"
  assert_equal "$(told tag)" v1.2.3
  assert_equal "$(git tag)" v1.2.3
}

@test "HEAD tagged: that version, again and again" {
  commit 'feat: a'
  git tag v1.2.3
  for _ in 1 2; do
    bump
    assert_nothing 1.2.3
  done
}

@test "several tags on HEAD: the highest" {
  for tag in v1.2.3 v1.10.0 v1.9.0 v3.0.0-rc.1 latest; do git tag "$tag"; done
  bump
  assert_nothing 1.10.0
}

@test "after a release the next run has nothing to do" {
  git tag v1.2.3
  commit 'feat: a'
  bump
  assert_version 1.3.0
  head=$(sha)
  bump
  assert_nothing 1.3.0
  assert_untouched "$head"
  git commit --quiet --allow-empty -m 'docs: b'
  bump
  assert_nothing 1.3.0
}

@test "the script's own commit counts nothing" {
  git tag v1.2.3
  commit 'chore(release): v1.3.0'
  bump
  assert_nothing 1.2.3
}

@test "the tag exists elsewhere: exit 4" {
  git tag v1.2.3
  git switch --quiet -c other
  commit 'feat: other'
  git tag v1.3.0
  git switch --quiet main
  commit 'feat: a'
  head=$(sha)
  bump
  assert_refused 4 v1.3.0
  assert_untouched "$head"
}

@test "--release-as: that version, whatever the commits" {
  git tag v0.9.0
  commit 'docs: a'
  bump --release-as 1.0.0
  assert_version 1.0.0
}

@test "--release-as on a tagged HEAD, and once more" {
  git tag v0.9.0
  bump --release-as 1.0.0
  assert_version 1.0.0
  bump --release-as 1.0.0
  assert_nothing 1.0.0
}

@test "--release-as back: exit 4" {
  git tag v1.2.3
  commit 'feat: a'
  bump --release-as 1.2.2
  assert_refused 4 'never go back'
}

@test "--release-as the last version again, elsewhere: exit 4" {
  git tag v1.2.3
  commit 'feat: a'
  bump --release-as 1.2.3
  assert_refused 4 1.2.3
}

@test "--release-as a version that another branch has: exit 4" {
  git switch --quiet -c other
  commit 'feat: other'
  git tag v2.0.0
  git switch --quiet main
  commit 'feat: a'
  bump --release-as 2.0.0
  assert_refused 4 v2.0.0
}

@test "a release behind a clock that ran ahead is found" {
  git tag v1.2.3
  export GIT_COMMITTER_DATE=2025-01-02T03:04:05+00:00
  for ((i = 0; i < 12; i++)); do commit "fix: $i"; done
  bump --dry-run
  assert_version 1.2.4
  assert_equal "$(told previous)" 1.2.3
}

@test "a tag of a tag counts as the commit behind it" {
  git tag --annotate --message inner inner
  git tag --annotate --message outer v1.2.3 inner
  commit 'fix: a'
  bump --dry-run
  assert_version 1.2.4
}
