"""Compiled kernels: how they are made, where their machine code is kept, and the threads that they run in."""
