"""Running a program: a fixed pattern, temporal noise and the engine put together."""
