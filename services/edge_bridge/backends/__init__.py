"""The runtimes that serve models, behind one small interface, and the engines built for them."""
