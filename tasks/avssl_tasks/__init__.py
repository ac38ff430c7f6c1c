"""The pretext tasks that come with avssl, registered as a stranger's would be."""
