"""The flight recorder: the last seconds of chosen topics, cut and sent when somebody asks."""
