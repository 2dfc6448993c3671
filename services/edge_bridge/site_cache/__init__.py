"""A site's cache of immutable objects: one copy over the WAN for all its robots."""
