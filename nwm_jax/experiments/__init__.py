"""What to run: one folder for each experiment."""
