"""The external merge sort: sorted runs, read slice by slice, and the plan of their merge."""
