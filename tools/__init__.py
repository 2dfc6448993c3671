"""The house rules that no ready-made linter holds. Each module is one rule and one exit code."""
