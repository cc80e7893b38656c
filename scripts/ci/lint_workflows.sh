#!/usr/bin/env bash
# Checks .github/, the other YAML files, all shell scripts and terraform/: actionlint, zizmor,
# check-jsonschema, shellcheck, yamllint, tflint.
# Says what each found, and which tool is missing. A missing tool is an error in CI, unless CI_LACKS names it.
#   scripts/ci/lint_workflows.sh
# Exit codes: 0, 1 something was found or is missing, 2 usage.
set -euo pipefail
if [ $# -gt 0 ]; then sed -n '2,6s/^# \{0,1\}//p' "$0"; [ "$1" = --help ] && exit 0 || exit 2; fi
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PWD/build/bin:$PATH"
failed=0

# lint TOOL COMMAND…: runs it when it is there. Silent when all is well.
lint() {
  local tool="$1" said
  shift
  if ! command -v "$tool" >/dev/null 2>&1; then
    case "${CI:-}  ${CI_LACKS:-} " in
      "true "*" $tool "* | " "*) echo "lint_workflows.sh: no $tool, going on without" >&2 ;;
      *) echo "lint_workflows.sh: CI must have $tool" >&2; failed=1 ;;
    esac
  elif ! said="$("$@" 2>&1)"; then
    printf -- '-- %s\n%s\n' "$tool" "$said" >&2
    failed=1
  fi
}

# Files that git knows, or would know, and that are there.
files() { git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while read -r file; do [ ! -f "$file" ] || echo "$file"; done; }
mapfile -t workflows < <(files '.github/workflows/*.yml')
mapfile -t actions < <(files '.github/actions/*/action.yml')
mapfile -t yaml < <(files '.github/*.yml' '.github/*.yaml' stack.yml 'executors/*/executor.yml' 'template/*/template.yml' \
  'deploy/*.yml')
mapfile -t shell < <(files '*.sh' '.ci/*')

lint actionlint actionlint "${workflows[@]}"
lint zizmor zizmor --offline --quiet --config .github/zizmor.yml .github
lint check-jsonschema check-jsonschema --quiet --builtin-schema vendor.github-workflows "${workflows[@]}"
lint check-jsonschema check-jsonschema --quiet --builtin-schema vendor.github-actions "${actions[@]}"
lint check-jsonschema check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
lint shellcheck shellcheck --external-sources --source-path=SCRIPTDIR --source-path="$PWD" "${shell[@]}"
lint yamllint yamllint --strict --config-file .github/yamllint.yml "${yaml[@]}"
[ ! -d terraform ] || lint tflint tflint --chdir=terraform --recursive --config="$PWD/.tflint.hcl" --no-color
exit "$failed"
