"""Every sentence a student reads about a mistake: what it is, where to look, what to change.

Short, second person, no blame. `model` words a wrong model, `departure` one that no known mistake
explains, `errors` what was raised or refused, `matrices` hand-designed matrices.
"""
