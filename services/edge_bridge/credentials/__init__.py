"""Who the robot is on the bus, and how it comes to its next key without being nobody in between."""
