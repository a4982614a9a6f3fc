"""A dataset on disk: layout, manifest, catalog, data files, quarantine, site tables."""
