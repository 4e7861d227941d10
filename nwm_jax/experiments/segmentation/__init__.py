"""Segmenting images by waves that integrate space (arXiv:2502.06034)."""
