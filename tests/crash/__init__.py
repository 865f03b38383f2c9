"""The real daemon under fire: killed, frozen, without a disk, with a lying clock. See `__main__`."""
