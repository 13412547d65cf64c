"""The vendor's package of this name, or ours; see `hxtorch._vendor`."""

if "." not in __name__:  # not as a module of hxtorch
    from _hxtorch_stand_in import hand_over

    hand_over(__name__)
