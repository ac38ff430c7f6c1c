"""Object detection in video frames: tiling, detector backends, journal and index of detections."""
