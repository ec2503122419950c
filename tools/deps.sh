#!/usr/bin/env bash
# Installs the Debian packages that are missing: tools/deps.sh [build] [test] [check]
# No group means all. Where nothing is missing it does nothing; sudo is used where the user is not root.
set -euo pipefail

build=(g++ cmake ninja-build libboost1.81-dev libabsl-dev libspdlog-dev libcli11-dev nlohmann-json3-dev)
test=(libgtest-dev libgmock-dev libbenchmark-dev pkgconf spin python3)
check=(clang-16 clang-tidy-16 libclang-rt-16-dev clang-format-16 python3)

wanted=()
for group in "${@:-all}"; do
  case $group in
    build) wanted+=("${build[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    check) wanted+=("${check[@]}") ;;
    all) wanted+=("${build[@]}" "${test[@]}" "${check[@]}") ;;
    *) echo "usage: tools/deps.sh [build] [test] [check]" >&2 && exit 2 ;;
  esac
done

missing=()
for package in "${wanted[@]}"; do
  [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=(env DEBIAN_FRONTEND=noninteractive)
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "Neither root nor sudo: please install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo "${as_root[@]}")
fi
echo "Installing ${missing[*]}"
"${as_root[@]}" apt-get update -q </dev/null
"${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null
