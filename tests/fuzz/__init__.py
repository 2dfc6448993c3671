"""Foreign bytes by the million, found by what they reach in the parsers (``make fuzz``)."""
