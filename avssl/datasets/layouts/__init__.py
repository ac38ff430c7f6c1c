"""How recordings lie on disk, one file a layout; each module's `find(root, leave_out)` gives a `Listing`."""
