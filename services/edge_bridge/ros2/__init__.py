"""The bridge in a ROS 2 graph: images in, results out. rclpy is the robot's own, and loaded when asked for."""
