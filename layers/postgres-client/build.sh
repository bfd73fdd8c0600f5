#!/usr/bin/env bash
# Builds the PostgreSQL client programs of one release from its tarball.
#
#   build.sh TARBALL SHA256 PREFIX
#
# PREFIX/bin gets pg_dump, pg_dumpall, pg_restore and psql; PREFIX/lib gets libpq and every shared library
# they need beyond glibc; PREFIX/licenses gets the licence texts. PREFIX may be moved afterwards.
# Works in TMPDIR (about 250 MB) and cleans up there. On any failure it exits non-zero and leaves no PREFIX.
set -euo pipefail

if [[ $# -ne 3 ]]; then
  echo "usage: build.sh TARBALL SHA256 PREFIX" >&2
  exit 2
fi
tarball=$1 sha256=$2 prefix=$3

work=$(mktemp -d)
child=
finish() {
  local status=$?
  rm -rf "$work"
  [[ $status -eq 0 ]] || rm -rf "$prefix"
}
stop() {
  [[ -z $child ]] || kill "$child" 2>/dev/null || true
  exit "$1"
}
trap finish EXIT
trap 'stop 143' TERM
trap 'stop 130' INT HUP

# Bash serves a trap only between commands, but at once while it waits: so the long steps run as children.
step() {
  "$@" &
  child=$!
  wait "$child"
  child=
}

if ! echo "$sha256  $tarball" | sha256sum --check --status; then
  echo "$tarball does not have the SHA-256 $sha256; delete it so that it is fetched again" >&2
  exit 1
fi
step tar --extract --file "$tarball" --directory "$work" --strip-components 1
cd "$work"

# An RPATH and not a RUNPATH (--disable-new-dtags): Lambda sets LD_LIBRARY_PATH, and the Node runtime keeps
# an OpenSSL of its own there. RPATH is searched before LD_LIBRARY_PATH, RUNPATH only after it.
# "$$" is for make, the inner quotes for the shell that make starts.
step ./configure --quiet --prefix=/nonexistent --disable-rpath \
  --without-readline --without-icu --with-openssl --with-zstd --with-lz4 \
  CFLAGS=-O2 LDFLAGS="-Wl,--disable-new-dtags,-rpath,'\$\$ORIGIN/../lib'"

for directory in src/backend:generated-headers src/interfaces/libpq:all src/bin/pg_dump:all src/bin/psql:all; do
  step make --silent --jobs "$(nproc)" -C "${directory%:*}" "${directory#*:}"
done

mkdir -p "$prefix/bin" "$prefix/lib" "$prefix/licenses"
install -m 755 -s src/bin/pg_dump/{pg_dump,pg_dumpall,pg_restore} src/bin/psql/psql "$prefix/bin/"
install -m 644 -s src/interfaces/libpq/libpq.so.5 "$prefix/lib/"
install -m 644 COPYRIGHT "$prefix/licenses/postgresql"

# What is not glibc comes along, named by its soname and as plain files: layer archives lose symbolic links.
glibc='^(ld-linux|libc|libm|libdl|libpthread|librt|libresolv)[-.]'
ldd "$prefix"/bin/* "$prefix"/lib/* | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | sort -u |
  while read -r soname path; do
    if [[ $soname =~ $glibc || $path == "$prefix"/* ]]; then continue; fi
    install -m 644 "$path" "$prefix/lib/$soname"
    package=$(dpkg-query --search "*/$(basename "$(realpath "$path")")" 2>/dev/null | cut -d: -f1 | head -n 1) || true
    if [[ -n $package && -f /usr/share/doc/$package/copyright ]]; then
      install -m 644 "/usr/share/doc/$package/copyright" "$prefix/licenses/$package"
    fi
  done
