"""From what is desired to what is so: the robot's target, its steps, its proof and its way back."""
