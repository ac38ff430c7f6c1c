"""Room acoustics: image sources, diffuse tail, FOA and binaural rendering."""
