"""One page of a run, or of several, for who was not there: how good, and where it fails."""
