"""The robot's logs: followed, given structure, kept in segments, shipped, and the severe ones said live."""
