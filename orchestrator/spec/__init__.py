"""A sweep file: reading it with positions, checking it, and the settings that come out."""
