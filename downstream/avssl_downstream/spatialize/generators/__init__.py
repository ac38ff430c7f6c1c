"""Generators of the spatialize head, one file a method; see `avssl_downstream.spatialize.registry`."""
