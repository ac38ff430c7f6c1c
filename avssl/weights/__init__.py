"""Encoders and fitted heads that come with avssl, a package a name; `avssl reproduce weights` makes them."""
