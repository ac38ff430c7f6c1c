"""Neural networks of the generators: U-Nets, track localization, visual branches; tensors in, tensors out."""
