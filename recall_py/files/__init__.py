"""The .h5ad files and .zarr stores on disk: opened without loading, and replaced atomically."""
