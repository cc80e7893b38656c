# What a release writes: VERSION, tags of our images, a section of CHANGELOG.md, one commit, one tag.
# shellcheck disable=SC2016,SC2030,SC2031
load repository

stack() {
  cat <<'YAML'
# image: ghcr.io/jangada/jangada-comment:1.2.3
version: 1.0   # a comment stays
functions:
  auth:
    image: ${IMAGE_PREFIX:-ghcr.io/jangada}/jangada-auth:1.2.3  # was jangada-auth:1.0.0
    image_note: x/jangada-note:1.2.3
  "router":
    "image": "localhost:5000/jangada-router:1.2.3"
  files: {memory: 1}
  quoted:
    image:   'jangada-quoted:latest'
  anchor:
    image: &it x/jangada-anchor:1.2.3-rc.1
  alias:
    image: *it
  foreign:
    image: redis:7.2
  also-foreign:
    image: ghcr.io/jangada/other:1.2.3
  nearly:
    image: ghcr.io/x/notjangada-a:1.2.3
  no-tag:
    image: ghcr.io/jangada/jangada-bare
  port:
    image: localhost:5000/jangada-port
  pinned:
    image: x/jangada-pinned:1.2.3@sha256:0123456789
  text:
    note: |
      image: x/jangada-text:1.2.3

      image: x/jangada-text:1.2.3
    image: x/jangada-after:1.2.3
  list:
    - name: |-
        words
      image: x/jangada-list:1.2.3
YAML
}

@test "one commit, one annotated tag" {
  git tag v1.2.3
  commit 'feat: a'
  parent=$(sha)
  bump
  assert_version 1.3.0
  assert_equal "$(git log -1 --format='%s|%P')" "chore(release): v1.3.0|$parent"
  assert_equal "$(git cat-file -t v1.3.0)" tag
  assert_equal "$(git rev-parse 'v1.3.0^{commit}')" "$(sha)"
  assert_equal "$(git show --name-only --format= | sort)" $'CHANGELOG.md\nVERSION'
  assert_equal "$(git status --porcelain)" ''
}

@test "VERSION is one line" {
  printf 'v0\njunk' >VERSION
  git add VERSION && commit 'feat: a'
  git tag v1.2.3
  commit 'feat: a'
  bump
  assert_equal "$(od -c VERSION | head -1)" '0000000   1   .   3   .   0  \n'
}

@test "only tags of our images change, by line" {
  stack >stack.yml
  mkdir -p executors/a executors/b/c
  printf 'name: a\nimage: ghcr.io/jangada/jangada-a:1.2.3' >executors/a/executor.yml
  printf 'image: ghcr.io/jangada/jangada-c:1.2.3\n' >executors/b/c/executor.yml
  git add . && commit 'feat: files'
  git tag v1.2.3
  commit 'feat: a'
  bump
  assert_version 1.3.0
  stack | sed -E \
    -e 's|/jangada-(auth\|router\|after\|list):1.2.3|/jangada-\1:1.3.0|' \
    -e 's|jangada-quoted:latest|jangada-quoted:1.3.0|' \
    -e 's|jangada-anchor:1.2.3-rc.1|jangada-anchor:1.3.0|' >expected
  diff expected stack.yml
  assert_equal "$(cat executors/a/executor.yml; echo .)" $'name: a\nimage: ghcr.io/jangada/jangada-a:1.3.0.'
  assert_equal "$(cat executors/b/c/executor.yml)" 'image: ghcr.io/jangada/jangada-c:1.2.3'
}

@test "lines end as they did" {
  stack | sed 's/$/\r/' >stack.yml
  git add . && commit 'feat: files'
  git tag v1.2.3
  commit 'feat: a'
  bump
  assert_equal "$(grep -c $'\r$' stack.yml)" "$(stack | wc -l)"
  grep -q $'jangada-after:1.3.0\r$' stack.yml
}

@test "the mode of a file stays" {
  echo 1.2.3 >VERSION
  chmod 755 VERSION
  git add . && commit 'feat: files'
  git tag v1.2.3
  commit 'feat: a'
  bump
  assert_equal "$(stat -c %a VERSION)" 755
}

