"""Installs wheels with nothing but the robot's own Python: no pip, no internet, no choice left to make.

A wheel is a zip to be unpacked where packages lie (PEP 427); which ones, was decided before. Commands
that a wheel would make are left out: the bridge is started as a module.
"""

from __future__ import annotations

UNPACK = r"""
import pathlib, shutil, sys, sysconfig, zipfile

packages = pathlib.Path(sysconfig.get_paths()["purelib"])
for wheel in sys.argv[1:]:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
for data in list(packages.glob("*.data")):
    for kind in ("purelib", "platlib"):
        for path in sorted((data / kind).rglob("*")):
            if path.is_file():
                place = packages / path.relative_to(data / kind)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, place)
    shutil.rmtree(data)
"""
"""A program; its arguments are wheels. A damaged file in one ends it with a traceback."""
