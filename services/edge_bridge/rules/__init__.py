"""The hub's own alert rules, judged on the robot: a model that breaks one is left, cable in or out."""
