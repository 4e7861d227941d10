"""What every verb shares: flags, one-line errors, progress, what the screen shows."""
