"""Every sample stored once, rolled up, and queryable."""
