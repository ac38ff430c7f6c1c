"""Official data-set layouts, one file each."""
