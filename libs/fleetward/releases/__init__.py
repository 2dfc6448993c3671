"""Releases of the bridge on a robot: how one is packed, unpacked, chosen at a start, and left again."""
