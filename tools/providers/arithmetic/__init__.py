"""Arithmetic as people write it, worked out without running any of it as code.

`tokens` reads the text, `syntax` makes a tree of it, `evaluation` walks the tree, `functions` is
all that may be called, and `limits` bounds what any of them may spend.
"""

from everturn.tools.providers.arithmetic.evaluation import evaluate
from everturn.tools.providers.arithmetic.limits import MAX_LENGTH, CalculationError

__all__ = ["MAX_LENGTH", "CalculationError", "evaluate"]
