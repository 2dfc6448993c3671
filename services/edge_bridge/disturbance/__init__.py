"""How much the preparation of a model may disturb what the robot does meanwhile."""
