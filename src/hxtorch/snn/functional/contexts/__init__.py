"""What a surrounding ``with`` decides for all that is computed within: the implementation, and where to go on."""
