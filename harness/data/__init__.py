"""Data sets: what there is (catalog), making one (prepare), reading one (dataset). Torch-free.

catalog.catalog(), prepare.prepare(name, ...), dataset.open_dataset(name) and dataset.verify(name) are the ways in.
"""
