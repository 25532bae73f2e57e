"""P15: what a transfer needs of memory does not grow with what is transferred."""
