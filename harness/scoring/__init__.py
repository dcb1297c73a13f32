"""Scores a checkpoint in a process of its own: asks the model for logits, without targets, and computes the rest."""
