# What each kind of commit raises.
load repository

next() { # LEVEL VERSION SUBJECT [BODY]: that one commit after v1.2.3
  git tag v1.2.3
  commit "${@:3}"
  bump --dry-run
  if [[ $1 == none ]]; then assert_nothing 1.2.3; else assert_version "$2" "$1"; fi
}

@test "feat is minor" { next minor 1.3.0 'feat: a'; }
@test "feat with a scope is minor" { next minor 1.3.0 'feat(api): a'; }
@test "a scope may hold any character" { next minor 1.3.0 'feat(api/v1, *.py & "x" [y] (z)): a'; }
@test "fix is patch" { next patch 1.2.4 'fix: a'; }
@test "perf is patch" { next patch 1.2.4 'perf: a'; }
@test "revert is patch" { next patch 1.2.4 'revert: a'; }
@test "security is patch" { next patch 1.2.4 'security: a'; }
@test "deps is patch" { next patch 1.2.4 'deps: a'; }
@test "build(deps) is patch" { next patch 1.2.4 'build(deps): a'; }
@test "build is none" { next none '' 'build: a'; }
@test "build(deps-dev) is none" { next none '' 'build(deps-dev): a'; }

@test "docs, style, refactor, test, ci, chore are none" {
  git tag v1.2.3
  for type in docs style refactor test ci chore 'chore(release)'; do commit "$type: a"; done
  bump
  assert_nothing 1.2.3
}

@test "types are case-insensitive" { next minor 1.3.0 'FEAT: a'; }
@test "a mark before the colon is major" { next major 2.0.0 'feat!: a'; }
@test "a mark after the scope is major" { next major 2.0.0 'fix(api)!: a'; }
@test "a mark makes any type major" { next major 2.0.0 'chore!: a'; }
@test "a mark makes an unknown type major" { next major 2.0.0 'Gone!: a'; }
@test "BREAKING CHANGE in the body is major" { next major 2.0.0 'docs: a' 'BREAKING CHANGE: b'; }
@test "BREAKING-CHANGE in the body is major" { next major 2.0.0 'docs: a' 'BREAKING-CHANGE: b'; }
@test "BREAKING CHANGE amid the body is major" { next major 2.0.0 'docs: a' $'x\ny\nBREAKING CHANGE: b\nz\n\nmore'; }
@test "BREAKING CHANGE right below the subject is major" { next major 2.0.0 $'docs: a\nBREAKING CHANGE: b'; }
@test "BREAKING CHANGE in a body with CRLF is major" { next major 2.0.0 $'docs: a\r' $'x\r\nBREAKING CHANGE: b\r\n'; }
@test "BREAKING CHANGE without text is nothing" { next none '' 'docs: a' $'BREAKING CHANGE: \nBREAKING CHANGE:'; }
@test "BREAKING CHANGE with nothing but a carriage return is nothing" { next none '' 'docs: a' $'BREAKING CHANGE: \r\n'; }
@test "breaking change in lower case is nothing" { next none '' 'docs: a' $'breaking change: b\nBreaking Change: c'; }
@test "BREAKING CHANGE inside a line is nothing" { next none '' 'docs: a' $'no BREAKING CHANGE: b\n  BREAKING CHANGE: c\n* BREAKING CHANGE: d'; }
@test "BREAKING CHANGE without a space after the colon is nothing" { next none '' 'docs: a' 'BREAKING CHANGE:b'; }
@test "BREAKING CHANGES is nothing" { next none '' 'docs: a' 'BREAKING CHANGES: b'; }
@test "BREAKING_CHANGE is nothing" { next none '' 'docs: a' 'BREAKING_CHANGE: b'; }
@test "a CRLF subject has its type" { next minor 1.3.0 $'feat: a\r' $'b\r\n'; }

@test "anything else is patch, with a warning" {
  next patch 1.2.4 'some words'
  assert_reason 'warning'
}
@test "an unknown type is patch" { next patch 1.2.4 'wip: a'; }
@test "no space after the colon is no type" { next patch 1.2.4 'feat:a'; }
@test "no text after the colon is no type" { next patch 1.2.4 'feat:'; }
@test "a space before the mark is no type" { next patch 1.2.4 'feat !: a'; }
@test "a space before the colon is no type" { next patch 1.2.4 'feat : a'; }
@test "a space before the scope is no type" { next patch 1.2.4 'feat (api): a'; }
@test "a space in front is no type" { next patch 1.2.4 '  feat: a'; }
@test "a type that goes on is another type" { next patch 1.2.4 'feature: a'; }
@test "fixup! is no type" { next patch 1.2.4 'fixup! feat: a'; }
@test "a subject without any word character is patch" { next patch 1.2.4 '...'; }

