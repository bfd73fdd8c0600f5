#!/usr/bin/env bash
# Builds the PostgreSQL server of one release, with its contrib extensions, from its tarball: what a drill
# restores into.
#
#   build-postgres-server.sh TARBALL SHA256 PREFIX
#
# PREFIX/bin gets initdb and postgres; PREFIX/lib gets libpq, every shared library they need beyond glibc, and in
# lib/postgresql the server's modules; PREFIX/share gets what initdb and CREATE EXTENSION read; PREFIX/licenses
# gets the licence texts. PREFIX may be moved afterwards: PostgreSQL finds its files from where `postgres` lies.
# Works in TMPDIR (about 1 GB) and cleans up there. On any failure it exits non-zero and leaves no PREFIX.
set -euo pipefail

if [[ $# -ne 3 ]]; then
  echo "usage: build-postgres-server.sh TARBALL SHA256 PREFIX" >&2
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

# ICU, libxml and UUIDs: what a database may have been made with, its rehearsal needs too. No Perl, Python and Tcl:
# functions in these are left out, and the drill says so.
# The two paths are for bin/ and for the modules in lib/postgresql/. "$$" is for make, the inner quotes for the
# shell that make starts.
step ./configure --quiet --prefix=/nonexistent --disable-rpath \
  --without-readline --with-icu --with-openssl --with-zstd --with-lz4 --with-libxml --with-uuid=e2fs \
  CFLAGS=-O2 LDFLAGS="-Wl,--disable-new-dtags,-rpath,'\$\$ORIGIN/../lib:\$\$ORIGIN/..'"

for directory in src contrib; do
  step make --silent --jobs "$(nproc)" -C "$directory" all
  step make --silent -C "$directory" install-strip DESTDIR="$work/installed"
done

installed=$work/installed/nonexistent
mkdir -p "$prefix/bin" "$prefix/lib" "$prefix/licenses"
install -m 755 "$installed"/bin/{initdb,postgres} "$prefix/bin/"
install -m 644 "$installed/lib/libpq.so.5" "$prefix/lib/"
cp -R "$installed/lib/postgresql" "$prefix/lib/"
rm -rf "$prefix/lib/postgresql/pgxs"
cp -R "$installed/share" "$prefix/"
install -m 644 COPYRIGHT "$prefix/licenses/postgresql"

# What is not glibc comes along, named by its soname; twice, as libraries need libraries (ICU its data).
glibc='^(ld-linux|libc|libm|libdl|libpthread|librt|libresolv)[-.]'
for _ in 1 2; do
  find "$prefix/bin" "$prefix/lib" -type f -print0 | xargs -0 ldd 2>/dev/null |
    awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | sort -u |
    while read -r soname path; do
      if [[ $soname =~ $glibc || $(realpath "$path") == "$(realpath "$prefix")"/* ]]; then continue; fi
      install -m 644 "$path" "$prefix/lib/$soname"
      package=$(dpkg-query --search "*/$(basename "$(realpath "$path")")" 2>/dev/null | cut -d: -f1 | head -n 1) || true
      if [[ -n $package && -f /usr/share/doc/$package/copyright ]]; then
        install -m 644 "/usr/share/doc/$package/copyright" "$prefix/licenses/$package"
      fi
    done
done

# It must run, and make a cluster, from where it lies now.
"$prefix/bin/postgres" --version >/dev/null
