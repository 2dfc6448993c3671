#!/bin/sh
# Unpacks Debian's OpenSSH server into .venv/openssh, as any user: from the package lists of this
# machine or, where it has none, from lists of our own. 0 also when it is there already.
set -eu
cd "$(dirname "$0")/.."
packages='openssh-server libwrap0 libnss-wrapper'
target=$PWD/.venv/openssh
[ ! -e "$target/complete" ] || exit 0
command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1

echo 'setup: openssh-server'
rm -rf "$target.partial"
mkdir -p "$target.partial/lists/partial" "$target.partial/debs"
cd "$target.partial/debs"
options="-qq -o APT::Sandbox::User= -o Acquire::Retries=0 -o Acquire::http::Timeout=20"
# shellcheck disable=SC2086 # options and packages: split on purpose
if ! apt-get $options download $packages >/dev/null 2>&1; then
    options="$options -o Dir::State::Lists=$target.partial/lists -o Dir::Cache=$target.partial"
    apt-get $options update >/dev/null 2>&1
    apt-get $options download $packages >/dev/null 2>&1
fi
for package in *.deb; do
    dpkg -x "$package" "$target.partial"
done
rm -rf "$target.partial/lists" "$target.partial/debs" "$target"
touch "$target.partial/complete"
mv "$target.partial" "$target"
