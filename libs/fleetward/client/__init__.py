"""What a program calls to publish models and steer rollouts."""
