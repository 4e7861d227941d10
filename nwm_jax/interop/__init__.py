"""Weights of the original programs in our models."""
