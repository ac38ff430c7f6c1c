"""Statistics of evaluation that several heads share."""
