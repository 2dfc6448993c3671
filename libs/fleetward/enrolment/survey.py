"""One shell script looks at everything, and one function reads what it says.

It runs under any POSIX shell, changes nothing, and says a line per fact: name, tab, value.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence

from fleetward.enrolment.found import Entry, Found
from fleetward.enrolment.layout import UNIT, Layout

GROUPS = ("video", "render")
"""Whoever may use a Jetson's GPU is in these."""
SETTINGS_LIMIT_BYTES = 16_384
EXTRAS_LIMIT_BYTES = 1_024

_SCRIPT = r"""
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export PATH LC_ALL=C
say() { printf '%s\t%s\n' "$1" "$(printf '%s' "$2" | tr '\n\t' '  ')"; }
nearest() { d=$1; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; printf '%s' "$d"; }
look() {
    if [ -L "$1" ]; then say "link $1" "$(readlink "$1")"
    elif [ -d "$1" ]; then say "directory $1" "$(stat -c '%a %U' "$1")"
    elif [ -f "$1" ]; then say "file $1" "$(stat -c '%a %U' "$1") $(sha256sum <"$1" | cut -c -64)"
    fi
}
say hostname "$(uname -n)"
say arch "$(uname -m)"
say kernel "$(uname -r)"
say system "$(. /etc/os-release 2>/dev/null && printf '%s' "$PRETTY_NAME")"
say l4t "$(head -n 1 "$root/etc/nv_tegra_release" 2>/dev/null | head -c 512)"
say board "$(tr -d '\000' 2>/dev/null <"$root/proc/device-tree/model")"
say memory_kib "$(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)"
say disk_kib "$(df -Pk "$(nearest "$install")" "$(nearest "$state")" | awk 'NR > 1 { print $4 }' | sort -n | head -n 1)"
say python "$("$python" -c 'import platform; print(platform.python_version())' 2>/dev/null)"
say glibc "$(getconf GNU_LIBC_VERSION 2>/dev/null)"
say account "$(id -u "$account" 2>/dev/null)"
for group in $groups; do if getent group "$group" >/dev/null; then say group "$group"; fi; done
if command -v systemctl >/dev/null; then
    say manager yes
    say enabled "$(systemctl is-enabled "$unit" 2>/dev/null)"
    say active "$(systemctl is-active "$unit" 2>/dev/null)"
    say stale "$(systemctl show --property=NeedDaemonReload --value "$unit" 2>/dev/null)"
fi
if [ -f "$settings" ]; then
    head -c "$settings_limit" "$settings" | while IFS= read -r line; do say setting "$line"; done
fi
say extras "$(head -c "$extras_limit" "$extras" 2>/dev/null)"
for name in $(ls "$releases" 2>/dev/null); do say release "$name"; look "$releases/$name/complete"; done
for name in $(ls "$wheels" 2>/dev/null); do say wheel "$name"; done
"""


def survey_script(layout: Layout, account: str, python: str, paths: Iterable[str]) -> str:
    """What a POSIX shell is to read; ``paths`` are looked at one by one."""
    told = {
        "root": layout.prefix,
        "install": layout.install,
        "state": layout.state,
        "settings": layout.settings,
        "settings_limit": str(SETTINGS_LIMIT_BYTES),
        "extras": layout.extras,
        "extras_limit": str(EXTRAS_LIMIT_BYTES),
        "releases": layout.releases,
        "wheels": layout.wheels,
        "account": account,
        "python": python,
        "groups": " ".join(GROUPS),
        "unit": UNIT,
    }
    return "\n".join(
        [
            *(f"{name}={shlex.quote(value)}" for name, value in told.items()),
            _SCRIPT.strip(),
            *(f"look {shlex.quote(path)}" for path in paths),
            "say end yes\n",
        ]
    )


def is_whole(said: str) -> bool:
    """Whether the script came to its end."""
    return ("end", "yes") in _facts(said)


def found_in(said: str) -> Found:
    """What the script said, read; what it did not say counts as not there."""
    facts = list(_facts(said))
    one = dict(facts)
    return Found(
        hostname=one.get("hostname", ""),
        arch=one.get("arch", ""),
        kernel=one.get("kernel", ""),
        system=one.get("system", ""),
        l4t=one.get("l4t", ""),
        board=one.get("board", ""),
        memory_bytes=_number(one.get("memory_kib", "")) * 1024,
        disk_free_bytes=_number(one.get("disk_kib", "")) * 1024,
        python=_version(one.get("python", "")),
        python_full=one.get("python", "") if _version(one.get("python", "")) else "",
        glibc=_version(one.get("glibc", "").removeprefix("glibc ")) or (0, 0),
        account_exists=bool(one.get("account")),
        groups=_all(facts, "group"),
        has_service_manager=one.get("manager") == "yes",
        enabled=one.get("enabled") == "enabled",
        active=one.get("active") == "active",
        stale_unit=one.get("stale") == "yes",
        settings="".join(f"{line}\n" for line in _all(facts, "setting")),
        extras=tuple(one.get("extras", "").split()),
        entries=dict(_entries(facts)),
        releases=_all(facts, "release"),
        wheels=_all(facts, "wheel"),
    )


def _facts(said: str) -> Iterator[tuple[str, str]]:
    for line in said.splitlines():
        name, tab, value = line.partition("\t")
        if tab:
            yield name, value.strip()


def _all(facts: Sequence[tuple[str, str]], wanted: str) -> tuple[str, ...]:
    return tuple(value for name, value in facts if name == wanted)


def _entries(facts: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Entry]]:
    for name, value in facts:
        kind, _, path = name.partition(" ")
        if kind == "link":
            yield path, Entry(kind=kind, target=value)
        elif kind in {"directory", "file"}:
            mode, owner, *digest = value.split()
            yield path, Entry(kind=kind, mode=mode, owner=owner, sha256="".join(digest))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


def _version(text: str) -> tuple[int, int] | None:
    parts = text.split(".")
    if len(parts) < 2 or not all(part.isascii() and part.isdigit() for part in parts[:2]):
        return None
    return int(parts[0]), int(parts[1])
