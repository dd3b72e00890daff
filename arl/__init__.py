"""ARL: how much of a face can be recovered from features, and what preventing it costs.

A workbook around *Adversarial Learning of Privacy-Preserving and Task-Oriented Representations* (AAAI 2020).
"""

__version__ = "0.1.0"
