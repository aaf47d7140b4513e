"""CG-Aug (arXiv 2411.03829): pictures of a scene's layout with an unknown object in it, in other weather and places.

Labels are painted in ADE20K colors with the outline of an object on the road, ControlNet makes a picture of that, a
segmenter has to find the object again where it was asked for.
"""
