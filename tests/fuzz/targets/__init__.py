"""Fuzz targets: one module each, with its `TARGET`."""
