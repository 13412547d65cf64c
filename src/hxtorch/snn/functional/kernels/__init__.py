"""Compiled loops of the numerics: numba functions on contiguous arrays, without torch and without decisions.

Every kernel works on a range of lanes or rows, so that the caller can share the work among threads. All of
them see float32 arrays; an array of zero rows stands for "not there". `threads` shares it, in the threads of torch.
"""
