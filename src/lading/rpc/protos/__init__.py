"""Messages, as they are written and as `scripts/protos` makes modules of them."""
