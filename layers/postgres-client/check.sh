#!/usr/bin/env bash
# Proves what build.sh made, and prints one line: "VERSION needs GLIBC_X.YY".
#
#   check.sh PREFIX VERSION
#
# Every program runs and is of VERSION; every library beyond glibc is found inside PREFIX, also when
# LD_LIBRARY_PATH points elsewhere. Which glibc is acceptable is the caller's decision.
set -euo pipefail

if [[ $# -ne 2 ]]; then
  echo "usage: check.sh PREFIX VERSION" >&2
  exit 2
fi
prefix=$(realpath "$1") version=$2

fail() {
  echo "check.sh: $1" >&2
  exit 1
}

for program in pg_dump pg_dumpall pg_restore psql; do
  said=$("$prefix/bin/$program" --version) || fail "$program --version failed"
  [[ $said == "$program (PostgreSQL) $version" ]] || fail "$program says '$said' instead of version $version"
done

# libm and libc come from the system by design; anything else from outside would be another library there.
decoys=$(dirname "$(ldd /bin/sh | awk '$1 == "libc.so.6" { print $3 }')")
for program in "$prefix"/bin/*; do
  libraries=$(LD_LIBRARY_PATH=$decoys ldd "$program")
  [[ $libraries != *"not found"* ]] || fail "$program lacks a library:"$'\n'"$libraries"
  while read -r path; do
    case $(basename "$path") in
      libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.*) ;;
      *) [[ $(realpath "$path") == "$prefix"/* ]] || fail "$program takes $path from outside $prefix" ;;
    esac
  done < <(awk '$2 == "=>" && $3 ~ /^\// { print $3 }' <<<"$libraries")
done

# Symbol versions, not the library's own: a program built on a newer glibc may still run on an older one.
needs=$(objdump --dynamic-syms "$prefix"/bin/* "$prefix"/lib/* | grep --only-matching 'GLIBC_[0-9.]*' | sort --unique --version-sort | tail -n 1) || true
[[ -n $needs ]] || fail "no GLIBC symbol version found in $prefix"
echo "$version needs $needs"
