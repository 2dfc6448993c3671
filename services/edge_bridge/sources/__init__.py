"""Where frames come from: cameras, files, recordings and other processes."""
