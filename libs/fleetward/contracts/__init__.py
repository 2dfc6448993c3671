"""What the services and robots say to each other: ids, facts, and the one catalog. No I/O."""
