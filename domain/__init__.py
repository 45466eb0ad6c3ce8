"""The words of Gridwing: frozen dataclasses and pure functions over them. Standard library only."""
