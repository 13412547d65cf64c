"""Weight transforms, encoders and decoders."""
