"""The renderer that judges: labelled pictures that nothing is trained on. Frozen by FROZEN.toml.

It shares no primitive, texture, palette or line with the renderer that draws training pictures:
every pixel here is a ray, cast on a ground of signed distances, on ellipsoids, convex solids and
height fields, and lit afterwards.
"""
