"""Pathfinder and Path-X: two discs, dashed lines between them, drawn as the official program draws them."""

from data_prep.pathfinder.make import PathfinderParameters, make_pathfinder, read_images

__all__ = ["PathfinderParameters", "make_pathfinder", "read_images"]
