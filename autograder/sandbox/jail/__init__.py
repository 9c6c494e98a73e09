"""The jail of the student's code; `confine` has the contract."""
