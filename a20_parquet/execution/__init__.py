"""Who does units of work: threads of this process, or the workers of a Dask cluster."""
