"""Object stores: servers that stand for them, their faults, and conversions to and from them."""