@test "this repository's own stack.yml and executors change in their images only" {
  cp "$BATS_TEST_DIRNAME/../../stack.yml" .
  cp -r "$BATS_TEST_DIRNAME/../../executors" .
  git add . && commit 'feat: files'
  git tag v7.7.7
  commit 'fix: a'
  bump
  assert_version 7.7.8
  changed=$(git show --format= --unified=0 -- stack.yml executors | grep -c '^+ *image: .*/jangada-.*:7.7.8$')
  assert_equal "$changed" "$(cat stack.yml executors/*/executor.yml | grep -cE '^ *image: .*jangada-')"
  assert_equal "$(git show --format= --unified=0 -- stack.yml executors | grep -cE '^\+[^+]')" "$changed"
}

@test "the changelog has the sections in order, with short hashes and the date of the commit" {
  git tag v1.2.3
  commit 'perf: quicker'
  commit 'fix: mended'
  commit 'feat(api): new'
  commit 'docs: not told'
  commit 'security: safer'
  commit 'feat(api)!: other' $'BREAKING CHANGE: use the other\n'
  commit 'deps: one up'
  commit 'revert: gone'
  bump
  expected="# Changelog

## 2.0.0 - 2026-01-02

### Breaking

- **api:** other ($(git rev-parse --short HEAD~3))
  - use the other

### Features

- **api:** new ($(git rev-parse --short HEAD~6))

### Fixes

- safer ($(git rev-parse --short HEAD~4))
- mended ($(git rev-parse --short HEAD~7))

### Performance

- quicker ($(git rev-parse --short HEAD~8))

### Reverts

- gone ($(git rev-parse --short HEAD~1))

### Other

- one up ($(git rev-parse --short HEAD~2))"
  assert_equal "$(cat CHANGELOG.md)" "$expected"
}

@test "the date is the commit's, in any time zone" {
  git tag v1.2.3
  export GIT_COMMITTER_DATE='2025-12-31T23:30:00-0300'
  commit 'feat: a'
  TZ=Asia/Tokyo bump
  assert_equal "$(sed -n 3p CHANGELOG.md)" '## 1.3.0 - 2025-12-31'
}

@test "a new section goes above the last one, below what stands on top" {
  printf '# Changelog\n\nWords.\n\n## 1.2.3 - 2025-01-01\n\n- old' >CHANGELOG.md
  git add . && commit 'feat: files'
  git tag v1.2.3
  commit 'fix: a'
  bump
  assert_equal "$(cat CHANGELOG.md)" "# Changelog

Words.

## 1.2.4 - 2026-01-02

### Fixes

- a ($(git rev-parse --short HEAD~1))

## 1.2.3 - 2025-01-01

- old"
}

@test "what stands under Unreleased becomes part of the release" {
  printf '# Changelog\n\n## [Unreleased]\n\n- by hand\n\n## 1.2.3 - 2025-01-01\n\n- old\n' >CHANGELOG.md
  git add . && commit 'feat: files'
  git tag v1.2.3
  commit 'fix: a'
  bump
  assert_equal "$(cat CHANGELOG.md)" "# Changelog

## [Unreleased]

## 1.2.4 - 2026-01-02

### Fixes

- a ($(git rev-parse --short HEAD~1))

- by hand

## 1.2.3 - 2025-01-01

- old"
}

@test "a pre-release leaves what stands under Unreleased there" {
  printf '# Changelog\n\n## Unreleased\n\n- by hand\n' >CHANGELOG.md
  git add . && commit 'feat: files'
  git tag v1.2.3
  commit 'fix: a'
  bump --pre rc
  assert_equal "$(grep -n '' CHANGELOG.md | grep -E 'hand|##' | cut -d: -f2-)" $'## Unreleased\n- by hand\n## 1.2.4-rc.1 - 2026-01-02\n### Fixes'
}

@test "a version that is told already is not told again" {
  printf '# Changelog\n\n## [1.2.4] - by hand\n' >CHANGELOG.md
  git add . && commit 'feat: files'
  git tag v1.2.3
  commit 'fix: a'
  bump
  assert_version 1.2.4
  assert_equal "$(cat CHANGELOG.md)" $'# Changelog\n\n## [1.2.4] - by hand'
}

