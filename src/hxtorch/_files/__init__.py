"""Files: written whole or not at all, with a header that says what they are, and never executed when read."""
