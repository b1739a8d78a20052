"""Doing the work: the driver of a sweep, its workers on Ray, and who watches."""
