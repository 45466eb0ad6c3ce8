"""The front door: the command line, the composed web app, the parts and their supervisor."""

__version__ = "0.1.0"
