"""What a filename, or the table of sites, tells of a recording."""
