"""Records of robots' logs, and the segments that they are kept in: written on robots, read by people."""
