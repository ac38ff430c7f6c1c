"""Recipe `avsa/small-long`: audio-visual spatial alignment, FOA intensity vectors, on scenes of `synth360`."""
