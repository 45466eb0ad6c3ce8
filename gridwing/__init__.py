"""The front door: the command line, the composed web app, the parts and their supervisor."""
