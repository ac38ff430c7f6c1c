"""Classifiers, cross-validation, metrics and tables shared by the heads that classify."""
