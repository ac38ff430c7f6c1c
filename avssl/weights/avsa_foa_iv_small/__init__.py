"""Recipe `avsa/small-long`: audio-visual spatial alignment, FOA intensity vectors, on the synthetic dataset `synth360`."""
