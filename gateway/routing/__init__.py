"""Routes and places: which method a path is bound to, by the annotations in the protos, and whether there is room."""
