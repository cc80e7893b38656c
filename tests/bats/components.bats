# --component: versions of one part.
load repository

@test "its own tags, and commits of its folder" {
  git tag v7.0.0
  git tag ocr/v1.2.3
  change executors/ocr/a 'fix: ocr'
  change executors/other/a 'feat!: other'
  commit 'feat!: empty'
  bump --component ocr --path executors/ocr
  assert_version 1.2.4 patch
  assert_equal "$(told tag)" ocr/v1.2.4
  assert_equal "$(told previous)" 1.2.3
  assert_equal "$(git rev-parse 'ocr/v1.2.4^{commit}')" "$(sha)"
  bump --component ocr --path executors/ocr
  assert_nothing 1.2.4
}

@test "several folders, after one --path or several" {
  git tag ocr/v1.2.3
  change one/a 'fix: one'
  change two/a 'feat: two'
  bump --component ocr --path one --dry-run
  assert_version 1.2.4
  bump --component ocr --path one two --dry-run
  assert_version 1.3.0
  bump --component ocr --path ./one/ --path=two --dry-run
  assert_version 1.3.0
}

@test "a commit that touches two components counts for both" {
  git tag a/v1.0.0
  git tag b/v2.0.0
  mkdir a b
  echo 1 >a/x
  echo 1 >b/x
  git add . && commit 'feat: both'
  bump --component a --path a --dry-run
  assert_version 1.1.0
  bump --component b --path b --dry-run
  assert_version 2.1.0
}

@test "the whole does not count the tags of a component" {
  git tag v1.0.0
  git tag ocr/v5.0.0
  change ocr/a 'fix: ocr'
  bump
  assert_version 1.0.1
}

@test "a name that begins alike is another one" {
  git tag ocr/v1.0.0
  git tag ocr-fast/v5.0.0
  git tag x/ocr/v6.0.0
  change ocr/a 'fix: ocr'
  bump --component ocr --path ocr
  assert_version 1.0.1
}

@test "a name with a slash" {
  git tag executors/ocr/v1.0.0
  change ocr/a 'feat: ocr'
  bump --component executors/ocr --path ocr
  assert_version 1.1.0
  assert_equal "$(told tag)" executors/ocr/v1.1.0
}

@test "its VERSION and CHANGELOG.md lie in its folder; those of the whole stay" {
  echo 7.0.0 >VERSION
  printf 'functions:\n  a:\n    image: x/jangada-a:7.0.0\n' >stack.yml
  mkdir -p executors/ocr executors/other
  echo 'image: x/jangada-ocr:1.0.0' >executors/ocr/executor.yml
  echo 'image: x/jangada-other:1.0.0' >executors/other/executor.yml
  git add . && commit 'chore: files'
  git tag v7.0.0
  git tag ocr/v1.0.0
  change executors/ocr/a 'feat: ocr'
  bump --component ocr --path executors/ocr
  assert_version 1.1.0
  assert_equal "$(git show --name-only --format= | sort)" \
    $'executors/ocr/CHANGELOG.md\nexecutors/ocr/VERSION\nexecutors/ocr/executor.yml'
  assert_equal "$(cat executors/ocr/executor.yml)" 'image: x/jangada-ocr:1.1.0'
  assert_equal "$(cat VERSION)" 7.0.0
}

@test "no tag: 0.1.0, or what the VERSION of its folder says" {
  echo 7.0.0 >VERSION
  git add VERSION
  change ocr/a 'fix: ocr'
  bump --component ocr --path ocr --dry-run
  assert_version 0.1.0
  echo 3.0.0 >ocr/VERSION
  bump --component ocr --path ocr --dry-run
  assert_version 3.0.0
}

@test "pre-releases of a component" {
  git tag ocr/v1.0.0
  change ocr/a 'feat: ocr'
  git tag ocr/v1.1.0-rc.9
  git tag v1.1.0-rc.50
  change ocr/a 'feat: ocr'
  bump --component ocr --path ocr --pre rc
  assert_version 1.1.0-rc.10
}

@test "a folder with odd characters is taken as it stands" {
  git tag c/v1.0.0
  change 'a [b] *é/x' 'feat: c'
  change 'a b é/x' 'feat!: another'
  bump --component c --path 'a [b] *é'
  assert_version 1.1.0
}

@test "log.follow changes nothing" {
  git config log.follow true
  git tag c/v1.0.0
  change c/x 'feat: c'
  bump --component c --path c
  assert_version 1.1.0
}

@test "usage: each needs the other, names and folders must be sound" {
  mkdir c
  bump --component c
  assert_refused 2 '--path'
  bump --path c
  assert_refused 2 '--component'
  for name in 'a b' a..b -x 'a*' a/ /a; do
    bump --component="$name" --path c
    assert_equal "$status" 2
  done
  for path in nowhere /tmp ../x c/../..; do
    bump --component c --path "$path"
    assert_refused 2 '--path'
  done
}

@test "a name that would need quotes: exit 2" {
  # shellcheck disable=SC2016
  for name in 'a"b' "a'b" '$(id)' 'a;b' 'a`b' 'a b' 'a,b' 'a%b' 'a&b'; do
    bump --json --component "$name" --path .
    assert_refused 2 --component
  done
  bump --json --dry-run --component módulo --path .
  assert_equal "$status" 0
  [[ $output == *'"tag": "módulo/v0.1.0"}' ]]
}