@test "a longer version that begins alike is another one" {
  printf '# Changelog\n\n## 1.2.40 - x\n\n## 1.2.4-rc.1 - x\n' >CHANGELOG.md
  git add . && commit 'feat: files'
  git tag v1.2.3
  commit 'fix: a'
  bump
  assert_equal "$(sed -n 3p CHANGELOG.md)" '## 1.2.4 - 2026-01-02'
}

@test "subjects are escaped" {
  git tag v1.2.3
  commit 'feat: <b>*x*</b> [a](http://b) `c` _d_ e|f ~~g~~ \h &lt; $i$ $(touch gone) `touch gone`'
  commit 'feat: # no heading'
  commit 'feat: 1. no list'
  bump
  grep -qF '\<b\>\*x\*\</b\> \[a\](http://b) \`c\` \_d\_ e\|f \~\~g\~\~ \\h \&lt; \$i\$ \$(touch gone) \`touch gone\` (' CHANGELOG.md
  grep -qF -- '- \# no heading (' CHANGELOG.md
  grep -qF -- '- 1\. no list (' CHANGELOG.md
  [[ ! -e gone ]]
}

@test "quotes, percent signs, backslash zero and control characters pass" {
  git tag v1.2.3
  commit $'feat: %s %n "a" \'b\' \\0 \\n \a\e[31mred' $'\\0\nBREAKING CHANGE: "q" \\0 %d $(id)\n'
  bump
  assert_version 2.0.0
  grep -qF "%s %n \"a\" 'b' \\\\0 \\\\n" CHANGELOG.md
  grep -qF '"q" \\0 %d \$(id)' CHANGELOG.md
  if grep -q $'\e' CHANGELOG.md; then fail 'an escape character came through'; fi
  [[ $stderr != *$'\e'* ]]
}

@test "a byte 0 in a message ends it, as for git" {
  git tag v1.2.3
  object=$({ git cat-file commit HEAD | sed -n '/^$/q;p'; printf '\nfeat: a\0b\n\nBREAKING CHANGE: c\n'; } |
    git hash-object -t commit -w --literally --stdin)
  git reset --quiet --hard "$object"
  git replace --graft HEAD v1.2.3 2>/dev/null || true
  bump --dry-run
  assert_equal "$status" 0
}

@test "a message that is not UTF-8 passes" {
  git tag v1.2.3
  git -c i18n.commitEncoding=ISO-8859-1 commit --quiet --allow-empty -m $'feat: a\xe7\xe3o'
  git commit --quiet --allow-empty -m $'fix: \xff\xfe' 2>/dev/null
  bump
  assert_version 1.3.0
  grep -q 'ação' CHANGELOG.md
}

@test "--no-tag: the commit alone" {
  git tag v1.2.3
  commit 'feat: a'
  bump --no-tag
  assert_version 1.3.0
  assert_equal "$(git tag)" v1.2.3
  assert_equal "$(git log -1 --format=%s)" 'chore(release): v1.3.0'
}

@test "--no-commit: the files alone" {
  git tag v1.2.3
  commit 'feat: a'
  head=$(sha)
  bump --no-commit
  assert_version 1.3.0
  assert_equal "$(sha)" "$head"
  assert_equal "$(git tag)" v1.2.3
  assert_equal "$(cat VERSION)" 1.3.0
  assert_equal "$(git diff --cached --name-only)" ''
}

@test "--dry-run: nothing at all, and the same output" {
  git tag v1.2.3
  commit 'feat: a'
  head=$(sha)
  bump --dry-run
  assert_untouched "$head"
  assert_equal "$(git tag)" v1.2.3
  dry=$output
  bump
  assert_equal "$output" "$dry"
}

@test "when all files say it already, HEAD gets the tag" {
  echo 0.1.0 >VERSION
  printf '# Changelog\n\n## 0.1.0\n' >CHANGELOG.md
  git add . && commit 'feat: files'
  head=$(sha)
  bump
  assert_version 0.1.0
  assert_equal "$(git rev-parse 'v0.1.0^{commit}')" "$head"
}

@test "nothing is left behind in the tree or in TMPDIR" {
  export TMPDIR=$BATS_TEST_TMPDIR/tmp
  mkdir "$TMPDIR"
  git tag v1.2.3
  commit 'feat: a'
  "$BUMP" >/dev/null 2>&1
  assert_equal "$(ls -A "$TMPDIR")" ''
  assert_equal "$(git status --porcelain --ignored)" ''
}
