"""The tests, one package per room: without this one, tests/reference would hide the real `reference`."""
