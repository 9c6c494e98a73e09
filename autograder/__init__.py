"""The autograder of "Implement Transformer from Scratch".

The way through the house: an upload becomes a `Submission` (`submission`), whose code answers
calls in a child process (`sandbox`); the checks of the rubric (`checks`) hold its answers against
the NumPy reference (`reference`), explain what went wrong (`feedback`), and are run and written
down as Gradescope's results.json (`results`). `grade` is that pipeline on one screen; `__main__`
is the command line, `regrade` grades a whole class, `bundle` packs the zip for Gradescope.
"""
