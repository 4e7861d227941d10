"""Forecasting moving things from their images: the Hamiltonian benchmark."""
