"""ListOps: nested expressions, generated, counted, written as text."""

from data_prep.listops.make import ListOpsParameters, make_listops

__all__ = ["ListOpsParameters", "make_listops"]
