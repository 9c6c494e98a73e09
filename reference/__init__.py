"""What is right: the NumPy transformer, the three tasks, and matrices that solve them.

Pure NumPy and the standard library; imports nothing of `autograder`.
"""
