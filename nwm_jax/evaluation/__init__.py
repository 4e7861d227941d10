"""Scores of forecasts: pure functions on arrays of images."""
