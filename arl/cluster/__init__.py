"""Many rows on many machines: the stages of a sweep as tasks of a Dask cluster, which is imported when it is used."""
