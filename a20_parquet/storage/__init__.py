"""Files and folders, local or in an object store, as both ends of the package use them."""
