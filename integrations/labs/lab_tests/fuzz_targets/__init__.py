"""Fuzz targets of the labs: one module each, with its `TARGET`."""
