"""Which known mistake explains hand-designed matrices, and what mends it, tried before it is told."""
