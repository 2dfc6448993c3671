"""What the robot measures: read, packed into columns, spooled and sent."""
