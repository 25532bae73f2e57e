"""What went wrong in containerd's store, at its beginning (S) and later (H), and must not here."""
