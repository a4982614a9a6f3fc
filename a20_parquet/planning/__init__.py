"""What a conversion would take, before it starts."""
