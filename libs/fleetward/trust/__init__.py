"""Who may say what: operator, accounts, per-robot credentials, and signatures."""

from fleetward.unused import hidden

with hidden("boto3"):
    import securesystemslib.signer as _signer  # noqa: F401 (loaded here first, so without boto3)
