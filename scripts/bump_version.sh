#!/usr/bin/env bash
# Decides the next version from the commits since the last release, and makes that release: files, one commit, one tag.
# Needs Bash 4, git 2.30 and coreutils; `--help` has the interface, docs/ci.md the rules with examples.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: bump_version.sh [options]

Reads the commits since the highest reachable tag vMAJOR.MINOR.PATCH, decides the next version, writes VERSION, the tags
of our images in stack.yml and executors/*/executor.yml, and a section of CHANGELOG.md, commits that and tags it.

  --dry-run               write nothing; the output is what a run would print
  --pre ID                a pre-release of the coming version: 1.4.0-ID.1, then 1.4.0-ID.2
  --release-as X.Y.Z      this version, whatever the commits say
  --component NAME        tags NAME/vX.Y.Z, and only commits that touch --path; VERSION and CHANGELOG.md lie in the
  --path DIR...             first DIR (folders are relative to the top of the repository; may be given again)
  --pre-major minor|major what a breaking change raises before 1.0.0 (default minor)
  --unknown patch|none|fail
                          what a commit of no known type counts (default patch, with a warning)
  --no-tag                make the commit only
  --no-commit             write the files only: no commit, no tag
  --push                  push commit and tag to origin's main at once, or neither (whatever the branch is called here)
  --json                  print one JSON object instead of lines
  --help                  this text

Output: version, previous, level (major, minor, patch or none), released (true or false) and tag, as NAME=VALUE lines on
stdout and in the file that GITHUB_OUTPUT names; one line per commit, with its level, on stderr.

Levels: a `!` before the colon, or a body line "BREAKING CHANGE: text", is major; feat is minor; fix, perf, revert,
security, deps and build(deps) are patch; docs, style, refactor, test, ci, chore and build are none. Before 1.0.0 major
counts as minor. Commits and their reverts cancel out while neither is released.

Exit status: 0 done, or nothing to do (released=false); 1 git or the disk failed, nothing is left behind; 2 usage;
3 unsafe repository (none, shallow, dirty, detached, no commit); 4 inconsistent (the tag exists elsewhere, VERSION is
ahead of the tags, --release-as goes back); 5 the push was rejected, commit and tag are taken back; 6 a commit of no
known type, with --unknown fail.
HELP
}

# say TEXT... and fail STATUS TEXT...: one message on stderr.
say() { printf 'bump_version.sh: %s\n' "$*" >&2; }
fail() {
  local status=$1
  shift
  say "$*"
  exit "$status"
}

if ((BASH_VERSINFO[0] < 4)); then
  fail 2 "needs Bash 4 or newer, this is $BASH_VERSION"
fi
# Bytes, not characters: ranges, case and patterns mean the same under every locale. Not exported: hooks keep theirs.
LC_ALL=C

readonly number='(0|[1-9][0-9]*)'
readonly version_pattern="^$number\\.$number\\.$number\$"
readonly any_version_pattern="^$number\\.$number\\.$number(-[0-9A-Za-z.-]+)?(\\+[0-9A-Za-z.-]+)?\$"
readonly header_pattern='^([^[:space:]():!]+)(\((([^()]|\([^()]*\))*)\))?(!)?:[[:blank:]]+([^[:space:]].*)$'
readonly breaking_pattern='^BREAKING[ -]CHANGE:[[:blank:]]+([^[:space:]].*)$'

# ---------------------------------------------------------------------------------------------------------- arguments

dry_run='' pre='' release_as='' component='' pre_major=minor unknown=patch
make_tag=yes make_commit=yes push='' json=''
paths=()

value_of() { # OPTION VALUE...: fails unless a value follows that is no option
  if (($# < 2)) || [[ -z $2 || $2 == -* ]]; then fail 2 "$1 needs a value; see --help"; fi
}

parse_arguments() {
  local option
  while (($#)); do
    if [[ $1 == --*=* ]]; then
      option=$1
      shift
      set -- "${option%%=*}" "${option#*=}" "$@"
      case $1 in
        --pre | --release-as | --component | --path | --pre-major | --unknown) ;;
        *) fail 2 "unknown option $option; see --help" ;;
      esac
    fi
    case $1 in
      --dry-run) dry_run=yes ;;
      --no-tag) make_tag='' ;;
      --no-commit) make_commit='' ;;
      --push) push=yes ;;
      --json) json=yes ;;
      --pre | --release-as | --component | --pre-major | --unknown)
        value_of "$@"
        case $1 in
          --pre) pre=$2 ;;
          --release-as) release_as=$2 ;;
          --component) component=$2 ;;
          --pre-major) pre_major=$2 ;;
          --unknown) unknown=$2 ;;
        esac
        shift
        ;;
      --path)
        value_of "$@"
        while (($# > 1)) && [[ $2 != -* ]]; do
          paths+=("$2")
          shift
        done
        ;;
      --help | -h)
        usage
        exit 0
        ;;
      *) fail 2 "unknown argument $1; see --help" ;;
    esac
    shift
  done
  check_arguments
}

check_paths() { # makes them plain: relative, without ./ in front and / behind
  local i path
  for i in ${paths[@]+"${!paths[@]}"}; do
    path=${paths[i]}
    case /$path/ in
      //* | */../*) fail 2 "--path $path: expected a folder relative to the top of the repository" ;;
    esac
    while [[ $path == ./?* ]]; do path=${path#./}; done
    while [[ $path == ?*/ ]]; do path=${path%/}; done
    paths[i]=$path
  done
}

