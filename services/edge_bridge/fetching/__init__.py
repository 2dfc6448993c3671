"""A model comes to the robot for as few bytes as possible and is never half there."""
