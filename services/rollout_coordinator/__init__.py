"""Who gets which model, when, and when to take it back."""
