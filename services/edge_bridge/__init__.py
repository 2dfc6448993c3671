"""The robot's side: fetch, verify, swap, measure, buffer, fall back."""
