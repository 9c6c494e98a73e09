"""The command line of `regrade`, with the fake grader: for tests that kill it."""

import sys

from autograder.regrade.cli import main
from tests.regrade.fakes import fake_grader

if __name__ == "__main__":
    sys.exit(main(None, fake_grader))
