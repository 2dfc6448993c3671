"""What exists and may be trusted: versions, aliases, signatures, chunks."""
