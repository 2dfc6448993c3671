"""Who may say what: operator, accounts, per-robot credentials, and signatures."""
