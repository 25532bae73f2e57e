"""Do the tests test? Each mutation breaks a promise in the code, and some test has to notice."""
