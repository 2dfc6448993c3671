"""Takes a robot into the fleet over SSH: look, decide what is missing, do only that.

``plan`` decides and is pure; ``survey`` says what is there, ``scripts`` how a step is done.
"""