check_arguments() {
  check_paths
  if [[ -n $pre && ! $pre =~ ^[A-Za-z][0-9A-Za-z-]*$ ]]; then
    fail 2 "--pre $pre: expected letters, digits and hyphens, a letter first"
  fi
  if [[ -n $release_as && ! $release_as =~ $version_pattern ]]; then
    fail 2 "--release-as $release_as: expected MAJOR.MINOR.PATCH, without leading zeros"
  fi
  case $pre_major in
    minor | major) ;;
    *) fail 2 "--pre-major $pre_major: expected minor or major" ;;
  esac
  case $unknown in
    patch | none | fail) ;;
    *) fail 2 "--unknown $unknown: expected patch, none or fail" ;;
  esac
  if [[ -n $component ]]; then
    if ((${#paths[@]} == 0)); then fail 2 "--component $component needs --path DIR"; fi
    # The name comes back in lines, in JSON and in the workflows that read them: nothing there may need quotes.
    if [[ $component == -* || $component =~ [^A-Za-z0-9._/@+$'\x80'-$'\xff'-] ]] ||
      ! command git check-ref-format "refs/tags/$component/v0.0.0"; then
      fail 2 "--component $component: expected letters, digits and . _ / @ + -, such that $component/v0.0.0 can be a tag"
    fi
  elif ((${#paths[@]})); then
    fail 2 "--path needs --component NAME"
  fi
  if [[ -n $push && -z $make_commit ]]; then
    fail 2 "--push with --no-commit: there would be nothing to push"
  fi
}

# --------------------------------------------------------------------------------------------------------- repository

# Reading: what `git replace` and grafts tell is this clone's alone, so a version must not depend on it.
git_read() {
  GIT_GRAFT_FILE=/dev/null/none command git --no-pager --no-replace-objects --literal-pathspecs \
    -c core.quotePath=false -c core.abbrev=auto -c color.ui=never -c log.showSignature=false -c log.follow=false "$@"
}

top='' head='' branch='' work=''

check_repository() {
  local message state
  message=$(command git rev-parse --git-dir 2>&1 >/dev/null) || fail 3 "no git repository here: ${message#fatal: }"
  top=$(command git rev-parse --show-toplevel 2>/dev/null) || fail 3 "this is no work tree of a git repository"
  # Relative in the environment of a hook: seen from the top they would be something else.
  if [[ -n ${GIT_DIR:-} ]]; then GIT_DIR=$(command git rev-parse --absolute-git-dir); fi
  if [[ -n ${GIT_WORK_TREE:-} ]]; then GIT_WORK_TREE=$top; fi
  cd -- "$top"
  if [[ $(command git rev-parse --is-shallow-repository) == true ]]; then
    fail 3 "a shallow clone lacks commits and tags: fetch all of them (actions/checkout: fetch-depth: 0;" \
      "by hand: git fetch --unshallow --tags)"
  fi
  head=$(command git rev-parse --verify --quiet 'HEAD^{commit}') || fail 3 "there is no commit yet"
  branch=$(command git symbolic-ref --quiet HEAD) || branch=''
  if [[ -z $dry_run && -n $make_commit && -z $branch ]]; then
    fail 3 "HEAD is detached: check out a branch, or use --dry-run or --no-commit"
  fi
  if [[ -z $dry_run ]]; then
    message=$(command git status --porcelain --untracked-files=no --ignore-submodules=untracked)
    [[ -z $message ]] || fail 3 "there are changes that are not committed:"$'\n'"$message"
    for state in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD; do
      if command git rev-parse --verify --quiet "$state" >/dev/null; then
        fail 3 "$state exists: end what was begun there first"
      fi
    done
  fi
  if [[ -n $push && -z $dry_run ]] && ! command git remote get-url origin >/dev/null 2>&1; then
    fail 3 "--push: there is no remote called origin"
  fi
  local path
  for path in ${paths[@]+"${paths[@]}"}; do
    [[ -d $path ]] || fail 2 "--path $path: no such folder under $top"
  done
}

# ------------------------------------------------------------------------------------------------------------ versions

# Numbers are compared and raised as text: a version may have more digits than a shell can count.
compare_numbers() { # sets order to -1, 0 or 1
  if [[ $1 == "$2" ]]; then
    order=0
  elif ((${#1} < ${#2})) || { ((${#1} == ${#2})) && [[ $1 < $2 ]]; }; then
    order=-1
  else
    order=1
  fi
}

compare_versions() { # X.Y.Z X.Y.Z: sets order
  local left right i
  IFS=. read -r -a left <<<"$1"
  IFS=. read -r -a right <<<"$2"
  for i in 0 1 2; do
    compare_numbers "${left[i]}" "${right[i]}"
    if [[ $order != 0 ]]; then return 0; fi
  done
}

next_number() { # sets next
  local digits=$1 tail=''
  while [[ $digits == *9 ]]; do
    digits=${digits%9}
    tail=0$tail
  done
  local last=0
  if [[ -n $digits ]]; then last=${digits: -1}; fi
  next=${digits%?}$((last + 1))$tail
}

raise() { # X.Y.Z LEVEL: sets raised
  local parts
  IFS=. read -r -a parts <<<"$1"
  local next=''
  case $2 in
    major) next_number "${parts[0]}" && raised=$next.0.0 ;;
    minor) next_number "${parts[1]}" && raised=${parts[0]}.$next.0 ;;
    patch) next_number "${parts[2]}" && raised=${parts[0]}.${parts[1]}.$next ;;
    none) raised=$1 ;;
  esac
}

prefix=v base='' at_head='' at_head_pre=''

# The highest strict version among the tags that HEAD reaches (base), and among those on HEAD itself (at_head). Never
# `git describe`, whose pattern takes v2.0.0beta for a release, and never pre-releases. Nor `--merged`: that stops early
# where commits carry dates before those of what they build on, and a release behind a wrong clock would be lost.
read_tags() {
  local tag text order=0
  if [[ -n $component ]]; then prefix=$component/v; fi
  git_read rev-list "$head" -- | LC_ALL=C sort >"$work/commits"
  { git_read show-ref --tags --dereference || true; } | LC_ALL=C sort >"$work/tags" # it fails where there is no tag
  LC_ALL=C join -o 2.2 -- "$work/commits" "$work/tags" >"$work/reachable"
  git_read for-each-ref --points-at="$head" --format='%(refname)' refs/tags >"$work/here"
  while IFS= read -r tag; do
    tag=${tag%'^{}'}
    text=${tag#"refs/tags/$prefix"}
    [[ $tag != "$text" && $text =~ $version_pattern ]] || continue
    if [[ -n $base ]]; then compare_versions "$text" "$base"; fi
    if [[ -z $base || $order == 1 ]]; then base=$text; fi
  done <"$work/reachable"
  while IFS= read -r tag; do
    text=${tag#"refs/tags/$prefix"}
    [[ $tag != "$text" ]] || continue
    if [[ $text =~ $version_pattern ]]; then
      if [[ -n $at_head ]]; then compare_versions "$text" "$at_head"; fi
      if [[ -z $at_head || $order == 1 ]]; then at_head=$text; fi
    elif [[ -n $pre && $text =~ ^$number\.$number\.$number-"$pre"\.$number$ ]]; then
      at_head_pre=$text
    fi
  done <"$work/here"
}

# VERSION beside the changelog: what stands there (file_text) and, without pre-release and build, its version (file_core).
home='' file_text='' file_core=''
read_version_file() {
  local order=0
  if [[ -n $component ]]; then
    home=${paths[0]}/
    if [[ $home == ./ ]]; then home=''; fi
  fi
  if [[ -f ${home}VERSION ]]; then
    IFS= read -r file_text <"${home}VERSION" || true
    file_text=${file_text%$'\r'}
    file_text=${file_text%"${file_text##*[![:space:]]}"}
    file_text=${file_text#"${file_text%%[![:space:]]*}"}
    if [[ $file_text =~ $any_version_pattern ]]; then
      file_core=${BASH_REMATCH[1]}.${BASH_REMATCH[2]}.${BASH_REMATCH[3]}
    else
      say "warning: ${home}VERSION holds no version, expected MAJOR.MINOR.PATCH"
      file_text=''
    fi
  fi
  if [[ -z $base || -z $file_core ]]; then return 0; fi
  compare_versions "$file_core" "$base"
  if [[ $order != 1 ]]; then return 0; fi
  # A pre-release of the coming version stands there after --pre, and its tag says so.
  if [[ $file_text != "$file_core" ]] && is_tag_in "$work/reachable" "$prefix$file_text"; then return 0; fi
  if [[ -n $release_as ]]; then
    compare_versions "$release_as" "$file_core"
    if [[ $order != -1 ]]; then return 0; fi
  fi
  fail 4 "${home}VERSION says $file_text, but the highest tag that HEAD reaches is $prefix$base:" \
    "tag what was released, set ${home}VERSION back, or use --release-as"
}

is_tag_in() { # FILE TAG
  local line
  while IFS= read -r line; do
    if [[ ${line%'^{}'} == "refs/tags/$2" ]]; then return 0; fi
  done <"$1"
  return 1
}

# ------------------------------------------------------------------------------------------------------------- commits

declare -A index_of=() cancelled_by=() gone=()
hashes=() shorts=() subjects=() types=() scopes=() bangs=() texts=() footers=() parents=() targets=() levels=()
count=0

# Parsed from NUL-separated records, never evaluated; bodies are looked into only where a word makes it worth it.
read_commits() {
  local record header message line first
  local range=$head
  if [[ -n $base ]]; then range=refs/tags/$prefix$base..$head; fi
  git_read log -z --topo-order --encoding=UTF-8 --no-color --no-show-signature --no-decorate --no-notes \
    --format='%H %h %P%n%B' "$range" -- ${paths[@]+"${paths[@]}"} >"$work/log"
  while IFS= read -r -d '' record || [[ -n $record ]]; do
    header=${record%%$'\n'*}
    message=${record#*$'\n'}
    while [[ $message == [$' \t\r']*$'\n'* || $message == $'\n'* ]]; do
      line=${message%%$'\n'*}
      if [[ $line == *[![:space:]]* ]]; then break; fi
      message=${message#*$'\n'}
    done
    first=${message%%$'\n'*}
    first=${first%"${first##*[![:space:]]}"}
    hashes[count]=${header%% *}
    index_of[${hashes[count]}]=$count
    header=${header#* }
    shorts[count]=${header%% *}
    parents[count]=${header#* }
    footers[count]=''
    targets[count]=''
    split_subject "$first"
    if [[ ${parents[count]} == *' '* ]]; then types[count]=''; fi # what a merge calls itself does not count
    if [[ $message == *BREAKING* ]]; then read_footers "$message"; fi
    if [[ ${types[count]} == revert && $message == *'This reverts commit'* ]]; then read_targets "$message"; fi
    count=$((count + 1))
  done <"$work/log"
}

split_subject() {
  local subject=$1
  types[count]='' scopes[count]='' bangs[count]='' texts[count]=$subject
  subjects[count]=${subject//[[:cntrl:]]/ }
  if [[ $subject =~ $header_pattern ]]; then
    types[count]=${BASH_REMATCH[1],,}
    scopes[count]=${BASH_REMATCH[3]}
    bangs[count]=${BASH_REMATCH[5]}
    texts[count]=${BASH_REMATCH[6]}
  elif [[ $subject == 'Revert "'?*'"'* || $subject == 'Reapply "'?*'"'* ]]; then
    types[count]=revert # as git writes it; "Reapply" is its revert of a revert
  fi
}

# Git's own trailer parser does not know a key with a space, so the lines are looked at one by one.
read_footers() {
  local line place=0
  while IFS= read -r line; do
    place=$((place + 1))
    if ((place > 1)) && [[ $line =~ $breaking_pattern ]]; then
      line=${BASH_REMATCH[1]}
      footers[count]+=${line%"${line##*[![:space:]]}"}$'\n'
    fi
  done <<<"$1"
}

# Which commits a revert names: "This reverts commit SHA", perhaps several, perhaps "SHA, reversing changes made to SHA".
read_targets() {
  local rest=$1 word list=''
  rest=${rest//$'\r'/}
  while [[ $rest =~ (^|$'\n')This\ reverts\ commits?\ ([0-9A-Fa-f]{4,64})(.*)$ ]]; do
    word=${BASH_REMATCH[2],,}
    rest=${BASH_REMATCH[3]}
    list+=" $word"
    if [[ $rest =~ ^,[[:space:]]+reversing[[:space:]]+changes[[:space:]]+made[[:space:]]+to[[:space:]]+([0-9A-Fa-f]{4,64}) ]]; then
      list+="^${BASH_REMATCH[1],,}"
      continue
    fi
    while [[ $rest =~ ^(,|,?[[:space:]]+and)[[:space:]]+([0-9A-Fa-f]{4,64})($|[^0-9A-Za-z].*)$ ]]; do
      list+=" ${BASH_REMATCH[2],,}"
      rest=${BASH_REMATCH[3]}
    done
  done
  targets[count]=${list# }
}

# Makes full hashes of abbreviated ones, by one git process for all of them: sets full_of.
declare -A full_of=()
complete_targets() {
  local i word names=() answer
  for ((i = 0; i < count; i++)); do
    for word in ${targets[i]//^/ }; do
      if [[ -z ${index_of[$word]+x} && -z ${full_of[$word]+x} ]]; then
        full_of[$word]=''
        names+=("$word")
      fi
    done
  done
  if ((${#names[@]} == 0)); then return 0; fi
  printf '%s^{commit}\n' "${names[@]}" |
    git_read cat-file --batch-check='%(objectname) %(objecttype)' >"$work/objects" 2>/dev/null
  i=0
  while IFS= read -r answer; do
    if [[ $answer =~ ^([0-9a-f]{40,64})\ commit$ ]]; then full_of[${names[i]}]=${BASH_REMATCH[1]}; fi
    i=$((i + 1))
  done <"$work/objects"
}

# Which of the commits that reverts name, and that are released already, were features.
read_released() {
  local name record known=()
  for name in ${full_of[@]+"${full_of[@]}"}; do
    if [[ -n $name && -z ${index_of[$name]+x} ]]; then known+=("$name"); fi
  done
  if ((${#known[@]} == 0)); then return 0; fi
  printf '%s\n' "${known[@]}" |
    git_read log -z --no-walk=unsorted --stdin --encoding=UTF-8 --no-show-signature --format='%H %s' >"$work/released"
  while IFS= read -r -d '' record || [[ -n $record ]]; do
    if [[ ${record#* } =~ $header_pattern && ${BASH_REMATCH[1],,} == feat ]]; then was_feature[${record%% *}]=yes; fi
  done <"$work/released"
}

# Which commits each revert in the range undoes, and which it names that are released already.
declare -A released_by=() was_feature=()
link_reverts() {
  local i pair target mainline hash
  complete_targets
  read_released
  for ((i = 0; i < count; i++)); do
    for pair in ${targets[i]}; do
      target=${pair%%^*}
      mainline=''
      if [[ $pair == *^* ]]; then mainline=${pair#*^}; fi
      target=${full_of[$target]:-$target}
      if [[ -z ${index_of[$target]+x} ]]; then
        released_by[$i]+="$target "
        continue
      fi
      cancelled_by[${index_of[$target]}]+="$i "
      if [[ -z $mainline ]]; then continue; fi
      # The revert of a merge takes back what the merge brought in.
      mainline=${full_of[$mainline]:-$mainline}
      while IFS= read -r hash; do
        if [[ -n ${index_of[$hash]+x} && $hash != "$target" ]]; then
          cancelled_by[${index_of[$hash]}]+="$i "
        fi
      done < <(git_read rev-list "$target" "^$mainline" -- 2>/dev/null || true)
    done
  done
}

# A commit is gone when a revert of it stands; a revert stands when no other revert took it back.
settle() { # INDEX: sets gone[INDEX] to yes or no
  local by
  if [[ -n ${gone[$1]+x} ]]; then return 0; fi
  gone[$1]=no
  for by in ${cancelled_by[$1]:-}; do
    if [[ $by == "$1" ]]; then continue; fi
    settle "$by"
    if [[ ${gone[$by]} == no ]]; then
      gone[$1]=yes
      return 0
    fi
  done
}

highest=none unknown_seen=0
declare -A rank=([none]=0 [patch]=1 [minor]=2 [major]=3)

judge_commits() {
  local i level note
  link_reverts
  for ((i = 0; i < count; i++)); do
    settle "$i"
    judge "$i"
    levels[i]=$level
    if ((rank[$level] > rank[$highest])); then highest=$level; fi
    printf '%-5s %s %s%s\n' "$level" "${shorts[i]}" "${subjects[i]}" "${note:+ [$note]}" >&2
  done
}

judge() { # INDEX: sets level and note
  local i=$1 is_merge=''
  level=none note=''
  if [[ ${parents[i]} == *' '* ]]; then is_merge=yes; fi
  if [[ ${gone[$i]} == yes ]]; then
    note="taken back by a revert that is not released either"
  elif [[ -n ${targets[i]} && -z ${released_by[$i]:-} ]]; then
    note="takes back what was not released"
  elif [[ -n ${footers[i]} ]]; then
    level=major
  elif [[ -n $is_merge ]]; then
    note="merge"
  elif [[ -n ${bangs[i]} ]]; then
    level=major
  else
    judge_type "$i"
  fi
}

judge_type() {
  local i=$1
  case ${types[i]} in
    feat) level=minor ;;
    fix | perf | security | deps) level='patch' ;;
    revert)
      level='patch'
      warn_of_removed_feature "$i"
      ;;
    build)
      if [[ ${scopes[i],,} == deps ]]; then level='patch'; fi
      ;;
    docs | style | refactor | test | ci | chore) ;;
    *)
      unknown_seen=$((unknown_seen + 1))
      if [[ $unknown == patch ]]; then level='patch'; fi
      note="warning: no known type"
      ;;
  esac
}

warn_of_removed_feature() {
  local target
  for target in ${released_by[$1]:-}; do
    if [[ -n ${was_feature[$target]:-} ]]; then
      note="warning: takes back a released feature; if that breaks somebody, it needs a ! before the colon"
    fi
  done
}

# ------------------------------------------------------------------------------------------------------------ decision

version='' level=none released=false target=''

decide() {
  local order=0
  if [[ -n $at_head && (-z $release_as || $release_as == "$at_head") ]]; then
    version=$at_head
    say "HEAD is $prefix$at_head already"
    return 0
  fi
  if [[ -n $at_head_pre && (-z $release_as || $at_head_pre == "$release_as"-*) ]]; then
    version=$at_head_pre
    say "HEAD is $prefix$at_head_pre already"
    return 0
  fi
  read_commits
  judge_commits
  if [[ $unknown == fail && $unknown_seen != 0 ]]; then
    fail 6 "commits of no known type: $unknown_seen (marked above)"
  fi
  level=$highest
  choose_target
  if [[ -z $target ]]; then
    version=$base
    return 0
  fi
  version=$target
  if [[ -n $pre ]]; then next_pre_release; fi
  if command git show-ref --verify --quiet "refs/tags/$prefix$version"; then
    fail 4 "the tag $prefix$version exists already, on a commit that is not HEAD"
  fi
  released=true
}

choose_target() { # sets target, empty when nothing is to be released
  local order=0 raised=''
  if [[ -n $release_as ]]; then
    check_release_as
    target=$release_as
    if [[ -n $base ]]; then level_between "$base" "$target"; fi
  elif [[ -z $base ]]; then
    target=0.1.0
    if [[ -n $file_core && $file_core != 0.0.0 ]]; then target=$file_core; fi
  elif [[ $level != none ]]; then
    if [[ $base == 0.* && $level == major ]]; then level=$pre_major; fi
    raise "$base" "$level"
    target=$raised
  fi
}

level_between() { # X.Y.Z X.Y.Z: sets level to the part that rises
  local left right
  IFS=. read -r -a left <<<"$1"
  IFS=. read -r -a right <<<"$2"
  if [[ ${left[0]} != "${right[0]}" ]]; then
    level=major
  elif [[ ${left[1]} != "${right[1]}" ]]; then
    level=minor
  else
    level='patch'
  fi
}

check_release_as() {
  local floor=${base:-} order=0
  if [[ -z $base && -n $file_core ]]; then
    floor=$file_core
    compare_versions "$release_as" "$floor"
    if [[ $order != -1 ]]; then return 0; fi
  elif [[ -n $base ]]; then
    compare_versions "$release_as" "$base"
    if [[ $order == 1 ]]; then return 0; fi
  else
    return 0
  fi
  fail 4 "--release-as $release_as: versions never go back, and $floor is there already"
}

next_pre_release() { # numerically, over all tags of the repository: version sort would put 1.0.0-rc.1 after 1.0.0
  local tag text top_number=0 order=0 next=''
  git_read for-each-ref --format='%(refname)' refs/tags >"$work/all"
  while IFS= read -r tag; do
    text=${tag#"refs/tags/$prefix$target-$pre."}
    [[ $tag != "$text" && $text =~ ^$number$ ]] || continue
    compare_numbers "$text" "$top_number"
    if [[ $order == 1 ]]; then top_number=$text; fi
  done <"$work/all"
  next_number "$top_number"
  version=$target-$pre.$next
}

# --------------------------------------------------------------------------------------------------------------- files

entries_breaking='' entries_features='' entries_fixes='' entries_performance='' entries_reverts='' entries_other=''

escape() { # TEXT: sets escaped, with nothing left that Markdown or HTML would take for markup
  local mark
  escaped=${1//[[:cntrl:]]/ }
  # shellcheck disable=SC1003
  for mark in '\' '`' '*' '_' '[' ']' '<' '>' '|' '~' '&' '$'; do
    escaped=${escaped//"$mark"/"\\$mark"}
  done
}

escape_at_start() { # TEXT: the same for what begins a line, where more would be markup
  local numbered='^([0-9]+)([.)].*)$'
  escape "$1"
  if [[ $escaped == [-+=#]* ]]; then
    escaped="\\$escaped"
  elif [[ $escaped =~ $numbered ]]; then
    escaped="${BASH_REMATCH[1]}\\${BASH_REMATCH[2]}"
  fi
}

collect_entries() {
  local i line entry escaped=''
  for ((i = 0; i < count; i++)); do
    if [[ ${levels[i]} == none ]]; then continue; fi
    entry='- '
    if [[ -n ${scopes[i]} ]]; then
      escape "${scopes[i]}"
      entry+="**$escaped:** "
      escape "${texts[i]}"
    else
      escape_at_start "${texts[i]}"
    fi
    entry+="$escaped (${shorts[i]})"$'\n'
    while IFS= read -r line; do
      if [[ -n $line ]]; then
        escape_at_start "$line"
        entry+="  - $escaped"$'\n'
      fi
    done <<<"${footers[i]}"
    if [[ ${levels[i]} == major ]]; then
      entries_breaking+=$entry
    else
      case ${types[i]} in
        feat) entries_features+=$entry ;;
        fix | security) entries_fixes+=$entry ;;
        perf) entries_performance+=$entry ;;
        revert) entries_reverts+=$entry ;;
        *) entries_other+=$entry ;;
      esac
    fi
  done
}

write_section() { # sets section; dated by the commit that is released, not by the clock
  local date name entries
  date=$(git_read log -1 --no-show-signature --format=%cs "$head")
  section="## $version - $date"$'\n'
  collect_entries
  for name in Breaking Features Fixes Performance Reverts Other; do
    entries=entries_${name,,}
    if [[ -n ${!entries} ]]; then section+=$'\n'"### $name"$'\n\n'"${!entries}"; fi
  done
  if [[ $section != *$'\n'*$'\n'* ]]; then section+=$'\n'"No change that a user would notice."$'\n'; fi
}

# CHANGELOG.md with the section on top. What somebody wrote under "Unreleased" becomes part of a stable release.
write_changelog() { # OLD NEW
  local line bare section='' done='' told='' ending='' heading
  local unreleased='^##[[:blank:]]+\[?[Uu][Nn][Rr][Ee][Ll][Ee][Aa][Ss][Ee][Dd]\]?[[:blank:]]*$'
  write_section
  if [[ ! -f $1 ]]; then
    printf '# Changelog\n\n%s' "$section" >"$2"
    return 0
  fi
  IFS= read -r line <"$1" || true
  if [[ $line == *$'\r' ]]; then
    ending=$'\r'
    section=${section//$'\n'/$'\r\n'}
  fi
  while IFS= read -r line || [[ -n $line ]]; do
    bare=${line%$'\r'}
    if [[ $bare =~ ^##[[:blank:]]+\[?v?([0-9][0-9A-Za-z.+-]*)(\]|[[:blank:]]|$) && ${BASH_REMATCH[1]} == "$version" ]]; then
      told=yes
    fi
  done <"$1"
  if [[ -n $told ]]; then
    cat -- "$1" >"$2"
    return 0
  fi
  {
    while IFS= read -r line || [[ -n $line ]]; do
      bare=${line%$'\r'}
      heading=''
      if [[ -z $done && $bare =~ $unreleased ]]; then heading=unreleased; fi
      if [[ -z $done && -z $heading && $bare =~ ^##[[:blank:]] ]]; then heading=version; fi
      if [[ $heading == version ]]; then
        printf '%s%s\n' "$section" "$ending"
        done=yes
      fi
      printf '%s\n' "$line"
      if [[ $heading == unreleased && -z $pre ]]; then
        printf '%s\n%s' "$ending" "$section"
        done=yes
      fi
    done <"$1"
    if [[ -z $done ]]; then printf '%s\n%s' "$ending" "$section"; fi
  } >"$2"
}

readonly image_pattern='^([[:blank:]]*(-[[:blank:]]+)?["'\'']?image["'\'']?[[:blank:]]*:[[:blank:]]+(&[^[:space:]]+[[:blank:]]+)?["'\'']?([^"'\''[:space:]#]*/)?jangada-[a-z0-9._-]+:)([0-9A-Za-z_][0-9A-Za-z._-]*)(["'\'']?([[:blank:]]+#.*|[[:blank:]]*))$'
readonly block_pattern='(:|-)[[:blank:]]+(&[^[:space:]]+[[:blank:]]+)?[|>][0-9+-]*([[:blank:]]+#.*|[[:blank:]]*)$'

# The same lines, with the version as the tag of our images. Lines of a block of text are never images, and an image
# that is pinned by digest stays what it is.
write_images() { # OLD NEW
  local line bare end newline block='' indent
  while IFS= read -r line || { [[ -n $line ]] && newline=''; }; do
    newline=${newline-$'\n'}
    bare=${line%$'\r'}
    end=${line#"$bare"}
    indent=${bare%%[![:blank:]]*}
    if [[ -n $block && ($bare != *[![:space:]]* || ${#indent} -ge $block) ]]; then
      printf '%s%s' "$line" "$newline"
    else
      block=''
      if [[ ${bare#"$indent"} != '#'* && $bare =~ $block_pattern ]]; then
        if [[ ${BASH_REMATCH[1]} == : && $bare =~ ^[[:blank:]]*(-[[:blank:]]+)+ ]]; then indent=${BASH_REMATCH[0]}; fi
        block=$((${#indent} + 1))
      fi
      if [[ $bare =~ $image_pattern ]]; then
        printf '%s%s%s%s%s' "${BASH_REMATCH[1]}" "$version" "${BASH_REMATCH[6]}" "$end" "$newline"
      else
        printf '%s%s' "$line" "$newline"
      fi
    fi
    unset newline
  done <"$1" >"$2"
}

# Compares both, line by line: nothing but tags of our images may differ.
check_images() { # OLD NEW
  local old new
  exec 8<"$1" 9<"$2"
  while IFS= read -r old <&8 || [[ -n $old ]]; do
    IFS= read -r new <&9 || [[ -n $new ]] || fail 1 "$1 would lose lines"
    if [[ $old == "$new" ]]; then continue; fi
    if [[ ${old%$'\r'} =~ $image_pattern ]]; then old=${BASH_REMATCH[1]}${BASH_REMATCH[6]}; fi
    if [[ ${new%$'\r'} =~ $image_pattern ]]; then new=${BASH_REMATCH[1]}${BASH_REMATCH[6]}; fi
    [[ $old == "$new" ]] || fail 1 "$1: more than a tag would change in: $old"
  done
  if IFS= read -r new <&9; then fail 1 "$1 would gain lines"; fi
  exec 8<&- 9<&-
}

files=()
stage() { # PATH: "$work/new" is its next content; it is kept when that differs from what is there
  local was='' is=''
  if [[ -L $1 ]]; then fail 3 "$1 is a symbolic link: it would be replaced"; fi
  if [[ -f $1 ]]; then
    IFS= read -r -d '' was <"$1" || true
    IFS= read -r -d '' is <"$work/new" || true
    if [[ $was == "$is" ]]; then return 0; fi
  fi
  mv -- "$work/new" "$work/new.${#files[@]}"
  files+=("$1")
}

prepare_files() {
  local path inside folder
  printf '%s\n' "$version" >"$work/new"
  stage "${home}VERSION"
  write_changelog "${home}CHANGELOG.md" "$work/new"
  stage "${home}CHANGELOG.md"
  command git ls-files -z -- stack.yml ':(glob)executors/*/executor.yml' >"$work/tracked"
  while IFS= read -r -d '' path; do
    [[ -f $path ]] || continue
    inside=''
    for folder in ${paths[@]+"${paths[@]}"}; do
      if [[ $folder == . || $path == "$folder"/* ]]; then inside=yes; fi
    done
    if [[ -n $component && -z $inside ]]; then continue; fi
    write_images "$path" "$work/new"
    check_images "$path" "$work/new"
    stage "$path"
  done <"$work/tracked"
}

# ------------------------------------------------------------------------------------------------------------- release

placed='' committed='' tagged=''

place_files() { # each by a move, with the mode that it had
  local i path
  for i in ${files[@]+"${!files[@]}"}; do
    path=${files[i]}
    if [[ -e $path ]]; then cp -p -- "$path" "$work/old.$i"; fi
  done
  placed=yes
  for i in ${files[@]+"${!files[@]}"}; do
    path=${files[i]}
    if [[ -e $path ]]; then cp -p -- "$path" "$path.bump-version"; fi
    cat -- "$work/new.$i" >"$path.bump-version"
    mv -f -- "$path.bump-version" "$path"
  done
}

take_back() { # leaves the repository as it was found
  local i path
  if [[ -n $tagged ]]; then
    command git update-ref -d "refs/tags/$prefix$version" "$tagged" || true
    tagged=''
  fi
  if [[ -n $committed ]]; then
    command git update-ref -m "bump_version.sh: taken back" "$branch" "$head" "$committed" || true
    committed=''
  fi
  if [[ -n $placed ]]; then
    for i in ${files[@]+"${!files[@]}"}; do
      path=${files[i]}
      rm -f -- "$path.bump-version"
      if [[ -e $work/old.$i ]]; then cp -p -- "$work/old.$i" "$path"; else rm -f -- "$path"; fi
      if [[ -n $make_commit ]]; then
        command git --literal-pathspecs reset --quiet "$head" -- "$path" >/dev/null 2>&1 || true
      fi
    done
    placed=''
  fi
}

end() {
  local status=$?
  trap - EXIT
  take_back
  if ((status == 128)); then status=1; fi # git's own, after its own message
  if [[ -n $work ]]; then rm -rf -- "$work"; fi
  exit "$status"
}

with_identity() { # a machine without user.name still makes a release, and the commit says so
  if command git var GIT_COMMITTER_IDENT >/dev/null 2>&1 && command git var GIT_AUTHOR_IDENT >/dev/null 2>&1; then
    "$@"
  else
    GIT_AUTHOR_NAME=${GIT_AUTHOR_NAME:-release} GIT_AUTHOR_EMAIL=${GIT_AUTHOR_EMAIL:-release@localhost} \
      GIT_COMMITTER_NAME=${GIT_COMMITTER_NAME:-release} GIT_COMMITTER_EMAIL=${GIT_COMMITTER_EMAIL:-release@localhost} "$@"
  fi
}

make_release() {
  local tip=$head refspecs
  place_files
  if [[ -z $make_commit ]]; then
    placed=''
    return 0
  fi
  if ((${#files[@]})); then
    command git update-index --add -- "${files[@]}"
    # The repository's hooks and its wish for signatures hold for this commit as for any other.
    if ! with_identity command git commit --quiet --message "chore(release): $prefix$version" >&2; then
      fail 1 "git commit failed; everything is as it was"
    fi
    tip=$(command git rev-parse --verify HEAD)
    committed=$tip
  fi
  if [[ -n $make_tag ]]; then
    if ! with_identity command git tag --annotate --message "$prefix$version" "$prefix$version" "$tip" >&2; then
      fail 1 "git tag failed; everything is as it was"
    fi
    tagged=$(command git rev-parse --verify "refs/tags/$prefix$version")
  fi
  if [[ -n $push ]]; then
    refspecs=("$tip:refs/heads/main")
    if [[ -n $make_tag ]]; then refspecs+=("refs/tags/$prefix$version:refs/tags/$prefix$version"); fi
    if ! command git -c push.followTags=false push --quiet --atomic origin "${refspecs[@]}" >&2; then
      fail 5 "the push was rejected; commit and tag are taken back: fetch, and run again"
    fi
  fi
  placed='' committed='' tagged=''
}

report() {
  local tag=''
  if [[ -n $version ]]; then tag=$prefix$version; fi
  local lines
  lines="version=$version"$'\n'"previous=$base"$'\n'"level=$level"$'\n'"released=$released"$'\n'"tag=$tag"
  if [[ -n ${GITHUB_OUTPUT:-} ]]; then printf '%s\n' "$lines" >>"$GITHUB_OUTPUT"; fi
  if [[ -n $json ]]; then
    printf '{"version": "%s", "previous": "%s", "level": "%s", "released": %s, "tag": "%s"}\n' \
      "$version" "$base" "$level" "$released" "$tag"
  else
    printf '%s\n' "$lines"
  fi
}

main() {
  parse_arguments "$@"
  if [[ -n ${GITHUB_OUTPUT:-} ]]; then
    case $GITHUB_OUTPUT in /*) ;; *) GITHUB_OUTPUT=$PWD/$GITHUB_OUTPUT ;; esac
    { : >>"$GITHUB_OUTPUT"; } 2>/dev/null || fail 1 "cannot write to the file that GITHUB_OUTPUT names"
  fi
  check_repository
  work=$(mktemp -d "${TMPDIR:-/tmp}/bump-version.XXXXXX")
  trap end EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  read_tags
  read_version_file
  decide
  if [[ $released == true && -z $dry_run ]]; then
    prepare_files
    make_release
  fi
  report
}

main "$@"
