"""The rubric: one module per section, each check a unittest case with gradescope-utils decorators."""
