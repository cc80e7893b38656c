# --pre: candidates of the coming version.
load repository

@test "the first is number 1 of the coming version" {
  git tag v1.2.3
  commit 'feat: a'
  bump --pre rc
  assert_version 1.3.0-rc.1 minor
  assert_equal "$(told previous)" 1.2.3
  assert_equal "$(told tag)" v1.3.0-rc.1
  assert_equal "$(cat VERSION)" 1.3.0-rc.1
}

@test "the next has the next number, counted as a number" {
  git tag v1.2.3
  for i in 1 2 9; do git tag "v1.3.0-rc.$i"; done
  commit 'feat: a'
  bump --pre rc
  assert_version 1.3.0-rc.10
  commit 'fix: b'
  bump --pre rc
  assert_version 1.3.0-rc.11
}

@test "the target is counted from the last stable version" {
  git tag v1.2.3
  commit 'fix: a'
  bump --pre rc
  assert_version 1.2.4-rc.1
  commit 'feat: b'
  bump --pre rc
  assert_version 1.3.0-rc.1
}

@test "tags that look alike do not count" {
  git tag v1.2.3
  for tag in v1.3.0-rc.07 v1.3.0-rc v1.3.0-rc.5.1 v1.3.0-rcx.6 v1.3.0-beta.7 v1.3.1-rc.8 v1.3.0-RC.9; do git tag "$tag"; done
  commit 'feat: a'
  bump --pre rc
  assert_version 1.3.0-rc.1
}

@test "numbers on other branches are taken" {
  git tag v1.2.3
  git switch --quiet -c other
  commit 'feat: other'
  git tag v1.3.0-rc.4
  git switch --quiet main
  commit 'feat: a'
  bump --pre rc
  assert_version 1.3.0-rc.5
}

@test "then the stable one, from the last stable one" {
  git tag v1.2.3
  commit 'feat: a'
  bump --pre rc
  bump
  assert_version 1.3.0 minor
  assert_equal "$(told previous)" 1.2.3
  assert_equal "$(cat VERSION)" 1.3.0
  bump
  assert_nothing 1.3.0
}

@test "the same once more on the same HEAD: nothing to do" {
  git tag v1.2.3
  commit 'feat: a'
  bump --pre rc
  bump --pre rc
  assert_nothing 1.3.0-rc.1
}

@test "another series on the same HEAD is its own" {
  git tag v1.2.3
  commit 'feat: a'
  bump --pre beta
  bump --pre rc
  assert_version 1.3.0-rc.1
}

@test "nothing that releases: no pre-release either" {
  git tag v1.2.3
  commit 'docs: a'
  bump --pre rc
  assert_nothing 1.2.3
}

@test "with --release-as" {
  git tag v1.2.3
  commit 'fix: a'
  bump --pre rc --release-as 2.0.0
  assert_version 2.0.0-rc.1 major
}

@test "without any tag: of the first version" {
  bump --pre rc
  assert_version 0.1.0-rc.1
  commit 'feat: a'
  bump
  assert_version 0.1.0
}

@test "1.0.0-rc.1 after 1.0.0 is no base" {
  git tag v1.0.0-rc.1
  commit 'feat: a'
  git tag v1.0.0
  commit 'fix: b'
  bump
  assert_version 1.0.1
}

@test "without a tag for it, a pre-release in VERSION is ahead" {
  git tag v1.2.3
  echo 1.3.0-rc.1 >VERSION
  git add VERSION && commit 'feat: a'
  bump
  assert_refused 4 1.3.0-rc.1
}
