"""Says which mistake explains an output, where, and what to do next."""