@test "the highest level wins, whatever the order" {
  git tag v1.2.3
  commit 'feat!: a'
  commit 'feat: b'
  commit 'fix: c'
  bump --dry-run
  assert_version 2.0.0 major
}

@test "many commits are one release" {
  git tag v1.2.3
  for i in 1 2 3; do commit "feat: $i"; done
  bump
  assert_version 1.3.0 minor
  assert_equal "$(git tag)" $'v1.2.3\nv1.3.0'
}

@test "--unknown none: an unknown commit releases nothing" {
  git tag v1.2.3
  commit 'some words'
  bump --unknown none
  assert_nothing 1.2.3
}

@test "--unknown fail: exit 6, nothing written" {
  git tag v1.2.3
  commit 'feat: a'
  commit 'some words'
  head=$(sha)
  bump --unknown fail
  assert_refused 6 'some words'
  assert_untouched "$head"
}

@test "--unknown fail: known types pass, none, merges and reverts too" {
  git tag v1.2.3
  commit 'docs: a'
  git switch --quiet -c side
  commit 'fix: b'
  git switch --quiet main
  git merge --quiet --no-ff -m 'some merge' side
  revert HEAD~1
  bump --unknown fail
  assert_version 1.2.4
}

@test "one reason per commit on stderr" {
  git tag v1.2.3
  for i in 1 2 3 4; do commit "feat: $i"; done
  commit 'docs: a'
  bump
  assert_equal "${#stderr_lines[@]}" 5
  assert_reason "none  $(git rev-parse --short HEAD~1) docs: a"
}

@test "before 1.0.0 breaking is minor" { git tag v0.3.1 && commit 'feat!: a' && bump && assert_version 0.4.0 minor; }
@test "before 1.0.0 feat is minor" { git tag v0.3.1 && commit 'feat: a' && bump && assert_version 0.4.0 minor; }
@test "before 1.0.0 fix is patch" { git tag v0.3.1 && commit 'fix: a' && bump && assert_version 0.3.2 patch; }
@test "--pre-major major: breaking is 1.0.0" {
  git tag v0.3.1
  commit 'feat!: a'
  bump --pre-major major
  assert_version 1.0.0 major
}
@test "--pre-major minor changes nothing after 1.0.0" {
  git tag v1.3.1
  commit 'feat!: a'
  bump --pre-major minor
  assert_version 2.0.0 major
}

@test "merge commits are skipped, the commits of both sides count" {
  git tag v1.2.3
  git switch --quiet -c side
  commit 'feat: side'
  git switch --quiet main
  commit 'fix: main'
  git merge --quiet --no-ff -m 'feat!: a merge that boasts' side
  bump
  assert_version 1.3.0 minor
}

@test "an octopus merge counts all sides" {
  git tag v1.2.3
  for side in one two three; do
    git switch --quiet -c "$side" v1.2.3
    change "$side" "fix: $side"
  done
  git switch --quiet main
  git merge --quiet -m 'feat: octopus' one two three
  bump
  assert_version 1.2.4 patch
  assert_equal "${#stderr_lines[@]}" 4
}

@test "a footer in a merge commit counts" {
  git tag v1.2.3
  git switch --quiet -c side
  commit 'fix: side'
  git switch --quiet main
  git merge --quiet --no-ff -m $'Merge branch side\n\nBREAKING CHANGE: b' side
  bump
  assert_version 2.0.0 major
}

@test "squash: the subject decides, a bullet list does not" {
  next patch 1.2.4 'fix: all of it (#12)' $'* feat: one\n* feat!: two\n\n- feat: three\nfeat!: four'
}

@test "squash: a footer in the body counts" {
  next major 2.0.0 'fix: all of it (#12)' $'* feat: one\n\nBREAKING CHANGE: b\n\n* fix: two'
}
