"""Which known mistake explains a model's outputs: every combination is computed, the simplest is named."""
