"""Embeddings to numbers: clustering scores, IJB-C, reports. Never imports torch.

Write ``from eval.commands.ijb import ...``, never ``import eval``: that name hides the builtin.
"""
