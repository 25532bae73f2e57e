"""Where content can be kept: one room for each kind of place."""
