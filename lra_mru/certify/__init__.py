"""Proof instead of samples: is a model right on every word of a task, whatever its length?

A model each of whose states is one of finitely many values is a finite machine, and so is a task of a finite alphabet.
machine.py reads the model as one, walk.py visits every pair (model state, task state) that some word reaches,
verdict.py says what follows from the walk, certificate.py keeps it as a small JSON file.
"""
